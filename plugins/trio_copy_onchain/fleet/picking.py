"""Which operator of a fleet carries a key. Pure: the same loads give the same operator."""

from collections.abc import Sequence

from attrs import frozen

from trio_copy.model.ids import Address


@frozen(kw_only=True)
class Load:
    """What an operator has under way, and what it can pay."""

    operator: Address
    open: int
    """Its nonces that something is bound to, which may still be mined."""
    wei: int | None
    """What it had when somebody last looked; None where nobody has."""
    paused: bool = False
    """Whether nothing new is sent by it now."""

    @property
    def pays(self) -> bool:
        """Tell whether it may have gas money left. What nobody has looked at is tried: a node says where it is too little."""
        return not self.paused and self.wei != 0


def pick(loads: Sequence[Load], *, in_flight: int) -> Address | None:
    """Return who carries a key that nobody has: whoever has the least under way.

    Among equals it is the one with the most gas money, then the first. None where all are full, dry or paused: the key waits.
    A key that an operator has is never picked for again, whatever became of it: another one's transaction could be mined
    beside the first.
    """
    able = [load for load in loads if load.pays and load.open < in_flight]
    best = min(able, key=lambda load: (load.open, -(load.wei or 0)), default=None)
    return None if best is None else best.operator
