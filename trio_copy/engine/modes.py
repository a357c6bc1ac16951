"""The modes in force, as last heard from the store, and what halts entries for the moment."""

from collections.abc import Callable

from attrs import define

from trio_copy.model.control import ENGINE, Mode, ModeChange, Modes, follower_scope
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId


@define(eq=False)
class ModeBoard:
    modes: Modes
    halted: Callable[[], Reason | None] = lambda: None
    """Tells why no entry may leave at this moment: what passes by itself is nobody's mode, and is not stored."""

    @property
    def engine(self) -> ModeChange:
        return self.modes.of(ENGINE)

    def forbids(self, side: Side, follower: FollowerId) -> Reason | None:
        """Return why an order must not be sent now: the engine's mode counts, and the follower's own."""
        for scope in (ENGINE, follower_scope(follower)):
            change = self.modes.by_scope.get(scope)
            if change is None or change.mode is Mode.RUN or (change.mode is Mode.REDUCE_ONLY and side is Side.SELL):
                continue
            control = "mode" if scope == ENGINE else f"mode of {follower}"
            return Reason(
                code=Code.MODE_FORBIDS, control=control, value=side.value, limit=f"{change.mode.value}: {change.why}"
            )
        return self.halted() if side is Side.BUY else None
