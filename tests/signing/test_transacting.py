"""What a guard lets be signed of transactions: what their bytes do, whatever is said of them."""

from typing import Any

import pytest
from attrs import evolve

from tests.builders import LEADER, NOW, POLYGON
from tests.signing.calls import (
    ADAPTER,
    CASH,
    COIN,
    CTF,
    FACTORY,
    KEY,
    MAKER_CONTRACT,
    MULTISEND,
    OUTCOME,
    ROUTER,
    SAFE,
    SENDER,
    SHARE,
    SPENDER,
    TRADING,
    V2_ROUTER,
    act,
    approve,
    approve_all,
    buy,
    by_proxy,
    by_safe,
    calldata,
    guard_of,
    let_go,
    merge,
    multi_send,
    redeem,
    sell,
    spending,
    split,
    swap,
    transaction,
)
from trio_copy.model.coins import Coins
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, ChainId, IntentKey, TokenId
from trio_copy.model.orders import SignatureType
from trio_copy.model.units import NO_USD, Price, Usd
from trio_copy.ports import Deed, Purpose, Spending
from trio_copy.ports.signing import NOT_LET_GO, NOTHING
from trio_copy.signing.guard import Guard, Refuels
from trio_copy.signing.transacting import judge_relayed, judge_transaction
from trio_copy.transactions.calls import Call, call_digest
from trio_copy.transactions.relayed import RelayContracts, Relayed
from trio_copy.transactions.transaction import Transaction

EOA, SAFE_KIND, PROXY = SignatureType.EOA, SignatureType.SAFE, SignatureType.PROXY
TEN, HALF = 10 * COIN, 20 * COIN
"""Ten dollars, and the shares of a market maker that are worth so much at 0.5."""
TWENTY = 20 * SHARE
AT_ROUTER = {"contract": ROUTER}
EXIT = {"side": Side.SELL}


def refused(
    call: Call, wanted: Spending, guard: Guard | None = None, *, released: Call | None = None, **changes: Any
) -> str | None:
    """Let go of a call, and ask for its transaction; returns the control that refused."""
    guard = guard_of() if guard is None else guard
    if guard.left(wanted.key) is None:
        let_go(guard, wanted, released or call)
    return asked(guard, transaction(call, **changes), wanted)


def asked(guard: Guard, what: Transaction, purpose: Purpose, now: float = NOW) -> str | None:
    refusal = judge_transaction(guard, what, SENDER, purpose, now)
    return None if refusal is None else refusal.control


