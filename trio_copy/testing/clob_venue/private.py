"""What the venue does for whoever has an API key."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
from attrs import define, frozen

from trio_copy.model.ids import TokenId
from trio_copy.model.units import decimal_string
from trio_copy.testing.clob_venue.admission import check_mode, exchange_of
from trio_copy.testing.clob_venue.api_keys import ApiKey
from trio_copy.testing.clob_venue.core import ClobVenue
from trio_copy.testing.clob_venue.faults import OrderAnswer, Standing
from trio_copy.testing.clob_venue.placed import Placed
from trio_copy.testing.clob_venue.posted import Posted, read_order, read_orders
from trio_copy.testing.clob_venue.refusals import Refused
from trio_copy.testing.clob_venue.settling import Trade
from trio_copy.testing.clob_venue.signatures import order_id_of
from trio_copy.testing.clob_venue.wire import Row, answer_row, order_row, refused_row, trade_row

_MOST_POSTED, _MOST_CANCELED = 15, 1000
_START, _END = "MA==", "LTE="
_PAGE = 100
_ERROR_IN_SUCCESS = "not enough balance / allowance"
_T = TypeVar("_T")


@frozen(kw_only=True)
class Call:
    """A request of somebody whose headers are right."""

    key: ApiKey
    path: str
    query: Mapping[str, str]
    body: bytes


class _Cancel(msgspec.Struct):
    orderID: str


class _CancelMarket(msgspec.Struct):
    market: str = ""
    asset_id: str = ""


class _Beat(msgspec.Struct):
    heartbeat_id: str | None = ""


@define(eq=False)
class PrivateSide:
    venue: ClobVenue

    def route(self, method: str, path: str) -> Callable[[Call], object] | None:
        """Return who answers; None where nobody does."""
        if method == "GET" and path.startswith("/data/order/"):
            return self._order
        return {
            "GET /auth/api-keys": lambda call: {
                "apiKeys": [key.key for key in self.venue.keys.of_address(call.key.address)]
            },
            "DELETE /auth/api-key": self._forget,
            "GET /auth/ban-status/closed-only": self._closed_only,
            "GET /v1/user/rate-limit-tier": lambda call: self.venue.limits.tier(),
            "POST /v1/heartbeats": self._beat,
            "GET /balance-allowance": lambda call: self._balance(call, anew=False),
            "GET /balance-allowance/update": lambda call: self._balance(call, anew=True),
            "GET /data/orders": self._orders,
            "GET /data/trades": self._trades,
            "POST /order": self._post,
            "POST /orders": self._post_several,
            "DELETE /order": self._cancel,
            "DELETE /orders": self._cancel_several,
            "DELETE /cancel-all": lambda call: self._cancel_open(call, lambda placed: True),
            "DELETE /cancel-market-orders": self._cancel_market,
        }.get(f"{method} {path}")

    def ids_in(self, method: str, path: str, body: bytes) -> tuple[str, ...]:
        """Return the ids of the orders that a body is about, as far as it can be read."""
        try:
            if (method, path) == ("DELETE", "/order"):
                return (_read(body, _Cancel).orderID,)
            if (method, path) == ("DELETE", "/orders"):
                return tuple(_read(body, list[str]))
            posted = read_order(body)
        except Refused:
            return ()
        fact = self.venue.market.facts.get(posted.token_id)
        return () if fact is None else (order_id_of(posted.fields, exchange_of(fact), self.venue.chain_id),)

    def _post(self, call: Call) -> Row:
        # What is known before the payload was read comes before it: a venue that is closed does not look at orders.
        check_mode(self.venue.faults.mode)
        self.venue.limits.take(call.key.address, "orders", 1)
        return self._take(read_order(call.body), call.key)

    def _take(self, posted: Posted, key: ApiKey) -> Row:
        faults = self.venue.faults
        check_mode(faults.mode, post_only=posted.post_only)
        if faults.order_answer is OrderAnswer.ERROR:
            return refused_row(faults.text or _ERROR_IN_SUCCESS)
        return answer_row(self.venue.trading.post(posted, key), faults.order_answer)

    def _post_several(self, call: Call) -> list[Row]:
        check_mode(self.venue.faults.mode)
        posted = read_orders(call.body, _MOST_POSTED)
        self.venue.limits.take(call.key.address, "orders", len(posted))
        rows = []
        for one in posted:
            try:
                rows.append(self._take(one, call.key))
            except Refused as refusal:
                rows.append(refused_row(refusal.text))
        return rows

    def _cancel(self, call: Call) -> dict[str, object]:
        order_id = _read(call.body, _Cancel).orderID
        return self._cancel_ids(call, [order_id])

    def _cancel_several(self, call: Call) -> dict[str, object]:
        order_ids = _read(call.body, list[str])
        if len(order_ids) > _MOST_CANCELED:
            raise Refused(400, f"Too many orders in payload: {len(order_ids)}, max allowed: {_MOST_CANCELED}")
        return self._cancel_ids(call, order_ids)

    def _cancel_ids(self, call: Call, order_ids: Sequence[str]) -> dict[str, object]:
        check_mode(self.venue.faults.mode)
        for order_id in order_ids:
            if len(order_id) != 66 or not order_id.startswith("0x"):
                raise Refused(400, "Invalid orderID")
        self.venue.limits.take(call.key.address, "cancels", len(order_ids))
        return self.venue.trading.cancel(call.key, order_ids)

    def _cancel_market(self, call: Call) -> dict[str, object]:
        asked = _read(call.body, _CancelMarket)

        def meant(placed: Placed) -> bool:
            fact = self.venue.market.facts[placed.posted.token_id]
            return asked.market in ("", fact.condition_id) and asked.asset_id in ("", str(fact.token_id))

        return self._cancel_open(call, meant)

    def _cancel_open(self, call: Call, meant: Callable[[Placed], bool]) -> dict[str, object]:
        check_mode(self.venue.faults.mode)
        found = [one.order_id for one in self.venue.orders.open_of(call.key.address) if meant(one)]
        self.venue.limits.take(call.key.address, "cancels", 1 + len(found), may_owe=True)
        return self.venue.trading.cancel(call.key, found)

    def _order(self, call: Call) -> Row | None:
        placed = self.venue.orders.by_id.get(call.path.rsplit("/", 1)[1].lower())
        # An instant order that was matched is not among the orders any more; only its trades tell of it.
        if placed is None or placed.key.address != call.key.address or (placed.posted.instant and not placed.is_open):
            return None
        return self._order_row(placed)

    def _orders(self, call: Call) -> Row:
        query = call.query
        found = self.venue.orders.of(call.key.address)
        wanted = query.get("id", "").lower()
        found = [one for one in found if (one.order_id == wanted if wanted else one.is_open)]
        rows = [self._order_row(one) for one in found]
        return _page([row for row in rows if _fits(row, query)], query)

    def _order_row(self, placed: Placed) -> Row:
        row = order_row(placed, self.venue.market.facts[placed.posted.token_id])
        return self._prefixed({**row, **self._counted_late(placed)}, "ORDER_STATUS_")

    def _counted_late(self, placed: Placed) -> Row:
        """Write what is counted of an order by now, where that is less than was matched."""
        venue = self.venue
        trades = [venue.settlement.trades[trade_id] for trade_id in placed.trade_ids]
        late = [trade for trade in trades if venue.now() - trade.at < venue.faults.counts_lag_s]
        if not late:
            return {}
        missing = sum(trade.shares_of(placed.order_id) for trade in late)
        counted = [trade.trade_id for trade in trades if trade not in late]
        return {"size_matched": decimal_string(placed.shares - missing), "associate_trades": counted}

    def _prefixed(self, row: Row, prefix: str) -> Row:
        return {**row, "status": prefix + row["status"]} if self.venue.faults.prefixed else row

    def _trades(self, call: Call) -> Row:
        query, venue = call.query, self.venue
        after, before = (int(query[name]) if query.get(name) else None for name in ("after", "before"))
        wallet = query.get("maker_address", "").lower()

        def meant(trade: Trade) -> bool:
            at = int(trade.matched_at)
            wallets = {trade.taker_wallet, *(maker.wallet for maker in trade.makers)}
            return (
                venue.now() - trade.at >= venue.faults.trades_lag_s
                and venue.now() >= trade.told_at
                and (after is None or at > after)
                and (before is None or at < before)
                and (not wallet or wallet in wallets)
                and query.get("id", "") in ("", trade.trade_id)
            )

        found = [trade for trade in reversed(venue.settlement.trades_of(call.key.address)) if meant(trade)]
        rows = [trade_row(trade, call.key.address, venue.market.facts) for trade in found]
        return _page([self._prefixed(row, "TRADE_STATUS_") for row in rows if _fits(row, query)], query)

    def _balance(self, call: Call, *, anew: bool) -> Row:
        query = call.query
        kind = query.get("asset_type", "")
        if kind not in ("COLLATERAL", "CONDITIONAL", "CONDITIONAL-V2"):
            raise Refused(400, "Invalid asset type")
        if query.get("signature_type", "0") not in ("0", "1", "2", "3"):
            raise Refused(400, "Invalid signature_type")
        asset = None
        if kind != "COLLATERAL":
            token = query.get("token_id", "")
            if not (token.isascii() and token.isdigit()):
                raise Refused(400, "Invalid token id")
            asset = TokenId(int(token))
        return self.venue.wallets.balance(call.key.address, int(query.get("signature_type", "0")), asset, anew=anew)

    def _beat(self, call: Call) -> Row:
        beat = _read(call.body, _Beat).heartbeat_id or ""
        return {"heartbeat_id": self.venue.heartbeats.beat(call.key, beat)}

    def _forget(self, call: Call) -> str:
        self.venue.keys.forget(call.key)
        return "OK"

    def _closed_only(self, call: Call) -> Row:
        wallets = [wallet.standing for wallet in self.venue.wallets if wallet.owner == call.key.address]
        return {"closed_only": Standing.CLOSED_ONLY in (self.venue.faults.standing, *wallets)}


def _read(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        raise Refused(400, "Invalid payload") from None


def _fits(row: Row, query: Mapping[str, str]) -> bool:
    """Tell whether a row is of the market and token that were asked for: of a trade, those of its taker."""
    return all(not query.get(name) or row[name] == query[name] for name in ("market", "asset_id"))


def _page(rows: list[Row], query: Mapping[str, str]) -> Row:
    """Cut out one page, and tell where the next one begins."""
    try:
        at = int(b64decode(query.get("next_cursor") or _START, validate=True))
    except (Base64Error, ValueError):
        raise Refused(400, "Invalid payload") from None
    if at < 0:
        return {"data": [], "next_cursor": _END, "limit": _PAGE, "count": 0}
    following = at + _PAGE
    cursor = b64encode(str(following).encode()).decode() if following < len(rows) else _END
    page = rows[at:following]
    return {"data": page, "next_cursor": cursor, "limit": _PAGE, "count": len(page)}
