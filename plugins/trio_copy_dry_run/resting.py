"""Orders that rest in the simulated venue: what a later book gives them, and when they end.

A real book does not know of our order, and where it would stand among others nobody can tell. So it is filled only by what is
offered at its limit or better, which no real book shows while somebody bids that much: and only by as much of that as is new
since it was looked at last. It pays its own limit, as a maker, and no fee.
"""

from attrs import define, evolve, field

from trio_copy.clock import WallClock
from trio_copy.model.books import Book
from trio_copy.model.decisions import OrderIntent
from trio_copy.model.ids import OrderId
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy.model.units import Rounding, Shares
from trio_copy_dry_run.rules import POST_ONLY, kind_of_order
from trio_copy_dry_run.shared_books import SharedBooks
from trio_copy_dry_run.venue import SimulatedVenue


def kind_of(intent: OrderIntent) -> str:
    """Name an intent's kind of order as the body has it, with how long it may rest, and whether it may do nothing else."""
    kind = f"{intent.order_type}@{intent.rest_until}" if intent.rest_until else intent.order_type
    return f"{kind}@{POST_ONLY}" if intent.post_only else kind


@define(eq=False)
class RestingOrders:
    venue: SimulatedVenue
    books: SharedBooks | None
    wall: WallClock
    _offered: dict[OrderId, int] = field(factory=dict)
    """What a book offered an order when it was looked at last, in millionths of a share."""

    async def look(self, order: Order) -> None:
        """Let an order that rests have what is offered to it since, or end where its time is over."""
        if self._resting(order) is None:
            return
        kind, until, *_ = kind_of_order(order).split("@")
        if kind == "GTD" and self.wall() >= int(until):
            self.end(order, "its time is over")
            return
        book = None if self.books is None else await self.books.books.book(order.token_id)
        report = self._resting(order)  # after the wait: it may have been called off
        if book is not None and report is not None:
            self._fill(order, report, book)

    def end(self, order: Order, why: str) -> None:
        """Take an order off the book; one that has ended, or never came, stays as it is."""
        report = self._resting(order)
        if report is not None:
            status = Status.PARTIAL if report.shares else Status.KILLED
            self._put(order, evolve(report, status=status, detail=why))

    def _fill(self, order: Order, report: ExecutionReport, book: Book) -> None:
        assert self.books is not None
        offered = sum(level.shares.micro for level in book.asks if level.price <= order.limit_price)
        # What was there when it came was shared out then, among all who came with it.
        before = self._offered.get(order.order_id, offered)
        self._offered[order.order_id] = offered
        wanted = Shares(min(offered - before, order.shares.micro - report.shares.micro))
        if wanted.micro <= 0:
            return
        taken = self.books.depth.take([evolve(order, shares=wanted)], book).get(order.order_id, ())
        more = Shares(sum(level.shares.micro for level in taken))
        if not more:
            return
        shares = report.shares + more
        # Rounded growth by growth, it may come to a millionth more than the order allows.
        most = shares.at(order.limit_price, Rounding.UP)
        notional = min(report.notional + more.at(order.limit_price, Rounding.UP), most)
        status = Status.RESTING if shares < order.shares else Status.FILLED
        self._put(order, evolve(report, status=status, shares=shares, notional=notional))

    def _resting(self, order: Order) -> ExecutionReport | None:
        report = self.venue.find(order.order_id)
        return report if report is not None and report.status is Status.RESTING else None

    def _put(self, order: Order, report: ExecutionReport) -> None:
        if report.status is not Status.RESTING:
            self._offered.pop(order.order_id, None)
        # How far it is settled the venue says itself, by when it was filled.
        self.venue.replace(order, evolve(report, settlement=Settlement.FIRM))
