"""Calldata written by hand, word by word: what wraps every call is on the way of each order, and has one form only."""

from trio_copy.model.ids import Address

WORD = 32


def number(value: int) -> bytes:
    return value.to_bytes(WORD)


def address(value: Address) -> bytes:
    return bytes(12) + bytes.fromhex(value[2:])


def text(data: bytes) -> bytes:
    """Write bytes behind their length, filled up to whole words."""
    return number(len(data)) + data + bytes(-len(data) % WORD)


def read_number(data: bytes, at: int) -> int:
    """Read a number that may lie behind the end, where it is 0: whoever reads compares what he has read with what is there."""
    return int.from_bytes(data[at : at + WORD].ljust(WORD, b"\0"))


def read_address(data: bytes, at: int) -> Address:
    return Address("0x" + data[at + 12 : at + WORD].rjust(20, b"\0").hex())


def read_text(data: bytes, at: int) -> bytes:
    return data[at + WORD : at + WORD + read_number(data, at)]
