"""From an intent to the bytes that leave: the same on every instance, because nothing in them is drawn or read from a clock."""

from collections.abc import Callable

from trio_copy.model.decisions import OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, OrderId, salt
from trio_copy.model.orders import Market
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Shares, Usd
from trio_copy.model.values import value
from trio_copy.model.venue_amounts import fit
from trio_copy_clob.orders.body import body_of
from trio_copy_clob.orders.exchanges import POLYGON, Exchange, exchange_of
from trio_copy_clob.orders.order import ClobOrder, Maker
from trio_copy_clob.orders.signing import Digests, digests_of, signature_of

_MS = 1000
_NO_ID = OrderId("")
_GRACE_S = 60
"""So long before its expiration the venue ends a GTD order."""
_RESTS = ("GTC", "GTD")


@value(kw_only=True)
class Draft:
    """An order that only lacks its signature: what a guard of the key looks at."""

    order: ClobOrder
    exchange: Exchange
    digests: Digests
    shares: Shares
    limit_price: Price
    cash: Usd
    """What a BUY may spend, or a SELL has to bring, before fees."""

    @property
    def order_id(self) -> OrderId:
        return OrderId(f"0x{self.digests.order_id.hex()}")

    def body(self, signed: bytes) -> bytes:
        """Return the frozen body, from the key's signature of `digests.to_sign`."""
        return body_of(self.order, signature_of(self.order, self.exchange, self.digests, signed))


@value(kw_only=True)
class Prepared:
    """An order as it is frozen; of no shares, no id and no body where the venue's rules left nothing of the intent."""

    order_id: OrderId = _NO_ID
    shares: Shares = NO_SHARES
    limit_price: Price
    cash: Usd = NO_USD
    body: bytes = b""
    """Without its owner: see `with_owner`."""
    why: Reason | None = None
    """Which rule left nothing."""


def draft(
    key: IntentKey,
    intent: OrderIntent,
    maker: Maker,
    market: Market,
    leader_time: int,
    *,
    post_only: bool = False,
    chain_id: int = POLYGON,
) -> Draft | Reason:
    """Fit an intent into the venue's rules and write its order, or say why nothing is left of it.

    Args:
        leader_time: Unix seconds of the block of the leader's trade.

    Raises:
        ValueError: there is no such exchange, the market is another token's, or an order that takes shall be post-only.
    """
    if post_only and intent.order_type not in _RESTS:
        raise ValueError(f"expected GTC or GTD for an order that only makes, got {intent.order_type}")
    if intent.token_id != market.token_id:
        # It says which exchange the order is for; at another one nobody would ever fill it.
        raise ValueError(f"expected the market of token {intent.token_id}, got that of {market.token_id}")
    exchange = exchange_of(market.exchange, chain_id)
    fitted = fit(intent, market)
    if isinstance(fitted, Reason):
        return fitted
    shares, cash = fitted.shares.micro, fitted.cash.micro
    gives, gets = (cash, shares) if intent.side is Side.BUY else (shares, cash)
    ends_at = intent.rest_until if intent.order_type == "GTD" else 0
    order = ClobOrder(
        salt=salt(key),
        maker=maker.address,
        signer=maker.signer,
        token_id=intent.token_id,
        maker_amount=gives,
        taker_amount=gets,
        side=intent.side,
        signature_type=maker.signature_type,
        # Behind the block and not after it: a time to come might be refused. Spread over the second, because the leader's
        # other trades of that block are copied with the same time else.
        timestamp=leader_time * _MS - int(key, 16) % _MS,
        expiration=ends_at + _GRACE_S if ends_at else 0,
        order_type=intent.order_type,
        post_only=post_only,
    )
    return Draft(
        order=order,
        exchange=exchange,
        digests=digests_of(order, exchange),
        shares=fitted.shares,
        limit_price=fitted.limit_price,
        cash=fitted.cash,
    )


def prepare(
    key: IntentKey,
    intent: OrderIntent,
    maker: Maker,
    market: Market,
    leader_time: int,
    sign: Callable[[bytes], bytes],
    *,
    post_only: bool = False,
    chain_id: int = POLYGON,
) -> Prepared:
    """Size, build, sign and freeze an order. Pure as long as `sign` is: the same arguments give the same bytes.

    Raises:
        ValueError: as `draft` does.
    """
    drafted = draft(key, intent, maker, market, leader_time, post_only=post_only, chain_id=chain_id)
    if isinstance(drafted, Reason):
        return Prepared(limit_price=intent.limit_price, why=drafted)
    return Prepared(
        order_id=drafted.order_id,
        shares=drafted.shares,
        limit_price=drafted.limit_price,
        cash=drafted.cash,
        body=drafted.body(sign(drafted.digests.to_sign)),
    )
