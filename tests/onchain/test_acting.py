"""What is planned where no node is at hand: Polymarket's wallets, nodes that lie, and the words that people read."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest
import trio
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ALICE
from tests.onchain.scripted_chain import KEY, ScriptedChain, sent
from trio_copy.errors import ChainError, ConnectionLost, OrderNotSent, RpcError
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import Address, ChainId, Hash32, TokenId
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.model.units import MICRO, Price, Shares, Usd
from trio_copy.ports import Deed, Held, PlannedAct, Wanted
from trio_copy.transactions.calls import Call
from trio_copy_onchain.acting.conditions import Conditions
from trio_copy_onchain.acting.cost import Cost
from trio_copy_onchain.acting.planning import Planning
from trio_copy_onchain.acting.steps import Line, Owner, Step, amount
from trio_copy_onchain.asking.fee_clock import FeeClock
from trio_copy_onchain.holdings.polymarket import MarketKind, Polymarket
from trio_copy_onchain.settings import FpmmTable, OnchainSettings, PoolTable
from trio_copy_onchain.tx.fees import GWEI
from trio_copy_onchain.venues.abi import function
from trio_copy_onchain.wallets.kinds import CONTRACTS

VENUE = Polymarket()
CONDITION = Hash32("0x" + "c7" * 32)
ROUTED = Hash32("0x01" + "ab" * 18 + "00" * 13)
MAKER = Address("0x" + "f1" * 20)
WALLET = Wallet(follower=ALICE, address=KEY.address, name="main")
REVERT = RpcError(3, "execution reverted", "0x")
YES, NO = 1, 0
NONSENSE: tuple[object, ...] = ("nonsense", -1, None, [], {}, "0x", "0x-1", "0x" + "f" * 65, 1.5)
Answers = Mapping[bytes, int | Sequence[int] | RpcError]


def word(*numbers: int) -> str:
    return "0x" + b"".join(number.to_bytes(32) for number in numbers).hex()


def chain_that_says(answers: Answers, names: Sequence[str] = ("node-1", "node-2")) -> ScriptedChain:
    """Return a chain whose contracts answer by the name of the function, whichever they are; who has no answer refuses."""
    chain = ScriptedChain(names=names)
    chain.mine_empty(5)

    def call(params: Sequence[object]) -> object:
        asked = params[0]
        assert isinstance(asked, dict)
        answer = answers.get(bytes.fromhex(asked["data"][2:10]), REVERT)
        if isinstance(answer, RpcError):
            return answer
        return word(answer) if isinstance(answer, int) else word(32, len(answer), *answer)

    for name in names:
        chain.instead[name, "eth_call"] = call
        chain.lie(name, "eth_estimateGas", hex(50_000))
        chain.lie(name, "eth_feeHistory", {"baseFeePerGas": [hex(GWEI)] * 2, "reward": [[hex(30 * GWEI)]]})
    return chain


def _named(name: str, *types: str) -> bytes:
    return function(name, *types)(*(bytes(32) if one == "bytes32" else 0 for one in types))[:4]


DECIMALS = _named("decimals")
ALLOWANCE = function("allowance", "address", "address")(MAKER, MAKER)[:4]
FOR_ALL = function("isApprovedForAll", "address", "address")(MAKER, MAKER)[:4]
BALANCE = function("balanceOf", "address")(MAKER)[:4]
BATCH = function("balanceOfBatch", "address[]", "uint256[]")([], [])[:4]
DENOMINATOR, NUMERATOR = _named("payoutDenominator", "bytes32"), _named("payoutNumerators", "bytes32", "uint256")
PAYOUT, CONDITION_IDS = _named("getPayout", "uint256", "uint256"), _named("conditionIds", "uint256")


async def plan(
    chain: ScriptedChain,
    deed: Deed,
    wallet: Wallet = WALLET,
    *,
    settings: OnchainSettings | None = None,
    trades: bool = False,
    **wanted: Any,
) -> Sequence[PlannedAct]:
    asked = chain.asked
    configured = settings or OnchainSettings()
    fees = FeeClock(chain=asked, percentile=60.0, cap=1000 * GWEI)
    planning = Planning(
        chain=asked,
        settings=configured,
        polymarket=VENUE,
        trades=trades,
        cost=Cost(chain=asked, fees=fees, settings=configured, contracts=CONTRACTS),
        until=trio.current_time() + 5,
    )
    return await planning.plan(wallet, deed, Wanted(**wanted))


def held(token: TokenId, condition: str = "") -> Held:
    facts = TokenFacts(token_id=token, condition_id=condition) if condition else None
    return Held(token_id=token, shares=Shares.parse(5), facts=facts)


async def test_a_wallet_of_polymarket_allows_the_exchanges_and_nobody_else() -> None:
    """Money up to what was asked for; of shares, which know no amounts, all. What is given already is not planned."""
    planned = await plan(chain_that_says({DECIMALS: 6, ALLOWANCE: 0, FOR_ALL: NO}), Deed.APPROVE, usd=Usd.parse(100))
    calls = [call for one in planned if one.act for call in one.act.calls]
    assert len(planned) == len(calls) == 6
    assert {call.to for call in calls[:3]} == {VENUE.collateral}
    assert all(call.data.endswith((100 * MICRO).to_bytes(32)) for call in calls[:3])
    assert [call.to for call in calls[3:]] == [VENUE.conditional_tokens] * 2 + [VENUE.positions]
    exchanges = [exchange for exchange, _ in VENUE.exchanges]
    assert ["0x" + call.data[16:36].hex() for call in calls] == exchanges * 2
    assert all(one.gas_wei == 62_500 * 32 * GWEI for one in planned)
    given = chain_that_says({DECIMALS: 6, ALLOWANCE: 100 * MICRO, FOR_ALL: YES})
    assert await plan(given, Deed.APPROVE, usd=Usd.parse(100)) == []


async def test_a_proxy_wallet_does_all_of_it_at_once() -> None:
    proxy = evolve(WALLET, signature_type=SignatureType.PROXY)
    chain = chain_that_says({DECIMALS: 6, ALLOWANCE: 0, FOR_ALL: NO})
    (one,) = await plan(chain, Deed.APPROVE, proxy, usd=Usd.parse(100))
    assert one.act is not None
    assert len(one.act.calls) == len(one.words) == 6


@pytest.mark.parametrize("kind", [MarketKind.STANDARD, MarketKind.NEG_RISK])
async def test_shares_of_polymarket_are_redeemed_by_the_adapter_of_their_kind(kind: MarketKind) -> None:
    """Their names say which it is; a key's own address lets the adapter take them in a step before."""
    condition = VENUE.condition(kind, CONDITION)
    said: Answers = {DECIMALS: 6, FOR_ALL: NO, BATCH: (5 * MICRO, 0), DENOMINATOR: 1, NUMERATOR: 1}
    chain = chain_that_says(said)
    with pytest.raises(OrderNotSent, match="payouts of a condition"):  # both outcomes cannot be paid in full
        await plan(chain, Deed.REDEEM, held=(held(condition.tokens[0], CONDITION),), condition_id=CONDITION)
    chain = chain_that_says({**said, DENOMINATOR: 2})
    first, second = await plan(chain, Deed.REDEEM, held=(held(condition.tokens[0], CONDITION),))
    assert first.act is not None
    assert second.act is not None
    assert (first.act.deed, second.act.deed) == (Deed.APPROVE, Deed.REDEEM)
    adapter = VENUE.adapter if kind is MarketKind.STANDARD else VENUE.neg_risk_adapter
    assert second.act.calls[0].to == adapter
    assert (first.pays, second.gas_wei) == ((), 0)
    assert [paid.payout for paid in second.pays] == [Price.parse("0.5")]


