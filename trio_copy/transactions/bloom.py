"""The logs bloom of blocks and receipts: three bits for each address and topic of their logs."""

from collections.abc import Iterable
from functools import lru_cache

from trio_copy.native import keccak

_BITS = 2048
_REMEMBERED = 4096
"""Contracts, events and wallets come again in one receipt after the other."""


@lru_cache(maxsize=_REMEMBERED)
def bloom_of(hex_value: str) -> int:
    """Return the three bits that an address or topic sets."""
    digest = keccak(bytes.fromhex(hex_value[2:]))
    bloom = 0
    for at in (0, 2, 4):
        bloom |= 1 << (int.from_bytes(digest[at : at + 2], "big") % _BITS)
    return bloom


def bloom_over(hex_values: Iterable[str]) -> int:
    """Return the bloom of what holds logs with these addresses and topics."""
    bloom = 0
    for value in hex_values:
        bloom |= bloom_of(value)
    return bloom
