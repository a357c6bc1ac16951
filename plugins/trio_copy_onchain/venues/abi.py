"""What contracts are called with, and what they answer: calldata by a general encoder, answers word by word."""

from collections.abc import Callable, Sequence

from eth_abi.abi import encode

from trio_copy.model.counts import counted
from trio_copy.model.ids import Address, Hash32
from trio_copy.model.logs import RawLog
from trio_copy.native import keccak

_WORD = 32
_PADDING = "0x" + "0" * 24


def function(name: str, *types: str) -> Callable[..., bytes]:
    """Return what writes the calldata of a function from its arguments."""
    first, plain = selector(name, *types), list(types)

    def calldata(*values: object) -> bytes:
        return first + encode(plain, values)

    return calldata


def selector(name: str, *types: str) -> bytes:
    """Return the four bytes with which the calldata of a function begins."""
    return keccak(f"{name}({','.join(types)})".encode())[:4]


def topic(event: str) -> Hash32:
    return Hash32("0x" + keccak(event.encode()).hex())


def address_topic(address: Address) -> Hash32:
    return Hash32(_PADDING + address[2:])


def words(data: bytes, count: int) -> list[int]:
    """Read an answer, or the data of a log, of so many words. Raises `ValueError`."""
    if len(data) != count * _WORD:
        raise ValueError(f"expected {counted(count, 'word')}, got {counted(len(data), 'byte')}")
    return [int.from_bytes(data[at : at + _WORD]) for at in range(0, len(data), _WORD)]


def array(data: bytes, count: int) -> list[int]:
    """Read an answer that is one array of so many words. Raises `ValueError`."""
    offset, length, *members = words(data, count + 2)
    if (offset, length) != (_WORD, count):
        raise ValueError(f"expected an array of {count}")
    return members


def signed(word: int) -> int:
    """Read a word as the signed number that it stands for."""
    return word - (1 << 256) if word >> 255 else word


def only_log(logs: Sequence[RawLog], contract: Address, topics: Sequence[Hash32 | None]) -> RawLog | None:
    """Return a contract's only log with such topics, of which None is any; None where it wrote no such log.

    Raises:
        ValueError: it wrote several.
    """
    found = [
        log
        for log in logs
        if log.address == contract
        and len(log.topics) == len(topics)
        and all(wanted in (None, topic) for wanted, topic in zip(topics, log.topics, strict=True))
    ]
    if len(found) > 1:
        raise ValueError(f"expected one trade of a wallet in a transaction, got {len(found)}")
    return found[0] if found else None