async def test_what_several_redemptions_need_is_allowed_once() -> None:
    """The adapter takes the shares of every question of its kind."""
    said: Answers = {DECIMALS: 6, FOR_ALL: NO, BATCH: (5 * MICRO, 0), DENOMINATOR: 2, NUMERATOR: 1}
    names = CONDITION, Hash32("0x" + "c8" * 32)
    tokens = [held(VENUE.condition(MarketKind.STANDARD, name).tokens[0], name) for name in names]
    planned = await plan(chain_that_says(said), Deed.REDEEM, held=tuple(tokens))
    assert [one.act.deed for one in planned if one.act] == [Deed.APPROVE, Deed.REDEEM, Deed.REDEEM]


async def test_shares_of_protocol_v2_say_themselves_what_they_are() -> None:
    condition = VENUE.condition(MarketKind.ROUTED, ROUTED)
    said: Answers = {DECIMALS: 6, FOR_ALL: YES, BATCH: (0, 5 * MICRO), PAYOUT: REVERT}
    assert await plan(chain_that_says(said), Deed.REDEEM, held=(held(condition.tokens[1]),)) == []
    decided = chain_that_says({**said, PAYOUT: MICRO // 2})
    (one,) = await plan(decided, Deed.REDEEM, held=(held(condition.tokens[1]),))
    assert one.act is not None
    assert one.act.calls[0].to == VENUE.router
    assert "pays 2.5 USD" in one.words[0]


async def test_by_the_shares_it_is_seen_which_kind_is_merged_and_never_guessed_which_is_split() -> None:
    chain = chain_that_says({DECIMALS: 6, FOR_ALL: YES, BATCH: (5 * MICRO, 7 * MICRO), DENOMINATOR: 0, NUMERATOR: 0})
    (one,) = await plan(chain, Deed.MERGE, usd=Usd.parse(5), condition_id=CONDITION)
    assert one.act is not None
    with pytest.raises(OrderNotSent, match="nobody tells whether it is one of negative risk"):
        await plan(chain, Deed.SPLIT, usd=Usd.parse(5), condition_id=CONDITION)
    with pytest.raises(OrderNotSent, match=r"has 5 or 5 shares of every outcome, and not 5\.01"):
        await plan(chain, Deed.MERGE, usd=Usd.parse("5.01"), condition_id=CONDITION)


async def test_a_key_is_another_one_once_the_wallet_has_acted() -> None:
    chain = chain_that_says({DECIMALS: 6, ALLOWANCE: 0, FOR_ALL: NO})
    before = await plan(chain, Deed.APPROVE, usd=Usd.parse(100))
    again = await plan(chain, Deed.APPROVE, usd=Usd.parse(100))
    assert again == before
    chain.mine(sent(0))
    after = await plan(chain, Deed.APPROVE, usd=Usd.parse(100))
    assert not {one.act.key for one in before if one.act} & {one.act.key for one in after if one.act}


async def test_what_two_nodes_contradict_each_other_about_is_not_planned() -> None:
    """A node alone could have a position booked as lost that is none."""
    chain = chain_that_says({DECIMALS: 6, BATCH: (5 * MICRO, 0), DENOMINATOR: 1, NUMERATOR: 0})
    honest = chain.instead["node-2", "eth_call"]
    chain.lie("node-2", "eth_call", word(7))
    token = VENUE.condition(MarketKind.STANDARD, CONDITION).tokens[0]
    with pytest.raises(OrderNotSent, match="nodes contradict each other"):
        await plan(chain, Deed.REDEEM, held=(held(token, CONDITION),))
    chain.instead["node-2", "eth_call"] = lambda params: ConnectionLost("away")
    asked = Call(to=MAKER, data=DECIMALS)
    assert await chain.asked.answers((asked,), "0x2", trio.current_time() + 1) == [(6).to_bytes(32)]
    chain.instead["node-1", "eth_call"] = lambda params: REVERT
    assert await chain.asked.answers((asked,), "0x2", trio.current_time() + 1) == [None]
    chain.instead["node-2", "eth_call"] = honest
    with pytest.raises(ChainError):
        await chain.asked.answers((asked,), "0x2", trio.current_time() + 1)


@pytest.mark.parametrize(
    "said", [*NONSENSE, word(1 << 255), word(32, 1 << 40), "0x" + "00" * 31, REVERT, word(*range(9))]
)
@pytest.mark.parametrize("method", ["eth_call", "eth_getTransactionCount", "eth_estimateGas", "eth_feeHistory"])
async def test_whatever_nodes_say_there_is_a_plan_or_a_reason(method: str, said: object) -> None:
    chain = chain_that_says({DECIMALS: 6, ALLOWANCE: 0, FOR_ALL: NO, BALANCE: 0, BATCH: (9, 9), PAYOUT: MICRO // 2})
    for name in chain.names:
        chain.instead[name, method] = lambda params: said
    token = VENUE.condition(MarketKind.ROUTED, ROUTED).tokens[0]
    safe = evolve(WALLET, signature_type=SignatureType.SAFE)
    for wallet in (WALLET, safe):
        for deed in (Deed.APPROVE, Deed.SPLIT, Deed.MERGE, Deed.REDEEM):
            with suppress(OrderNotSent):
                await plan(chain, deed, wallet, usd=Usd(9), condition_id=ROUTED, held=(held(token),))


async def test_a_redemption_that_is_refused_now_holds_up_no_other() -> None:
    """Blocks that are not final may have it done already."""
    chain = chain_that_says({DECIMALS: 6, FOR_ALL: YES, BATCH: (5 * MICRO, 0), PAYOUT: MICRO // 2})
    for name in chain.names:
        chain.instead[name, "eth_estimateGas"] = lambda params: RpcError(3, "execution reverted: nothing there", "0x")
    token = VENUE.condition(MarketKind.ROUTED, ROUTED).tokens[0]
    (one,) = await plan(chain, Deed.REDEEM, held=(held(token),))
    assert one.act is not None
    assert (one.gas_wei, one.words[-1]) == (0, f"{VENUE.router} refuses it now: execution reverted: nothing there")


async def test_an_outcome_that_is_an_erc20_is_left_to_a_person_with_what_to_do() -> None:
    """Where facts say that it is of the question; of which question another one is, nobody says."""
    outcome = Address("0x" + "0a" * 20)
    pool = PoolTable(pool=MAKER, outcome=outcome, collateral=MAKER, router=MAKER, quoter=MAKER, takes_deadline=True)
    settings, token = OnchainSettings(pools=(pool,)), TokenId(int(outcome, 16))
    chain = chain_that_says({DECIMALS: 6, BATCH: (0, 0), DENOMINATOR: 2, NUMERATOR: 1})
    told = f"token {token}: .* redeem it there by the wallet's own key, .*: `trio-copy wallet settle main {outcome} --payout 1`"
    with pytest.raises(OrderNotSent, match=told):
        await plan(chain, Deed.REDEEM, settings=settings, condition_id=CONDITION, held=(held(token, CONDITION),))
    assert await plan(chain, Deed.REDEEM, settings=settings, condition_id=CONDITION, held=(held(token),)) == []


async def test_a_market_maker_that_names_another_condition_than_that_of_its_tokens_is_not_believed() -> None:
    tokens = TokenId(1), TokenId(2)
    table = FpmmTable(maker=MAKER, conditional_tokens=VENUE.conditional_tokens, collateral=MAKER, tokens=tokens)
    settings = OnchainSettings(fpmm=(table,))
    chain = chain_that_says({CONDITION_IDS: int(CONDITION, 16)})
    conditions = Conditions(chain.asked, settings, None)
    with pytest.raises(ValueError, match="not the outcomes of one condition"):
        await conditions.of(held(tokens[0]), "hot", trio.current_time() + 1)
    assert await conditions.named(CONDITION, trio.current_time() + 1) == ()
    silent = Conditions(chain_that_says({}).asked, settings, None)
    with pytest.raises(ValueError, match="does not tell its condition"):
        await silent.of(held(tokens[0]), "hot", trio.current_time() + 1)


@pytest.mark.parametrize(
    ("deed", "wanted", "why"),
    [
        (Deed.APPROVE, {}, "expected an amount of USD"),
        (Deed.APPROVE, {"usd": Usd(0)}, "expected an amount of a unit at least"),
        (Deed.MERGE, {"usd": Usd(0), "condition_id": CONDITION}, "expected an amount of a unit at least"),
        (Deed.SPLIT, {"usd": Usd(1)}, "expected a condition id, 0x and 64 hex digits, got none"),
        (Deed.REDEEM, {"condition_id": "0xff"}, "expected a condition id"),
        (Deed.REFUEL, {"usd": Usd(1)}, "refuelling follows from what operators have"),
    ],
)
async def test_what_nobody_can_mean_is_said(deed: Deed, wanted: Mapping[str, Any], why: str) -> None:
    with pytest.raises(OrderNotSent, match=why):
        await plan(chain_that_says({DECIMALS: 6}), deed, **wanted)


@pytest.mark.parametrize("decimals", [256, 10**9, 1 << 200])
async def test_decimals_that_no_money_has_are_refused(decimals: int) -> None:
    with pytest.raises(OrderNotSent, match="expected at most 36"):
        await plan(chain_that_says({DECIMALS: decimals}), Deed.APPROVE, usd=Usd.parse(1))


def test_an_act_on_another_chain_or_of_another_wallet_is_another_one() -> None:
    """Calls and balances may be equal: contracts have the same address on many chains."""
    step = Step(deed=Deed.APPROVE, lines=(Line(call=Call(to=MAKER, data=DECIMALS), words=""),))
    other = evolve(WALLET, address=MAKER)
    keys = {step.key(chain, Owner.of(wallet)) for chain in (ChainId(137), ChainId(100)) for wallet in (WALLET, other)}
    keys.add(evolve(step, deed=Deed.SPLIT).key(ChainId(137), Owner.of(WALLET)))
    assert len(keys) == 5


@given(units=st.integers(min_value=0, max_value=1 << 130), decimals=st.integers(min_value=0, max_value=36))
def test_amounts_are_shown_to_the_unit(units: int, decimals: int) -> None:
    whole, _, part = amount(units, decimals).partition(".")
    assert int(whole) * 10**decimals + int(part.ljust(decimals, "0") or 0) == units
    assert not part.endswith("0")
