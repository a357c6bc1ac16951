"""A venue made of arithmetic: latency, slippage, partial fills and refusals, all drawn from the order's own identity.

Nothing depends on time or on the order of arrival, so a run repeats itself, and an order that is sent twice is filled
once: the second copy finds the first one's report.
"""

from collections import OrderedDict
from hashlib import sha256
from struct import unpack_from

from attrs import define, field, frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import OrderId
from trio_copy.model.orders import ExecutionReport, Order, Status
from trio_copy.model.units import NO_USD, Price, Ratio, Rounding
from trio_copy.ports import Quotes
from trio_copy_dry_run.settings import DryRunSettings

_BPS = 10_000
_REPORTS_KEPT = 100_000


@frozen
class Luck:
    """Three numbers under 10,000, drawn from an order's identity."""

    latency: int
    slippage: int
    partial: int

    @classmethod
    def of(cls, order_id: OrderId, seed: int) -> "Luck":
        digest = sha256(f"{seed}|{order_id}".encode()).digest()
        first, second, third = unpack_from(">III", digest)
        return cls(first % _BPS, second % _BPS, third % _BPS)


@define(eq=False)
class SimulatedVenue:
    settings: DryRunSettings
    quotes: Quotes | None
    _reports: OrderedDict[OrderId, ExecutionReport] = field(factory=OrderedDict)

    def latency_s(self, order: Order) -> float:
        """Return how long the venue takes to answer this order."""
        settings = self.settings
        jitter = settings.latency_jitter_ms
        luck = Luck.of(order.order_id, settings.seed).latency if jitter else 0
        return (settings.latency_ms + jitter * luck / _BPS) / 1000

    def place(self, order: Order) -> ExecutionReport:
        """Execute an order, once; the same order again gets the same report."""
        known = self._reports.get(order.order_id)
        if known is None:
            known = self._reports[order.order_id] = self._execute(order)
            if len(self._reports) > _REPORTS_KEPT:
                self._reports.popitem(last=False)
        return known

    def find(self, order_id: OrderId) -> ExecutionReport | None:
        return self._reports.get(order_id)

    def _execute(self, order: Order) -> ExecutionReport:
        luck = Luck.of(order.order_id, self.settings.seed)
        price = self._price(order, luck)
        worse = price > order.limit_price if order.side is Side.BUY else price < order.limit_price
        if worse or not price:
            return ExecutionReport(
                order_id=order.order_id,
                status=Status.KILLED,
                detail=f"the book offers {price}, the limit is {order.limit_price}",
            )
        shares = order.shares
        partial = luck.partial < self.settings.partial_bps
        if partial:
            # Between a tenth and nine tenths, again from the order's own luck.
            shares = shares.scaled(Ratio(100_000 + luck.slippage * 80), Rounding.DOWN)
        if not shares:
            return ExecutionReport(order_id=order.order_id, status=Status.KILLED, detail="nothing left to fill")
        notional = shares.at(price, Rounding.UP if order.side is Side.BUY else Rounding.DOWN)
        fee = notional.scaled(Ratio(self.settings.fee_bps * 100), Rounding.UP) if self.settings.fee_bps else NO_USD
        return ExecutionReport(
            order_id=order.order_id,
            status=Status.PARTIAL if shares < order.shares else Status.FILLED,
            shares=shares,
            notional=notional,
            fee=fee,
        )

    def _price(self, order: Order, luck: Luck) -> Price:
        buying = order.side is Side.BUY
        if self.settings.price_source == "book" and self.quotes is not None:
            quote = self.quotes.quote(order.token_id)
            if quote is not None:
                return (quote.ask if buying else quote.bid) or Price(0)
        reference = reference_price(order)
        bps = self.settings.slippage_bps * luck.slippage // _BPS
        return reference.raised_bps(bps, Rounding.UP) if buying else reference.lowered_bps(bps, Rounding.DOWN)


def reference_price(order: Order) -> Price:
    """Return the leader's price, which `prepare` wrote into the body."""
    return Price(int(order.body.split(b"|")[-1]))
