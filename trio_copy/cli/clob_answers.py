"""What the verbs of `trio-copy clob` answer to a line; by the very functions that an executor sends orders with."""

from collections.abc import Callable
from typing import Any

from trio_copy.cli import clob_lines as lines
from trio_copy.cli.clob_lines import UINT256, Fields, whole
from trio_copy.model.decisions import OrderIntent
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, TokenId
from trio_copy.model.orders import Market
from trio_copy.model.units import MICRO, Price, Ratio, Shares, Usd
from trio_copy.model.venue_amounts import LEAST_PURCHASE
from trio_copy.native import SecretKey
from trio_copy_clob.orders.exchanges import EXCHANGES, exchange_of
from trio_copy_clob.orders.headers import Credentials, hmac_key, l1_headers, l2_headers
from trio_copy_clob.orders.order import DEPOSIT_WALLET, EOA, ClobOrder, Maker
from trio_copy_clob.orders.prepare import prepare
from trio_copy_clob.orders.signing import digests_of, signature_of

_TICK_STEP = 100
"""The venue's prices have four decimals at most: with more, no product of price and shares would be exact."""
_TIME_MOST = 10**11 - 1
_seconds = whole(0, _TIME_MOST, "a time in Unix seconds")
_signature_type = whole(0, 3, "0 for the key's own account, 1 for a proxy, 2 for a Safe, 3 for a deposit wallet")
_exchange = lines.one_of(*EXCHANGES)
_uint256 = whole(0, UINT256, "a whole number under 2^256")
_salt = whole(0, 2**53 - 1, "a whole number under 2^53, which a JSON number can hold")
_tick = lines.micro(_TICK_STEP, MICRO // 2, "a tick, a multiple of 0.0001 up to 0.5", _TICK_STEP)
_price = lines.micro(0, MICRO, "a price from 0 to 1, with at most 6 decimals")
_rate = lines.micro(0, MICRO, "a rate from 0 to 1, with at most 6 decimals")
_exponent = whole(0, 8, "an exponent from 0 to 8")


def answer_sign(fields: Fields, key: SecretKey, chain_id: int) -> dict[str, Any]:
    """Return digest and signature of an order."""
    exchange = exchange_of(fields.take("exchange", _exchange), chain_id)
    order = ClobOrder(
        salt=fields.take("salt", _salt),
        maker=fields.take("maker", lines.address),
        signer=fields.take("signer", lines.address),
        token_id=TokenId(fields.take("token_id", _uint256)),
        maker_amount=fields.take("maker_amount", _uint256),
        taker_amount=fields.take("taker_amount", _uint256),
        side=fields.take("side", lines.side),
        signature_type=fields.take("signature_type", _signature_type),
        timestamp=fields.take("timestamp", _uint256),
        metadata=fields.take("metadata", lines.word),
        builder=fields.take("builder", lines.word),
    )
    fields.end()
    _expect_signer(fields, order, key)
    digests = digests_of(order, exchange)
    signature = signature_of(order, exchange, digests, key.sign(digests.to_sign))
    return {"digest": f"0x{digests.order_id.hex()}", "signature": f"0x{signature.hex()}"}


def _expect_signer(fields: Fields, order: ClobOrder, key: SecretKey) -> None:
    if order.signature_type == DEPOSIT_WALLET:
        signer, whose = order.maker, "the maker, which is asked about its owner's signature"
    else:
        signer, whose = key.address, "the key's address"
    if order.signer != signer:
        fields.refuse("signer", f"expected {signer}, {whose}, got {order.signer}")


def answer_headers(fields: Fields, find_key: Callable[[], SecretKey], chain_id: int) -> dict[str, str]:
    """Return the headers of level 1 or 2; the key is asked for where it is needed."""
    level, time = fields.take("level", whole(1, 2, "1 or 2")), fields.take("timestamp", _seconds)
    if level == 1:
        nonce = fields.take("nonce", _uint256)
        fields.end()
        key = find_key()
        return l1_headers(key.address, key.sign, time, nonce, chain_id)
    method, path = fields.take("method", _header_word), fields.take("path", _path)
    body = fields.take("body", _body)
    secret = fields.take("secret", _base64)
    address = fields.take("address", lines.address)
    named = {name: fields.take(name, lines.secret) for name in ("api_key", "passphrase")}
    fields.end()
    try:
        credentials = Credentials(address=address, secret=secret, **named)
    except ValueError as error:
        name, _, why = str(error).partition(": ")
        fields.refuse(name, why)
    return l2_headers(credentials, time, method, path, body)


def answer_prepare(fields: Fields, key: SecretKey, chain_id: int) -> dict[str, str]:
    """Return id, shares and body of the order that an intent becomes."""
    intent_key = IntentKey(fields.take("key", lines.hex64))
    side, token_id = fields.take("side", lines.side), TokenId(fields.take("token_id", _uint256))
    price = Price(fields.take("limit_price", _price))
    intent = OrderIntent(
        side=side,
        token_id=token_id,
        shares=Shares(fields.take("shares", lines.amount("shares"))),
        price=price,
        limit_price=price,
        max_cost=Usd(_max_cost(fields, side)),
        order_type=fields.take("order_type", lines.one_of("FAK", "FOK", "GTC", "GTD")),
        rest_until=fields.take_or("rest_until", 0, _seconds),
    )
    market = Market(
        token_id=token_id,
        exchange=fields.take("exchange", _exchange),
        tick=Price(fields.take("tick", _tick)),
        minimum=Shares(fields.take("minimum", lines.amount("shares"))),
        least_cost=LEAST_PURCHASE,
        fee_bps=0,
        fee_rate=Ratio(fields.take_or("fee_rate", 0, _rate)),
        fee_exponent=fields.take_or("fee_exponent", 1, _exponent),
    )
    signature_type = fields.take("signature_type", _signature_type)
    maker = Maker(address=fields.take("maker", lines.address), signature_type=signature_type, owner=key.address)
    leader_time, post_only = fields.take("leader_time", _seconds), fields.take_or("post_only", False, lines.yes_or_no)
    fields.end()
    if maker.signature_type == EOA and maker.address != key.address:
        fields.refuse("maker", f"expected {key.address}, the key's address, for signature type 0, got {maker.address}")
    try:
        made = prepare(intent_key, intent, maker, market, leader_time, key.sign, post_only=post_only, chain_id=chain_id)
    except ValueError as error:
        fields.refuse("post_only", str(error))
    return {"order_id": made.order_id, "shares": str(made.shares), "body": made.body.decode()}


def _max_cost(fields: Fields, side: Side) -> int:
    """Read what a BUY may cost; a SELL costs nothing."""
    usd = lines.amount("USD")
    return fields.take("max_cost", usd) if side is Side.BUY else fields.take_or("max_cost", 0, usd)


def _header_word(value: object) -> str:
    text = lines.secret(value)
    if not text.isascii() or not text.isprintable() or not text:
        raise ValueError("expected a method, such as GET")
    return text


def _path(value: object) -> str:
    text = lines.secret(value)
    if not text.startswith("/") or not text.isprintable() or "?" in text or "#" in text:
        raise ValueError("expected a path that begins with /, without a query: that is not signed")
    return text


def _body(value: object) -> bytes | None:
    return None if value is None else lines.secret(value).encode()


def _base64(value: object) -> str:
    text = lines.secret(value)
    try:
        hmac_key(text)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("secret: ")) from None
    return text