@pytest.mark.parametrize(
    ("call", "wanted", "control"),
    [
        (buy(TEN, HALF), {}, None),
        (buy(TEN, HALF).marked(KEY), {}, None),
        (buy(TEN, HALF).marked(IntentKey("cd" * 32)), {}, "transaction"),
        (evolve(buy(TEN, HALF), data=buy(TEN, HALF).data + b"\0"), {}, "transaction"),
        (buy(TEN, HALF - 1), {}, "limit"),
        (buy(TEN + 1, 2 * HALF), {}, "amount"),
        (buy(0, 1), {}, "amount"),
        (buy(TEN, HALF, to=ROUTER), {}, "contract"),
        (buy(TEN, HALF, to=SPENDER), {"contract": SPENDER}, "wallet.hot.policy.contracts"),
        (buy(TEN, HALF), {"limit_price": Price.parse("0.995")}, "wallet.hot.policy.max_price"),
        (buy(TEN, HALF), {"limit_price": Price(0)}, "wallet.hot.policy.max_price"),
        (buy(TEN, HALF), {"maker": LEADER}, "wallet.hot.address"),
        (buy(TEN, HALF), {"chain_id": ChainId(1)}, "chain.chain_id"),
        (buy(TEN, HALF), EXIT, "side"),
        (evolve(buy(TEN, HALF), value=1), {}, "value"),
        (sell(TEN, HALF), EXIT, None),
        (sell(TEN, HALF + 1), EXIT, "limit"),
        (sell(0, 0), EXIT, "limit"),
        (sell(1, 10_000), {**EXIT, "limit_price": Price.parse("0.0001")}, "wallet.hot.policy.min_price"),
        (swap(TEN, TWENTY), AT_ROUTER, None),
        (swap(TEN, TWENTY, late=True), AT_ROUTER, None),
        (swap(TEN, TWENTY, late=True).marked(KEY), AT_ROUTER, None),
        (swap(TEN, TWENTY, bare=True), AT_ROUTER, None),
        (swap(TEN, TWENTY, late=True, times=2), AT_ROUTER, "transaction"),
        (swap(TEN, TWENTY, late=True, times=0), AT_ROUTER, "transaction"),
        (swap(TEN, TWENTY - 1), AT_ROUTER, "limit"),
        (swap(TEN, 1, stop_at=(1 << 160) - 1), AT_ROUTER, "limit"),
        (swap(TEN + 1, 2 * TWENTY), AT_ROUTER, "amount"),
        (swap(0, TWENTY), AT_ROUTER, "amount"),
        (swap(TEN, TWENTY, recipient=SPENDER), AT_ROUTER, "recipient"),
        (swap(TEN, TWENTY, tokens=(SPENDER, OUTCOME)), AT_ROUTER, "wallet.hot.policy.collateral"),
        (swap(TEN, TWENTY, tokens=(CASH, SPENDER)), AT_ROUTER, "outcome"),
        (swap(TEN, TWENTY), {**AT_ROUTER, "token_id": TokenId(1)}, "outcome"),
        (swap(TEN, TWENTY, fee=1_000_000), AT_ROUTER, "transaction"),
        (swap(TWENTY, TEN, buys=False), {**AT_ROUTER, **EXIT}, None),
        (swap(TWENTY, TEN - 1, buys=False), {**AT_ROUTER, **EXIT}, "limit"),
        (swap(TWENTY, TEN, buys=False), AT_ROUTER, "outcome"),
        (approve(CASH, MAKER_CONTRACT, TEN), {}, "call"),
        (Call(to=CASH, data=calldata("transfer", ("address", "uint256"), SPENDER, 1)), {}, "call"),
        (Call(to=SPENDER, value=1), {}, "value"),
        (approve_all(CTF, MAKER_CONTRACT), {}, "call"),
        (redeem(CTF), {}, "call"),
        (Call(to=CASH, data=calldata("transferFrom", ("address",) * 2 + ("uint256",), SENDER, SPENDER, 1)), {}, "transaction"),
    ],
)  # fmt: skip
def test_a_trade_is_what_its_bytes_do(call: Call, wanted: dict[str, Any], control: str | None) -> None:
    """To the last unit of cash and of the limit; money goes to the wallet itself, and nowhere else."""
    assert refused(call, spending(**wanted)) == control


