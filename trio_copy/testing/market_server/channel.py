"""The venue's market channel: a WebSocket that tells books to whoever subscribes, and their changes as they come."""

import msgspec
from attrs import define

from trio_copy.model.books import Book
from trio_copy.model.ids import TokenId
from trio_copy.testing.market_server.listening import Listener, ListeningSide
from trio_copy.testing.market_server.venue import ServedVenue
from trio_copy.testing.market_server.wire import Row, book_row, change_row, other_token


@define(eq=False, kw_only=True)
class ChannelSide(ListeningSide):
    venue: ServedVenue

    def __attrs_post_init__(self) -> None:
        self.venue.on_book.append(self._book_changed)

    @property
    def subscribed(self) -> list[frozenset[TokenId]]:
        """The tokens of each live connection."""
        return [frozenset(listener.tokens) for listener in self._listeners]

    async def wait_subscribed(self, tokens: frozenset[TokenId]) -> None:
        """Wait until exactly these tokens are subscribed to, over all connections."""
        while frozenset().union(*self.subscribed) != tokens:
            await self._changed.wait()

    def hear(self, listener: Listener, message: str | bytes) -> None:
        asked = msgspec.json.decode(message)
        tokens = {TokenId(int(text)) for text in asked["assets_ids"]}
        if asked.get("operation") == "unsubscribe":
            listener.tokens -= tokens
        else:
            new = sorted(tokens - listener.tokens)
            listener.tokens |= tokens
            self._tell(listener, [row for token in new if (row := self._snapshot(token)) is not None])

    def _snapshot(self, token: TokenId) -> Row | None:
        book = self.venue.books.get(token)
        return None if book is None else {"event_type": "book", **book_row(book, self.venue.facts[token], self.faults)}

    def _book_changed(self, before: Book | None, book: Book) -> None:
        for listener in list(self._listeners):
            if book.token_id not in listener.tokens:
                continue
            if before is None:
                row = self._snapshot(book.token_id)
            else:
                row = change_row(before, book, self.venue.facts[book.token_id], self.faults)
            rows = [] if row is None else [row]
            stranger = {"event_type": "book", "asset_id": str(other_token(book.token_id)), "timestamp": "1790000000000"}
            rows += [{**stranger, "bids": [], "asks": []}] * self.faults.flood
            self._tell(listener, rows)

    def _tell(self, listener: Listener, rows: list[Row]) -> None:
        faults = self.faults
        if faults.mute or faults.deaf or not rows:
            return
        if faults.channel_garbage:
            listener.push('{"event_type":"book","asset_id":12,"bids":[{"price":"NaN"}]}')
            listener.push("[[[[")
        if faults.lone_objects:
            for row in rows:
                listener.push(msgspec.json.encode(row).decode())
        else:
            listener.push(msgspec.json.encode(rows).decode())
