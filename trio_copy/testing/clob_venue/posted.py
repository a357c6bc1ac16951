"""An order as a client posts it: read strictly, for what the venue does not understand it does not take."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from attrs import frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.testing.clob_venue.refusals import INVALID_PAYLOAD, Refused

_MOST_SALT = 2**53 - 1
_MOST = 2**128
"""Of amounts and the like: what lies above is no order, but numbers that cost time."""


class _Order(msgspec.Struct, frozen=True):
    salt: int
    maker: str
    signer: str
    tokenId: str
    makerAmount: str
    takerAmount: str
    side: Literal["BUY", "SELL"]
    signatureType: Literal[0, 1, 2, 3]
    timestamp: str
    metadata: str
    builder: str
    signature: str
    expiration: str = "0"


class _Body(msgspec.Struct, frozen=True):
    order: _Order
    owner: str
    orderType: Literal["GTC", "GTD", "FOK", "FAK"]
    deferExec: bool = False
    postOnly: bool = False


@frozen(kw_only=True)
class Posted:
    salt: int
    maker: str
    signer: str
    token_id: TokenId
    maker_amount: int
    taker_amount: int
    side: Side
    signature_type: int
    timestamp_ms: int
    metadata: str
    builder: str
    signature: bytes
    expiration: int
    """Unix seconds; 0 for none."""
    owner: str
    """The id of an API key."""
    order_type: str
    post_only: bool

    @property
    def instant(self) -> bool:
        return self.order_type in ("FAK", "FOK")

    @property
    def buys(self) -> bool:
        return self.side is Side.BUY

    @property
    def shares(self) -> int:
        return self.taker_amount if self.buys else self.maker_amount

    @property
    def cash(self) -> int:
        return self.maker_amount if self.buys else self.taker_amount

    @property
    def fields(self) -> Mapping[str, Any]:
        """The eleven fields that are signed, by the names of their type."""
        return {
            "salt": self.salt,
            "maker": self.maker,
            "signer": self.signer,
            "tokenId": self.token_id,
            "makerAmount": self.maker_amount,
            "takerAmount": self.taker_amount,
            "side": 0 if self.buys else 1,
            "signatureType": self.signature_type,
            "timestamp": self.timestamp_ms,
            "metadata": self.metadata,
            "builder": self.builder,
        }


def read_order(body: bytes) -> Posted:
    """Read the body of `POST /order`. Refuses what is none by 400."""
    try:
        posted = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        raise Refused(400, INVALID_PAYLOAD) from None
    return _checked(posted)


def read_orders(body: bytes, most: int) -> list[Posted]:
    """Read the body of `POST /orders`. Refuses by 400 what is none, or has too many."""
    try:
        posted = msgspec.json.decode(body, type=list[_Body])
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        raise Refused(400, INVALID_PAYLOAD) from None
    if len(posted) > most:
        raise Refused(400, f"Too many orders in payload: {len(posted)}, max allowed: {most}")
    return [_checked(one) for one in posted]


def _checked(body: _Body) -> Posted:
    order = body.order
    return Posted(
        salt=_within(order.salt, _MOST_SALT),
        maker=_hexadecimal(order.maker, 20),
        signer=_hexadecimal(order.signer, 20),
        token_id=TokenId(_number(order.tokenId, 2**256, "Invalid token id")),
        maker_amount=_number(order.makerAmount),
        taker_amount=_number(order.takerAmount),
        side=Side(order.side),
        signature_type=order.signatureType,
        timestamp_ms=_number(order.timestamp),
        metadata=_hexadecimal(order.metadata, 32),
        builder=_hexadecimal(order.builder, 32),
        signature=bytes.fromhex(_hexadecimal(order.signature)[2:]),
        expiration=_number(order.expiration),
        owner=body.owner,
        order_type=body.orderType,
        post_only=body.postOnly,
    )


def _within(number: int, most: int) -> int:
    if not 0 <= number <= most:
        raise Refused(400, INVALID_PAYLOAD)
    return number


def _number(text: str, most: int = _MOST, refusal: str = INVALID_PAYLOAD) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 80 and int(text) < most):
        raise Refused(400, refusal)
    return int(text)


def _hexadecimal(text: str, size: int | None = None) -> str:
    try:
        read = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise Refused(400, INVALID_PAYLOAD) from None
    if not text.startswith("0x") or (size is not None and len(read) != size):
        raise Refused(400, INVALID_PAYLOAD)
    return text
