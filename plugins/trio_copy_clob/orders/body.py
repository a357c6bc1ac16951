"""The body of `POST /order`: compact JSON in the order of the official client's fields, frozen before anything is sent.

Everything but the owner is in it, the unsigned fields too: two bodies that differ in one of them would be one order to the
venue, and whichever came first would count. The owner is the id of an API key, which may be renewed while an order waits.
"""

import re

import msgspec

from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId, parse_address
from trio_copy_clob.orders.order import ClobOrder
from trio_copy_clob.orders.words import checksummed

_NO_OWNER = b'"owner":""'
_OWNER = re.compile(r"[0-9A-Za-z._-]{1,128}")
"""What cannot end the JSON text in which it stands."""


def body_of(order: ClobOrder, signature: bytes) -> bytes:
    """Write the body of a signed order, without its owner; see `with_owner`."""
    return (
        f'{{"order":{{"salt":{order.salt},"maker":"{checksummed(order.maker)}","signer":"{checksummed(order.signer)}"'
        f',"tokenId":"{order.token_id}","makerAmount":"{order.maker_amount}","takerAmount":"{order.taker_amount}"'
        f',"side":"{order.side.value}","expiration":"{order.expiration}","signatureType":{order.signature_type}'
        f',"timestamp":"{order.timestamp}","metadata":"0x{order.metadata.hex()}","builder":"0x{order.builder.hex()}"'
        f',"signature":"0x{signature.hex()}"}},"owner":"","orderType":"{order.order_type}","deferExec":false'
        f',"postOnly":{"true" if order.post_only else "false"}}}'
    ).encode()


def with_owner(body: bytes, api_key: str) -> bytes:
    """Return a frozen body as it leaves, with the id of the API key that sends it. Nothing else changes.

    Raises:
        ValueError: the body has no place for an owner, or the id is not one; it is not repeated.
    """
    if not _OWNER.fullmatch(api_key):
        raise ValueError("expected the id of an API key: letters, digits and -")
    before, place, after = body.partition(_NO_OWNER)
    if not place:
        raise ValueError("expected the frozen body of an order, without an owner")
    return b"".join((before, b'"owner":"', api_key.encode(), b'"', after))


class _Fields(msgspec.Struct):
    salt: int
    maker: str
    signer: str
    tokenId: str
    makerAmount: str
    takerAmount: str
    side: Side
    expiration: str
    signatureType: int
    timestamp: str
    metadata: str
    builder: str


class _Body(msgspec.Struct):
    order: _Fields
    orderType: str
    postOnly: bool


_READ = msgspec.json.Decoder(_Body)


def read_body(body: bytes) -> ClobOrder:
    """Return the order of a frozen body. Raises `ValueError` where there is none in it."""
    try:
        return _order_of(_READ.decode(body))
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError(f"expected the frozen body of an order: {error}") from None


def _order_of(read: _Body) -> ClobOrder:
    fields = read.order
    return ClobOrder(
        salt=fields.salt,
        maker=parse_address(fields.maker),
        signer=parse_address(fields.signer),
        token_id=TokenId(int(fields.tokenId)),
        maker_amount=int(fields.makerAmount),
        taker_amount=int(fields.takerAmount),
        side=fields.side,
        signature_type=fields.signatureType,
        timestamp=int(fields.timestamp),
        metadata=bytes.fromhex(fields.metadata[2:]),
        builder=bytes.fromhex(fields.builder[2:]),
        expiration=int(fields.expiration),
        order_type=read.orderType,
        post_only=read.postOnly,
    )
