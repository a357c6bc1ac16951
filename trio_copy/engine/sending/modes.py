"""The modes and pauses in force, as last heard from the store, and what halts entries for the moment."""

from collections.abc import Callable

from attrs import define

from trio_copy.model.control import ENGINE, Mode, ModeChange, Modes
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId
from trio_copy.ports import Control

_SELL, _RUN, _HALT_ALL = Side.SELL, Mode.RUN, Mode.HALT_ALL


@define(eq=False)
class ModeBoard:
    modes: Modes
    halted: Callable[[], Reason | None] = lambda: None
    """Tells why no entry may leave at this moment: what passes by itself is nobody's mode, and is not stored."""

    @property
    def engine(self) -> ModeChange:
        return self.modes.of(ENGINE)

    async def halt(self, control: Control, why: str) -> None:
        """Let no entry leave: here from the moment that this returns, elsewhere once it is heard. A stricter mode stays.

        It is set anew even so: a store that forgot may not know it any more.
        """
        before = self.engine
        if before.mode is Mode.RUN:
            await control.set_mode(Mode.HALT_NEW, why)
        else:
            await control.set_mode(before.mode, before.why)
        self.modes = await control.modes()

    def forbids(self, side: Side, follower: FollowerId, leader: Address) -> Reason | None:
        """Return why the engine's mode, a pause or a watchdog forbids a side now; an account looks at its own mode itself."""
        forbidden = self.forbids_for_good(side, follower, leader)
        return forbidden if forbidden is not None or side is _SELL else self.halted()

    def forbids_for_good(self, side: Side, follower: FollowerId, leader: Address) -> Reason | None:
        """Return the same, apart from what passes by itself."""
        change = self.engine
        if change.mode is not _RUN and (change.mode is _HALT_ALL or side is not _SELL):
            limit = f"{change.mode.value}: {change.why}"
            return Reason(code=Code.MODE_FORBIDS, control="mode", value=side.value, limit=limit)
        if side is _SELL:
            return None
        scope = self.modes.paused(follower, leader)
        if scope is not None:
            return Reason(code=Code.FOLLOW_PAUSED, control="pause", value=scope, limit=self.modes.of(scope).why)
        return None
