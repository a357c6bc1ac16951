"""Questions of Protocol V2 that are decided: whose modules are read, and what the books make of it."""

from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.chain.test_resolutions import CANARY, MALFORMED, UP, log, of_event
from tests.engine.people.test_acting import CALL, KEY, WALLET
from tests.engine.people.test_redeeming import actor_of, paid, troubles
from tests.engine.people.test_redeeming import plan_for as live_plan_for
from tests.engine.sending.test_leaving import Book, mine_for, plan_for, position_of
from tests.harness import World, make_test_plan, open_world, running_engine
from trio_copy.chain.decoders.resolutions import (
    BINARY_MODULE,
    CONDITIONAL_TOKENS,
    NEG_RISK_MODULE,
    ResolutionDecoder,
    ResolutionSettings,
)
from trio_copy.config import PluginTable
from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.model.logs import RawLog
from trio_copy.model.positions import EntryKind
from trio_copy.model.units import MICRO, Price, Usd
from trio_copy.ports import Act, Deed, Paid, PlannedAct
from trio_copy.testing.devnet import DevTx
from trio_copy.testing.devnet.chain import DevLog, fake_hash
from trio_copy.testing.devnet.encode import module_resolution_log

Clock = trio.testing.MockClock
DOWN = TokenId(UP + 1)


def decided(condition: Hash32, yes: int, module: Address = BINARY_MODULE, again: int = 0) -> DevTx:
    said = module_resolution_log(module=module, condition_id=condition, payouts=(yes, MICRO - yes))
    return DevTx(tx_hash=fake_hash("decided", condition, yes, again), logs=(said,))


def token_of(condition: Hash32, slot: int) -> TokenId:
    return TokenId(int(condition, 16) | slot)


async def bought(world: World, *tokens: TokenId) -> None:
    """Let the leader buy, and alice after him. Nobody knows facts of any token."""
    world.quotes = Book(dict.fromkeys(tokens, "0.5"))
    world.chain.mine(*(world.buy(token=token) for token in tokens))
    await world.recorder.wait_copies(len(tokens))


def redeemed(world: World) -> list[tuple[TokenId, Usd]]:
    """What ten shares of each token were booked at, in the order of tokens."""
    entries = [one for one in world.recorder.entries if one.kind is EntryKind.REDEMPTION]
    return sorted((one.token_id, one.notional) for one in entries)


WON, LOST = Usd.parse(10), Usd(0)


async def test_both_outcomes_are_booked_at_what_they_pay_without_a_catalog(clock: Clock) -> None:
    """Their own names say which question they answer; not before it is deep, and once."""
    async with open_world() as world, running_engine(world, plan_for()) as service:
        await bought(world, UP, DOWN)
        world.chain.mine(decided(CANARY, MICRO))
        await trio.sleep(3)
        assert position_of(service, UP).lots
        await mine_for(world, 12)
        assert redeemed(world) == [(UP, WON), (DOWN, LOST)]
        assert not position_of(service, UP).lots
        await mine_for(world, 5)
        assert (world.recorder.steps.count("decided"), world.recorder.steps.count("redeemed")) == (2, 2)


async def test_what_came_true_of_an_event_decides_what_is_held_of_its_other_questions(clock: Clock) -> None:
    """No log names those: their NO has won, and their YES has lost. People are told of each."""
    lost, won, unmoved = token_of(of_event(0), 0), token_of(of_event(2), 1), token_of(of_event(0, "cd"), 0)
    async with open_world() as world, running_engine(world, plan_for()) as service:
        await bought(world, lost, won, unmoved)
        world.chain.mine(decided(of_event(1), MICRO, NEG_RISK_MODULE))
        await mine_for(world, 12)
        assert redeemed(world) == sorted([(lost, LOST), (won, WON)])
        assert position_of(service, unmoved).lots
        assert world.recorder.steps.count("decided") == 2


async def test_what_a_module_never_writes_decides_nothing_and_is_counted(clock: Clock) -> None:
    """Nor does what somebody else writes in its words."""

    def mined(number: int, one: RawLog) -> DevTx:
        written = DevLog(address=one.address, topics=one.topics, data=one.data)
        return DevTx(tx_hash=fake_hash("hostile", number), logs=(written,))

    stranger = evolve(log(), address=CONDITIONAL_TOKENS, topics=MALFORMED["one payout"].topics)
    async with open_world() as world, running_engine(world, plan_for()) as service:
        await bought(world, UP, DOWN)
        world.chain.mine(*(mined(number, one) for number, one in enumerate((*MALFORMED.values(), stranger))))
        await mine_for(world, 12)
        assert position_of(service, UP).lots
        assert position_of(service, DOWN).lots
        # A subscription brings each, and so does the scan: what is unusable is not remembered.
        assert service.quarantine == {"resolution": 2 * len(MALFORMED), "unknown-contract": 2}


