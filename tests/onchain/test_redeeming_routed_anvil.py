"""The whole engine on a real chain, for who trades by orders: what Protocol V2 decides is redeemed by its Router, once."""

import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from tests.chain.test_resolutions import CANARY, of_event
from tests.conftest import DATA
from tests.harness import Recorder
from tests.onchain.living import Kind, Living, open_living
from tests.onchain.test_redeeming_anvil import LIMIT_S, blocks, paid, wait_paid
from trio_copy.chain.decoders.order_filled import EXCHANGE_V3
from trio_copy.chain.decoders.resolutions import BINARY_MODULE, NEG_RISK_MODULE
from trio_copy.config import PluginTable
from trio_copy.engine.plan import Plan, make_plan
from trio_copy.model.ids import Address, FollowerId, Hash32, TokenId
from trio_copy.model.units import MICRO
from trio_copy.native import keccak
from trio_copy.registry import discover
from trio_copy.testing.scripted import ScriptedExecutor, scripted_plugin
from trio_copy_onchain.holdings.polymarket import Polymarket

pytestmark = pytest.mark.anvil
VENUE = Polymarket()
CODE = {VENUE.positions: "Positions", VENUE.router: "Router", BINARY_MODULE: "Module", NEG_RISK_MODULE: "Module",
        EXCHANGE_V3: "Exchange"}  # fmt: skip
"""Which stand-in is where."""
KNOWN: dict[str, Any] = {"conditional": (VENUE.positions, VENUE.router), "collateral": (VENUE.collateral,)}
"""What the guards of wallets are told of them."""


@pytest.fixture
async def living(tmp_path: Path) -> AsyncGenerator[Living, None]:
    with trio.fail_after(LIMIT_S):
        async with open_living(tmp_path, {"alice": Kind.EOA, "bob": Kind.SAFE}) as living:
            chain, built = living.stage.chain, json.loads((DATA / "ProtocolV2.json").read_text())
            for address, name in CODE.items():
                await chain.ask("anvil_setCode", address, built[name])
            money = await chain.ask("eth_getCode", living.stage.amm.usdc, "latest")
            await chain.ask("anvil_setCode", VENUE.collateral, money)
            yield living


def plan_for(living: Living) -> Plan:
    """They trade by orders, which an executor of its own fills; beside it, `onchain` without a venue has wallets act."""
    settings = living.plan("onchain", exits_every_s=0.05).settings
    (executor,) = settings.executor
    options = {name: value for name, value in executor.options.items() if name not in ("fpmm", "pools")}
    tables = [PluginTable(name=name, plugin=name, options={}) for name in ("order-filled", "resolutions")]
    settings = evolve(
        settings,
        chain=evolve(settings.chain, window_blocks=2),
        decoder=tuple(tables),
        executor=(evolve(executor, options={**options, "poll_s": 0.05}),),
        wallet={
            name: evolve(wallet, redeem=True, policy=evolve(wallet.policy, **KNOWN))
            for name, wallet in settings.wallet.items()
        },
    )
    plan = make_plan(settings, discover())
    (own,) = plan.executors
    trades = evolve(own, plugin=evolve(scripted_plugin(ScriptedExecutor()), moves_money=True))
    return evolve(plan, executors=(trades, evolve(own, name="chain")))


def token_of(condition: Hash32, slot: int) -> TokenId:
    return TokenId(int(condition, 16) | slot)


async def hold(living: Living, recorder: Recorder, *tokens: TokenId) -> None:
    """Let everybody copy a purchase of each token, and have the shares on the chain."""
    chain, buy = living.stage.chain, "buy(bytes32,address,uint256,uint256,uint256)"
    for number, token in enumerate(tokens, 1):
        order = keccak(str(token).encode())
        await chain.do(living.stranger, EXCHANGE_V3, buy, order, living.leader, token, 50 * MICRO, 100 * MICRO)
        await recorder.wait_copies(len(living.people) * number)
    for name, person in living.people.items():
        for token in tokens:
            bought = sum(
                one.shares.micro
                for one in recorder.entries
                if one.token_id == token and one.follower == FollowerId(name)
            )
            assert bought
            await chain.do(
                living.stranger, VENUE.positions, "mint(address,uint256,uint256)", person.wallet, token, bought
            )


async def decide(living: Living, module: Address, condition: Hash32, *payouts: int) -> None:
    report, name = "reportResult(bytes31,uint256[])", bytes.fromhex(condition[2:64])
    await living.stage.chain.do(living.stranger, module, report, name, list(payouts))


async def redemptions(living: Living) -> Sequence[tuple[Address, TokenId]]:
    """Return who has redeemed what, by the Router's own events."""
    topic = "0x" + keccak(b"Redeemed(address,uint256,uint256,uint256)").hex()
    logs = await living.stage.chain.ask("eth_getLogs", {"fromBlock": "0x0", "address": VENUE.router, "topics": [topic]})
    return sorted((Address("0x" + log["topics"][1][26:]), TokenId(int(log["topics"][2], 16))) for log in logs)


async def expect_paid(living: Living, recorder: Recorder) -> None:
    """What wallets were paid is what their books say, to the unit."""
    for name, person in living.people.items():
        cash = await living.stage.chain.call(VENUE.collateral, "balanceOf(address)", person.wallet)
        booked = [one for one in recorder.entries if one.follower == FollowerId(name) and not one.of and one.notional]
        assert cash == sum(one.notional.micro for one in booked if one.kind.value == "redemption")


async def test_winners_of_protocol_v2_are_redeemed_once_by_its_router_and_losers_booked_at_zero(living: Living) -> None:
    """By an account of a key and by a Safe, each after it has allowed the Router; a restart does nothing of it again."""
    won, lost = token_of(CANARY, 0), token_of(CANARY, 1)
    plan = plan_for(living)
    async with living.engine(plan) as (recorder, _), blocks(living):
        await hold(living, recorder, won, lost)
        await decide(living, BINARY_MODULE, CANARY, MICRO, 0)
        await wait_paid(recorder, 4)
        await trio.sleep(0.5)
        assert not [alert for alert in recorder.alerts if alert[0] == "not-redeemed"]
    assert paid(recorder) == sorted((name, token, token == won) for name in living.people for token in (won, lost))
    await expect_paid(living, recorder)
    async with living.engine(plan) as (again, _), blocks(living):
        await trio.sleep(1)
        assert paid(again) == []
    assert await redemptions(living) == sorted((one.wallet, won) for one in living.people.values())


async def test_what_is_held_of_an_event_is_redeemed_once_another_question_of_it_came_true(living: Living) -> None:
    """No log names these questions: NO of one is redeemed, YES of the other booked at zero."""
    won, lost = token_of(of_event(0), 1), token_of(of_event(2), 0)
    async with living.engine(plan_for(living)) as (recorder, _), blocks(living):
        await hold(living, recorder, won, lost)
        # The real module derives these from the one that is told; the stand-in has to be told each, without a log.
        for other in (of_event(0), of_event(2)):
            name = bytes.fromhex(other[2:64])
            await living.stage.chain.do(living.stranger, VENUE.positions, "store(bytes31,uint256[])", name, [0, MICRO])
        await decide(living, NEG_RISK_MODULE, of_event(1), MICRO, 0)
        await wait_paid(recorder, 4)
    assert paid(recorder) == sorted((name, token, token == won) for name in living.people for token in (won, lost))
    assert await redemptions(living) == sorted((one.wallet, won) for one in living.people.values())
    await expect_paid(living, recorder)
