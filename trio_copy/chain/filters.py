"""The filters every endpoint subscribes with. They follow the follow book while everything runs."""

from collections.abc import Collection, Container, Iterable
from itertools import islice

import trio
from attrs import define, field, frozen

from trio_copy.chain.decoders.words import address_in, address_topic
from trio_copy.model.ids import Address
from trio_copy.model.logs import RawLog
from trio_copy.ports import Decoder, LogFilter


def build_filters(
    decoders: Iterable[Decoder], leaders: Collection[Address], leaders_per_filter: int
) -> tuple[LogFilter, ...]:
    """Ask every decoder for its filters, with the leaders in chunks that nodes accept. No leaders, no filters."""
    ordered = sorted(leaders)
    chunks = [ordered[at : at + leaders_per_filter] for at in range(0, len(ordered), leaders_per_filter)]
    return tuple(log_filter for decoder in decoders for chunk in chunks for log_filter in decoder.filters(chunk))


@frozen(kw_only=True)
class Wanted:
    """What is passed on where filters name contracts alone."""

    leaders: Container[Address] = field(eq=id)
    """One of them has to be in a log. Who is among them may change at any time; then the version is another one."""
    version: int
    whosever: frozenset[str]
    """First topics of what no leader has to be in."""

    def has(self, log: RawLog) -> bool:
        if not log.topics:
            return False
        return log.topics[0] in self.whosever or any(address_in(topic) in self.leaders for topic in log.topics[1:])


def build_wide_filters(
    decoders: Iterable[Decoder], leaders: Collection[Address], leaders_per_filter: int, version: int = 0
) -> tuple[tuple[LogFilter, ...], Wanted]:
    """Return filters that name contracts alone, and what is passed on of the logs that they bring.

    That takes as long for a million leaders as for one, except for a decoder that names no contract: it would ask for all logs of
    the chain, so it has its leaders named.

    Args:
        leaders: are looked at whenever a log comes.
        version: has to be another one when they are others.
    """
    one, filters, whosever = list(islice(leaders, 1)), list[LogFilter](), set[str]()
    for decoder in decoders:
        asked = decoder.filters(one)
        if not all(log_filter.addresses for log_filter in asked):
            filters += build_filters([decoder], leaders, leaders_per_filter)
            continue
        for log_filter in asked:
            wide = _without(log_filter, frozenset(map(address_topic, one)))
            filters.append(wide)
            whosever.update((log_filter.topics[0] or ()) if wide == log_filter else ())
    return tuple(dict.fromkeys(filters)), Wanted(leaders=leaders, version=version, whosever=frozenset(whosever))


def _without(log_filter: LogFilter, owners: Collection[str]) -> LogFilter:
    """Return the same filter of anybody."""
    topics = [
        None if wanted is None or all(topic in owners for topic in wanted) else wanted for wanted in log_filter.topics
    ]
    while topics and topics[-1] is None:
        topics.pop()
    return LogFilter(addresses=log_filter.addresses, topics=tuple(topics))


def passes(log: RawLog, log_filter: LogFilter) -> bool:
    """Tell whether a node had reason to send this log for this filter."""
    if log_filter.addresses and log.address not in log_filter.addresses:
        return False
    if len(log.topics) < len(log_filter.topics):
        return False
    return all(wanted is None or topic in wanted for topic, wanted in zip(log.topics, log_filter.topics, strict=False))


@define(eq=False)
class FilterBoard:
    """The filters in force; writers replace them, readers wait for a newer version."""

    filters: tuple[LogFilter, ...] = ()
    """What nodes are asked for."""
    wanted: Wanted | None = None
    """What is passed on of that; None for all of it."""
    version: int = 0
    _changed: trio.Event = field(factory=trio.Event)

    def replace(self, filters: tuple[LogFilter, ...], wanted: Wanted | None = None) -> bool:
        """Put new filters in force; False when they are the same."""
        if (filters, wanted) == (self.filters, self.wanted):
            return False
        self.filters, self.wanted, self.version = filters, wanted, self.version + 1
        self._changed.set()
        self._changed = trio.Event()
        return True

    def wants(self, log: RawLog) -> bool:
        """Tell whether a log that passed the filters is passed on."""
        return self.wanted is None or self.wanted.has(log)

    async def wait_newer(self, version: int) -> None:
        """Wait until the filters are newer than a version."""
        while self.version <= version:
            await self._changed.wait()
