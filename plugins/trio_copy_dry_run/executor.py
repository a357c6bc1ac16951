"""Prepares, freezes and "sends" orders like a real executor does."""

from collections.abc import Awaitable
from hashlib import sha256

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.errors import OrderNotSent, OrderUncertain
from trio_copy.model.decisions import OrderIntent
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, OrderId, TokenId, token_text
from trio_copy.model.orders import ExecutionReport, Market, Order, Status, Wallet
from trio_copy.ports import Facts
from trio_copy_dry_run.depth import Taken
from trio_copy_dry_run.moments import Moments
from trio_copy_dry_run.resting import RestingOrders, kind_of
from trio_copy_dry_run.rules import allowed, is_post_only, market_of
from trio_copy_dry_run.settings import DryRunSettings
from trio_copy_dry_run.shared_books import SharedBooks
from trio_copy_dry_run.venue import Luck, SimulatedVenue

_BUY = Side.BUY
_NOT_TAKEN = ("not-sent", "lose-request", "reject", "stale-market")
_UNSURE = ("lose-request", "lose-reply", "duplicated", "server-error")


@define(eq=False)
class DryRunExecutor:
    name: str
    settings: DryRunSettings
    venue: SimulatedVenue
    wall: WallClock
    books: SharedBooks | None = None
    """What orders take out of real books; None where they are filled by arithmetic alone."""
    facts: Facts | None = None
    resting: RestingOrders = field(init=False)
    moments: Moments = field(factory=Moments)
    _sent: dict[OrderId, int] = field(factory=dict)
    """How often each order that met a fault was sent."""
    _missed: dict[OrderId, float] = field(factory=dict)
    """When an order was first looked for and not found, in Unix seconds."""

    def __attrs_post_init__(self) -> None:
        self.resting = RestingOrders(self.venue, self.books, self.wall)

    async def market(self, token_id: TokenId) -> Market:
        if self.facts is None:
            facts = None
        elif self.books is None:
            facts = self.facts.of(token_id)
        else:
            # As a real order is made by the venue's tick and fee, also the first one in a question that nobody here has seen.
            facts = await self.facts.soon(token_id)
        quote = None if self.venue.quotes is None else self.venue.quotes.quote(token_id)
        book = None if self.books is None else self.books.depth.last(token_id)
        return market_of(token_id, facts, book, self.settings.fee_bps, quote)

    def prepare(self, key: IntentKey, intent: OrderIntent, wallet: Wallet, market: Market) -> Order:
        side = "BUY" if intent.side is _BUY else "SELL"
        fits = allowed(intent, market)
        rules = f"{fits.step}|" if fits.step > 1 else ""
        amounts = (
            f"{token_text(intent.token_id)}|{fits.shares.micro}|{fits.limit_price.micro}|{rules}{intent.price.micro}"
        )
        body = f"{key}|{wallet.follower}|{side}|{kind_of(intent)}|{amounts}".encode()
        return Order(
            key,
            OrderId("0x" + sha256(body).hexdigest()),
            self.name,
            wallet,
            intent.side,
            intent.token_id,
            fits.shares,
            fits.limit_price,
            body,
            market.fee_bps,
            market.fee_rate,
            market.fee_exponent,
            fits.max_cost,
            fits.refused,
        )

    def lane(self, intent: OrderIntent, wallet: Wallet) -> tuple[str, ...]:
        return (wallet.follower, token_text(intent.token_id))

    async def submit(self, order: Order) -> ExecutionReport:
        fault = self._fault(order)
        if fault in _NOT_TAKEN:
            return await self._not_taken(order, fault)
        if self.books is None or fault == "kill" or self.venue.has(order):
            # The order stands at the venue from here on, as it would with a real one: only the answer takes time.
            report = self._place(order, fault)
            await self._answered(order)
        else:
            # By the book as it is when the order arrives, which is what the latency costs.
            await self._answered(order)
            taken = await (self.books.meets(order) if is_post_only(order) else self.books.take(order))
            report = self._place(order, fault, taken)
        if fault in ("lose-reply", "late"):
            await trio.sleep(self.settings.late_s)
        if fault in _UNSURE:
            raise OrderUncertain(f"no proof: {fault}")
        return report

    async def _not_taken(self, order: Order, fault: str | None) -> ExecutionReport:
        """Meet a fault that keeps an order from being placed."""
        if fault == "not-sent":
            raise OrderNotSent("nobody listens")
        if fault == "lose-request":
            await trio.sleep(self.settings.late_s)
            raise OrderUncertain("no answer: the request was lost")
        await self._answered(order)
        stale = fault == "stale-market"
        detail = "the price breaks the minimum tick size" if stale else "invalid order"
        return ExecutionReport(order_id=order.order_id, status=Status.REJECTED, detail=detail, stale=stale)

    def _place(self, order: Order, fault: str | None, taken: Taken | None = None) -> ExecutionReport:
        if fault is None:
            return self.venue.place(order, taken=taken)
        fails, part = fault == "settle-fail", fault == "settle-part"
        return self.venue.place(order, kill=fault == "kill", fail_settlement=fails, settle_part=part, taken=taken)

    async def find(self, order: Order) -> ExecutionReport | None:
        await trio.lowlevel.checkpoint()
        await self.resting.look(order)
        report = self.venue.find(order.order_id)
        if report is not None:
            return report
        if self.venue.forgets and order.order_id not in self._sent:
            # The venue lives in this process: what an earlier one sent can be nowhere.
            return ExecutionReport(order_id=order.order_id, status=Status.ABSENT)
        since = self._missed.setdefault(order.order_id, self.wall())
        if self.wall() - since < self.settings.prove_absence_s:
            return None
        del self._missed[order.order_id]
        return ExecutionReport(order_id=order.order_id, status=Status.ABSENT)

    async def cancel(self, order: Order) -> None:
        await self._answered(order)
        self.resting.end(order, "called off")

    def _answered(self, order: Order) -> Awaitable[None]:
        """Wait for as long as the venue takes to answer an order."""
        return self.moments.wait(self.venue.latency_s(order))

    def _fault(self, order: Order) -> str | None:
        """Draw what goes wrong with an order from its own luck; a second send meets no fault."""
        settings = self.settings
        if not settings.faults:
            return None
        sent = self._sent[order.order_id] = self._sent.get(order.order_id, 0) + 1
        luck = Luck.of(order.order_id, settings.seed)
        if sent > 1 or luck.fault >= settings.faults_bps:
            return None
        return settings.faults[luck.choice % len(settings.faults)]
