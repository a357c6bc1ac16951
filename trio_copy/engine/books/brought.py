"""What copying each leader has brought, out of the books of a store. Facts are read from the newest back, and let go.

Going back in time is no hindrance: what is held now is known, and each booking says by how much it changed that. What was held
then counts as what it cost; only at the end, which is now, are there bids.
"""

from collections.abc import Mapping, Sequence

from attrs import define, evolve, frozen

from trio_copy.accounts.sighted import KIND as LOOKS
from trio_copy.engine.books.books import BOOKINGS, earned_positions, held, sums, walk
from trio_copy.engine.books.fidelity import Fidelity, in_bps
from trio_copy.model.facts import Amounts, Fact, FactQuery
from trio_copy.model.ids import Address
from trio_copy.model.units import Rounding
from trio_copy.ports import History

_EVERYTHING = FactQuery(kinds=(), limit=1 << 62)


@define(eq=False)
class Brought:
    """Of one leader; amounts in millionths of a USD."""

    realised: int = 0
    """Provisional included, fees taken off."""
    fees: int = 0
    unrealised: int = 0
    """At the last known bids."""
    without_bid: int = 0
    """Positions that have none: they count as what they cost."""
    at_risk: int = 0
    """The most that was ever paid for what was held at the same time."""
    drawdown: int = 0
    """The furthest that what was made ever fell from its highest."""
    closed: int = 0
    """Positions that were opened and are sold out, or redeemed."""
    won: int = 0
    """Of these, those that brought more than they cost."""
    _held: int = 0
    """What was paid for what was held at the moment that has been come back to."""
    _made: int = 0
    """What had been made by then, less what has been made by now."""
    _lowest: int = 0
    """The least that it was from then on."""

    @property
    def earned(self) -> int:
        """What was made in all, as far as it is known."""
        return self.realised + self.unrealised

    @property
    def return_bps(self) -> int | None:
        """What was made, of the most that was ever at risk."""
        return in_bps(self.earned, self.at_risk)

    @property
    def win_bps(self) -> int | None:
        return in_bps(self.won, self.closed)

    def hold(self, cost: int, value: int | None) -> None:
        """Take in a position that is held now; of one without a bid nobody knows the value."""
        self._held += cost
        self.at_risk = self._held
        if value is None:
            self.without_bid += 1
        else:
            self.unrealised += value - cost
        self._lowest = min(0, self.unrealised)
        self.drawdown = -self._lowest

    def go_back(self, amounts: Amounts) -> None:
        """Go back behind a booking, the newest first; everything that is held was taken in before."""
        _, bought, sold, fees, realised, provisional = amounts
        gained = realised + provisional
        self._held -= gained - (sold - bought - fees)
        self._made -= gained
        self.at_risk = max(self.at_risk, self._held)
        self.drawdown = max(self.drawdown, self._made - self._lowest)
        self._lowest = min(self._lowest, self._made)


@frozen
class Books:
    leaders: Mapping[Address, Brought]
    fidelity: Fidelity


async def read_brought(history: History) -> Books:
    """Read what copying each leader has brought: what is held, what is closed, and every booking that the store keeps."""
    leaders: dict[Address, Brought] = {}
    fidelity = Fidelity()

    def of(leader: Address) -> Brought:
        return leaders.setdefault(leader, Brought())

    open_ones = set()
    for key, position, mark in await held(history, _EVERYTHING):
        open_ones.add(key)
        value = None if mark is None else position.shares.at(mark.price, Rounding.DOWN).micro
        of(key[1]).hold(position.cost.micro, value)
    for key, position in (await earned_positions(history, _EVERYTHING)).items():
        if key not in open_ones:
            of(key[1]).closed += 1
            of(key[1]).won += (position.realised + position.provisional).micro > 0
    for (leader,), amounts in (await sums(history, _EVERYTHING, "leader")).items():
        if any(amounts):
            brought = of(Address(leader))
            _, _, _, brought.fees, realised, provisional = amounts
            brought.realised = realised + provisional

    def take(page: Sequence[Fact]) -> bool:
        fidelity.take(page)
        for fact in page:
            if any(fact.amounts):
                of(fact.leader).go_back(fact.amounts)
        return True

    await walk(history, evolve(_EVERYTHING, kinds=(*BOOKINGS, LOOKS)), take)
    return Books(leaders, fidelity)
