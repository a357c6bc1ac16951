"""The filters every endpoint subscribes with. They follow the follow book while everything runs."""

from collections.abc import Iterable, Sequence

import trio
from attrs import define, field

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
