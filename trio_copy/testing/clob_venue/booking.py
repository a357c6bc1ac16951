"""Trades, as they are made: what each order in one got, and what each wallet gives."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from uuid import UUID

from attrs import define

from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.model.units import MICRO
from trio_copy.testing.clob_venue.books import TradedVenue
from trio_copy.testing.clob_venue.matching import Match, Taken, fee_of, in_two
from trio_copy.testing.clob_venue.orders import Orders
from trio_copy.testing.clob_venue.placed import Placed
from trio_copy.testing.clob_venue.posted import Posted
from trio_copy.testing.clob_venue.record import Filled, VenueRecord
from trio_copy.testing.clob_venue.settling import Leg, Maker, Settlement, Trade
from trio_copy.testing.clob_venue.signatures import contract_of

_NOBODY = str(UUID(int=0))
"""The API key, and below the wallet, of somebody outside."""
_NO_WALLET = "0x" + "0" * 40


@define(eq=False, kw_only=True)
class Booking:
    venue: TradedVenue
    settlement: Settlement
    record: VenueRecord
    chain_id: int
    clock: Callable[[], float]
    """Unix seconds, as the venue believes."""
    orders: Orders
    _strangers: int = 0
    """How many orders of others were met."""

    def take(self, placed: Placed, found: Match) -> None:
        """Book an order's trade with all that it met; two of them where the faults say so."""
        order, fact, faults = placed.posted, self.venue.facts[placed.posted.token_id], self.settlement.faults
        self.venue.take(order.token_id, order.side, [(one.offer, one.shares) for one in found.taken])
        # Of both it is what one trade would cost, for that is how clients reckon it.
        whole = fee_of(found.shares, found.cash, fact.fee_rate, fact.fee_exponent)
        first, *later = in_two(found, faults.later_part)
        fee = fee_of(first.shares, first.cash, fact.fee_rate, fact.fee_exponent)
        self._take(placed, first, fee)
        for part in later:
            self._take(placed, part, whole - fee, self.settlement.now() + faults.later_part_s)

    def _take(self, placed: Placed, found: Match, fee: int, told_at: float = 0.0) -> None:
        order, trade_id = placed.posted, self._trade_id()
        makers, legs = [], [self._leg(placed, found.shares, found.cash, fee)]
        self._book(placed, trade_id, found.shares, found.cash, fee, maker=False)
        for taken in found.taken:
            makers.append(self._maker(taken, order))
            if taken.offer.resting is not None:
                other = self.orders.by_id[taken.offer.resting.order_id]
                # At his own price: of the other answer, for the rest of a dollar. A millionth that rounding leaves is the venue's.
                cash = taken.shares * taken.offer.resting.price // MICRO
                legs.append(self._leg(other, taken.shares, cash, 0))
                self._book(other, trade_id, taken.shares, cash, 0, maker=True)
        self._begin(
            trade_id,
            placed.order_id,
            placed,
            order.token_id,
            order.side,
            found.shares,
            found.cash,
            makers,
            legs,
            told_at,
        )

    def hit(self, placed: Placed, shares: int, *, by_opposite: bool = False) -> Trade:
        """Book what somebody outside takes of a resting order."""
        order, price = placed.posted, placed.limit
        cash = shares * price // MICRO
        trade_id, token, side = self._trade_id(), order.token_id, order.side.opposite
        self._book(placed, trade_id, shares, cash, 0, maker=True)
        maker = Maker(
            order_id=placed.order_id,
            owner=placed.key.key,
            signer=placed.key.address,
            wallet=placed.wallet.address,
            token_id=order.token_id,
            side=order.side,
            price=price,
            shares=shares,
        )
        if by_opposite:
            # Two BUYs of the two answers make new shares of both, two SELLs merge them: the taker is on the same side.
            opposite = self.venue.facts[token].opposite
            assert opposite is not None
            token, side, cash = opposite, order.side, shares - cash
        leg = self._leg(placed, shares, shares * price // MICRO, 0)
        return self._begin(trade_id, self._stranger(), None, token, side, shares, cash, [maker], [leg])

    def _begin(
        self,
        trade_id: str,
        taker_order_id: str,
        taker: Placed | None,
        token: TokenId,
        side: Side,
        shares: int,
        cash: int,
        makers: Sequence[Maker],
        legs: Sequence[Leg],
        told_at: float = 0.0,
    ) -> Trade:
        trade = Trade(
            trade_id=trade_id,
            taker_order_id=taker_order_id,
            taker_owner=_NOBODY if taker is None else taker.key.key,
            taker_signer=None if taker is None else taker.key.address,
            taker_wallet=_NO_WALLET if taker is None else taker.wallet.address,
            token_id=token,
            side=side,
            shares=shares,
            cash=cash,
            makers=makers,
            legs=legs,
            at=self.settlement.now(),
            matched_at=self.clock(),
            updated_at=self.clock(),
            told_at=told_at,
        )
        self.settlement.begin(trade)
        return trade

    def _book(self, placed: Placed, trade_id: str, shares: int, cash: int, fee: int, *, maker: bool) -> None:
        placed.shares += shares
        placed.cash += cash
        placed.fee += fee
        placed.trade_ids.append(trade_id)
        self.record.add(
            Filled(
                at_ms=int(self.settlement.now() * 1000),
                order_id=placed.order_id,
                trade_id=trade_id,
                wallet=placed.wallet.address,
                token_id=placed.posted.token_id,
                side=placed.posted.side,
                shares=shares,
                cash=cash,
                fee=fee,
                maker=maker,
            )
        )
        self.orders.filled(placed, maker=maker)

    def _leg(self, placed: Placed, shares: int, cash: int, fee: int) -> Leg:
        buys = placed.posted.buys
        return Leg(
            wallet=placed.wallet,
            contract=contract_of(placed.exchange, self.chain_id),
            gives=placed.gives,
            given=cash + fee if buys else shares,
            gets=placed.gets,
            got=shares if buys else cash - fee,
        )

    def _maker(self, taken: Taken, order: Posted) -> Maker:
        resting = taken.offer.resting
        placed = None if resting is None else self.orders.by_id[resting.order_id]
        return Maker(
            order_id=self._stranger() if placed is None else placed.order_id,
            owner=_NOBODY if placed is None else placed.key.key,
            signer=None if placed is None else placed.key.address,
            wallet=_NO_WALLET if placed is None else placed.wallet.address,
            token_id=order.token_id if resting is None else resting.token_id,
            side=order.side.opposite if resting is None else resting.side,
            price=taken.offer.price if resting is None else resting.price,
            shares=taken.shares,
        )

    def _trade_id(self) -> str:
        number = len(self.settlement.trades) + 1
        return str(UUID(bytes=sha256(f"trade|{number}".encode()).digest()[:16]))

    def _stranger(self) -> str:
        self._strangers += 1
        return "0x" + sha256(f"stranger|{self._strangers}".encode()).hexdigest()