@pytest.mark.parametrize(
    ("call", "control"),
    [
        (by_safe(buy(TEN, HALF)), None),
        (by_safe(buy(TEN, HALF)).marked(KEY), None),
        (by_safe(buy(TEN, HALF).marked(KEY)).marked(KEY), None),
        (by_safe(approve(CASH, MAKER_CONTRACT, TEN), buy(TEN, HALF)).marked(KEY), None),
        (by_safe(approve(CASH, MAKER_CONTRACT, TEN + 1), buy(TEN, HALF)), "approval"),
        (by_safe(approve(CASH, MAKER_CONTRACT, TEN - 1), buy(TEN, HALF)), "approval"),
        (by_safe(approve(CASH, ROUTER, TEN), buy(TEN, HALF)), "approval"),
        (by_safe(approve(SPENDER, MAKER_CONTRACT, TEN), buy(TEN, HALF)), "approval"),
        (by_safe(buy(TEN, HALF), approve(CASH, MAKER_CONTRACT, TEN)), "call"),
        (by_safe(approve_all(CTF, MAKER_CONTRACT), buy(TEN, HALF)), "approval"),
        (by_safe(buy(TEN, HALF), buy(TEN, HALF)), "approval"),
        (by_safe(approve(CASH, MAKER_CONTRACT, TEN), buy(TEN, HALF), buy(TEN, HALF)), "calls"),
        (by_safe(), "calls"),
        (by_safe(evolve(buy(TEN, HALF), value=1)), "value"),
        (by_safe(buy(TEN, HALF), value=1), "transaction"),
        (by_safe(buy(TEN, HALF), safe=SPENDER), "transaction"),
        (by_safe(buy(TEN, HALF), operation=1), "transaction"),
        (by_safe(buy(TEN, HALF), operation=2), "transaction"),
        (by_safe(approve(CASH, MAKER_CONTRACT, TEN), buy(TEN, HALF), operation=0), "transaction"),
        (by_safe(approve(CASH, MAKER_CONTRACT, TEN), buy(TEN, HALF), multisend=SPENDER), "transaction"),
        (by_safe(approve(CASH, MAKER_CONTRACT, TEN), buy(TEN, HALF), inner=1), "transaction"),
        (by_safe(buy(TEN, HALF), v=27), "transaction"),
        (by_safe(buy(TEN, HALF), owner=SPENDER), "transaction"),
        *[
            (by_safe(buy(TEN, HALF), refund=refund), "transaction")
            for refund in (
                (1, 0, 0, "0x" + "0" * 40, "0x" + "0" * 40),
                (0, 1, 0, "0x" + "0" * 40, "0x" + "0" * 40),
                (0, 0, 1, "0x" + "0" * 40, "0x" + "0" * 40),
                (0, 0, 0, CASH, "0x" + "0" * 40),
                (0, 0, 0, "0x" + "0" * 40, SPENDER),
            )
        ],
        (buy(TEN, HALF), "transaction"),
        (by_safe(by_safe(buy(TEN, HALF))), "transaction"),
    ],
)  # fmt: skip
def test_a_safe_trades_by_an_owner_who_sends_it_himself(call: Call, control: str | None) -> None:
    """Nobody is paid back for gas, no other code runs in it, and beside a trade there is but the approval of what it takes."""
    assert refused(call, spending(maker=SAFE), guard_of(SAFE_KIND)) == control


@pytest.mark.parametrize(
    "data",
    [
        multi_send((buy(TEN, HALF),)) + bytes(32),
        calldata("multiSend", ("bytes",), bytes(84)),
        calldata("multiSend", ("bytes",), bytes(84) + b"\1"),
        calldata("multiSend", ("bytes",), bytes(85))[:-1],
        multi_send((buy(TEN, HALF),)).replace((32).to_bytes(32), (64).to_bytes(32)),
        calldata("multiSend", ("bytes", "bytes"), b"", b""),
    ],
)
def test_calls_within_a_safe_are_whole(data: bytes) -> None:
    """What could be read as other calls by the contract than by the guard is signed for nobody."""
    call = by_safe(Call(to=MULTISEND, data=data), operation=1)
    assert refused(call, spending(maker=SAFE), guard_of(SAFE_KIND)) == "transaction"


def test_an_account_acts_by_its_own_key_alone() -> None:
    guard, wanted, call = guard_of(), spending(), buy(TEN, HALF)
    let_go(guard, wanted, call)
    refusal = judge_transaction(guard, transaction(call), SPENDER, wanted, NOW)
    assert refusal is not None
    assert refusal.control == "transaction"


@pytest.mark.parametrize(
    ("call", "control"),
    [
        (by_proxy(approve(CASH, MAKER_CONTRACT, TEN), buy(TEN, HALF)).marked(KEY), None),
        (by_proxy(buy(TEN, HALF), kind=2), "transaction"),
        (by_proxy(buy(TEN, HALF), factory=SPENDER), "transaction"),
        (evolve(by_proxy(buy(TEN, HALF)), value=1), "transaction"),
        (by_proxy(buy(TEN, HALF), buy(TEN, HALF)), "approval"),
    ],
)
def test_a_proxy_wallet_trades_through_its_factory(call: Call, control: str | None) -> None:
    assert refused(call, spending(maker=SAFE), guard_of(PROXY)) == control


