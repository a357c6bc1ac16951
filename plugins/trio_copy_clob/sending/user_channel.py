"""The venue's user channel: by a WebSocket for each signer who has open orders, their changes are heard sooner.

It proves nothing, and nothing needs it. What became of an order is asked over HTTP, whoever has told that it is worth asking.
"""

import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

import msgspec
import trio
from attrs import define, field, frozen

from trio_copy.entropy import Entropy
from trio_copy.errors import ExecutorError
from trio_copy.ports import OpenSocket
from trio_copy_clob.addresses import origin_of
from trio_copy_clob.channel import PONG
from trio_copy_clob.pacing import Growing
from trio_copy_clob.sending.credentials import ApiKey, NoKey, VenueSigner
from trio_copy_clob.sending.open_orders import OpenOrders, Step
from trio_copy_clob.troubles import Troubles
from trio_copy_clob.websocket import PING_S, SILENCE_S, Lost, WebSocket, hold
from trio_copy_clob.wire import EventTypeRow, listed, read

MOST = 50
"""Connections at a time; who finds no room is asked about as if there were no channel."""
_AFTER_S = 1.0
"""What is over within so long needs no connection; and while many orders leave at once, no handshake takes time from them."""
_MESSAGE_BYTES = 1 << 20
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0
_LASTING = 3
"""A connection that is lost comes up again by itself, as a rule; only so many failures in a row are told to a person."""
_STEPS = {"MINED": Step.MINED, "CONFIRMED": Step.ENDED, "FAILED": Step.ENDED}


class _OrderRow(msgspec.Struct):
    id: str


class _MakerRow(msgspec.Struct):
    order_id: str


class _TradeRow(msgspec.Struct):
    status: str
    taker_order_id: str = ""
    maker_orders: list[_MakerRow] | None = None


@define(eq=False, kw_only=True)
class UserChannels:
    url: str
    timeout_s: float
    open_socket: OpenSocket
    tls: Callable[[], ssl.SSLContext]
    entropy: Entropy
    open_orders: OpenOrders
    troubles: Troubles
    _held: set[str] = field(factory=set)
    """Addresses of signers who have a connection, or are about to."""
    _name: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._name = origin_of(self.url).name

    async def listen(self) -> NoReturn:
        """Listen for whoever has open orders, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                for signer in self.open_orders.by_signer:
                    if len(self._held) >= MOST:
                        break
                    if signer.address not in self._held:
                        self._held.add(signer.address)
                        nursery.start_soon(self._listen_for, signer)
                await self.open_orders.by_signer.wait_more()

    async def _listen_for(self, signer: VenueSigner) -> None:
        """Hold a connection for one signer while an order of his is open."""
        pauses = Growing(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        await trio.sleep(_AFTER_S)
        while signer.address in self.open_orders.by_signer:
            try:
                await self._connect(signer, pauses)
            except Lost as lost:
                pause_s = pauses.next_s(self.entropy)
                if pauses.times >= _LASTING:
                    self.troubles.away(self._name, str(lost), signer.address)
                await trio.sleep(pause_s)
                self.open_orders.forget()
        self._held.discard(signer.address)
        self.open_orders.by_signer.tell()  # whoever has found no room

    async def _connect(self, signer: VenueSigner, pauses: Growing) -> None:
        """Listen until no order is open. Raises `Lost`."""
        try:
            key = await signer.key(trio.current_time() + self.timeout_s)
        except ExecutorError as error:  # his guard lets nobody sign who asks
            raise Lost(str(error)) from error
        if isinstance(key, NoKey):
            raise Lost(key.why)
        try:
            await hold(
                self.url,
                partial(self._talk, signer, key, pauses),
                open_socket=self.open_socket,
                tls=self.tls,
                timeout_s=self.timeout_s,
                most_bytes=_MESSAGE_BYTES,
            )
        finally:
            self.open_orders.hear_no_more(signer.address)

    async def _talk(self, signer: VenueSigner, key: ApiKey, pauses: Growing, socket: WebSocket) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ask, signer, key, socket, nursery.cancel_scope)
            while True:
                with trio.move_on_after(SILENCE_S) as silence:
                    frame = await socket.get_message()
                if silence.cancelled_caught:
                    raise Lost(f"silent for {SILENCE_S:g} s")
                if self._hear(signer.address, frame):
                    pauses.start_over()
                    self.troubles.back(self._name, signer.address)

    async def _ask(self, signer: VenueSigner, key: ApiKey, socket: WebSocket, scope: trio.CancelScope) -> None:
        """Say who listens, to all of his markets, and ping until no order of his is open."""
        auth = {"apiKey": key.api_key, "secret": key.secret, "passphrase": key.passphrase}
        await self._send(socket, msgspec.json.encode({"type": "user", "auth": auth}).decode())
        ping_at = trio.current_time() + PING_S
        while signer.address in self.open_orders.by_signer:
            with trio.move_on_at(ping_at):
                await self.open_orders.by_signer.wait_gone(signer.address)
            if trio.current_time() >= ping_at:
                ping_at = trio.current_time() + PING_S
                await self._send(socket, "PING")
                self.open_orders.forget()
        scope.cancel()

    async def _send(self, socket: WebSocket, text: str) -> None:
        with trio.fail_after(self.timeout_s):
            await socket.send_message(text)

    def _hear(self, address: str, frame: str | bytes) -> bool:
        """Take a frame; returns whether it shows that the connection is good. What cannot be read is left out and counted."""
        if frame == PONG:
            return True
        good = False
        try:
            rows = listed(frame.encode() if isinstance(frame, str) else frame)
        except ValueError as error:
            self.troubles.leave_out("a frame of the user channel", error)
            return False
        for row in rows:
            told = told_of(row)
            if isinstance(told, ValueError):
                self.troubles.leave_out("an event of the user channel", told)
                continue
            for order_id in told.orders:
                good |= self.open_orders.hear(address, order_id, told.step)
        return good


@frozen
class Told:
    """What an event tells: of which orders, and how far a trade of theirs is."""

    orders: Sequence[str] = ()
    step: Step = Step.CHANGED


def told_of(event: msgspec.Raw) -> Told | ValueError:
    """Read one event; one of a kind that nobody knows tells nothing."""
    head = read(event, EventTypeRow)
    if isinstance(head, ValueError):
        return head
    match head.event_type:
        case "order":
            order = read(event, _OrderRow)
            return order if isinstance(order, ValueError) else Told((order.id.lower(),))
        case "trade":
            trade = read(event, _TradeRow)
            if isinstance(trade, ValueError):
                return trade
            # Whether our order took or rested, the event does not say at one place.
            named = (trade.taker_order_id, *(one.order_id for one in trade.maker_orders or ()))
            step = _STEPS.get(trade.status.upper().removeprefix("TRADE_STATUS_"), Step.CHANGED)
            return Told([order_id.lower() for order_id in named], step)
        case _:
            return Told()
