"""The digest of a statement that moves nothing: of a domain that names no contract, which no exchange takes for its own."""

from trio_copy.native import keccak
from trio_copy.ports.signing import Access

_DOMAIN = keccak(b"EIP712Domain(string name,string version,uint256 chainId)")


def digest_of(access: Access) -> bytes:
    """Return what is signed. Raises `ValueError` where the statement is no hash."""
    if len(access.statement) != 32:
        raise ValueError(f"expected a statement of 32 bytes, got a length of {len(access.statement)}")
    parts = (_DOMAIN, keccak(access.name.encode()), keccak(access.version.encode()), access.chain_id.to_bytes(32))
    return keccak(b"\x19\x01" + keccak(b"".join(parts)) + access.statement)
