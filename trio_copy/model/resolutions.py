"""A question was decided: what each of its tokens pays."""

from attrs import frozen

from trio_copy.model.units import MICRO, Price, Rounding, divide


@frozen(kw_only=True)
class Decided:
    """What somebody says that a question's tokens pay."""

    condition_id: str
    """0x and 64 hex digits."""
    payouts: tuple[int, ...]
    """The numerators by slot; a token pays its numerator of their sum."""


@frozen(kw_only=True)
class Resolution(Decided):
    """What the chain says."""

    block_number: int

    def payout(self, slot: int) -> Price:
        """Return what one share of a slot pays, rounded down; nothing for a slot that does not exist."""
        total = sum(self.payouts)
        if not total or not 0 <= slot < len(self.payouts):
            return Price(0)
        return Price(divide(self.payouts[slot] * MICRO, total, Rounding.DOWN))