def test_a_deposit_wallet_sends_no_transaction() -> None:
    assert refused(by_safe(buy(TEN, HALF)), spending(maker=SAFE), guard_of(SignatureType.DEPOSIT)) == "transaction"


def test_a_pool_sale_by_a_safe_approves_its_shares() -> None:
    """At a market maker shares leave by the approval of the whole ledger, which no trade brings along."""
    trade = swap(TWENTY, TEN, buys=False, recipient=SAFE)
    wanted = spending(**AT_ROUTER, **EXIT, maker=SAFE)
    assert refused(by_safe(approve(OUTCOME, ROUTER, TWENTY), trade), wanted, guard_of(SAFE_KIND)) is None
    assert refused(by_safe(approve(CASH, ROUTER, TWENTY), trade), wanted, guard_of(SAFE_KIND)) == "approval"
    both = by_safe(approve(CASH, MAKER_CONTRACT, TEN), sell(TEN, HALF))
    assert refused(both, spending(**EXIT, maker=SAFE), guard_of(SAFE_KIND)) == "approval"


def test_only_what_was_let_go_is_signed_as_often_as_it_takes() -> None:
    """Other fees are the same call; another call, another sender, a higher price or another nonce are not."""
    guard, wanted, call = guard_of(SAFE_KIND), spending(maker=SAFE), by_safe(buy(TEN, HALF))
    assert asked(guard, transaction(call), wanted) == NOT_LET_GO
    let_go(guard, wanted, call)
    for changes in ({}, {"max_fee": 300 * 10**9}, {"gas": 400_000}):
        assert asked(guard, transaction(call, **changes), wanted) is None
    assert asked(guard, transaction(call, nonce=8), wanted) == NOT_LET_GO
    assert asked(guard, transaction(by_safe(buy(TEN, HALF + 1))), wanted) == "call"
    assert asked(guard, transaction(by_safe(buy(TEN, HALF), owner=SPENDER)), wanted) == "transaction"
    assert asked(guard, transaction(call), evolve(wanted, key=IntentKey("cd" * 32))) == NOT_LET_GO
    dearer = spending(maker=SAFE, max_cost=Usd.parse(5))
    guard = guard_of(SAFE_KIND)
    let_go(guard, dearer, call)
    assert asked(guard, transaction(call), wanted) == "amount", "what was let go counts, and not what is said now"


def test_what_was_let_go_as_a_purchase_is_signed_as_no_sale() -> None:
    """An exit needs no arming, and has room for gas of its own."""
    guard, wanted, call = guard_of(), spending(contract=ROUTER), swap(TEN, TWENTY)
    let_go(guard, wanted, call)
    assert asked(guard, transaction(call), evolve(wanted, side=Side.SELL)) == "side"


def test_a_sale_of_nothing_is_none() -> None:
    """A router takes it for all that lies on it, which is somebody else's."""
    assert refused(swap(0, TEN, buys=False), spending(**EXIT, contract=ROUTER)) == "amount"
    assert refused(swap(0, TEN), spending(contract=ROUTER)) == "amount"


def test_the_wallets_own_call_may_be_what_was_let_go_and_then_one_operator_has_it() -> None:
    """Whoever signs first; a second operator would do it twice."""
    for trade in (buy(TEN, HALF), buy(TEN, HALF).marked(KEY)):
        guard, wanted = guard_of(SAFE_KIND), spending(maker=SAFE)
        let_go(guard, wanted, trade, sender=SAFE)
        call = by_safe(approve(CASH, MAKER_CONTRACT, TEN), buy(TEN, HALF)).marked(KEY)
        assert asked(guard, transaction(call), wanted) is None
        other = transaction(by_safe(buy(TEN, HALF), owner=SPENDER))
        refusal = judge_transaction(guard, other, SPENDER, wanted, NOW)
        assert refusal is not None
        assert refusal.control == "sender"


