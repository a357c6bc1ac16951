"""The logs bloom of a block header: it can prove that a block holds no log of a filter, never that it holds one."""

from collections.abc import Iterable
from functools import lru_cache

from eth_hash.auto import keccak

from trio_copy.ports import LogFilter

_BITS = 2048


def bloom_of(hex_value: str) -> int:
    """Return the three bits that an address or topic sets."""
    digest = keccak(bytes.fromhex(hex_value[2:]))
    bloom = 0
    for at in (0, 2, 4):
        bloom |= 1 << (int.from_bytes(digest[at : at + 2], "big") % _BITS)
    return bloom


# Of what filters name, which is asked of each block; of what logs hold, each order has a topic that never comes again.
_wanted_bits = lru_cache(maxsize=65_536)(bloom_of)


def bloom_over(hex_values: Iterable[str]) -> int:
    """Return the bloom of a block whose logs hold these addresses and topics."""
    bloom = 0
    for value in hex_values:
        bloom |= bloom_of(value)
    return bloom


def may_contain(bloom: int, log_filter: LogFilter) -> bool:
    """Tell whether a block may hold a log that passes the filter; False is certain."""
    groups = [log_filter.addresses, *(topic for topic in log_filter.topics if topic is not None)]
    return all(any((bloom & bits) == bits for bits in map(_wanted_bits, group)) for group in groups if group)
