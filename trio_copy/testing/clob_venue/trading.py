"""Orders and what becomes of them: matched, resting, made to wait, cancelled, expired."""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from uuid import UUID

from attrs import define, field

from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.model.units import MICRO
from trio_copy.testing.clob_venue.admission import Admission
from trio_copy.testing.clob_venue.agenda import Agenda
from trio_copy.testing.clob_venue.api_keys import ApiKey
from trio_copy.testing.clob_venue.books import Offer, Resting, TradedVenue
from trio_copy.testing.clob_venue.faults import ClobFaults, Later, OrderAnswer
from trio_copy.testing.clob_venue.matching import Match, Taken, crosses, fee_of, match
from trio_copy.testing.clob_venue.placed import Placed
from trio_copy.testing.clob_venue.posted import Posted
from trio_copy.testing.clob_venue.record import Accepted, Ended, Filled, VenueRecord
from trio_copy.testing.clob_venue.refusals import FAK_KILLED, FOK_KILLED, GONE, HELD, Refused
from trio_copy.testing.clob_venue.settling import Leg, Maker, Settlement, Trade
from trio_copy.testing.clob_venue.signatures import contract_of

_GTD_EARLY_S = 60
_WAITS = {OrderAnswer.LIVE: "LIVE", OrderAnswer.DELAYED: "DELAYED", OrderAnswer.UNMATCHED: "UNMATCHED"}


