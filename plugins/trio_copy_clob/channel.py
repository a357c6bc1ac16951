"""One connection to the venue's market channel, and the books that it keeps up to date.

The venue's word for the best prices comes first: where it differs from what we added up, something was missed, and the
sizes of that book are unknown until it is told anew.
"""

from decimal import Decimal

from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.model.books import Quote, SeenPrice
from trio_copy.model.ids import TokenId
from trio_copy.model.units import Price, Shares
from trio_copy_clob.books import book_of
from trio_copy_clob.troubles import Troubles
from trio_copy_clob.wire import (
    MISREAD,
    BookRow,
    ChangeRow,
    ChangesRow,
    EventTypeRow,
    TickRow,
    each,
    listed,
    price_of,
    read,
    seconds_of,
    shares_of,
    token_of,
)

PONG = "PONG"
_MOST_LEVELS = 10_000
_SIDES = {"BUY": "bids", "SELL": "asks"}
_NOTHING = Decimal(0)


@define(eq=False)
class _LiveBook:
    bids: dict[Price, Shares]
    asks: dict[Price, Shares]

    def quote(self) -> Quote:
        bid = max(self.bids, default=None)
        ask = min(self.asks, default=None)
        return Quote(
            bid=bid,
            ask=ask,
            bid_shares=None if bid is None else self.bids[bid],
            ask_shares=None if ask is None else self.asks[ask],
        )


@define(eq=False, kw_only=True)
class Told:
    """What one connection has told of its tokens. Sync."""

    wall: WallClock
    troubles: Troubles
    ticks: dict[TokenId, Price] = field(factory=dict)
    """What prices are multiples of, as told last; of the tokens of all connections."""
    tokens: frozenset[TokenId] = frozenset()
    """What it was asked for; what it says of others is nothing to us."""
    doubted: set[TokenId] = field(factory=set)
    """Of what it has told something that cannot be believed, since somebody looked last."""
    _books: dict[TokenId, _LiveBook] = field(factory=dict)
    _at: dict[TokenId, float] = field(factory=dict)

    def keep_to(self, tokens: frozenset[TokenId]) -> None:
        """Forget all other tokens."""
        self.tokens = tokens
        for token in self._at.keys() - tokens:
            del self._at[token]
            self._books.pop(token, None)
            self.ticks.pop(token, None)

    def take(self, frame: str | bytes) -> list[SeenPrice]:
        """Return the prices that a frame tells. What it tells wrongly is left out and counted."""
        if frame == PONG:
            return []
        try:
            rows = listed(frame.encode() if isinstance(frame, str) else frame)
        except (ValueError, UnicodeEncodeError) as error:
            self.troubles.leave_out("a frame of the market channel", error)
            return []
        prices: list[SeenPrice] = []
        for row in rows:
            try:
                prices += self._event(bytes(row))
            except MISREAD as error:
                self.troubles.leave_out("an event of the market channel", error)
        return prices

    def _event(self, row: bytes) -> list[SeenPrice]:
        head = read(row, EventTypeRow)
        if isinstance(head, ValueError):
            raise head
        match head.event_type:
            case "book":
                return self._book(read(row, BookRow))
            case "price_change":
                return self._changes(read(row, ChangesRow))
            case "tick_size_change":
                tick = read(row, TickRow)
                if isinstance(tick, ValueError):
                    raise tick
                self._tick(token_of(tick.asset_id), tick.new_tick_size)
                return []
            case _:
                # Trades move no price by themselves, and new kinds of events appear.
                return []

    def _book(self, row: BookRow | ValueError) -> list[SeenPrice]:
        if isinstance(row, ValueError):
            raise row
        token = token_of(row.asset_id)
        if not self._newer(token, seconds_of(row.timestamp, self.wall())):
            return []
        try:
            book = book_of(row, self.wall())
        except MISREAD as error:
            self._doubt(token, error)
            return []
        self._books[token] = _LiveBook(
            {level.price: level.shares for level in book.bids}, {level.price: level.shares for level in book.asks}
        )
        self._tick(token, row.tick_size)
        return self._seen(token, book.quote, book.at)

    def _tick(self, token: TokenId, tick: Decimal | None) -> None:
        if tick is not None and token in self.tokens:
            self.ticks[token] = price_of(tick)

    def _changes(self, changes: ChangesRow | ValueError) -> list[SeenPrice]:
        if isinstance(changes, ValueError):
            raise changes
        at = seconds_of(changes.timestamp, self.wall())
        last: dict[TokenId, ChangeRow] = {}
        for row in each(changes.price_changes, ChangeRow):
            try:
                if isinstance(row, ValueError):
                    raise row
                token = token_of(row.asset_id)
            except ValueError as error:
                # Whose book it was about, nobody can say: the sizes of all are unknown until they are told anew.
                self._books.clear()
                self.troubles.leave_out("a change of a book", error)
                continue
            if self._newer(token, at):
                self._apply(token, row)
                # The best prices are those after all changes of a frame: in between, nobody compares.
                last[token] = row
        return [price for token, row in last.items() for price in self._price(token, row, at)]

    def _price(self, token: TokenId, row: ChangeRow, at: float) -> list[SeenPrice]:
        book = self._books.get(token)
        quote = None if book is None else book.quote()
        try:
            if row.best_bid is not None and row.best_ask is not None:
                bid, ask = _best(row.best_bid), _best(row.best_ask)
                if quote is None or (quote.bid, quote.ask) != (bid, ask):
                    self._books.pop(token, None)
                    quote = Quote(bid=bid, ask=ask)
            if quote is not None and quote.bid is not None and quote.ask is not None and quote.bid >= quote.ask:
                raise ValueError("its best bid is not below its best ask")
        except MISREAD as error:
            self._doubt(token, error)
            return []
        return [] if quote is None else self._seen(token, quote, at)

    def _seen(self, token: TokenId, quote: Quote, at: float) -> list[SeenPrice]:
        self.doubted.discard(token)
        return [SeenPrice(token_id=token, quote=quote, at=at)]

    def _doubt(self, token: TokenId, why: Exception) -> None:
        """Note that a price has moved, and nobody knows to where."""
        self._books.pop(token, None)
        self.doubted.add(token)
        self.troubles.leave_out("a price", why)

    def _apply(self, token: TokenId, row: ChangeRow) -> None:
        book = self._books.get(token)
        if book is None:
            return
        try:
            levels: dict[Price, Shares] = getattr(book, _SIDES[row.side.upper()])
            price, shares = price_of(row.price), shares_of(row.size)
            if len(levels) >= _MOST_LEVELS:
                raise ValueError("more levels than there are prices")
        except (KeyError, *MISREAD) as error:
            # What is in the book now, nobody knows; the best prices may be told beside it all the same.
            del self._books[token]
            self.troubles.leave_out("a change of a book", error)
            return
        if shares:
            levels[price] = shares
        else:
            levels.pop(price, None)

    def _newer(self, token: TokenId, at: float) -> bool:
        """Note when something is said of a token; False for what is not ours, or older than what we know."""
        if token not in self.tokens:
            self.troubles.left_out["an unasked token"] = self.troubles.left_out.get("an unasked token", 0) + 1
            return False
        if at < self._at.get(token, at):
            return False
        self._at[token] = at
        return True


def _best(value: Decimal) -> Price | None:
    """Read a best price; nothing and a whole dollar stand for an empty side."""
    return None if value in (_NOTHING, 1) else price_of(value)
