"""What a key signs of an order, and what the venue takes for the order's signature.

Of a deposit wallet that is ERC-7739's nested signature: its owner signs the order inside an envelope that names the wallet,
so that the signature is worth nothing at another wallet of the same owner. The wallet's contract rebuilds the envelope from
what is appended to the 65 bytes: domain, hash and type of the order.
"""

from functools import cache, lru_cache

from trio_copy.model.ids import Address, ChainId
from trio_copy.model.values import value
from trio_copy.native import keccak
from trio_copy_clob.orders.exchanges import Exchange
from trio_copy_clob.orders.order import DEPOSIT_WALLET, ORDER_TYPE, ClobOrder, struct_hash
from trio_copy_clob.orders.words import ZERO_WORD, address_word, to_be_signed, word

ENVELOPE_TYPE = (
    b"TypedDataSign(Order contents,string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
    + ORDER_TYPE
)
_CONTENTS_TYPE = ORDER_TYPE + len(ORDER_TYPE).to_bytes(2)
_WALLETS = 16_384


@value
class Digests:
    """The three hashes of an order."""

    contents: bytes
    """Of its signed fields."""
    order_id: bytes
    """The same on one exchange: what the venue and the chain know it by."""
    to_sign: bytes
    """What the key signs: the order's id, but for a deposit wallet."""


def digests_of(order: ClobOrder, exchange: Exchange) -> Digests:
    """Reckon the hashes of an order. Raises `OverflowError` where a field of it is no uint256."""
    return digests_at(exchange, order, struct_hash(order))


def digests_at(exchange: Exchange, order: ClobOrder, contents: bytes) -> Digests:
    """Reckon them from the hash of the order's signed fields, which is the same at every exchange."""
    order_id = to_be_signed(exchange.separator, contents)
    if order.signature_type != DEPOSIT_WALLET:
        return Digests(contents, order_id, order_id)
    envelope = keccak(_envelope_type_hash() + contents + deposit_domain(order.maker, exchange.chain_id))
    return Digests(contents, order_id, to_be_signed(exchange.separator, envelope))


def signature_of(order: ClobOrder, exchange: Exchange, digests: Digests, signed: bytes) -> bytes:
    """Return the signature that goes to the venue, from the 65 bytes with which the key has signed `digests.to_sign`."""
    if order.signature_type != DEPOSIT_WALLET:
        return signed
    return signed + exchange.separator + digests.contents + _CONTENTS_TYPE


@cache
def _envelope_type_hash() -> bytes:
    return keccak(ENVELOPE_TYPE)


@lru_cache(maxsize=_WALLETS)
def deposit_domain(wallet: Address, chain_id: ChainId) -> bytes:
    """Return what stands behind the hash of what is signed, in the envelope of a deposit wallet: its words, unhashed."""
    return b"".join((keccak(b"DepositWallet"), keccak(b"1"), word(chain_id), address_word(wallet), ZERO_WORD))
