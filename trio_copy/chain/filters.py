"""The filters every endpoint subscribes with. They follow the follow book while everything runs."""

from collections.abc import Collection, Iterable, Sequence

import trio
from attrs import define, field

from trio_copy.chain.decoders.words import address_topic
from trio_copy.model.ids import Address
from trio_copy.model.logs import RawLog
from trio_copy.ports import Decoder, LogFilter


def build_filters(
    decoders: Iterable[Decoder], leaders: Sequence[Address], leaders_per_filter: int
) -> tuple[LogFilter, ...]:
    """Ask every decoder for its filters, with the leaders in chunks that nodes accept. No leaders, no filters."""
    ordered = sorted(leaders)
    chunks = [ordered[at : at + leaders_per_filter] for at in range(0, len(ordered), leaders_per_filter)]
    return tuple(log_filter for decoder in decoders for chunk in chunks for log_filter in decoder.filters(chunk))


def of_anybody(filters: Iterable[LogFilter], leaders: Iterable[Address]) -> tuple[LogFilter, ...]:
    """Return the filters with the leaders left out, each once. One that names no contract keeps them: it would ask for the
    logs of all.
    """
    owners = frozenset(map(address_topic, leaders))
    return tuple(dict.fromkeys(_of_anybody(one, owners) if one.addresses else one for one in filters))


def _of_anybody(log_filter: LogFilter, owners: Collection[str]) -> LogFilter:
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
    version: int = 0
    _changed: trio.Event = field(factory=trio.Event)

    def replace(self, filters: tuple[LogFilter, ...]) -> bool:
        """Put new filters in force; False when they are the same."""
        if filters == self.filters:
            return False
        self.filters, self.version = filters, self.version + 1
        self._changed.set()
        self._changed = trio.Event()
        return True

    async def wait_newer(self, version: int) -> None:
        """Wait until the filters are newer than a version."""
        while self.version <= version:
            await self._changed.wait()
