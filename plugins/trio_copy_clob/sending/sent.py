"""When each order was sent last, and what the venue said of it then: absence and settlement are judged by that.

It is in memory alone. Of an order that somebody else has sent, an earlier process or another instance, nobody here knows
when: it counts as sent at the moment when it is asked about first.
"""

from collections import OrderedDict

from attrs import define, field

from trio_copy.model.ids import OrderId
from trio_copy.model.units import Shares, Usd
from trio_copy.model.values import value

_KEPT = 20_000


@value
class Sent:
    at: float
    """When a byte of it may have left last, by Trio's clock."""
    there: bool = False
    """Whether the venue has said that it has it."""
    told: tuple[Shares, Usd] | None = None
    """What it said that was filled, of an order that is over with that."""


@define(eq=False)
class Sendings:
    _known: OrderedDict[OrderId, Sent] = field(factory=OrderedDict)

    def of(self, order_id: OrderId, now: float) -> Sent:
        """Return what is known of an order."""
        known = self._known.get(order_id)
        return self._put(order_id, Sent(now)) if known is None else known

    def leaves(self, order_id: OrderId, now: float) -> None:
        """Note that an order may be on its way from now on."""
        before = self.of(order_id, now)
        self._put(order_id, Sent(now, before.there, before.told))

    def is_there(self, order_id: OrderId, now: float, told: tuple[Shares, Usd] | None = None) -> None:
        """Note that the venue has an order, and what it says that was filled."""
        before = self.of(order_id, now)
        self._put(order_id, Sent(before.at, True, told or before.told))

    def _put(self, order_id: OrderId, sent: Sent) -> Sent:
        self._known[order_id] = sent
        self._known.move_to_end(order_id)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)  # asked about again, it is waited for anew
        return sent
