"""How the relayer writes things: addresses with their checksum, bytes in hex, numbers as text."""

from typing import Any

import msgspec

from trio_copy.model.ids import Address
from trio_copy.model.orders import SignatureType
from trio_copy.native import keccak
from trio_copy.transactions.relayed import Relayed

KINDS = {SignatureType.SAFE: "SAFE", SignatureType.PROXY: "PROXY", SignatureType.DEPOSIT: "WALLET"}
"""What the relayer calls each kind of wallet."""
_ZERO = "0x" + "0" * 40


def checksummed(address: Address) -> str:
    """Write an address as the venue does: its capitals are a checksum, EIP-55."""
    digits = address[2:]
    nibbles = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if nibble >= "8" else digit for digit, nibble in zip(digits, nibbles, strict=False)
    )


def request_of(relayed: Relayed, signature: bytes) -> bytes:
    """Write the body of a request: `signature` is that of the digest, 65 bytes that end with 27 or 28."""
    outer = relayed.outer
    body: dict[str, Any] = {
        "type": KINDS[relayed.kind],
        "from": checksummed(relayed.owner),
        "to": checksummed(outer.to),
        "nonce": str(relayed.nonce),
        "signature": _hex(relayed.written(signature)),
        "metadata": "",
    }
    match relayed.kind:
        case SignatureType.SAFE:
            body |= {"proxyWallet": checksummed(relayed.wallet), "data": _hex(outer.data)}
            body["signatureParams"] = {
                "baseGas": "0",
                "gasPrice": "0",
                "gasToken": _ZERO,
                "operation": str(outer.operation),
                "refundReceiver": _ZERO,
                "safeTxnGas": "0",
            }
            if outer.value:
                body["value"] = str(outer.value)
        case SignatureType.PROXY:
            body |= {"proxyWallet": checksummed(relayed.wallet), "data": _hex(outer.data)}
            body["signatureParams"] = {
                "gasLimit": str(relayed.gas_limit),
                "gasPrice": str(relayed.gas_price),
                "relay": relayed.relay,
                "relayHub": checksummed(relayed.contracts.relay_hub),
                "relayerFee": str(relayed.fee),
            }
        case _:
            calls = [
                {"target": checksummed(call.to), "value": str(call.value), "data": _hex(call.data)}
                for call in relayed.calls
            ]
            wallet, deadline = checksummed(relayed.wallet), str(relayed.deadline)
            body["depositWalletParams"] = {"depositWallet": wallet, "deadline": deadline, "calls": calls}
    return msgspec.json.encode(body)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
