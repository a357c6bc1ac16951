"""What wallets ask to be carried, read as strictly as the contracts would, and who signed it.

Read and hashed by other code than an executor's (eth-abi, eth-account), so that both cannot err alike.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from attrs import frozen
from eth_abi.abi import decode
from eth_abi.packed import encode_packed
from eth_hash.auto import keccak

from trio_copy.model.ids import Address, parse_address
from trio_copy.recursion import same_recursion_limit
from trio_copy.testing.relayer.refusals import BAD_SIGNATURE, INVALID, Refused

with same_recursion_limit():
    from eth_account import Account
    from eth_account.messages import SignableMessage, encode_defunct, encode_typed_data

_MULTI_SEND = keccak(b"multiSend(bytes)")[:4]
_PROXY_TYPES = ["(uint8,address,uint256,bytes)[]"]
_LONGEST_METADATA = 500
_MOST_CALLS = 100
_SAFE_TX = (
    "address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,"
    "address gasToken,address refundReceiver,uint256 nonce"
)
_BATCH = "address wallet,uint256 nonce,uint256 deadline,Call[] calls"
_CALL = "address target,uint256 value,bytes data"


@frozen
class Inner:
    """A call that a wallet makes."""

    to: Address
    value: int
    data: bytes


@frozen(kw_only=True)
class Submitted:
    kind: str
    """SAFE, PROXY or WALLET."""
    owner: Address
    wallet: Address
    nonce: int
    signature: bytes
    """As it stands in the request: of a Safe with a last byte of 31 or 32."""
    to: Address
    data: bytes = b""
    value: int = 0
    operation: int = 0
    calls: tuple[Inner, ...] = ()
    deadline: int = 0
    gas_limit: int = 0
    relay: Address | None = None
    hub: Address | None = None


class _SafeParams(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    base_gas: str
    gas_price: str
    gas_token: str
    operation: str
    refund_receiver: str
    safe_txn_gas: str


class _ProxyParams(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    gas_limit: str
    gas_price: str
    relay: str
    relay_hub: str
    relayer_fee: str


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    target: str
    value: str
    data: str


class _DepositParams(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    deposit_wallet: str
    deadline: str
    calls: list[_Call]


class _Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    type: str
    owner: str = msgspec.field(name="from")
    to: str
    nonce: str
    signature: str
    metadata: str = ""
    proxy_wallet: str | None = None
    data: str = "0x"
    value: str = "0"
    signature_params: msgspec.Raw = msgspec.Raw(b"null")
    deposit_wallet_params: _DepositParams | None = None


def read_submitted(body: bytes) -> Submitted:
    """Read a request. Raises `Refused` for one that is none."""
    try:
        told = msgspec.json.decode(body, type=_Body)
        read = {"SAFE": _of_safe, "PROXY": _of_proxy, "WALLET": _of_deposit_wallet}[told.type]
        common: dict[str, Any] = {
            "kind": told.type,
            "owner": parse_address(told.owner),
            "nonce": int(told.nonce),
            "to": parse_address(told.to),
            "signature": _hex(told.signature),
        }
        submitted = Submitted(**common, **read(told))
    except Exception:
        raise Refused(400, INVALID) from None  # a body is whatever a stranger writes
    if len(told.metadata) > _LONGEST_METADATA or not 0 < len(submitted.calls) <= _MOST_CALLS:
        raise Refused(400, INVALID)
    return submitted


def _of_safe(told: _Body) -> dict[str, Any]:
    params = msgspec.json.decode(told.signature_params, type=_SafeParams)
    nothing = {params.base_gas, params.gas_price, params.safe_txn_gas}
    if nothing != {"0"} or {int(params.gas_token, 16), int(params.refund_receiver, 16)} != {0}:
        raise ValueError("gas")
    data, to, value = _hex(told.data), parse_address(told.to), int(told.value)
    operation = {"0": 0, "1": 1}[params.operation]
    calls = _in_multi_send(data) if operation else (Inner(to, value, data),)
    wallet = parse_address(told.proxy_wallet or "")
    return {"wallet": wallet, "data": data, "value": value, "operation": operation, "calls": calls}


def _of_proxy(told: _Body) -> dict[str, Any]:
    params = msgspec.json.decode(told.signature_params, type=_ProxyParams)
    if {params.gas_price, params.relayer_fee} != {"0"}:
        raise ValueError("gas")
    data = _hex(told.data)
    (rows,) = decode(_PROXY_TYPES, data[4:])
    return {
        "wallet": parse_address(told.proxy_wallet or ""),
        "data": data,
        "calls": tuple(Inner(parse_address(to), value, inner) for _, to, value, inner in rows),
        "gas_limit": int(params.gas_limit),
        "relay": parse_address(params.relay),
        "hub": parse_address(params.relay_hub),
    }


def _of_deposit_wallet(told: _Body) -> dict[str, Any]:
    params = told.deposit_wallet_params
    if params is None:
        raise ValueError("depositWalletParams")
    calls = tuple(Inner(parse_address(one.target), int(one.value), _hex(one.data)) for one in params.calls)
    return {"wallet": parse_address(params.deposit_wallet), "deadline": int(params.deadline), "calls": calls}


def _in_multi_send(data: bytes) -> tuple[Inner, ...]:
    if data[:4] != _MULTI_SEND:
        raise ValueError("expected MultiSend")
    (packed,) = decode(["bytes"], data[4:])
    calls, at = [], 0
    while at < len(packed):
        length = int.from_bytes(packed[at + 53 : at + 85])
        to, value = Address("0x" + packed[at + 1 : at + 21].hex()), int.from_bytes(packed[at + 21 : at + 53])
        calls.append(Inner(to, value, packed[at + 85 : at + 85 + length]))
        at += 85 + length
    return tuple(calls)


def _hex(text: str) -> bytes:
    if not text.startswith("0x"):
        raise ValueError("expected hex")
    return bytes.fromhex(text[2:])


def signer_of_request(submitted: Submitted, chain_id: int) -> Address:
    """Return who signed a request. Raises `Refused` where nobody did."""
    signature = submitted.signature
    try:
        match submitted.kind:
            case "SAFE":
                message = encode_defunct(primitive=safe_hash(submitted, chain_id))
                signature = signature[:64] + bytes((signature[64] - 4,))
            case "PROXY":
                message = encode_defunct(primitive=keccak(b"rlx:" + _proxy_packed(submitted)))
            case _:
                message = _batch_typed(submitted, chain_id)
        return parse_address(str(Account.recover_message(message, signature=signature)))
    except Exception:
        raise Refused(400, BAD_SIGNATURE) from None


def safe_hash(submitted: Submitted, chain_id: int) -> bytes:
    """Return by which hash a Safe tells of a request in its logs."""
    message = _safe_typed(submitted, chain_id)
    return keccak(b"\x19" + message.version + message.header + message.body)


def _safe_typed(submitted: Submitted, chain_id: int) -> SignableMessage:
    zero = "0x" + "00" * 20
    message = {
        "to": submitted.to, "value": submitted.value, "data": submitted.data, "operation": submitted.operation,
        "safeTxGas": 0, "baseGas": 0, "gasPrice": 0, "gasToken": zero, "refundReceiver": zero, "nonce": submitted.nonce,
    }  # fmt: skip
    domain = {"chainId": chain_id, "verifyingContract": submitted.wallet}
    return _typed("SafeTx", domain, message, {"SafeTx": _SAFE_TX})


def _batch_typed(submitted: Submitted, chain_id: int) -> SignableMessage:
    calls = [{"target": call.to, "value": call.value, "data": call.data} for call in submitted.calls]
    message = {
        "wallet": submitted.wallet, "nonce": submitted.nonce, "deadline": submitted.deadline, "calls": calls
    }  # fmt: skip
    domain = {"name": "DepositWallet", "version": "1", "chainId": chain_id, "verifyingContract": submitted.wallet}
    return _typed("Batch", domain, message, {"Batch": _BATCH, "Call": _CALL})


def _proxy_packed(submitted: Submitted) -> bytes:
    types = ["address", "address", "bytes", *["uint256"] * 4, "address", "address"]
    numbers = (0, 0, submitted.gas_limit, submitted.nonce)
    values = (submitted.owner, submitted.to, submitted.data, *numbers, submitted.hub, submitted.relay)
    return bytes(encode_packed(types, values))


def _typed(
    primary: str, domain: Mapping[str, object], message: Mapping[str, object], types: Mapping[str, str]
) -> SignableMessage:
    of_domain = {"name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address"}
    fields = {
        name: [dict(zip(("type", "name"), one.split(), strict=True)) for one in text.split(",")]
        for name, text in types.items()
    }
    fields["EIP712Domain"] = [{"type": of_domain[name], "name": name} for name in domain]
    return encode_typed_data(
        full_message={"types": fields, "primaryType": primary, "domain": dict(domain), "message": dict(message)}
    )
