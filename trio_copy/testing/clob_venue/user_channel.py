"""The venue's user channel: a WebSocket that tells each client what becomes of his orders and trades."""

import msgspec
from attrs import define, field

from trio_copy.model.ids import Address
from trio_copy.testing.clob_venue.api_keys import ApiKeys
from trio_copy.testing.clob_venue.books import TradedVenue
from trio_copy.testing.clob_venue.faults import ClobFaults
from trio_copy.testing.clob_venue.placed import Placed
from trio_copy.testing.clob_venue.settling import Trade
from trio_copy.testing.clob_venue.wire import Row, order_event, trade_event
from trio_copy.testing.market_server.listening import Listener, ListeningSide


@define
class _Told:
    """What somebody wants to hear."""

    signer: Address
    markets: set[str]
    """Questions; all, where there are none."""


class _Auth(msgspec.Struct):
    apiKey: str
    secret: str
    passphrase: str


class _Asked(msgspec.Struct):
    auth: _Auth | None = None
    operation: str = "subscribe"
    markets: list[str] = []


@define(eq=False, kw_only=True)
class UserChannel(ListeningSide):
    venue: TradedVenue
    keys: ApiKeys
    faults: ClobFaults
    _told: dict[Listener, _Told] = field(factory=dict)

    def hear(self, listener: Listener, message: str | bytes) -> None:
        asked = msgspec.json.decode(message, type=_Asked)
        told = self._told.get(listener)
        if told is None:
            auth = asked.auth
            key = None if auth is None else self.keys.known(auth.apiKey, auth.secret, auth.passphrase)
            if key is None:
                listener.scope.cancel()  # the real one hangs up too, and does not say why
                return
            self._told = {known: one for known, one in self._told.items() if known in self._listeners}
            self._told[listener] = _Told(key.address, set(asked.markets))
        elif asked.operation == "unsubscribe":
            told.markets -= set(asked.markets)
        else:
            told.markets |= set(asked.markets)

    def order_changed(self, placed: Placed, what: str) -> None:
        """Tell the owner of an order what happened to it."""
        fact = self.venue.facts[placed.posted.token_id]
        self._tell(placed.key.address, fact.condition_id, order_event(placed, fact, what, self.venue.now()))

    def trade_changed(self, trade: Trade) -> None:
        """Tell everybody in a trade of its step."""
        condition = self.venue.facts[trade.token_id].condition_id
        for signer in sorted(trade.signers):
            self._tell(signer, condition, trade_event(trade, signer, self.venue.facts, self.venue.now()))

    def _tell(self, signer: Address, condition: str, row: Row) -> None:
        if self.faults.mute_user_channel or self.faults.deaf:
            return
        frame = msgspec.json.encode(row).decode()
        for listener in self._listeners:
            told = self._told.get(listener)
            if told is not None and told.signer == signer and (not told.markets or condition in told.markets):
                listener.push(frame)
