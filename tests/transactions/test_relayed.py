"""What is signed for a relayer is to the byte what the venue's own client signs, and what eth-account hashes."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from attrs import evolve

from tests.builders import POLYGON
from trio_copy.model.ids import Address, parse_address
from trio_copy.model.orders import SignatureType
from trio_copy.native import SecretKey, keccak
from trio_copy.recursion import same_recursion_limit
from trio_copy.transactions.calls import Call
from trio_copy.transactions.relayed import POLYMARKET, Relayed

with same_recursion_limit():
    from eth_account.messages import encode_typed_data

KEY = SecretKey(b"\x01" * 32)
WALLET = Address("0x7f985742675955766c37531b4986bc642af9a6df")
RELAY = Address("0x" + "9a" * 20)
CALLS = (
    Call(to=Address("0xc011a7e12a19f7b1f670d46f03b03f3342e82dfb"), data=bytes.fromhex("095ea7b3" + "11" * 64)),
    Call(to=Address("0x4d97dcd97ec945f40cf65f87097ace5ea0476045"), data=bytes.fromhex("01b7037c" + "22" * 33), value=5),
)
BODIES = msgspec.json.decode((Path(__file__).parents[1] / "data" / "relayer_bodies.json").read_bytes())
"""Requests of polymarket-client 0.14.0 for one and for both of `CALLS`, by kind of wallet."""
KINDS = {"SAFE": SignatureType.SAFE, "PROXY": SignatureType.PROXY, "WALLET": SignatureType.DEPOSIT}


def relayed(kind: SignatureType, calls: tuple[Call, ...] = CALLS, **more: Any) -> Relayed:
    given: dict[str, Any] = {
        "nonce": 7,
        "owner": KEY.address,
        "relay": RELAY,
        "gas_limit": 210_000,
        "deadline": 1_800_000_000,
    } | more
    return Relayed(chain_id=POLYGON, wallet=WALLET, kind=kind, calls=calls, **given)


@pytest.mark.parametrize("at", range(len(BODIES)))
def test_the_venues_own_client_signs_the_same(at: int) -> None:
    body = BODIES[at]
    ours = relayed(KINDS[body["type"]], CALLS[: 1 + at % 2])
    assert "0x" + ours.written(KEY.sign(ours.digest)).hex() == body["signature"]
    outer = ours.outer
    assert outer.to == parse_address(body["to"])
    assert outer.data.hex() == body.get("data", "0x")[2:]
    if ours.kind is SignatureType.SAFE:
        assert str(outer.operation) == body["signatureParams"]["operation"]


def _typed(primary: str, domain: dict[str, object], message: dict[str, object], **types: str) -> bytes:
    fields = {
        name: [{"type": kind, "name": field} for kind, field in (part.split() for part in text.split(","))]
        for name, text in types.items()
    }
    of_domain = {"name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address"}
    fields["EIP712Domain"] = [{"name": name, "type": of_domain[name]} for name in domain]
    signable = encode_typed_data(
        full_message={"types": fields, "primaryType": primary, "domain": domain, "message": message}
    )
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


@pytest.mark.parametrize("count", [1, 2])
def test_eth_account_hashes_the_same_typed_data(count: int) -> None:
    """Of a Safe, and of a deposit wallet with several calls."""
    safe = relayed(SignatureType.SAFE, CALLS[-count:])
    outer, zero = safe.outer, "0x" + "00" * 20
    message: dict[str, object] = {
        "to": outer.to, "value": outer.value, "data": outer.data, "operation": outer.operation, "safeTxGas": 0,
        "baseGas": 0, "gasPrice": 0, "gasToken": zero, "refundReceiver": zero, "nonce": 7,
    }  # fmt: skip
    fields = (
        "address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,"
        "address gasToken,address refundReceiver,uint256 nonce"
    )
    assert safe.statement == _typed(
        "SafeTx", {"chainId": 137, "verifyingContract": WALLET}, message, SafeTx=fields
    )  # fmt: skip
    deposit = relayed(SignatureType.DEPOSIT, CALLS[:count])
    batch: dict[str, object] = {
        "wallet": WALLET, "nonce": 7, "deadline": 1_800_000_000,
        "calls": [{"target": call.to, "value": call.value, "data": call.data} for call in CALLS[:count]],
    }  # fmt: skip
    domain: dict[str, object] = {"name": "DepositWallet", "version": "1", "chainId": 137, "verifyingContract": WALLET}
    assert deposit.digest == _typed(
        "Batch", domain, batch, Batch="address wallet,uint256 nonce,uint256 deadline,Call[] calls",
        Call="address target,uint256 value,bytes data",
    )  # fmt: skip


def test_everything_that_matters_is_in_what_is_signed() -> None:
    other = Address("0x" + "77" * 20)
    calls = (evolve(CALLS[0], value=1), CALLS[1])
    changed: list[dict[str, Any]] = [{"nonce": 8}, {"wallet": other}, {"chain_id": 1}, {"calls": calls}]
    multi = {"contracts": evolve(POLYMARKET, multi_send=other)}
    hub = {"contracts": evolve(POLYMARKET, relay_hub=other)}
    of_proxy: list[dict[str, Any]] = [
        {"nonce": 8}, {"owner": other}, {"relay": other}, {"gas_limit": 1}, {"gas_price": 1}, {"fee": 1},
        {"calls": calls}, hub,
    ]  # fmt: skip
    for kind, changes in (
        (SignatureType.SAFE, [*changed, multi]),
        (SignatureType.DEPOSIT, [*changed, {"deadline": 1}]),
        (SignatureType.PROXY, of_proxy),
    ):
        one = relayed(kind)
        assert len({one.digest, *(evolve(one, **change).digest for change in changes)}) == len(changes) + 1


@pytest.mark.parametrize(
    "wrong",
    [
        relayed(SignatureType.EOA),
        relayed(SignatureType.SAFE, ()),
        relayed(SignatureType.DEPOSIT, ()),
        relayed(SignatureType.DEPOSIT, deadline=0),
        relayed(SignatureType.PROXY, relay=None),
        relayed(SignatureType.SAFE, nonce=-1),
        relayed(SignatureType.SAFE, nonce=1 << 256),
    ],
)
def test_what_cannot_be_signed_is_refused_in_one_line(wrong: Relayed) -> None:
    with pytest.raises(ValueError, match=r"^expected [^\n]+$"):
        _ = wrong.digest
