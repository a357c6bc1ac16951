"""What orders take out of a book, level by level, and what is left of it for those after them. Sync.

Orders that reach the venue together share each level in proportion to what they want: no follower is served before another
because he came first in a list. What was taken is gone until the venue shows another book.
"""

from collections import OrderedDict
from collections.abc import Sequence

from attrs import define, field

from trio_copy.model.books import Book, Level
from trio_copy.model.fills import Side
from trio_copy.model.ids import OrderId, TokenId
from trio_copy.model.orders import Order
from trio_copy.model.units import MICRO, Price, Rounding, Shares, Usd
from trio_copy_dry_run.rules import in_steps, kind_of_order, spends_cash, step_of

_BOOKS_KEPT = 1000
Taken = tuple[Level, ...]
"""What one order took, the best level first."""


@define(eq=False)
class _Left:
    book: Book
    taken: dict[tuple[Side, Price], int] = field(factory=dict)
    """In millionths of a share, by the side of those who took it."""


@define(eq=False)
class Depth:
    _left: OrderedDict[TokenId, _Left] = field(factory=OrderedDict)

    def take(self, orders: Sequence[Order], book: Book) -> dict[OrderId, Taken]:
        """Let orders for one side of a book, which arrive together, take what is left of it; FOK takes all it wants or nothing."""
        left = self._of(book)
        # Who has the last millionth must not hang on which of them came first at one and the same moment.
        orders = sorted(orders, key=lambda order: order.order_id)
        while True:
            found = _shared(orders, left)
            short = [order for order in orders if _is_fok(order) and _wanted(order, found[order.order_id])]
            if not short:
                break
            # One at a time: what it does not take may be enough for the others.
            orders = [order for order in orders if order is not short[-1]]
        for order in orders:
            for level in found[order.order_id]:
                key = (order.side, level.price)
                left.taken[key] = left.taken.get(key, 0) + level.shares.micro
        return {order_id: taken for order_id, taken in found.items() if taken}

    def last(self, token_id: TokenId) -> Book | None:
        """Return the book of a token that was seen last."""
        left = self._left.get(token_id)
        return None if left is None else left.book

    def _of(self, book: Book) -> _Left:
        left = self._left.get(book.token_id)
        if left is None or left.book != book:
            left = self._left[book.token_id] = _Left(book)
        self._left.move_to_end(book.token_id)
        if len(self._left) > _BOOKS_KEPT:
            self._left.popitem(last=False)
        return left


def _shared(orders: Sequence[Order], left: _Left) -> dict[OrderId, Taken]:
    """Share each level among the orders that may have it."""
    taken: dict[OrderId, list[Level]] = {order.order_id: [] for order in orders}
    if not orders:
        return {}
    side = orders[0].side
    for level in left.book.asks if side is Side.BUY else left.book.bids:
        offered = level.shares.micro - left.taken.get((side, level.price), 0)
        wants = {
            order.order_id: want
            for order in orders
            if _may_pay(order, level.price) and (want := _wanted(order, taken[order.order_id], level.price))
        }
        if not wants:
            break  # levels only get worse
        total = sum(wants.values())
        for order in orders:
            # Of what is left to share among those that are left, so that nothing is lost by rounding.
            want = wants.get(order.order_id, 0)
            if not want:
                continue
            part = in_steps(min(want, offered * want // total), step_of(order))
            offered, total = offered - part, total - want
            if part:
                taken[order.order_id].append(Level(level.price, Shares(part)))
    return {order_id: tuple(levels) for order_id, levels in taken.items()}


def _wanted(order: Order, taken: Sequence[Level], price: Price | None = None) -> int:
    """Return what an order still wants of a level, in millionths of a share; at its own limit, unless a price is given."""
    if not spends_cash(order):
        return order.shares.micro - sum(level.shares.micro for level in taken)
    left = order.max_cost.micro - cost_of(taken).micro
    return in_steps(left * MICRO // (price or order.limit_price).micro, step_of(order))


def cost_of(taken: Sequence[Level]) -> Usd:
    """Return what a BUY pays for what it takes, each level rounded against it."""
    return Usd(sum(level.shares.at(level.price, Rounding.UP).micro for level in taken))


def _may_pay(order: Order, price: Price) -> bool:
    return price <= order.limit_price if order.side is Side.BUY else price >= order.limit_price


def _is_fok(order: Order) -> bool:
    return kind_of_order(order) == "FOK"
