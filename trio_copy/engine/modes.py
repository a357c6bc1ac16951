"""The modes in force, as last heard from the store, and what halts entries for the moment."""

from collections.abc import Callable

from attrs import define

from trio_copy.model.control import ENGINE, Mode, ModeChange, Modes
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.fills import Side


@define(eq=False)
class ModeBoard:
    modes: Modes
    halted: Callable[[], Reason | None] = lambda: None
    """Tells why no entry may leave at this moment: what passes by itself is nobody's mode, and is not stored."""

    @property
    def engine(self) -> ModeChange:
        return self.modes.of(ENGINE)

    def forbids(self, side: Side) -> Reason | None:
        """Return why the engine's mode, or a watchdog, forbids a side now; a follower's own mode is its account's."""
        change = self.engine
        if change.mode is Mode.RUN or (change.mode is not Mode.HALT_ALL and side is Side.SELL):
            return self.halted() if side is Side.BUY else None
        limit = f"{change.mode.value}: {change.why}"
        return Reason(code=Code.MODE_FORBIDS, control="mode", value=side.value, limit=limit)
