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
    """What it had when somebody last looked, less what is under way; None where nobody has."""
    paused: bool = False
    """Whether a node refused something of it that a person has to look at."""

    def able(self, in_flight: int, gas_wei: int) -> bool:
        """Tell whether it can carry one more. What nobody has looked at is tried: a node says so where it is too little."""
        return not self.paused and self.open < in_flight and (self.wei is None or self.wei >= gas_wei)


def pick(loads: Sequence[Load], *, bound: Address | None = None, in_flight: int, gas_wei: int) -> Address | None:
    """Return who carries a key: the operator that it is bound to, for ever; else the one with the least under way.

    Among equals it is the one with the most gas money, then the first. `gas_wei` is what the transaction may cost at most.
    None where all are full, dry or paused: the key waits. Whoever is bound is returned whatever its load, also where it is no
    operator any more: another one's transaction could be mined beside the first.
    """
    if bound is not None:
        return bound
    able = [load for load in loads if load.able(in_flight, gas_wei)]
    best = min(able, key=lambda load: (load.open, -(load.wei or 0)), default=None)
    return None if best is None else best.operator
