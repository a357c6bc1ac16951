"""Looks at the book some time after each answer of a venue: was what paper got to be had, and was it still there later?

Beside the copies, never in their way: nobody waits for a look, a book is asked for once for all tokens that are due at the same
moment, and a failure keeps no copy from asking. What waits to be looked at lives in memory, up to a number; it is gone with the
process, and is unknown then.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from math import inf

import trio
from attrs import define, field

from trio_copy.accounts.sighted import KIND, looks_key, plain_looks
from trio_copy.clock import WallClock
from trio_copy.engine.borders.market_asks import MarketAsks
from trio_copy.engine.shards.writing import Writer
from trio_copy.errors import StoreError
from trio_copy.model.books import Book, Level, Quote
from trio_copy.model.decisions import CopyTask
from trio_copy.model.facts import NO_AMOUNTS, Fact
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, SignalId, TaskId, TokenId
from trio_copy.model.orders import Order
from trio_copy.model.sightings import LOOKS_S
from trio_copy.model.units import MICRO, Rounding, Shares, divide
from trio_copy.ports import Quotes, tell_nobody
from trio_copy.records import write_plain

_MOST = 20_000
"""Orders that are waited for: 30 s of more than 600 a second, in 20 MB. Further ones are counted, and not looked at."""
_TOGETHER_S = 0.25
"""What is due within so long is looked at in one: the copies of one signal are answered within less."""
_LATE_S = 1.0
"""A book that comes later says nothing about the moment that was meant."""
_TOKENS_AT_ONCE = 50
_CALLS_MOST = 4
"""Under way at once. While so many are, best prices have to do: copies ask the same source, and it limits how often."""
_STEP = 500
_WRITE_AT_ONCE = 200
"""Looks in one write: a copy that waits for the same write does not wait long."""
_NO_SIGNAL = SignalId("")
_Found = tuple[int, int, bool]
"""Millionths of shares and of a USD, and whether a book was walked."""


@define(eq=False)
class _Awaited:
    task_id: TaskId
    attempt: int
    follower: FollowerId
    leader: Address
    token_id: TokenId
    side: Side
    shares: int
    at: float
    """When it was answered, in Unix seconds."""
    since: float
    """The same by Trio's clock."""
    writer: Writer
    after: list[_Found | None]


