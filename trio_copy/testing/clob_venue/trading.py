"""Orders and what becomes of them: matched, resting, made to wait, cancelled, expired."""

from collections.abc import Callable, Iterable

from attrs import define

from trio_copy.model.ids import TokenId
from trio_copy.testing.clob_venue.admission import Admission
from trio_copy.testing.clob_venue.agenda import Agenda
from trio_copy.testing.clob_venue.api_keys import ApiKey
from trio_copy.testing.clob_venue.booking import Booking
from trio_copy.testing.clob_venue.books import Offer, Resting, TradedVenue
from trio_copy.testing.clob_venue.faults import ClobFaults, Later, OrderAnswer
from trio_copy.testing.clob_venue.matching import crosses, match
from trio_copy.testing.clob_venue.orders import Orders
from trio_copy.testing.clob_venue.placed import Placed
from trio_copy.testing.clob_venue.posted import Posted
from trio_copy.testing.clob_venue.record import Accepted, VenueRecord
from trio_copy.testing.clob_venue.refusals import FAK_KILLED, FOK_KILLED, GONE, HELD, Refused
from trio_copy.testing.clob_venue.settling import Trade

_GTD_EARLY_S = 60
_WAITS = {OrderAnswer.LIVE: "LIVE", OrderAnswer.DELAYED: "DELAYED", OrderAnswer.UNMATCHED: "UNMATCHED"}


@define(eq=False, kw_only=True)
class Trading:
    venue: TradedVenue
    orders: Orders
    admission: Admission
    booking: Booking
    agenda: Agenda
    faults: ClobFaults
    record: VenueRecord
    now: Callable[[], float]
    """Unix seconds by the venue's clock."""

    def __attrs_post_init__(self) -> None:
        self.venue.on_moved.append(self._book_moved)
        self.venue.on_decided.append(self._decided)

    def post(self, order: Posted, key: ApiKey) -> Placed:
        """Take an order, and let it meet its book. Refuses it where it is not taken, or is killed."""
        placed = self.admission.admit(order, key, self.orders.by_id, self.now())
        waits = _WAITS.get(self.faults.order_answer)
        if waits is not None and (order.instant or waits != "LIVE"):  # what rests is live anyway
            placed.status, placed.waits = waits, True
        self._accept(placed)
        if placed.waits:
            placed.keep(order.cash if order.buys else order.shares)
            later = self.faults.later
            self.agenda.after(self.faults.later_s, lambda: self._wait_is_over(placed, later))
        else:
            self._meet(placed)
        return placed

    def cancel(self, key: ApiKey, order_ids: Iterable[str]) -> dict[str, object]:
        """Cancel a client's orders, and write what became of each."""
        canceled, refused = [], {}
        for order_id in order_ids:
            placed = self.orders.by_id.get(order_id.lower())
            if placed is None or not placed.is_open or placed.key.address != key.address:
                refused[order_id] = GONE
            elif placed.status == "DELAYED":
                refused[order_id] = HELD
            else:
                self.orders.end(placed, "CANCELED")
                canceled.append(order_id)
        return {"canceled": canceled, "not_canceled": refused}

    def trade_against(self, order_id: str, shares: int | None = None, *, by_opposite: bool = False) -> Trade:
        """Let somebody outside take shares of a resting order, all that are left if it is not said how many.

        `by_opposite` lets him come by the other token of the question: the trade names that one, and its price.
        """
        placed = self.orders.by_id[order_id]
        assert placed.resting is not None, "it does not rest"
        assert placed.is_open, "nothing of it is left"
        offer = Offer(placed.resting.price, placed.resting.shares, placed.resting)
        taken = min(shares or offer.shares, offer.shares)
        trade = self.booking.hit(placed, taken, by_opposite=by_opposite)
        self.venue.take(placed.posted.token_id, placed.posted.side.opposite, [(offer, taken)])
        return trade

    def _accept(self, placed: Placed) -> None:
        order = placed.posted
        self.orders.add(placed)
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
        self.orders.tell(placed, "PLACEMENT")

    def _meet(self, placed: Placed) -> None:
        order = placed.posted
        found = match(order, self.admission.offers(order, placed.wallet, self.orders.by_id))
        if order.order_type == "FOK" and not found.whole:
            self._kill(placed, FOK_KILLED)
        if order.order_type == "FAK" and not found.taken:
            self._kill(placed, FAK_KILLED)
        if found.taken:
            self.booking.take(placed, found)
        if found.whole:
            self.orders.end(placed, "MATCHED")
        elif order.instant:
            self.orders.end(placed, "CANCELED")
        else:
            self._rest(placed)

    def _kill(self, placed: Placed, text: str) -> None:
        self.orders.end(placed, "CANCELED")
        if not self.faults.remembers_killed:
            self.orders.forget(placed)
        raise Refused(400, text)

    def _wait_is_over(self, placed: Placed, later: Later) -> None:
        if not placed.waits:
            return  # cancelled meanwhile
        placed.keep(0)
        if later is Later.KILLED:
            self.orders.end(placed, "CANCELED")
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
            self.orders.end(placed, "CANCELED_EXPIRED_ORDER")

    def _decided(self, condition_id: str) -> None:
        tokens = self.venue.questions.get(condition_id, ())
        for placed in list(self.orders.by_id.values()):
            if placed.is_open and placed.posted.token_id in tokens:
                self.orders.end(placed, "CANCELED_MARKET_RESOLVED")

    def _book_moved(self, token: TokenId) -> None:
        """Let those outside who now cross a resting order take it, at its price."""
        for resting in list(self.venue.resting.get(token, ())):
            placed = self.orders.by_id[resting.order_id]
            for offer in self.venue.offers(token, resting.side):
                if not resting.shares or offer.resting is not None or not crosses(placed.posted, offer.price):
                    continue
                shares = min(resting.shares, offer.shares)
                self.booking.hit(placed, shares)
                self.venue.take(token, resting.side, [(offer, shares)])
                mine = Offer(resting.price, resting.shares, resting)
                self.venue.take(token, resting.side.opposite, [(mine, shares)])

    def _ms(self) -> int:
        return int(self.booking.settlement.now() * 1000)
