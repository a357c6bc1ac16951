"""Reads the window again, and what is audited: nodes near the tip answer `[]` for logs that they have not indexed yet.

What turns up only then is counted as late.
"""

from collections.abc import Callable

from attrs import define

from trio_copy.chain.audits import Audit, Audits
from trio_copy.chain.backfill import RangeReader
from trio_copy.chain.filters import FilterBoard
from trio_copy.chain.removals import Removals
from trio_copy.chain.scan_line import ScanLine
from trio_copy.chain.window import BlockWindow
from trio_copy.model.logs import BlockRef, LogName, RawLog


@define(eq=False, kw_only=True)
class Rescan:
    board: FilterBoard
    window: BlockWindow
    ranges: RangeReader
    removals: Removals
    audits: Audits
    line: ScanLine
    on_trouble: Callable[[str, str], None]
    late_logs: int = 0
    _to: int = -1
    """The block up to which the window was read again."""
    _at: int | None = None
    """Where a re-scan that failed goes on."""
    _filters: int = 0
    """Version of the filters that the window was last read with."""

    def armed(self, start: BlockRef) -> None:
        """Begin above a block, with the filters of now."""
        self._filters, self._to = self.board.version, start.number

    def begin_anew(self) -> None:
        """What a re-scan that failed had read is not on the chain any more."""
        self._at = None

    def fell_out(self, block: BlockRef, known: set[LogName]) -> None:
        """Audit a block that leaves the window and was in no re-scan."""
        if block.number > max(self._to, self.window.base):
            self.audits.fell_out(block, known)

    async def run(self) -> None:
        """Read the window once more, and then what is audited."""
        oldest, tip = self.window.oldest, self.window.tip
        if oldest is None or tip is None:
            return
        version = self.board.version
        widened = self._filters != version
        first = max(oldest.number, self.window.base + 1)
        at = first if widened or self._at is None else max(first, self._at)
        while at <= tip.number:
            end, found = await self.ranges.piece(at, tip.number)
            for log in self.window.note(found):
                if not widened and log.name not in self.removals.forgotten:
                    self._late(log)
                await self.line.emit(log)
            self._at = at = end + 1
        self._at = None
        self.removals.forgotten.clear()
        self._filters, self._to = version, tip.number
        self.audits.rescanned()
        for audit in list(self.audits.open):
            await self._check(audit)

    async def _check(self, audit: Audit) -> None:
        at = audit.start if audit.at is None else audit.at
        while at <= audit.stop:
            end, logs = await self.ranges.piece(at, audit.stop)
            for log in audit.note(logs):
                self._late(log)
                await self.line.emit(log)
            audit.at = at = end + 1
        if audit.read():
            self.audits.open.remove(audit)

    def _late(self, log: RawLog) -> None:
        self.late_logs += 1
        self.on_trouble("late-log", f"block {log.block_number}, tx {log.tx_hash}")
