"""The logs bloom of a block header: it can prove that a block holds no log of a filter, never that it holds one."""

from functools import lru_cache

from trio_copy.ports import LogFilter
from trio_copy.transactions.bloom import bloom_of

# Of what filters name, which is asked of each block; of what logs hold, each order has a topic that never comes again.
_wanted_bits = lru_cache(maxsize=65_536)(bloom_of)


def may_contain(bloom: int, log_filter: LogFilter) -> bool:
    """Tell whether a block may hold a log that passes the filter; False is certain."""
    groups = [log_filter.addresses, *(topic for topic in log_filter.topics if topic is not None)]
    return all(any((bloom & bits) == bits for bits in map(_wanted_bits, group)) for group in groups if group)