@define(eq=False, kw_only=True)
class Trading:
    venue: TradedVenue
    admission: Admission
    settlement: Settlement
    agenda: Agenda
    faults: ClobFaults
    record: VenueRecord
    now: Callable[[], float]
    """Unix seconds by the venue's clock."""
    on_order: list[Callable[[Placed, str], None]] = field(factory=list)
    """Hears of an order and of what happened to it: PLACEMENT, UPDATE or CANCELLATION."""
    orders: dict[str, Placed] = field(factory=dict)
    _strangers: int = 0
    """How many orders of others were met."""

    def __attrs_post_init__(self) -> None:
        self.venue.on_moved.append(self._book_moved)
        self.venue.on_decided.append(self._decided)

    def post(self, order: Posted, key: ApiKey) -> Placed:
        """Take an order, and let it meet its book. Refuses it where it is not taken, or is killed."""
        placed = self.admission.admit(order, key, self.orders, self.now())
        waits = _WAITS.get(self.faults.order_answer)
        # An instant order only: whatever else there is rests anyway, which is an answer of its own.
        if waits is not None and order.instant:
            placed.status, placed.waits = waits, True
        self._accept(placed)
        if placed.waits:
            placed.keep(order.cash if order.buys else order.shares)
            self.agenda.after(self.faults.later_s, lambda: self._wait_is_over(placed))
        else:
            self._meet(placed)
        return placed

    def cancel(self, key: ApiKey, order_ids: Iterable[str]) -> dict[str, object]:
        """Cancel a client's orders, and write what became of each."""
        canceled, refused = [], {}
        for order_id in order_ids:
            placed = self.orders.get(order_id.lower())
            if placed is None or not placed.is_open or placed.key.address != key.address:
                refused[order_id] = GONE
            elif placed.status == "DELAYED":
                refused[order_id] = HELD
            else:
                self.end(placed, "CANCELED")
                canceled.append(order_id)
        return {"canceled": canceled, "not_canceled": refused}

    def open_orders(self, key: ApiKey) -> list[Placed]:
        return [one for one in self.orders.values() if one.is_open and one.key.address == key.address]

    def end(self, placed: Placed, status: str) -> None:
        """Let nothing more be filled of an order."""
        placed.status, placed.waits = status, False
        placed.keep(0)
        self.venue.withdraw(placed.posted.token_id, placed.order_id)
        self.record.add(Ended(at_ms=self._ms(), order_id=placed.order_id, status=status))
        if status != "MATCHED":
            self._tell(placed, "CANCELLATION")

    def trade_against(self, order_id: str, shares: int | None = None, *, by_opposite: bool = False) -> Trade:
        """Let somebody outside take shares of a resting order, all that are left if it is not said how many.

        `by_opposite` lets him come by the other token of the question: the trade names that one, and its price.
        """
        placed = self.orders[order_id]
        assert placed.resting is not None, "it does not rest"
        offer = Offer(placed.resting.price, placed.resting.shares, placed.resting)
        taken = min(shares or offer.shares, offer.shares)
        trade = self._hit(placed, taken, by_opposite=by_opposite)
        self.venue.take(placed.posted.token_id, placed.posted.side.opposite, [(offer, taken)])
        return trade

    def _accept(self, placed: Placed) -> None:
        order = placed.posted
        self.orders[placed.order_id] = placed
        self.record.add(
            Accepted(
                at_ms=self._ms(),
                order_id=placed.order_id,
                exchange=placed.exchange,
                salt=order.salt,
                maker=order.maker,
                signer=order.signer,
                token_id=order.token_id,
                maker_amount=order.maker_amount,
                taker_amount=order.taker_amount,
                side=order.side,
                signature_type=order.signature_type,
                timestamp_ms=order.timestamp_ms,
                metadata=order.metadata,
                builder=order.builder,
                expiration=order.expiration,
                order_type=order.order_type,
                post_only=order.post_only,
            )
        )
        self._tell(placed, "PLACEMENT")

    def _meet(self, placed: Placed) -> None:
        order = placed.posted
        found = match(order, self.admission.offers(order, placed.wallet, self.orders))
        if order.order_type == "FOK" and not found.whole:
            self._kill(placed, FOK_KILLED)
        if order.order_type == "FAK" and not found.taken:
            self._kill(placed, FAK_KILLED)
        if found.taken:
            self._take(placed, found)
        if found.whole:
            self.end(placed, "MATCHED")
        elif order.instant:
            self.end(placed, "CANCELED")
        else:
            self._rest(placed)

    def _kill(self, placed: Placed, text: str) -> None:
        self.end(placed, "CANCELED")
        if not self.faults.remembers_killed:
            del self.orders[placed.order_id]
        raise Refused(400, text)

    def _wait_is_over(self, placed: Placed) -> None:
        if not placed.waits:
            return  # cancelled meanwhile
        placed.keep(0)
        if self.faults.later is Later.KILLED:
            self.end(placed, "CANCELED")
            return
        try:
            placed.waits = False
            self._meet(placed)
        except Refused:
            pass  # killed; whoever sent it was answered long ago

    def _rest(self, placed: Placed) -> None:
        order = placed.posted
        placed.status = "LIVE"
        left = order.shares - placed.shares
        placed.resting = Resting(placed.order_id, order.token_id, order.side, placed.limit, left)
        placed.hold_for(left)
        self.venue.rest(placed.resting)
        if order.expiration:
            self.agenda.after(order.expiration - _GTD_EARLY_S - self.now(), lambda: self._expire(placed))

    def _expire(self, placed: Placed) -> None:
        if placed.is_open:
            self.end(placed, "CANCELED_EXPIRED_ORDER")

    def _decided(self, condition_id: str) -> None:
        tokens = self.venue.questions.get(condition_id, ())
        for placed in list(self.orders.values()):
            if placed.is_open and placed.posted.token_id in tokens:
                self.end(placed, "CANCELED_MARKET_RESOLVED")

    def _book_moved(self, token: TokenId) -> None:
        """Let those outside who now cross a resting order take it, at its price."""
        for resting in list(self.venue.resting.get(token, ())):
            placed = self.orders[resting.order_id]
            for offer in self.venue.offers(token, resting.side):
                if not resting.shares or offer.resting is not None or not crosses(placed.posted, offer.price):
                    continue
                shares = min(resting.shares, offer.shares)
                self._hit(placed, shares)
                self.venue.take(token, resting.side, [(offer, shares)])
                mine = Offer(resting.price, resting.shares, resting)
                self.venue.take(token, resting.side.opposite, [(mine, shares)])

    def _take(self, placed: Placed, found: Match) -> None:
        """Book an order's trade with all that it met."""
        order, fact = placed.posted, self.venue.facts[placed.posted.token_id]
        fee = fee_of(found.shares, found.cash, fact.fee_rate, fact.fee_exponent)
        trade_id = self._trade_id()
        makers, legs = [], [self._leg(placed, found.shares, found.cash, fee)]
        self._book(placed, trade_id, found.shares, found.cash, fee, maker=False)
        for taken in found.taken:
            makers.append(self._maker(taken, order))
            if taken.offer.resting is not None:
                other = self.orders[taken.offer.resting.order_id]
                legs.append(self._leg(other, taken.shares, taken.cash, 0))
                self._book(other, trade_id, taken.shares, taken.cash, 0, maker=True)
        self.venue.take(order.token_id, order.side, [(one.offer, one.shares) for one in found.taken])
        self._begin(
            trade_id, placed.order_id, placed, order.token_id, order.side, found.shares, found.cash, makers, legs
        )

    def _hit(self, placed: Placed, shares: int, *, by_opposite: bool = False) -> Trade:
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
    ) -> Trade:
        trade = Trade(
            trade_id=trade_id,
            taker_order_id=taker_order_id,
            taker_owner=str(UUID(int=0)) if taker is None else taker.key.key,
            taker_signer=None if taker is None else taker.key.address,
            taker_wallet="0x" + "0" * 40 if taker is None else taker.wallet.address,
            token_id=token,
            side=side,
            shares=shares,
            cash=cash,
            makers=makers,
            legs=legs,
            matched_at=self.now(),
            updated_at=self.now(),
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
                at_ms=self._ms(),
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
        if maker:
            left = placed.posted.shares - placed.shares
            placed.hold_for(left)
            if not left:
                self.end(placed, "MATCHED")
        self._tell(placed, "UPDATE")

    def _leg(self, placed: Placed, shares: int, cash: int, fee: int) -> Leg:
        buys = placed.posted.buys
        return Leg(
            wallet=placed.wallet,
            contract=contract_of(placed.exchange, self.admission.chain_id),
            gives=placed.gives,
            given=cash + fee if buys else shares,
            gets=placed.gets,
            got=shares if buys else cash - fee,
        )

    def _maker(self, taken: Taken, order: Posted) -> Maker:
        resting = taken.offer.resting
        placed = None if resting is None else self.orders[resting.order_id]
        return Maker(
            order_id=self._stranger() if placed is None else placed.order_id,
            owner=str(UUID(int=0)) if placed is None else placed.key.key,
            signer=None if placed is None else placed.key.address,
            wallet="0x" + "0" * 40 if placed is None else placed.wallet.address,
            token_id=order.token_id,
            side=order.side.opposite,
            price=taken.offer.price,
            shares=taken.shares,
        )

    def _trade_id(self) -> str:
        number = len(self.settlement.trades) + 1
        return str(UUID(bytes=sha256(f"trade|{number}".encode()).digest()[:16]))

    def _stranger(self) -> str:
        self._strangers += 1
        return "0x" + sha256(f"stranger|{self._strangers}".encode()).hexdigest()

    def _tell(self, placed: Placed, what: str) -> None:
        for hear in self.on_order:
            hear(placed, what)

    def _ms(self) -> int:
        return int(self.settlement.now() * 1000)
