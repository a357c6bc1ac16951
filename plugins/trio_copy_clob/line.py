"""A line: a part of the wanted tokens on a WebSocket of their own, which comes up again whenever it is lost.

A line is dead after 30 s without a word. One that only answers our pings may be mute: after two minutes without news of a
price it is opened anew, because the venue tells every book to whoever subscribes.
"""

import ssl
from collections.abc import Callable

import msgspec
import trio
from attrs import define, field

from trio_copy.entropy import Entropy
from trio_copy.model.books import Quote
from trio_copy.model.ids import TokenId
from trio_copy.ports import OpenSocket
from trio_copy_clob.addresses import origin_of
from trio_copy_clob.channel import Told
from trio_copy_clob.mailbox import Mailbox
from trio_copy_clob.pacing import Growing
from trio_copy_clob.troubles import Troubles
from trio_copy_clob.websocket import PING_S, SILENCE_S, Lost, WebSocket, hold

_FIRST_NEWS_S = 15.0
"""The venue tells every book when it is subscribed to."""
_QUIET_S = 120.0
_MESSAGE_BYTES = 8 << 20
"""Two hundred deep books may come as one message."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0
_SURELY_TRADED = 5
"""Among so many tokens, one at least has a book."""
_LASTING = 3
"""A connection that is lost comes up again by itself, as a rule; only so many failures in a row are told to a person."""


class Quiet(Lost):
    """Nothing was heard of any price; it may be true that nothing changed."""


@define(eq=False, kw_only=True)
class Line:
    number: int
    """Names it among the lines to one server: a later one in its place speaks for it."""
    url: str
    timeout_s: float
    open_socket: OpenSocket
    tls: Callable[[], ssl.SSLContext]
    entropy: Entropy
    troubles: Troubles
    mailbox: Mailbox
    told: Told
    wanted: frozenset[TokenId] = frozenset()
    _changed: trio.Event = field(factory=trio.Event)
    _quotes: dict[TokenId, Quote] = field(factory=dict)
    """What stands, as far as anybody was told."""
    _known: set[TokenId] = field(factory=set)
    """Of which tokens it ever told a price."""
    _name: str = field(init=False)
    _heard: bool = False
    """Whether the connection has told a price yet."""
    _news_by: float = 0.0
    """When something has to be heard of a price at the latest."""

    def __attrs_post_init__(self) -> None:
        self._name = origin_of(self.url).name

    def want(self, tokens: frozenset[TokenId]) -> None:
        if tokens != self.wanted:
            self.wanted = tokens
            self._changed.set()

    async def run(self) -> None:
        """Keep the line up while anything is wanted of it, for as long as it takes."""
        pauses = Growing(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while True:
            await trio.lowlevel.checkpoint()
            while not self.wanted:
                await self._changed.wait()
                self._changed = trio.Event()
            self._heard = False
            try:
                await self._connect()
            except Lost as error:
                lost = error
            else:
                self.troubles.back(self._name, self.number)
                continue  # nothing is wanted any more
            self.mailbox.lose(self._quotes.keys())
            self._quotes.clear()
            if self._heard:
                pauses.start_over()
            if self._heard and isinstance(lost, Quiet):
                continue  # perhaps nothing is wrong at all: ask at once
            pause_s = pauses.next_s(self.entropy)
            if pauses.times >= _LASTING and not self._may_be_right(lost):
                self.troubles.away(self._name, str(lost), self.number)
            await trio.sleep(pause_s)

    def _may_be_right(self, lost: Lost) -> bool:
        """Tell whether a line says nothing because there is nothing to say: a few tokens whose books are gone."""
        return isinstance(lost, Quiet) and not self.wanted & self._known and len(self.wanted) < _SURELY_TRADED

    async def _connect(self) -> None:
        """Hold one connection until nothing is wanted any more. Raises `Lost`, always with a reason; leaves nothing open."""
        self.told.keep_to(frozenset())  # what an earlier connection told is not what changes are about
        await hold(
            self.url,
            self._talk,
            open_socket=self.open_socket,
            tls=self.tls,
            timeout_s=self.timeout_s,
            most_bytes=_MESSAGE_BYTES,
        )

    async def _talk(self, socket: WebSocket) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_subscription, socket, nursery.cancel_scope)
            await self._read(socket)

    async def _read(self, socket: WebSocket) -> None:
        heard_at = trio.current_time()
        self._news_by = heard_at + _FIRST_NEWS_S
        while True:
            with trio.move_on_at(min(heard_at + SILENCE_S, self._news_by)) as scope:
                frame = await socket.get_message()
            if scope.cancelled_caught:
                if self._news_by <= heard_at + SILENCE_S:
                    raise Quiet("it tells no prices")
                raise Lost(f"silent for {SILENCE_S:g} s")
            heard_at = trio.current_time()
            for seen in self.told.take(frame):
                self._heard = True
                self._known.add(seen.token_id)
                self._news_by = heard_at + _QUIET_S
                if self._quotes.get(seen.token_id) != seen.quote:
                    self._quotes[seen.token_id] = seen.quote
                    self.mailbox.put(seen)
            if self.told.doubted:
                doubted = self.told.doubted & self._quotes.keys()
                self.told.doubted.clear()
                for token in doubted:
                    del self._quotes[token]
                self.mailbox.lose(doubted)
            if self._heard:
                self.troubles.back(self._name, self.number)

    async def _run_subscription(self, socket: WebSocket, scope: trio.CancelScope) -> None:
        """Ping, and ask for what is wanted, until nothing is."""
        asked: frozenset[TokenId] = frozenset()
        ping_at = trio.current_time() + PING_S
        while True:
            self._changed = trio.Event()
            wanted = self.wanted
            if not wanted:
                self._lose_quietly(asked)
                scope.cancel()
                return
            gone, new = asked - wanted, wanted - asked
            self.told.keep_to(wanted)
            self._lose_quietly(gone)
            if not asked:
                await self._say(socket, {"type": "market", "assets_ids": _ids(wanted)})
            elif gone or new:
                if gone:
                    await self._say(socket, {"operation": "unsubscribe", "assets_ids": _ids(gone)})
                if new:
                    await self._say(socket, {"operation": "subscribe", "assets_ids": _ids(new)})
            asked = wanted
            with trio.move_on_at(ping_at):
                await self._changed.wait()
            if trio.current_time() >= ping_at:
                ping_at = trio.current_time() + PING_S
                await self._send(socket, "PING")

    def _lose_quietly(self, tokens: frozenset[TokenId]) -> None:
        """Forget tokens that nobody wants: of them, nobody needs to hear any more."""
        self._known -= tokens
        for token in tokens:
            self._quotes.pop(token, None)
        self.mailbox.forget(tokens)

    async def _say(self, socket: WebSocket, words: dict[str, object]) -> None:
        await self._send(socket, msgspec.json.encode(words).decode())

    async def _send(self, socket: WebSocket, text: str) -> None:
        with trio.fail_after(self.timeout_s):
            await socket.send_message(text)


def _ids(tokens: frozenset[TokenId]) -> list[str]:
    return [str(token) for token in sorted(tokens)]
