"""Calldata, read as strictly as a contract's own encoder writes it: what could be understood in two ways is not read at all. Pure.

Behind the arguments may stand 32 bytes more, the key of an intent (`Call.marked`), and nothing else.
"""

from attrs import frozen

from trio_copy.model.ids import Address
from trio_copy.native import keccak

WORD = 32
_SELECTOR = 4
_ADDRESS_BITS = 160


def selector_of(signature: str) -> bytes:
    """Return by which four bytes a contract knows a function, such as "transfer(address,uint256)"."""
    return keccak(signature.encode())[:_SELECTOR]


@frozen
class Arguments:
    """What stands behind a selector. Everything raises `ValueError` where it is not there, or written in another way."""

    data: bytes

    def word(self, at: int) -> int:
        """Read a number at a byte."""
        if at + WORD > len(self.data):
            raise ValueError(f"expected at least {at + WORD} bytes of arguments, got {len(self.data)}")
        return int.from_bytes(self.data[at : at + WORD])

    def words(self, count: int) -> list[int]:
        """Read so many numbers from the beginning on."""
        if count * WORD > len(self.data):
            raise ValueError(f"expected at least {count * WORD} bytes of arguments, got {len(self.data)}")
        return [int.from_bytes(self.data[at : at + WORD]) for at in range(0, count * WORD, WORD)]

    def text(self, at: int) -> tuple[bytes, int]:
        """Read bytes whose length stands at a byte; returns where their padding ends, too."""
        length, begin = self.word(at), at + WORD
        if length > len(self.data):
            raise ValueError(f"expected {length} bytes, got fewer")
        end = begin + length
        padded = end + -length % WORD
        if padded > len(self.data) or any(self.data[end:padded]):
            raise ValueError("expected bytes that are padded with zeros")
        return self.data[begin:end], padded

    def numbers(self, at: int) -> tuple[list[int], int]:
        """Read numbers of which how many they are stands at a byte; returns where they end, too."""
        count, begin = self.word(at), at + WORD
        end = begin + count * WORD
        if end > len(self.data):
            raise ValueError(f"expected {count} words, got fewer")
        return [int.from_bytes(self.data[place : place + WORD]) for place in range(begin, end, WORD)], end

    def rest(self, end: int) -> bytes:
        """Return what stands behind the arguments: nothing, or the 32 bytes of a mark."""
        mark = self.data[end:]
        if len(mark) not in (0, WORD):
            raise ValueError(f"expected nothing behind the arguments, or 32 bytes, got {len(mark)}")
        return mark


def expect(number: int, wanted: int, what: str) -> None:
    """Refuse a word that has to be another one. Raises `ValueError`."""
    if number != wanted:
        raise ValueError(f"{what}: expected {wanted}, got {number}")


def address_of(word: int) -> Address:
    """Read a word as an address. Raises `ValueError` where it is more than that."""
    if word >> _ADDRESS_BITS:
        raise ValueError(f"expected an address, got a number of {word.bit_length()} bits")
    return Address(f"0x{word:040x}")


def truth_of(word: int) -> bool:
    """Read a word as true or false. Raises `ValueError` where it is more than that."""
    if word > 1:
        raise ValueError("expected true or false, got a larger number")
    return bool(word)