def test_each_nonce_of_a_trade_is_let_go_and_counts() -> None:
    """However often an executor asks: for another nonce it has to let it go anew, and then the limits hold."""
    guard, wanted, call = guard_of(), spending(), buy(TEN, HALF)
    for number in range(TRADING.max_minute_orders):
        let_go(guard, wanted, call)
        for _ in range(2):
            assert asked(guard, transaction(call, nonce=number), wanted) is None
        assert asked(guard, transaction(call, nonce=99), wanted) == NOT_LET_GO
    refusal = guard.judge(wanted, call_digest(POLYGON, SENDER, call), NOW, anew=True)
    assert refusal is not None
    assert (refusal.control, refusal.value) == ("wallet.hot.policy.max_minute_orders", "6")
    assert asked(guard, transaction(call), wanted) == NOT_LET_GO
    assert asked(guard, transaction(call, nonce=0), wanted) is None, "what it had already costs nothing"
    assert asked(guard, transaction(Call(to=SENDER), nonce=0), NOTHING) is None


def test_nothing_is_signed_before_that_it_counts_is_durable() -> None:
    guard, wanted, call = guard_of(), spending(), buy(TEN, HALF)
    guard.let_go(wanted, call_digest(POLYGON, SENDER, call), NOW, by_transaction=True)
    assert asked(guard, transaction(call), wanted) == NOT_LET_GO
    guard.end_release(KEY)
    assert asked(guard, transaction(call), wanted) is None
    guard.end_release(KEY)
    assert asked(guard, transaction(call, nonce=8), wanted) == NOT_LET_GO


def test_what_is_let_go_anew_for_less_is_signed_for_no_more() -> None:
    guard, wanted, call = guard_of(), spending(), buy(TEN, HALF)
    let_go(guard, wanted, call)
    assert asked(guard, transaction(call), wanted) is None
    let_go(guard, spending(max_cost=Usd.parse("0.01")), call)
    assert asked(guard, transaction(call, nonce=8), wanted) == "amount"


def test_a_trade_needs_an_arming_and_what_undoes_it_does_not() -> None:
    guard, wanted, call = guard_of(), spending(), buy(TEN, HALF)
    let_go(guard, wanted, call)
    guard.armed_until = 0.0
    assert asked(guard, transaction(call), wanted) == "wallet.hot"
    assert asked(guard, transaction(Call(to=SENDER)), NOTHING) is None


@pytest.mark.parametrize(
    ("call", "changes", "control"),
    [
        (Call(to=SENDER), {}, None),
        (Call(to=SENDER), {"gas": 2_500_000}, None),
        (Call(to=SENDER), {"gas": 2_500_001}, "wallet.hot.policy.max_gas"),
        (Call(to=SENDER), {"chain_id": ChainId(1)}, "chain.chain_id"),
        (Call(to=SENDER, value=1), {}, "transaction"),
        (Call(to=SPENDER), {}, "transaction"),
        (Call(to=SENDER, data=b"\0"), {}, "transaction"),
        (Call(to=SENDER).marked(KEY), {}, "transaction"),
    ],
)
def test_what_does_nothing_is_signed_as_far_as_its_gas_may_cost_so_much(
    call: Call, changes: dict[str, Any], control: str | None
) -> None:
    for kind in SignatureType:
        assert asked(guard_of(kind, armed_until=0.0), transaction(call, **changes), NOTHING) == control


def test_gas_is_limited_for_trades_and_acts_alike() -> None:
    assert refused(buy(TEN, HALF), spending(), gas=2_500_001) == "wallet.hot.policy.max_gas"
    call = approve(CASH, MAKER_CONTRACT, 1)
    assert asked(guard_of(), transaction(call, gas=2_500_001), act(Deed.APPROVE, call)) == "wallet.hot.policy.max_gas"


