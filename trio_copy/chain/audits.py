"""Ranges that were read once, outside the window, and are read again until nothing new turns up. Sync; the scanner reads.

An empty answer for a range cannot be told from a lie, and blocks that leave the window before a re-scan came to them have
been read but once.
"""

from collections.abc import Iterable

from attrs import define, field

from trio_copy.model.logs import BlockRef, LogName, RawLog

_READINGS = 2
"""Re-scans that must find nothing new before a range is believed."""


@define(eq=False)
class Audit:
    """A range, and the logs that were found in it."""

    start: int
    stop: int
    known: set[LogName]
    left: int = _READINGS
    at: int | None = None
    """Where a reading that failed goes on; None between readings."""

    def extend(self, stop: int, known: Iterable[LogName]) -> None:
        self.stop = stop
        self.known.update(known)

    def note(self, logs: Iterable[RawLog]) -> list[RawLog]:
        """Return what was not known; then the range has to stand the whole test again."""
        new = [log for log in logs if log.name not in self.known]
        if new:
            self.known.update(log.name for log in new)
            self.left = _READINGS + 1
        return new

    def read(self) -> bool:
        """Note that a reading came to the end; True when the range is believed."""
        self.at = None
        self.left -= 1
        return self.left <= 0


@define(eq=False)
class Audits:
    open: list[Audit] = field(factory=list)
    _fallen: Audit | None = None
    """The blocks that fell out of the window since the last re-scan, without having been in one."""
    _gap: Audit | None = None

    def fell_out(self, block: BlockRef, known: set[LogName]) -> None:
        """Audit a block that left the window before a re-scan came to it, as happens when many are read at once."""
        if self._fallen is not None and self._fallen.stop == block.number - 1:
            self._fallen.extend(block.number, known)
        else:  # the first one, or the first one behind a gap, which has an audit of its own
            self._fallen = Audit(block.number, block.number, known)
            self.open.append(self._fallen)

    def rescanned(self) -> None:
        """The window was read: blocks that fall out from here on were in a re-scan, or begin another audit."""
        self._fallen = None

    def gap(self, start: BlockRef) -> Audit | None:
        """Return the audit of a gap that was read up to a block and not further, because something failed."""
        gap = self._gap
        same = gap is not None and gap.stop == start.number and gap.left == _READINGS and gap.at is None
        return gap if same else None

    def open_gap(self, first: int, start: BlockRef, known: set[LogName]) -> Audit:
        """Audit a gap above a block, together with what of the window below was in no re-scan yet."""
        self._gap = Audit(first, start.number, known)
        self.open.append(self._gap)
        return self._gap
