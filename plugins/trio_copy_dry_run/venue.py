"""A venue made of arithmetic: latency, slippage, partial fills and refusals, all drawn from the order's own identity.

Nothing depends on time or on the order of arrival, so a run repeats itself, and an order that is sent twice is filled
once: the second copy finds the first one's report.
"""

from collections import OrderedDict
from hashlib import sha256
from struct import unpack_from
from typing import NamedTuple

from attrs import define, evolve, field

from trio_copy.clock import WallClock
from trio_copy.model.fees import Fee
from trio_copy.model.fills import Side
from trio_copy.model.ids import OrderId
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy.model.units import Price, Ratio, Rounding, Shares, Usd
from trio_copy.ports import Quotes
from trio_copy_dry_run.depth import Taken, cost_of
from trio_copy_dry_run.rules import in_steps, is_post_only, kind_of_order, spends_cash, step_of
from trio_copy_dry_run.settings import DryRunSettings
from trio_copy_dry_run.venue_file import Kept, VenueFile

_BPS = 10_000
_ORDERS_KEPT = 100_000
_BUY, _DOWN, _UP = Side.BUY, Rounding.DOWN, Rounding.UP
_FILLED, _PARTIAL = Status.FILLED, Status.PARTIAL
_OVER = (_FILLED, Status.REJECTED)


class Luck(NamedTuple):
    """Five numbers under 10,000, drawn from an order's identity."""

    latency: int
    slippage: int
    partial: int
    fault: int
    choice: int

    @classmethod
    def of(cls, order_id: OrderId, seed: int) -> "Luck":
        digest = sha256(f"{seed}|{order_id}".encode()).digest()
        latency, slippage, partial, fault, choice = unpack_from(">IIIII", digest)
        return cls(latency % _BPS, slippage % _BPS, partial % _BPS, fault % _BPS, choice % _BPS)


