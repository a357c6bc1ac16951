"""An order of the CLOB: the eleven fields that are signed, and the three that only go over the wire."""

from functools import cache

from attrs import frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.values import value
from trio_copy.native import keccak
from trio_copy_clob.orders.exchanges import Exchange
from trio_copy_clob.orders.words import ZERO_WORD, address_word, to_be_signed, word

EOA, PROXY, SAFE, DEPOSIT_WALLET = range(4)
"""The types of signature: the key's own account, and three kinds of wallets that it signs for."""
ORDER_TYPE = (
    b"Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,uint256 takerAmount,uint8 side,"
    b"uint8 signatureType,uint256 timestamp,bytes32 metadata,bytes32 builder)"
)
_SIDES = {Side.BUY: word(0), Side.SELL: word(1)}


@frozen(kw_only=True)
class Maker:
    """Whose money an order moves, and whose key signs for it."""

    address: Address
    """The wallet; where the type of signature is `EOA`, the key's own address."""
    signature_type: int
    owner: Address
    """The key's address."""

    @property
    def signer(self) -> Address:
        """Who the venue is told has signed: a deposit wallet, which the chain asks about its owner's signature, itself."""
        return self.address if self.signature_type == DEPOSIT_WALLET else self.owner


@value(kw_only=True)
class ClobOrder:
    salt: int
    """Under 2^53: it goes over the wire as a JSON number, and beyond that the venue would read another."""
    maker: Address
    signer: Address
    token_id: TokenId
    maker_amount: int
    """What the maker gives at most, in millionths: of a USD to buy, of a share to sell."""
    taker_amount: int
    """What he wants for all of it at least, in millionths. Both together are the limit; no price is ever sent."""
    side: Side
    signature_type: int
    timestamp: int
    """Milliseconds. It makes orders differ; the venue does not take it for an age."""
    metadata: bytes = ZERO_WORD
    builder: bytes = ZERO_WORD
    # What follows is not signed: two orders that differ here alone have one id.
    expiration: int = 0
    """Unix seconds at which a GTD order ends, a minute of the venue's own included; else 0."""
    order_type: str = "GTC"
    post_only: bool = False
    """Whether it is refused, and not filled, where it would take at once; GTC and GTD only."""


@cache
def order_type_hash() -> bytes:
    return keccak(ORDER_TYPE)


def struct_hash(order: ClobOrder) -> bytes:
    """Return the hash of the signed fields. Raises `OverflowError` where one of them is no uint256."""
    fields = (
        order_type_hash(),
        word(order.salt),
        address_word(order.maker),
        address_word(order.signer),
        word(order.token_id),
        word(order.maker_amount),
        word(order.taker_amount),
        _SIDES[order.side],
        word(order.signature_type),
        word(order.timestamp),
        order.metadata,
        order.builder,
    )
    return keccak(b"".join(fields))


def digest_of(order: ClobOrder, exchange: Exchange) -> bytes:
    """Return the digest of an order, which is what the venue and the chain know it by."""
    return to_be_signed(exchange.separator, struct_hash(order))
