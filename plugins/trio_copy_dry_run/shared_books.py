"""Orders that arrive together, and the book that they share."""

from collections.abc import Mapping

import trio
from attrs import define, field

from trio_copy.model.fills import Side
from trio_copy.model.ids import OrderId, TokenId
from trio_copy.model.orders import Order
from trio_copy.ports import Books
from trio_copy_dry_run.depth import Depth, Taken


@define(eq=False)
class _Round:
    """Orders that wait for the same book."""

    orders: list[Order] = field(factory=list)
    taken: Mapping[OrderId, Taken] | None = None
    """None where nobody knows the book, or whoever asked for it was cancelled."""
    asked: bool = False
    over: trio.Event = field(factory=trio.Event)


@define(eq=False)
class SharedBooks:
    books: Books
    together_s: float = 0.0
    """How long after the first one orders still count as arriving together: those of one signal are sent one by one."""
    depth: Depth = field(factory=Depth)
    _rounds: dict[tuple[TokenId, Side], _Round] = field(factory=dict)

    async def take(self, order: Order) -> Taken | None:
        """Let an order take what it may of its token's book, together with those that arrive while that is asked for.

        None where nobody knows the book. Cancelled before the book is there, it has taken nothing.
        """
        key = (order.token_id, order.side)
        while True:
            together = self._rounds.get(key)
            if together is None:
                return await self._open(key, order)
            together.orders.append(order)
            try:
                await together.over.wait()
            except trio.Cancelled:
                if not together.over.is_set():
                    together.orders.remove(order)
                raise
            if together.asked:
                return None if together.taken is None else together.taken.get(order.order_id, ())

    async def meets(self, order: Order) -> Taken | None:
        """Return what is offered to an order at its limit or better, of which it takes nothing; None where nobody knows the book."""
        book = await self.books.book(order.token_id)
        if book is None:
            return None
        return tuple(level for level in book.asks if level.price <= order.limit_price)

    async def _open(self, key: tuple[TokenId, Side], order: Order) -> Taken | None:
        together = self._rounds[key] = _Round([order])
        try:
            await trio.sleep(self.together_s)
            book = await self.books.book(order.token_id)
            together.asked = True
            if book is not None:
                together.taken = self.depth.take(together.orders, book)
        finally:
            del self._rounds[key]
            together.over.set()
        return None if together.taken is None else together.taken.get(order.order_id, ())