_OF_TEN_DAYS = 1500 * COIN


@pytest.mark.parametrize(
    ("deed", "call", "control"),
    [
        (Deed.APPROVE, approve(CASH, MAKER_CONTRACT, _OF_TEN_DAYS), None),
        (Deed.APPROVE, approve(CASH, MAKER_CONTRACT, _OF_TEN_DAYS + 1), "wallet.hot.policy.max_day_usd"),
        (Deed.APPROVE, approve(CASH, MAKER_CONTRACT, 2**256 - 1), "wallet.hot.policy.max_day_usd"),
        (Deed.APPROVE, approve(CASH, ADAPTER, COIN), None),
        (Deed.APPROVE, approve(CASH, SPENDER, 1), "wallet.hot.policy.contracts"),
        (Deed.APPROVE, approve(CASH, SPENDER, 0), None),
        (Deed.APPROVE, approve(OUTCOME, ROUTER, 10**9 * SHARE), None),
        (Deed.APPROVE, approve(OUTCOME, ROUTER, 2**256 - 1), "approval"),
        (Deed.APPROVE, approve_all(CTF, MAKER_CONTRACT), None),
        (Deed.APPROVE, approve_all(CTF, SPENDER), "wallet.hot.policy.contracts"),
        (Deed.APPROVE, approve_all(CTF, SPENDER, approved=False), None),
        (Deed.APPROVE, approve_all(SPENDER, MAKER_CONTRACT), "wallet.hot.policy.conditional"),
        (Deed.APPROVE, split(CTF, COIN), "call"),
        (Deed.APPROVE, buy(TEN, HALF), "call"),
        (Deed.APPROVE, Call(to=CASH, data=calldata("transfer", ("address", "uint256"), SPENDER, 1)), "call"),
        (Deed.SPLIT, split(CTF, COIN), None),
        (Deed.SPLIT, split(ADAPTER, COIN), None),
        (Deed.SPLIT, split(CTF, _OF_TEN_DAYS + 1), "wallet.hot.policy.max_day_usd"),
        (Deed.SPLIT, split(SPENDER, COIN), "wallet.hot.policy.conditional"),
        (Deed.SPLIT, split(CTF, COIN, collateral=SPENDER), "wallet.hot.policy.collateral"),
        (Deed.SPLIT, split(CTF, COIN, parent=b"\1" * 32), "transaction"),
        (Deed.SPLIT, merge(CTF, COIN), "calls"),
        (Deed.SPLIT, approve(CASH, CTF, COIN), "calls"),
        (Deed.SPLIT, Call(to=V2_ROUTER, data=calldata("split", ("bytes31", "uint256"), b"\7" * 31, COIN)), None),
        (Deed.MERGE, merge(ADAPTER, 10**30), None),
        (Deed.MERGE, merge(SPENDER, 1), "wallet.hot.policy.conditional"),
        (Deed.MERGE, Call(to=V2_ROUTER, data=calldata("merge", ("bytes31", "uint256"), b"\7" * 31, COIN)), None),
        (Deed.REDEEM, redeem(CTF), None),
        (Deed.REDEEM, redeem(CTF).marked(KEY), None),
        (Deed.REDEEM, redeem(SPENDER), "wallet.hot.policy.conditional"),
        (Deed.REDEEM, Call(to=V2_ROUTER, data=calldata("redeem", ("bytes31", "uint256", "uint256"), b"\7" * 31, 0, 5)), None),
        (Deed.REDEEM, evolve(redeem(CTF), value=1), "value"),
        (Deed.REFUEL, Call(to=SPENDER, value=1), "deed"),
    ],
)  # fmt: skip
def test_an_act_does_what_it_is_called_and_that_to_known_contracts(deed: Deed, call: Call, control: str | None) -> None:
    """It needs no arming, for a person was asked; what is taken back may be taken back from anybody."""
    assert asked(guard_of(armed_until=0.0), transaction(call), act(deed, call)) == control