@define(eq=False, kw_only=True)
class LaterLooks:
    quotes: Quotes
    asks: MarketAsks | None
    """None where nobody can tell more than the best prices."""
    wall: WallClock
    on_trouble: Callable[[str, str], None] = tell_nobody
    refused: int = 0
    """Orders that were not looked at, because too many waited."""
    _full: bool = False
    """Whether a person was told that too many wait."""
    _awaited: dict[_Awaited, None] = field(factory=dict)
    _queues: Sequence[deque[_Awaited]] = field(factory=lambda: [deque() for _ in LOOKS_S])
    """What waits for the first look, for the second, and so on; those that were answered first are due first."""
    _calls: int = 0
    _news: trio.Event = field(factory=trio.Event)

    def __len__(self) -> int:
        return len(self._awaited)

    def want(self, order: Order, task: CopyTask, shares: Shares, at: float, writer: Writer) -> None:
        """Have the book looked at for an order that was answered a moment ago, at `at` in Unix seconds."""
        if len(self._awaited) >= _MOST:
            self._refuse()
            return
        one = _Awaited(
            task.task_id,
            task.attempt,
            task.follower,
            task.signal.leader,
            order.token_id,
            order.side,
            shares.micro,
            at,
            trio.current_time(),
            writer,
            [None] * len(LOOKS_S),
        )
        self._awaited[one] = None
        first = self._queues[0]
        first.append(one)
        if len(first) == 1:  # else whoever looks is awake in time for those before it
            self._news.set()

    def _refuse(self) -> None:
        self.refused += 1
        if not self._full:
            self._full = True
            self.on_trouble("looks-refused", f"{_MOST} orders wait for a look at their books: others are not looked at")

    async def run(self) -> None:
        """Look until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                with trio.move_on_at(self._next() + _TOGETHER_S) as sleep:
                    await self._news.wait()
                self._news = trio.Event()
                if sleep.cancelled_caught:
                    nursery.start_soon(self._look, list(self._take_due()))

    async def finish(self) -> None:
        """Write down what was seen so far: the engine ends, and nobody will look again."""
        for queue in self._queues:
            queue.clear()
        await self._write(list(self._awaited))

    def _next(self) -> float:
        """Return when something is due, by Trio's clock."""
        return min(
            (queue[0].since + after_s for queue, after_s in zip(self._queues, LOOKS_S, strict=True) if queue),
            default=inf,
        )

    def _take_due(self) -> Iterator[tuple[_Awaited, int]]:
        """Take what is due for a look, and which; it waits for its next one from here on."""
        now = trio.current_time()
        for number in reversed(range(len(LOOKS_S))):  # nothing is taken twice at once
            queue = self._queues[number]
            while queue and queue[0].since + LOOKS_S[number] <= now:
                one = queue.popleft()
                if number + 1 < len(LOOKS_S):
                    self._queues[number + 1].append(one)
                yield one, number

    async def _look(self, wanted: Sequence[tuple[_Awaited, int]]) -> None:
        """Look once for each of some orders; the number says which of its looks it is."""
        now = self.wall()
        # Trio's clock stands still while the machine sleeps: what is due then is looked at when it is long over.
        timely = [(one, number) for one, number in wanted if now <= one.at + LOOKS_S[number] + _TOGETHER_S + _LATE_S]
        tokens = list({one.token_id for one, _ in timely})
        # Before the books are asked for: a best price that came later would be of another moment.
        quotes = {token: self.quotes.quote(token) for token in tokens}
        books = await self._books(tokens)
        for count, (one, number, found) in enumerate(_shared_out(timely, books, quotes), 1):
            one.after[number] = found
            if count % _STEP == 0:
                await trio.lowlevel.checkpoint()
        await self._write([one for one, number in wanted if number + 1 == len(LOOKS_S)])

    async def _books(self, tokens: Sequence[TokenId]) -> Mapping[TokenId, Book]:
        books: dict[TokenId, Book] = {}
        began = trio.current_time()
        for start in range(0, len(tokens) if self.asks is not None else 0, _TOKENS_AT_ONCE):
            if self._calls >= _CALLS_MOST or trio.current_time() > began + _LATE_S:
                break
            self._calls += 1
            try:
                assert self.asks is not None
                found = await self.asks.books(tokens[start : start + _TOKENS_AT_ONCE])
            finally:
                self._calls -= 1
            if trio.current_time() <= began + _LATE_S:
                books.update((book.token_id, book) for book in found)
        return books

    async def _write(self, orders: Collection[_Awaited]) -> None:
        """Write down what was seen for orders that are waited for no more; of what nobody saw, there is nothing to tell."""
        facts: dict[Writer, list[Fact]] = defaultdict(list)
        for count, one in enumerate(orders, 1):
            if one in self._awaited and any(one.after):
                facts[one.writer].append(_fact(one))
            self._awaited.pop(one, None)
            if count % _STEP == 0:
                await trio.lowlevel.checkpoint()
        if len(self._awaited) < _MOST // 2:
            self._full = False
        for writer, some in facts.items():
            with suppress(StoreError):  # it is somebody else's by now, or the engine ends
                for start in range(0, len(some), _WRITE_AT_ONCE):
                    batch = writer.open
                    batch.facts.extend(some[start : start + _WRITE_AT_ONCE])
                    writer.tell()
                    await batch.wait()


def _shared_out(
    wanted: Iterable[tuple[_Awaited, int]], books: Mapping[TokenId, Book], quotes: Mapping[TokenId, Quote | None]
) -> Iterator[tuple[_Awaited, int, _Found | None]]:
    """Tell what each order would find; those of the same look share the book, for it is there once.

    Each finds the same part of what it wants, at the same price, so that the book is walked once for all of them.
    """
    groups: dict[tuple[TokenId, Side, int], list[_Awaited]] = defaultdict(list)
    for one, number in wanted:
        groups[one.token_id, one.side, number].append(one)
    for (token, side, number), some in groups.items():
        total, book, quote = sum(one.shares for one in some), books.get(token), quotes[token]
        if book is not None:
            there, worth = _walked(book.asks if side is Side.BUY else book.bids, total)
        elif quote is not None:
            price = quote.ask if side is Side.BUY else quote.bid
            there, worth = (0, 0) if price is None else (total, total * price.micro)
        else:
            yield from ((one, number, None) for one in some)
            continue
        rounding = Rounding.UP if side is Side.BUY else Rounding.DOWN
        for one in some:
            usd = divide(worth * one.shares, total * MICRO, rounding)
            yield one, number, (one.shares * there // total, usd, book is not None)


def _walked(levels: Iterable[Level], wanted: int) -> tuple[int, int]:
    """Return how many millionths of shares levels hold, of so many, and what these are worth in millionths of millionths."""
    there = worth = 0
    for level in levels:
        part = min(wanted - there, level.shares.micro)
        if part > 0:
            there, worth = there + part, worth + part * level.price.micro
    return there, worth


def _fact(one: _Awaited) -> Fact:
    key = looks_key(one.task_id, one.attempt)
    body = write_plain(plain_looks(one.shares, one.after))
    # Without the ids of its signal and its order: the end of its task has them, and an index for each.
    return Fact(key, KIND, one.at, one.follower, one.leader, one.token_id, body, NO_AMOUNTS, _NO_SIGNAL, one.task_id)