@define(eq=False)
class SimulatedVenue:
    settings: DryRunSettings
    quotes: Quotes | None
    wall: WallClock
    file: VenueFile | None = None
    _placed: OrderedDict[OrderId, Kept] = field(factory=OrderedDict)

    def __attrs_post_init__(self) -> None:
        if self.file is not None:
            for kept in self.file.read():
                self._placed[kept.report.order_id] = kept

    def latency_s(self, order: Order) -> float:
        """Return how long the venue takes to answer this order."""
        settings = self.settings
        jitter = settings.latency_jitter_ms
        luck = Luck.of(order.order_id, settings.seed).latency if jitter else 0
        return (settings.latency_ms + jitter * luck / _BPS) / 1000

    @property
    def forgets(self) -> bool:
        """Whether the venue is gone with the process."""
        return self.file is None

    def place(
        self,
        order: Order,
        *,
        kill: bool = False,
        fail_settlement: bool = False,
        settle_part: bool = False,
        taken: Taken | None = None,
    ) -> ExecutionReport:
        """Execute an order, once; the same order again gets the same report.

        What it fills will not settle with `fail_settlement`, and only in part with `settle_part`.
        `taken` is what it takes out of the book, or, post-only, would take; None where no book is known.
        """
        placed = self._placed.get(order.order_id)
        if placed is None:
            report = self._report(order, kill=kill, taken=taken)
            if not kill and report.status not in _OVER and "@" in kind_of_order(order):
                report = evolve(report, status=Status.RESTING, detail="")
            settles = self._part(order, report) if settle_part else None
            placed = self._keep(order, Kept(report, self.wall(), fail_settlement, settles))
            if self.forgets and len(self._placed) > _ORDERS_KEPT:
                self._placed.popitem(last=False)
        return self._seen(placed)

    def replace(self, order: Order, report: ExecutionReport) -> None:
        """Say how an order stands from now on."""
        before = self._placed[order.order_id]
        settles = None if before.settles is None else self._part(order, report)
        self._keep(order, Kept(report, self.wall(), before.fails, settles))

    def _keep(self, order: Order, placed: Kept) -> Kept:
        self._placed[order.order_id] = placed
        if self.file is not None:
            self.file.append(order, placed)
        return placed

    def _part(self, order: Order, report: ExecutionReport) -> ExecutionReport:
        """Return what of a fill settles where one of its trades is undone: about seven tenths, at the same price."""
        shares = in_steps(report.shares.micro * 7 // 10, step_of(order))
        if not shares:
            return report
        paid = report.notional.micro * shares
        rounded = paid // report.shares.micro if order.side is _BUY else -(-paid // report.shares.micro)
        settles = evolve(report, shares=Shares(shares), notional=Usd(rounded), detail="a trade of it was undone")
        fee = self._fee(order, settles.shares, settles.notional)
        return evolve(settles, status=_PARTIAL, fee=min(fee, report.fee))

    def has(self, order: Order) -> bool:
        """Tell whether an order was placed before."""
        return order.order_id in self._placed

    def find(self, order_id: OrderId) -> ExecutionReport | None:
        """Return what became of an order by now."""
        placed = self._placed.get(order_id)
        return None if placed is None else self._seen(placed)

    def _seen(self, placed: Kept) -> ExecutionReport:
        """Say how far the settlement of an order is by now; that a part of it was undone, halfway there."""
        report, settles, settle_s = placed.report, placed.settles, self.settings.settle_s
        otherwise = placed.fails or settles is not None
        if not (otherwise or settle_s) or not report.shares.micro:
            return report
        waited = self.wall() - placed.at
        settled = waited >= settle_s if settle_s else waited > 0
        if otherwise and report.status is Status.RESTING:
            settled = False  # what failed to settle is said at its end
        elif settles is not None and (settled or waited * 2 >= settle_s > 0):
            report = settles
        if settled:
            return evolve(report, settlement=Settlement.FAILED) if placed.fails else report
        return evolve(report, settlement=Settlement.PENDING)

    def _report(self, order: Order, *, kill: bool, taken: Taken | None) -> ExecutionReport:
        if kill:
            return _killed(order, "told to kill it")
        report = self._execute(order) if taken is None else self._filled(order, taken)
        if report.shares.micro and is_post_only(order):
            # In the venue's own words.
            detail = "invalid post-only order: order crosses book"
            return ExecutionReport(order_id=order.order_id, status=Status.REJECTED, detail=detail)
        return report

    def _filled(self, order: Order, taken: Taken) -> ExecutionReport:
        """Fill an order with what it takes, each level rounded against it."""
        if not taken:
            return _killed(order, f"the book holds nothing, or too little, at {order.limit_price}")
        buying = order.side is _BUY
        shares = Shares(sum(level.shares.micro for level in taken))
        # Rounded level by level, it may come to a millionth or two outside of what the order allows.
        if buying:
            notional = min(cost_of(taken), order.dearest(shares))
        else:
            notional = Usd(sum(level.shares.at(level.price, _DOWN).micro for level in taken))
            notional = max(notional, shares.at(order.limit_price, _DOWN))
        return ExecutionReport(
            order_id=order.order_id,
            status=_PARTIAL if shares < order.shares else _FILLED,
            shares=shares,
            notional=notional,
            fee=self._fee(order, shares, notional),
        )

    def _fee(self, order: Order, shares: Shares, notional: Usd) -> Usd:
        # By what the order was prepared with: the venue's terms may have changed since, what was held for it has not.
        fee = Fee(self.settings.fee_bps) if order.fee_bps is None else order.fee
        return fee.of(shares, notional)

    def _execute(self, order: Order) -> ExecutionReport:
        settings, buying = self.settings, order.side is _BUY
        luck = Luck.of(order.order_id, settings.seed)
        price, limit = self._price(order, luck), order.limit_price
        worse = price.micro > limit.micro if buying else price.micro < limit.micro
        if worse or not price.micro:
            return _killed(order, f"the book offers {price}, the limit is {limit}")
        shares = order.shares
        if spends_cash(order):
            shares = Shares(in_steps(order.max_cost.shares_at(price, _DOWN).micro, step_of(order)))
        partial = luck.partial < settings.partial_bps
        if partial:
            # Between a tenth and nine tenths, again from the order's own luck.
            part = shares.scaled(Ratio(100_000 + luck.slippage * 80), _DOWN)
            shares = Shares(in_steps(part.micro, step_of(order)))
            if kind_of_order(order) == "FOK":
                return _killed(order, "the book holds less than the whole order")
        if not shares.micro:
            return _killed(order, "nothing left to fill")
        notional = shares.at(price, _UP if buying else _DOWN)
        fee = self._fee(order, shares, notional)
        return ExecutionReport(order.order_id, _PARTIAL if partial else _FILLED, shares, notional, fee)

    def _price(self, order: Order, luck: Luck) -> Price:
        settings, buying = self.settings, order.side is _BUY
        if self.quotes is not None and settings.price_source == "book":
            quote = self.quotes.quote(order.token_id)
            if quote is not None and quote.price is None:
                return (quote.ask if buying else quote.bid) or Price(0)
        reference = reference_price(order)
        bps = settings.slippage_bps * luck.slippage // _BPS
        return reference.raised_bps(bps, _UP) if buying else reference.lowered_bps(bps, _DOWN)


def reference_price(order: Order) -> Price:
    """Return the leader's price, which `prepare` wrote into the body."""
    return Price(int(order.body.rpartition(b"|")[2]))


def _killed(order: Order, why: str) -> ExecutionReport:
    return ExecutionReport(order_id=order.order_id, status=Status.KILLED, detail=why)
