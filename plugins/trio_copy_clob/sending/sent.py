"""When each order was sent last, and what the venue said of it then: absence and settlement are judged by that.

It is in memory alone. Of an order that somebody else has sent, an earlier process or another instance, nobody here knows
when: it counts as sent at the moment when it is asked about first.
"""

from collections import OrderedDict

from attrs import define, evolve, field

from trio_copy.model.ids import OrderId
from trio_copy.model.units import Shares, Usd
from trio_copy.model.values import value

_KEPT = 20_000
_CHAIN_MOST_S = 300.0
"""The longest time between two looks at the chain for an order that stays unproven."""


@value
class Sent:
    at: float
    """When a byte of it may have left last, by Trio's clock."""
    there: bool = False
    """Whether the venue has said that it has it."""
    told: tuple[Shares, Usd] | None = None
    """What it said that was filled, of an order that is over with that."""
    on_chain: bool = False
    """Whether the chain has shown a fill of it."""
    chain_at: float = -float("inf")
    """When the chain is worth another look."""
    shown: int = 0
    """How much of it the chain showed at the last look, in millionths of a share."""
    lacks: bool = False
    """Whether a person has heard that it counts more than its trades add up to."""
    looked: object = None
    """What the last look at an order that rests has shown of it."""
    alive_at: float = -float("inf")
    """When one last showed something of it that was new, or that it was open: a sign of life."""


@define(eq=False)
class Sendings:
    _known: OrderedDict[OrderId, Sent] = field(factory=OrderedDict)

    def of(self, order_id: OrderId, now: float) -> Sent:
        """Return what is known of an order."""
        known = self._known.get(order_id)
        return self._put(order_id, Sent(now)) if known is None else known

    def leaves(self, order_id: OrderId, now: float) -> None:
        """Note that an order may be on its way from now on."""
        self._put(order_id, evolve(self.of(order_id, now), at=now))

    def is_there(self, order_id: OrderId, now: float, told: tuple[Shares, Usd] | None = None) -> None:
        """Note that the venue has an order, and what it says that was filled."""
        before = self.of(order_id, now)
        self._put(order_id, evolve(before, there=True, told=told or before.told))

    def looked(self, order_id: OrderId, now: float, shows: object, *, open_: bool) -> float:
        """Note what a look at an order that rests has shown of it, and whether that is open; returns when it last lived."""
        before = self.of(order_id, now)
        if open_ or shows != before.looked:
            before = self._put(order_id, evolve(before, looked=shows, alive_at=now))
        return max(before.at, before.alive_at)

    def lacks(self, order_id: OrderId, now: float) -> None:
        """Note that a person has heard that an order counts more than its trades add up to."""
        self._put(order_id, evolve(self.of(order_id, now), lacks=True))

    def chain_looked(self, order_id: OrderId, now: float, shown: int) -> None:
        """Note that the chain was asked about an order: the longer nothing was new, the later it is again."""
        before = self.of(order_id, now)
        # What is filled there is there at the venue as well.
        there, on_chain = before.there or shown > 0, before.on_chain or shown > 0
        again = now + min(now - before.at, _CHAIN_MOST_S)
        self._put(order_id, evolve(before, there=there, on_chain=on_chain, chain_at=again, shown=shown))

    def _put(self, order_id: OrderId, sent: Sent) -> Sent:
        self._known[order_id] = sent
        self._known.move_to_end(order_id)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)  # asked about again, it is waited for anew
        return sent
