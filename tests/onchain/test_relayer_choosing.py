"""Who has a wallet act: an owner who can pay for the gas of it sends it himself, and for any other the relayer does."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from attrs import evolve

from tests.builders import ALICE, POLYGON
from tests.onchain.scripted_chain import KEY, NO_STATE, OTHER_KEY
from tests.onchain.test_acting import MAKER, REVERT, chain_that_says
from trio_copy.errors import OrderNotSent
from trio_copy.model.ids import Address, IntentKey
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.ports import Act, Deed
from trio_copy.transactions.calls import Call
from trio_copy_onchain.acting.cost import Cost
from trio_copy_onchain.asking.fee_clock import FeeClock
from trio_copy_onchain.relayer.choosing import is_relayed
from trio_copy_onchain.relayer.submitted import name_of
from trio_copy_onchain.settings import OnchainSettings
from trio_copy_onchain.tx.fees import GWEI
from trio_copy_onchain.wallets.kinds import CONTRACTS

SAFE = Address("0x" + "5a" * 20)
WALLET = Wallet(follower=ALICE, address=SAFE, name="main", signature_type=SignatureType.SAFE)
ACT = Act(
    key=IntentKey("ab" * 32), wallet=WALLET, deed=Deed.REDEEM, calls=(Call(to=MAKER, data=b"\1" * 4),), until=9e9
)  # fmt: skip
COSTS = 62_500 * 32 * GWEI
"""What a pool asks that a sender has: an estimate of 50,000 with its margin, at twice the base fee and a tip."""


async def chosen(*has: object, act: Act = ACT, written: str = "", bound: bool = False, **says: object) -> bool:
    """Tell whether the relayer carries an act of a wallet whose operators have so many wei."""
    chain = chain_that_says({})
    keys = (KEY, OTHER_KEY)[: len(has)]
    balances = {key.address: wei for key, wei in zip(keys, has, strict=True)}

    def balance(params: Any) -> object:
        wei = balances[params[0]]
        return hex(wei) if isinstance(wei, int) else wei

    for name in chain.names:
        chain.instead[name, "eth_getBalance"] = balance
        for method, answer in says.items():
            chain.lie(name, method, answer)
    journal = SimpleNamespace(documents=lambda: {written: b""} if written else {})
    among = [(SimpleNamespace(address=key.address, written=SimpleNamespace(journal=journal)), None) for key in keys]
    operators: Any = SimpleNamespace(of=lambda wallet: among, holder=lambda key: among[0] if bound else None)
    fees = FeeClock(chain=chain.asked, percentile=60.0, cap=1000 * GWEI)
    cost = Cost(chain=chain.asked, fees=fees, settings=OnchainSettings(), contracts=CONTRACTS)
    return await is_relayed(act, operators, cost, trio.current_time() + 5)


@pytest.mark.parametrize(
    ("has", "relayed"),
    [
        ((0,), True),
        ((1,), True),
        ((COSTS - 1,), True),
        ((COSTS,), False),
        ((0, 0), True),
        ((0, COSTS - 1), True),
        ((1, COSTS), False),
    ],
)
async def test_dust_pays_for_nothing(has: tuple[int, ...], relayed: bool, autojump_clock: object) -> None:
    """To the wei: with less than that no pool takes it, from the richest of those who could send it."""
    assert await chosen(*has) is relayed


@pytest.mark.parametrize(
    "says",
    [
        {"eth_estimateGas": REVERT},
        {"eth_estimateGas": NO_STATE},
        {"eth_estimateGas": hex(10**9)},
        {"eth_feeHistory": NO_STATE},
        {"eth_feeHistory": {"baseFeePerGas": [hex(2000 * GWEI)] * 2, "reward": [["0x1"]]}},
    ],
    ids=["refused", "untold", "too much gas", "no price", "over the cap"],
)
async def test_where_nobody_tells_what_it_costs_any_coin_is_tried(says: dict[str, Any], autojump_clock: object) -> None:
    """So that what a contract refuses is told in its words."""
    assert [await chosen(wei, **says) for wei in (0, 1)] == [True, False]


async def test_who_has_begun_an_act_goes_on_with_it(autojump_clock: object) -> None:
    name = name_of(POLYGON, SAFE, ACT.key)
    assert [await chosen(wei, written=name) for wei in (0, COSTS)] == [True, True]
    assert [await chosen(wei, bound=True) for wei in (0, 1)] == [False, False]


@pytest.mark.parametrize(
    ("kind", "deed", "relayed"),
    [
        (SignatureType.DEPOSIT, Deed.REDEEM, True),
        (SignatureType.EOA, Deed.REDEEM, False),
        (SignatureType.SAFE, Deed.REFUEL, False),
    ],
)
async def test_some_can_go_one_way_alone(
    kind: SignatureType, deed: Deed, relayed: bool, autojump_clock: object
) -> None:
    act = evolve(ACT, wallet=evolve(WALLET, signature_type=kind), deed=deed)
    assert [await chosen(wei, act=act) for wei in (0, COSTS)] == [relayed, relayed]


async def test_what_no_operator_can_send_and_what_nobody_knows_is_no_reason(autojump_clock: object) -> None:
    assert not await chosen(1, act=evolve(ACT, calls=()))
    with pytest.raises(OrderNotSent, match="no node tells what the operators of main have"):
        await chosen(NO_STATE)
