"""A question was decided: what each of its tokens pays."""

from typing import Self

from attrs import evolve, frozen

from trio_copy.model.ids import Hash32
from trio_copy.model.protocol_v2 import event_of
from trio_copy.model.units import MICRO, Price, Rounding, divide

_TRUE, _FALSE = (MICRO, 0), (0, MICRO)
"""In Protocol V2, of YES and NO."""


@frozen(kw_only=True)
class Decided:
    """What somebody says that a question's tokens pay."""

    condition_id: str
    """0x and 64 hex digits."""
    payouts: tuple[int, ...]
    """The numerators by slot; a token pays its numerator of their sum."""

    @property
    def event(self) -> str | None:
        """Return the event whose other questions are decided by this one: it came true, and only one of them does."""
        return event_of(self.condition_id) if self.payouts == _TRUE else None

    def of_other(self, condition_id: str) -> Self | None:
        """Return what it says of another question; None where it says nothing."""
        event = self.event
        if event is None or condition_id == self.condition_id or event_of(condition_id) != event:
            return None
        return evolve(self, condition_id=condition_id, payouts=_FALSE)


@frozen(kw_only=True)
class Resolution(Decided):
    """What the chain says."""

    block_number: int
    block_hash: Hash32 | None = None
    """None where it was learned without its block."""

    def payout(self, slot: int) -> Price:
        """Return what one share of a slot pays, rounded down; nothing for a slot that does not exist."""
        total = sum(self.payouts)
        if not total or not 0 <= slot < len(self.payouts):
            return Price(0)
        return Price(divide(self.payouts[slot] * MICRO, total, Rounding.DOWN))