def test_an_act_is_one_for_its_key_and_in_time() -> None:
    """The same calls as often as it takes; what a Safe does together needs its approvals with it."""
    guard = guard_of(SAFE_KIND)
    calls = (approve(CASH, CTF, COIN), split(CTF, COIN))
    wanted = act(Deed.SPLIT, *calls, maker=SAFE)
    for nonce in range(3):
        assert asked(guard, transaction(by_safe(*calls).marked(KEY), nonce=nonce), wanted) is None
    assert asked(guard, transaction(by_safe(calls[1])), wanted) == "transaction"
    other = act(Deed.SPLIT, split(CTF, 2 * COIN), maker=SAFE)
    assert asked(guard, transaction(by_safe(*other.calls)), other) == "signing.folder"
    assert asked(guard, transaction(by_safe(*calls)), evolve(wanted, until=NOW)) == "until"
    assert asked(guard, transaction(by_safe(*calls)), act(Deed.SPLIT, *calls)) == "wallet.hot.address"
    unknown = act(Deed.SPLIT, Call(to=CTF, data=b"\1\2\3\4"), maker=SAFE)
    assert asked(guard, transaction(by_safe(*calls)), unknown) == "transaction"


def test_a_funding_wallet_refuels_and_does_nothing_else() -> None:
    """Its own operators, within what one may get and a day: the same sending counts once, with another nonce once more."""
    refuels = Refuels(operators=frozenset({LEADER}), most_wei=10, max_day_wei=25)
    guard = guard_of(refuels=refuels, policy=evolve(TRADING, max_gas=Coins.parse(1)))

    def refuel(number: int, wei: int, to: Address = LEADER, now: float = NOW, nonce: int = 7) -> str | None:
        call = Call(to=to, value=wei)
        key = IntentKey(f"{number:064x}")
        sent = transaction(call.marked(key), nonce=nonce)
        return asked(guard, sent, act(Deed.REFUEL, call, key=key, until=now + 60), now)

    assert [refuel(1, 10), refuel(1, 10), refuel(2, 11), refuel(3, 0)] == [None, None, "refuel", "refuel"]
    assert refuel(4, 1, to=SPENDER) == "refuel"
    assert [refuel(5, 10), refuel(6, 6), refuel(7, 5)] == [None, "refuel", None]
    later = NOW + 86_401
    again = [refuel(8, 10, now=later, nonce=nonce) for nonce in (7, 7, 8, 9, 8)]
    assert again == [None, None, None, "refuel", None]
    assert refuel(8, 9, now=later, nonce=8) == "signing.folder", "one key has one body"
    call = approve(CASH, MAKER_CONTRACT, 1)
    assert asked(guard, transaction(call), act(Deed.APPROVE, call)) == "deed"
    token = Call(to=LEADER, data=calldata("transfer", ("address", "uint256"), LEADER, 1))
    assert asked(guard, transaction(token), act(Deed.REFUEL, token, key=IntentKey("9" * 64))) == "refuel"


def relayed(*calls: Call, kind: SignatureType = SAFE_KIND, **changes: Any) -> Relayed:
    plain = Relayed(
        chain_id=POLYGON,
        wallet=SAFE,
        kind=kind,
        calls=calls,
        nonce=1,
        owner=SENDER,
        relay=LEADER,
        deadline=int(NOW) + 600,
    )
    return evolve(plain, **changes)


