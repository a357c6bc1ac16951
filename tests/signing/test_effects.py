"""What a call does is read in one way, or not at all."""

import pytest
from attrs import evolve

from tests.signing.calls import (
    CASH,
    CTF,
    KEY,
    MAKER_CONTRACT,
    OUTCOME,
    ROUTER,
    SENDER,
    SPENDER,
    V2_ROUTER,
    approve,
    approve_all,
    buy,
    calldata,
    merge,
    redeem,
    sell,
    split,
    swap,
)
from trio_copy.model.fills import Side
from trio_copy.signing.effects import (
    Approval,
    Effect,
    MakerTrade,
    Merge,
    OperatorApproval,
    Redemption,
    RoutedTrade,
    Sent,
    Split,
    read,
    told,
)
from trio_copy.transactions.calls import Call

_ROUTED = RoutedTrade(
    router=ROUTER, token_in=CASH, token_out=OUTCOME, fee=3000, recipient=SENDER, given=5, least=6, stop_at=7
)
_BYTES31, _SENDING = ("bytes31", "uint256"), calldata("transfer", ("address", "uint256"), SPENDER, 9)


@pytest.mark.parametrize(
    ("selector", "call", "effect"),
    [
        ("095ea7b3", approve(CASH, SPENDER, 5), Approval(token=CASH, spender=SPENDER, units=5)),
        ("a22cb465", approve_all(CTF, SPENDER), OperatorApproval(ledger=CTF, operator=SPENDER, approved=True)),
        ("a9059cbb", Call(to=CASH, data=_SENDING), Sent(token=CASH, to=SPENDER, units=9)),
        ("", Call(to=SPENDER, value=3), Sent(token=None, to=SPENDER, units=3)),
        ("72ce4275", split(CTF, 5), Split(contract=CTF, collateral=CASH, units=5)),
        ("9e7212ad", merge(CTF, 5), Merge(contract=CTF)),
        ("01b7037c", redeem(CTF), Redemption(contract=CTF)),
        (
            "82d3b9f1",
            Call(to=V2_ROUTER, data=calldata("split", _BYTES31, b"\7" * 31, 5)),
            Split(contract=V2_ROUTER, collateral=None, units=5),
        ),
        ("5b63685e", Call(to=V2_ROUTER, data=calldata("merge", _BYTES31, b"\7" * 31, 5)), Merge(contract=V2_ROUTER)),
        (
            "d217a3cc",
            Call(to=V2_ROUTER, data=calldata("redeem", (*_BYTES31, "uint256"), b"\7" * 31, 1, 5)),
            Redemption(contract=V2_ROUTER),
        ),
        ("40993b26", buy(5, 6), MakerTrade(maker=MAKER_CONTRACT, side=Side.BUY, cash=5, shares=6)),
        ("d3c9727c", sell(5, 6), MakerTrade(maker=MAKER_CONTRACT, side=Side.SELL, cash=5, shares=6)),
        ("414bf389", swap(5, 6, 7), _ROUTED),
        ("04e45aaf", swap(5, 6, 7, bare=True), _ROUTED),
        ("5ae401dc", swap(5, 6, 7, late=True), _ROUTED),
    ],
)
def test_what_is_known_is_read_with_the_key_of_its_intent_behind_it_or_without(
    selector: str, call: Call, effect: Effect
) -> None:
    """The selectors are those of the contracts; a byte more or less, and nobody knows what it does."""
    assert call.data[:4].hex() == selector
    assert told(effect)[-1].isalnum()
    plain, marked = read(call), read(call.marked(KEY))
    assert (plain.effect, plain.bare, plain.mark) == (effect, call, b"")
    assert (marked.effect, marked.bare, marked.mark) == (effect, call, bytes.fromhex(KEY))
    for data in (call.data + b"\0", call.data[:-1], call.data.ljust(len(call.data) + 64, b"\0")):
        if data:
            with pytest.raises(ValueError, match=r"expected|does not know"):
                read(evolve(call, data=data))


@pytest.mark.parametrize(
    "data",
    [
        approve(CASH, SPENDER, 5).data[:4] + b"\1" * 64,
        approve_all(CTF, SPENDER).data[:-1] + b"\2",
        Call(to=CTF, data=calldata("split", _BYTES31, b"\7" * 31, 5)).data[:35] + b"\1" + bytes(32),
        split(CTF, 5).data.replace((160).to_bytes(32), (192).to_bytes(32)) + bytes(32),
        swap(5, 6, late=True).data.replace((64).to_bytes(32), (96).to_bytes(32)),
        swap(5, 6, late=True).data[:-1] + b"\1",
        swap(5, 6, late=True, times=2).data,
        calldata("multicall", ("uint256", "bytes[]"), 0, [approve(CASH, SPENDER, 5).data]),
        calldata("multicall", ("uint256", "bytes[]"), 0, [swap(5, 6, bare=True).data + bytes(32)]),
        calldata("multicall", ("bytes[]",), [swap(5, 6, bare=True).data]),
        calldata("transferFrom", ("address", "address", "uint256"), SENDER, SPENDER, 5),
        calldata("increaseAllowance", ("address", "uint256"), SPENDER, 5),
    ],
)
def test_what_could_be_understood_in_another_way_is_not_read(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected|does not know"):
        read(Call(to=CTF, data=data))
