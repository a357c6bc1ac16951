"""Whose signatures they are, read by eth-account: other code than an executor's, so that both cannot err alike."""

from collections.abc import Mapping
from typing import Any

from eth_hash.auto import keccak

from trio_copy.model.ids import Address
from trio_copy.recursion import same_recursion_limit

with same_recursion_limit():
    from eth_account import Account
    from eth_account.messages import SignableMessage, encode_typed_data

EXCHANGES: Mapping[str, tuple[str, str]] = {
    "v2": ("0xE111180000d2663C0091e4f400237545B87B996B", "2"),
    "v2-neg-risk": ("0xe2222d279d744050d28e00520010520000310F59", "2"),
    "v3": ("0xe3333700cA9d93003F00f0F71f8515005F6c00Aa", "3"),
}
"""Polygon's contracts, which orders are signed for, and the versions of their domains."""
_AMOY_V3 = "0x9fE6e61422AdB6F610d8597F9684b16912D50C3D"
_AMOY = 80_002
_ATTESTS = "This message attests that I control the given wallet"
_ZERO = "0x" + "0" * 64


def _fields(*declared: str) -> list[dict[str, str]]:
    return [dict(zip(("type", "name"), one.split(), strict=True)) for one in declared]


_ORDER = _fields(
    "uint256 salt",
    "address maker",
    "address signer",
    "uint256 tokenId",
    "uint256 makerAmount",
    "uint256 takerAmount",
    "uint8 side",
    "uint8 signatureType",
    "uint256 timestamp",
    "bytes32 metadata",
    "bytes32 builder",
)
_ORDER_TYPE = b"Order(" + ",".join(f"{one['type']} {one['name']}" for one in _ORDER).encode() + b")"
_NESTED = _fields(
    "Order contents", "string name", "string version", "uint256 chainId", "address verifyingContract", "bytes32 salt"
)
_DOMAIN = _fields("string name", "string version", "uint256 chainId", "address verifyingContract")
_CLOB_AUTH = _fields("address address", "string timestamp", "uint256 nonce", "string message")


def contract_of(exchange: str, chain_id: int) -> str:
    """Return the contract of an exchange, which has to be allowed to take what a wallet gives."""
    return _AMOY_V3 if (exchange, chain_id) == ("v3", _AMOY) else EXCHANGES[exchange][0]


def order_id_of(order: Mapping[str, Any], exchange: str, chain_id: int) -> str:
    """Return the digest of an order, which is its id."""
    return "0x" + _digest(_typed(order, exchange, chain_id)).hex()


def read_signature(
    order: Mapping[str, Any], signature: bytes, exchange: str, chain_id: int
) -> tuple[str, Address | None]:
    """Return an order's id and whose key signed it; None where it is nobody's. One of type 3 is signed for its wallet."""
    plain = _typed(order, exchange, chain_id)
    return "0x" + _digest(plain).hex(), _signer(plain, order, signature, exchange, chain_id)


def attestation_signer(address: str, timestamp: str, nonce: int, signature: bytes, chain_id: int) -> Address | None:
    """Return whose key signed the headers that ask for an API key."""
    message = {
        "types": {"EIP712Domain": _DOMAIN[:3], "ClobAuth": _CLOB_AUTH},
        "primaryType": "ClobAuth",
        "domain": {"name": "ClobAuthDomain", "version": "1", "chainId": chain_id},
        "message": {"address": address, "timestamp": timestamp, "nonce": nonce, "message": _ATTESTS},
    }
    return _recovered(encode_typed_data(full_message=message), signature)


def _signer(
    plain: SignableMessage, order: Mapping[str, Any], signature: bytes, exchange: str, chain_id: int
) -> Address | None:
    if order["signatureType"] != 3:
        return _recovered(plain, signature)
    # The wallet of type 3 unwraps ERC-7739: the key's 65 bytes, the exchange's domain, the order's hash, the order's type
    # as text, and the length of that text. All but the first is what the wallet would compute itself, or it is refused.
    told = plain.header + plain.body + _ORDER_TYPE + len(_ORDER_TYPE).to_bytes(2, "big")
    if signature[65:] != told:
        return None
    wallet = {"name": "DepositWallet", "version": "1", "chainId": chain_id, "verifyingContract": order["maker"]}
    nested = {
        "types": {"EIP712Domain": _DOMAIN, "TypedDataSign": _NESTED, "Order": _ORDER},
        "primaryType": "TypedDataSign",
        "domain": _domain(exchange, chain_id),
        "message": {"contents": order, **wallet, "salt": _ZERO},
    }
    return _recovered(encode_typed_data(full_message=nested), signature[:65])


def _typed(order: Mapping[str, Any], exchange: str, chain_id: int) -> SignableMessage:
    return encode_typed_data(
        full_message={
            "types": {"EIP712Domain": _DOMAIN, "Order": _ORDER},
            "primaryType": "Order",
            "domain": _domain(exchange, chain_id),
            "message": order,
        }
    )


def _domain(exchange: str, chain_id: int) -> dict[str, Any]:
    return {
        "name": "Polymarket CTF Exchange",
        "version": EXCHANGES[exchange][1],
        "chainId": chain_id,
        "verifyingContract": contract_of(exchange, chain_id),
    }


def _digest(message: SignableMessage) -> bytes:
    return keccak(b"\x19" + message.version + message.header + message.body)


def _recovered(message: SignableMessage, signature: bytes) -> Address | None:
    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    try:
        return Address(Account.recover_message(message, signature=signature).lower())
    except Exception:  # whatever the libraries below say of points that are none
        return None