@pytest.mark.parametrize("kind", [SAFE_KIND, PROXY, SignatureType.DEPOSIT])
@pytest.mark.parametrize(
    ("what", "control"),
    [
        (relayed(redeem(CTF)), None),
        (relayed(redeem(CTF), wallet=SPENDER), "wallet.hot.address"),
        (relayed(redeem(CTF), chain_id=ChainId(1)), "chain.chain_id"),
        (relayed(redeem(CTF), deadline=int(NOW) + 3601), "deadline"),
        (relayed(redeem(SPENDER)), "wallet.hot.policy.conditional"),
        (relayed(redeem(CTF), redeem(CTF)), None),
        (relayed(Call(to=SPENDER, value=1)), "value"),
        (relayed(), "calls"),
    ],
)
def test_what_a_relayer_carries_is_judged_as_a_transaction(
    what: Relayed, control: str | None, kind: SignatureType
) -> None:
    guard = guard_of(kind)
    wanted = act(Deed.REDEEM, *what.calls, maker=SAFE)
    refusal = judge_relayed(guard, evolve(what, kind=kind), SENDER, wanted, NOW)
    assert (None if refusal is None else refusal.control) == control


@pytest.mark.parametrize(
    ("kind", "what", "control"),
    [
        (SAFE_KIND, relayed(redeem(CTF), redeem(CTF), contracts=RelayContracts(multi_send=SPENDER)), "wallet.hot.policy.multisend"),
        (PROXY, relayed(redeem(CTF), kind=PROXY, contracts=RelayContracts(proxy_factory=SPENDER)), "proxy factory"),
        (PROXY, relayed(redeem(CTF), kind=PROXY, fee=1), "relayer"),
        (PROXY, relayed(redeem(CTF), kind=PROXY, gas_price=1), "relayer"),
        (PROXY, relayed(redeem(CTF), kind=PROXY, owner=SPENDER), "relayer"),
        (PROXY, relayed(redeem(CTF)), "wallet.hot.address"),
        (EOA, relayed(redeem(CTF), kind=EOA, wallet=SENDER), "wallet.hot.address"),
    ],
)  # fmt: skip
def test_what_stands_around_the_calls_is_judged_too(kind: SignatureType, what: Relayed, control: str) -> None:
    wanted = act(Deed.REDEEM, *what.calls, maker=what.wallet)
    refusal = judge_relayed(guard_of(kind), what, SENDER, wanted, NOW)
    assert refusal is not None
    assert refusal.control == control


def test_a_relayed_trade_is_the_one_that_was_let_go() -> None:
    guard, wanted, trade = guard_of(SAFE_KIND), spending(maker=SAFE), buy(TEN, HALF)
    what = relayed(approve(CASH, MAKER_CONTRACT, TEN), trade)
    assert (refusal := judge_relayed(guard, what, SENDER, wanted, NOW)) is not None
    assert refusal.control == NOT_LET_GO
    let_go(guard, wanted, trade, sender=SAFE)
    assert judge_relayed(guard, what, SENDER, wanted, NOW) is None
    assert judge_relayed(guard, evolve(what, deadline=int(NOW) + 700), SENDER, wanted, NOW) is None
    assert (refusal := judge_relayed(guard, evolve(what, nonce=2), SENDER, wanted, NOW)) is not None
    assert refusal.control == NOT_LET_GO
    assert asked(guard, transaction(by_safe(trade), nonce=what.nonce), wanted) == "sender", "it could happen both ways"
    let_go(guard, wanted, trade, sender=SAFE)
    assert judge_relayed(guard, evolve(what, nonce=2), SENDER, wanted, NOW) is None
    assert judge_relayed(guard, relayed(buy(TEN, HALF + 1)), SENDER, wanted, NOW) is not None
    assert judge_relayed(guard, what, SENDER, NOTHING, NOW) is not None


def test_the_proxy_factory_is_the_chains() -> None:
    assert refused(by_proxy(buy(TEN, HALF), factory=FACTORY), spending(maker=SAFE), guard_of(PROXY)) is None
    amoy = ChainId(80002)
    guard = guard_of(PROXY, chain_id=amoy)
    call, wanted = by_proxy(buy(TEN, HALF)), spending(maker=SAFE, chain_id=amoy, max_cost=NO_USD)
    let_go(guard, wanted, call)
    assert asked(guard, transaction(call, chain_id=amoy), wanted) == "transaction"
    assert call_digest(amoy, SENDER, call) != call_digest(POLYGON, SENDER, call)
