"""A statement that moves nothing, as a deposit wallet wants it signed: whoever takes this takes its owner's orders as well.

The envelope is that of orders (ERC-7739, see `orders.signing`), and what is in it says who asks, as a level 1 header does.
"""

from trio_copy.model.ids import Address, ChainId
from trio_copy.native import keccak
from trio_copy.ports import Access
from trio_copy_clob.orders.headers import AUTH_TYPE, access_of, auth_separator
from trio_copy_clob.orders.signing import deposit_domain
from trio_copy_clob.orders.words import to_be_signed, word

MAGIC = bytes.fromhex("1626ba7e").ljust(32, b"\0")
"""What a contract answers that takes a signature for its own, ERC-1271."""
_ENVELOPE = b"TypedDataSign(ClobAuth contents,string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"


def nested_access(wallet: Address, owner: Address, timestamp: int, chain_id: ChainId) -> tuple[Access, bytes, bytes]:
    """Return what the owner signs, the digest that the wallet is asked about, and what follows the signature's 65 bytes."""
    said = access_of(owner, timestamp, 0, chain_id)
    contents, separator = said.statement, auth_separator(chain_id)
    envelope = keccak(keccak(_ENVELOPE + AUTH_TYPE) + contents + deposit_domain(wallet, chain_id))
    access = Access(name=said.name, version=said.version, chain_id=chain_id, statement=envelope)
    return access, to_be_signed(separator, contents), separator + contents + AUTH_TYPE + len(AUTH_TYPE).to_bytes(2)


def is_valid_signature(digest: bytes, signature: bytes) -> bytes:
    """Write the call that asks a wallet whether a signature is its own."""
    padded = signature.ljust(-len(signature) // 32 * -32, b"\0")
    return MAGIC[:4] + digest + word(64) + word(len(signature)) + padded
