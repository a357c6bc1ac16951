"""Reads what lies between the window and a head that is further away than the window is long: in ranges, as by backfill.

An empty answer for a range cannot be told from a lie, so each gap is audited at the next re-scans.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress

from attrs import define, field

from trio_copy.chain.agreement import Agreement
from trio_copy.chain.audits import Audit, Audits
from trio_copy.chain.backfill import RangeReader
from trio_copy.chain.endpoints import EndpointPool
from trio_copy.chain.fetch import LogFetcher
from trio_copy.chain.scan_line import ScanLine
from trio_copy.chain.window import BlockWindow
from trio_copy.errors import ChainError
from trio_copy.model.ids import Hash32
from trio_copy.model.logs import BlockRef

_GLANCES_KEPT = 64


@define(eq=False, kw_only=True)
class Gaps:
    pool: EndpointPool
    window: BlockWindow
    fetch: LogFetcher
    ranges: RangeReader
    agreement: Agreement
    audits: Audits
    line: ScanLine
    on_trouble: Callable[[str, str], None]
    _glanced: deque[Hash32] = field(factory=lambda: deque(maxlen=_GLANCES_KEPT))

    async def read(self, start: BlockRef, head: BlockRef) -> None:
        """Read on from a block that is on the chain, up to where the window takes over: half of it below the head."""
        stop = head.number - self.window.size // 2
        # A head that is made up ends here: nobody knows a block so far ahead.
        reached = await self.agreement.at(stop)
        audit = self._audit_from(start, stop)
        while start.number < stop:
            end, logs = await self.ranges.piece(start.number + 1, stop)
            last = reached
            if end < stop:
                last = await self.agreement.at(end)
            for log in logs:
                await self.line.emit(log)
            # Piece by piece, so that what was read is not read again when the next one fails.
            audit.extend(end, (log.name for log in logs))
            self.window.restart(last)
            await self.line.seal(last)
            start = last
            await self.glance()

    async def glance(self) -> None:
        """Read the newest blocks while a gap is being read, or cannot be, as if subscriptions had brought them: they cannot wait.

        They are sealed in their turn, and retracted when the chain turns out to have passed them by.
        """
        for head in self.pool.announced:
            if head.hash in self._glanced:
                continue
            self._glanced.append(head.hash)
            with suppress(ChainError):
                for log in await self.fetch.block_logs(head):
                    await self.line.glance(log)

    def _audit_from(self, start: BlockRef, stop: int) -> Audit:
        """Begin to audit a gap, or go on: the window is given up for it."""
        oldest = self.window.oldest or start
        audit = self.audits.gap(start) if oldest == start else None
        if audit is None:
            self.on_trouble("backfill", f"blocks {start.number + 1} to {stop}")
            audit = self.audits.open_gap(max(oldest.number, self.window.base + 1), start, self.window.known())
        return audit