@pytest.mark.parametrize("says", [True, False], ids=["removed logs are told", "removed logs are not told"])
async def test_a_resolution_of_another_block_is_another_one(clock: Clock, says: bool) -> None:
    """A reorg took the first one back: what its blocks decided counts for nothing, what stands there now does, and once."""
    async with open_world() as world, running_engine(world, plan_for()):
        await bought(world, UP)
        await mine_for(world, 3)
        world.nodes[0].faults.without_removed = not says
        world.chain.mine(decided(CANARY, MICRO))
        await trio.sleep(1)
        world.chain.reorg(1, [(decided(CANARY, 0),), ()])
        await mine_for(world, 12)
        assert redeemed(world) == [(UP, LOST)]


@pytest.mark.parametrize("scan_knows", [True, False])
async def test_a_resolution_that_was_mined_again_stays_one(clock: Clock, scan_knows: bool) -> None:
    """The same words in another block, told before anybody says that the first block is gone."""
    async with open_world() as world, running_engine(world, plan_for()):
        await bought(world, UP)
        await mine_for(world, 3)
        world.nodes[0].faults.without_removed = True
        world.nodes[0].faults.empty_logs = 0 if scan_knows else 1
        world.chain.mine(decided(CANARY, MICRO))
        await trio.sleep(1)
        world.chain.reorg(1, [(decided(CANARY, MICRO),), ()])
        await mine_for(world, 15)
        assert redeemed(world) == [(UP, WON)]


async def test_what_a_reorg_took_back_while_nobody_looked_decides_nothing(clock: Clock, tmp_path: Path) -> None:
    """Another question of the event came true meanwhile, and nobody says any more that the first one had: it has lost."""
    sqlite = PluginTable(name="sqlite", plugin="sqlite", options={"path": str(tmp_path / "books.db")})
    plan = plan_for()
    plan = evolve(plan, settings=evolve(plan.settings, store=sqlite), store=make_test_plan(store=sqlite).store)
    first, other = token_of(of_event(1), 0), token_of(of_event(2), 0)
    async with open_world() as world:
        async with running_engine(world, plan):
            await bought(world, first, other)
            await mine_for(world, 3)
            world.chain.mine(decided(of_event(1), MICRO, NEG_RISK_MODULE))
            await trio.sleep(3)
            assert world.recorder.steps.count("decided") == 2
        world.chain.reorg(1, [(decided(of_event(2), MICRO, NEG_RISK_MODULE),), ()])
        async with running_engine(world, plan):
            await mine_for(world, 15)
            assert redeemed(world) == sorted([(first, LOST), (other, WON)])


def planned(*paid_for: Paid) -> PlannedAct:
    act = Act(key=KEY, wallet=WALLET, deed=Deed.REDEEM, calls=(CALL,), until=0)
    return PlannedAct(words=("it takes 10 shares, and pays 10 USD",), act=act, pays=paid_for)


async def test_a_wallet_that_redeems_has_it_done_once_and_books_what_lost_at_zero(clock: Clock, tmp_path: Path) -> None:
    """As with what Conditional Tokens decide: its executor hears which condition, and which tokens are held."""
    pays = [
        Paid(token_id=token, condition_id=CANARY, payout=price)
        for token, price in ((UP, Price.parse("1")), (DOWN, Price(0)))
    ]
    actor = actor_of(planned(*pays))
    plan = live_plan_for(tmp_path, actor)
    decoder = ResolutionDecoder(frozenset(), frozenset(ResolutionSettings().modules))
    plan = evolve(plan, decoders={**plan.decoders, "resolutions": decoder})
    async with open_world() as world, running_engine(world, plan):
        world.chain.mine(world.buy(token=UP), world.buy(token=DOWN))
        await world.recorder.wait_copies(4)
        world.chain.mine(decided(CANARY, MICRO))
        await settle_blocks(world)
        await trio.sleep(120)
        assert sorted(paid(world)) == [(UP, Usd.parse(10)), (DOWN, Usd(0))]
        ((_, deed, wanted),) = actor.planned
        assert (deed, wanted.condition_id) == (Deed.REDEEM, CANARY)
        assert {one.token_id for one in wanted.held} == {UP, DOWN}
        assert [act.key for act in actor.asked] == [KEY]
        assert not troubles(world)


async def settle_blocks(world: World) -> None:
    for _ in range(5):
        world.chain.mine()
    await trio.sleep(6)
