"""What is decided is redeemed by the wallet that holds it, once; the books follow what has landed for good."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import ALICE, LEADER, NOW, OTHER_LEADER
from tests.engine.people.test_acting import CALL, KEY, WALLET, have_done, plan_of, request
from tests.engine.sending.test_leaving import mine_for, resolved
from tests.harness import World, make_test_plan, open_world, running_engine, with_follow_settings
from trio_copy.chain.decoders.resolutions import CONDITIONAL_TOKENS, ResolutionDecoder
from trio_copy.config import PluginTable
from trio_copy.config.wallets import WalletTable
from trio_copy.engine.plan import Plan, make_plan
from trio_copy.engine.service import Service
from trio_copy.errors import ConfigError, OrderNotSent
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.control import Mode
from trio_copy.model.follow_settings import Leaving
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.positions import EntryKind, Position
from trio_copy.model.units import Price, Shares, Usd
from trio_copy.ports import Act, Deed, Done, Held, Paid, PlannedAct
from trio_copy.registry import discover
from trio_copy.testing.acting import ScriptedActor
from trio_copy.testing.devnet.chain import fake_hash
from trio_copy.testing.scripted import ScriptedExecutor, scripted_plugin
from trio_copy_memory.data import MemoryData

Clock = trio.testing.MockClock
CONDITION = fake_hash("condition", 1)
WINS, LOSES = TokenId(1), TokenId(2)
FACTS = [TokenFacts(token_id=token, condition_id=CONDITION, slot=slot) for slot, token in enumerate((WINS, LOSES))]
SHARES = Shares.parse(10)
"""What alice copies of a hundred."""


ACT = Act(key=KEY, wallet=WALLET, deed=Deed.REDEEM, calls=(CALL,), until=0)
PAYS = {WINS: Price.parse("1"), LOSES: Price(0)}


def paying(*tokens: TokenId, act: Act | None = ACT) -> PlannedAct:
    """What an executor plans for shares of some outcomes; without an act where the wallet has nothing that pays."""
    pays = tuple(Paid(token_id=one, condition_id=CONDITION, payout=PAYS[one]) for one in tokens or (WINS,))
    return PlannedAct(words=("it takes 10 shares, and pays 10 USD",), act=act, pays=pays)


def actor_of(*planned: PlannedAct) -> ScriptedActor:
    return ScriptedActor(plans={Deed.REDEEM: planned})


def plan_for(folder: Path, actor: ScriptedActor, data: MemoryData | None = None, *, redeem: bool = True) -> Plan:
    """Alice's wallet redeems; Bob trades on paper."""
    plan = plan_of(folder, data or MemoryData(), actor)
    wallet = {"hot": evolve(plan.settings.wallet["hot"], redeem=redeem)}
    settings = evolve(plan.settings, wallet=wallet, chain=evolve(plan.settings.chain, window_blocks=4))
    decoders = {**plan.decoders, "resolutions": ResolutionDecoder(frozenset({CONDITIONAL_TOKENS}))}
    return evolve(plan, settings=settings, decoders=decoders)


def position_of(service: Service, token: TokenId = WINS) -> Position:
    return service.holder.shards[0].accounts[ALICE].position((LEADER, token))


def paid(world: World) -> list[tuple[TokenId, Usd]]:
    """What was booked for alice of what was decided."""
    entries = [one for one in world.recorder.entries if one.kind is EntryKind.REDEMPTION and one.follower == ALICE]
    return [(one.token_id, one.notional) for one in entries]


def troubles(world: World, kind: str = "not-redeemed") -> list[str]:
    return [detail for known, detail in world.recorder.alerts if known == kind]


async def settle(world: World, payouts: Sequence[int] = (1, 0)) -> None:
    """Let the question be decided, and that be deep in the chain."""
    world.chain.mine(resolved(tuple(payouts)))
    for _ in range(5):
        world.chain.mine()
    await trio.sleep(6)


async def decide(world: World, *tokens: TokenId, payouts: Sequence[int] = (1, 0)) -> None:
    """Let the leader buy, and the question be decided for good."""
    world.catalog.put(FACTS)
    for token in tokens:
        world.chain.mine(world.buy(token=token))
    await world.recorder.wait_copies(2 * len(tokens))
    await settle(world, payouts)


async def test_what_won_is_redeemed_once_and_what_lost_is_booked_at_zero(clock: Clock, tmp_path: Path) -> None:
    """Not before it is final; by one act, whoever looks how often; the executor hears what is held."""
    actor = actor_of(paying(WINS, LOSES))
    async with open_world() as world, running_engine(world, plan_for(tmp_path, actor)) as service:
        await decide(world, WINS, LOSES)
        assert not position_of(service).shares
        await trio.sleep(120)
        assert paid(world) == [(WINS, Usd.parse(10)), (LOSES, Usd(0))]
        assert [act.key for act in actor.asked] == [KEY]
        assert actor.asked[0].until > NOW
        ((wallet, deed, wanted),) = actor.planned
        assert (wallet, deed, wanted.condition_id) == (WALLET, Deed.REDEEM, CONDITION)
        assert wanted.held == tuple(
            Held(token_id=one.token_id, shares=SHARES, facts=one) for one in sorted(FACTS, key=lambda one: one.token_id)
        )
        assert world.recorder.steps.count("acted") == 1
        assert not troubles(world)


async def test_losers_alone_are_booked_without_a_transaction(clock: Clock, tmp_path: Path) -> None:
    actor = actor_of(paying(LOSES, act=None))
    async with open_world() as world, running_engine(world, plan_for(tmp_path, actor)):
        await decide(world, LOSES)
        assert paid(world) == [(LOSES, Usd(0))]
        assert actor.asked == []


async def test_nothing_is_booked_before_it_has_landed_for_good(clock: Clock, tmp_path: Path) -> None:
    """Mined is not enough: a reorg may take it back."""
    actor = actor_of(paying())
    actor.becomes = [actor.report(ACT, Done.PENDING), *[actor.report(ACT, Done.MINED)] * 50]
    async with open_world() as world, running_engine(world, plan_for(tmp_path, actor)) as service:
        await decide(world, WINS)
        await trio.sleep(20)
        assert (paid(world), position_of(service).shares) == ([], SHARES)
        await trio.sleep(40)
        assert paid(world) == [(WINS, Usd.parse(10))]
        assert len(actor.planned) == 1
        assert {act.key for act in actor.asked} == {KEY}


async def test_a_restart_in_the_middle_does_it_once(clock: Clock, tmp_path: Path) -> None:
    """The next engine comes to the same act, and books what has landed."""
    actor, data = actor_of(paying()), MemoryData()
    plan = plan_for(tmp_path, actor, data)
    actor.becomes = [actor.report(ACT, Done.PENDING)] * 1000
    async with open_world() as world:
        async with running_engine(world, plan):
            await decide(world, WINS)
            assert actor.asked
            assert paid(world) == []
        actor.becomes = []
        async with running_engine(world, plan) as second:
            await trio.sleep(10)
            assert not position_of(second).shares
        assert paid(world) == [(WINS, Usd.parse(10))]
        assert {act.key for act in actor.asked} == {KEY}
        assert list(actor.landed) == [KEY]


async def test_what_was_redeemed_before_a_crash_is_booked_afterwards(clock: Clock, tmp_path: Path) -> None:
    """The chain shows that the wallet has nothing of it any more, and what it paid."""
    actor = actor_of(paying(act=None))
    async with open_world() as world, running_engine(world, plan_for(tmp_path, actor)):
        await decide(world, WINS)
        assert paid(world) == [(WINS, Usd.parse(10))]
        assert actor.asked == []


async def test_what_a_person_asks_for_at_the_same_time_happens_once(clock: Clock, tmp_path: Path) -> None:
    actor = actor_of(paying())
    actor.becomes = [actor.report(ACT, Done.PENDING)] * 10
    async with open_world() as world, running_engine(world, plan_for(tmp_path, actor)) as service:
        await decide(world, WINS)
        report = await have_done(service.store, request(one=paying()))
        assert report.done is Done.LANDED
        await trio.sleep(60)
        assert paid(world) == [(WINS, Usd.parse(10))]
        assert list(actor.landed) == [KEY]


async def test_nothing_is_redeemed_while_an_order_of_the_question_is_open(clock: Clock, tmp_path: Path) -> None:
    """Of whichever outcome. Nobody is told of it; it is redeemed once that order has ended."""
    actor = actor_of(paying(WINS, LOSES))
    async with open_world() as world, running_engine(world, plan_for(tmp_path, actor)) as service:
        world.catalog.put(FACTS)
        world.chain.mine(world.buy(token=WINS))
        await world.recorder.wait_copies(2)
        actor.script, actor.hide = ["lose reply"] * 20, True
        world.chain.mine(world.buy(token=LOSES))
        await settle(world)
        await trio.sleep(40)
        assert service.holder.shards[0].accounts[ALICE].orders
        assert (actor.planned, paid(world), troubles(world)) == ([], [], [])
        actor.hide = False
        await trio.sleep(90)
        assert sorted(paid(world)) == [(WINS, Usd.parse(10)), (LOSES, Usd(0))]
        assert len(actor.asked) == 1


async def test_what_fails_is_told_once_and_tried_calmly(clock: Clock, tmp_path: Path) -> None:
    """After half a minute, and twice as long each time; then it is done as if nothing had been."""
    actor = actor_of(paying())
    actor.cannot = OrderNotSent("no node tells what it takes")
    async with open_world() as world, running_engine(world, plan_for(tmp_path, actor)):
        await decide(world, WINS)
        await trio.sleep(500)
        assert troubles(world) == [f"wallet hot, condition {CONDITION}: no node tells what it takes"]
        assert 4 <= len(actor.planned) <= 6
        actor.cannot = None
        await trio.sleep(600)
        assert paid(world) == [(WINS, Usd.parse(10))]


async def test_what_the_contract_refuses_is_told_with_its_transaction(clock: Clock, tmp_path: Path) -> None:
    """And nothing is booked; the next try may be another act."""
    actor = actor_of(paying())
    refused = evolve(actor.report(ACT, Done.REFUSED), why="out of gas")
    actor.becomes = [refused]
    async with open_world() as world, running_engine(world, plan_for(tmp_path, actor)):
        await decide(world, WINS)
        assert paid(world) == []
        [told] = troubles(world)
        assert str(refused.transaction) in told
        assert told.endswith("out of gas")
        await trio.sleep(40)
        assert paid(world) == [(WINS, Usd.parse(10))]


async def test_what_was_bought_meanwhile_waits_for_the_next_look(clock: Clock, tmp_path: Path) -> None:
    """What was redeemed is what was held then: another amount is not booked by it."""
    actor = actor_of(paying())
    actor.becomes = [actor.report(ACT, Done.PENDING)] * 15
    async with open_world() as world, running_engine(world, plan_for(tmp_path, actor)) as service:
        await decide(world, WINS)
        assert len(actor.planned) == 1
        world.chain.mine(world.buy(token=WINS))
        await world.recorder.wait_copies(4)
        assert position_of(service).shares == Shares.parse(20)
        while KEY not in actor.landed:
            await mine_for(world, 1)
        await trio.sleep(1)
        assert paid(world) == []
        actor.plans = {Deed.REDEEM: (paying(act=None),)}
        await trio.sleep(60)
        assert paid(world) == [(WINS, Usd.parse(20))]


async def test_a_wallet_that_does_not_redeem_keeps_what_won_in_its_books(clock: Clock, tmp_path: Path) -> None:
    """As the chain does, until a person has it redeemed; what lost brings nothing either way. Told once, with the command."""
    actor = actor_of(paying())
    async with open_world() as world, running_engine(world, plan_for(tmp_path, actor, redeem=False)) as service:
        await decide(world, WINS, LOSES)
        await trio.sleep(60)
        assert paid(world) == [(LOSES, Usd(0))]
        assert position_of(service).shares == SHARES
        [told] = troubles(world, "to-redeem")
        assert told.endswith("`trio-copy wallet redeem hot` has it done")
        assert actor.planned == []
        await have_done(service.store, request(one=paying()))
        assert paid(world) == [(LOSES, Usd(0)), (WINS, Usd.parse(10))]


async def test_an_account_without_a_live_wallet_is_booked_at_once(clock: Clock, tmp_path: Path) -> None:
    """As it is on paper, and where the venue's page redeems."""
    async with open_world() as world, running_engine(world, plan_for(tmp_path, actor_of(paying()))):
        await decide(world, WINS)
        of_bob = [
            one.notional for one in world.recorder.entries if one.kind is EntryKind.REDEMPTION and one.follower != ALICE
        ]
        assert of_bob == [Usd.parse(10)]


async def test_what_a_follow_keeps_is_not_redeemed(clock: Clock, tmp_path: Path) -> None:
    """`leaving.redeem = false` was written down; a transaction would take all shares of the question."""
    actor = actor_of(paying())
    plan = with_follow_settings(plan_for(tmp_path, actor), leaving=Leaving(redeem=False))
    async with open_world() as world, running_engine(world, plan):
        await decide(world, WINS)
        await trio.sleep(60)
        assert (actor.planned, paid(world)) == ([], [])


async def test_what_is_kept_of_one_leader_keeps_all_of_the_question(clock: Clock, tmp_path: Path) -> None:
    """A wallet redeems all that it has of it, or nothing. A person is told which follow it is, once."""
    actor = actor_of(paying())
    plan = plan_for(tmp_path, actor)
    (first, *others) = plan.settings.follow
    kept = evolve(first, leader=OTHER_LEADER, leaving=Leaving(redeem=False))
    plan = evolve(plan, settings=evolve(plan.settings, follow=(first, kept, *others)))
    async with open_world() as world, running_engine(world, plan):
        world.catalog.put(FACTS)
        world.chain.mine(world.buy(token=WINS))
        world.chain.mine(world.buy(OTHER_LEADER, token=WINS))
        await world.recorder.wait_copies(3)
        await settle(world)
        await trio.sleep(60)
        assert (actor.planned, paid(world)) == ([], [])
        [told] = troubles(world)
        assert f"leaving.redeem is false for copies of {OTHER_LEADER}" in told


async def test_in_halt_all_nothing_is_sent(clock: Clock, tmp_path: Path) -> None:
    actor = actor_of(paying())
    async with open_world() as world, running_engine(world, plan_for(tmp_path, actor)) as service:
        world.catalog.put(FACTS)
        world.chain.mine(world.buy(token=WINS))
        await world.recorder.wait_copies(2)
        await service.store.control.set_mode(Mode.HALT_ALL, "a fire")
        await settle(world)
        await trio.sleep(60)
        assert (actor.planned, actor.asked, paid(world)) == ([], [], [])
        await service.store.control.set_mode(Mode.RUN, "out")
        await trio.sleep(60)
        assert paid(world) == [(WINS, Usd.parse(10))]


@pytest.mark.parametrize(
    ("planned", "says"),
    [
        ("nothing", "expected a PlannedAct, was a str"),
        (None, "expected planned acts, was a NoneType"),
        ([evolve(paying(), act=None, pays=(Paid(token_id=TokenId(9), condition_id="", payout=Price(1)),))], "payouts"),
        ([evolve(paying(act=None), pays=(Paid(token_id=WINS, condition_id="", payout=Price(1_000_001)),))], "payouts"),
        (
            [
                evolve(
                    paying(),
                    act=Act(key=KEY, wallet=evolve(WALLET, name="cold"), deed=Deed.REDEEM, calls=(CALL,), until=0),
                )
            ],
            "an act",
        ),
        ([PlannedAct(words=())], "names nothing that it pays"),
    ],
)
async def test_what_an_executor_must_not_plan_is_not_believed(
    clock: Clock, tmp_path: Path, planned: object, says: str
) -> None:
    """Another wallet's act, payouts of what nobody asked about, or nonsense: told once, nothing sent, nothing booked."""
    actor = ScriptedActor(plans={Deed.REDEEM: planned})  # type: ignore[dict-item]
    async with open_world() as world, running_engine(world, plan_for(tmp_path, actor)):
        await decide(world, WINS)
        await trio.sleep(40)
        assert (actor.asked, paid(world)) == ([], [])
        assert len(troubles(world)) == 1
        assert says in troubles(world)[0]


def test_a_wallet_that_redeems_needs_whoever_acts_and_whoever_tells() -> None:
    """Otherwise it never would, and nobody would say so. On paper it means nothing."""

    def refusal(*executors: str, decoders: tuple[str, ...] = ()) -> str:
        settings = make_test_plan().settings
        wallet = WalletTable(key="file:none", address=Address("0x" + "a1" * 20), redeem=True)
        tables = [PluginTable(name=name, plugin=name, options={}) for name in (*executors, *decoders)]
        changed = evolve(
            settings,
            executor=tuple(tables[: len(executors)]),
            decoder=(*settings.decoder, *tables[len(executors) :]),
            follower=tuple(evolve(one, executor=executors[0], wallet="hot") for one in settings.follower[:1]),
            follow=settings.follow[:1],
            wallet={"hot": wallet},
        )
        try:
            make_plan(changed, discover())
        except ConfigError as error:
            return str(error)
        return ""

    nobody_acts = "wallet.hot.redeem: expected its follower's executor, or just one beside it"
    nobody_tells = "wallet.hot.redeem: expected [decoder.resolutions] beside it"
    assert nobody_acts in refusal("clob")
    assert nobody_tells in refusal("clob")
    assert nobody_tells in refusal("onchain")
    for executors in (("clob", "onchain"), ("onchain",), ("dry-run",)):
        assert "redeem" not in refusal(*executors, decoders=("resolutions",))
    assert "redeem" not in refusal("dry-run")


async def test_another_executor_redeems_for_who_trades_off_the_chain(clock: Clock, tmp_path: Path) -> None:
    """As for a wallet that trades by orders: its own executor sends no transactions, the only other one does."""
    actor = actor_of(paying(WINS, LOSES))
    plan = plan_for(tmp_path, actor)
    (own,) = plan.executors
    trades = evolve(own, plugin=evolve(scripted_plugin(ScriptedExecutor()), moves_money=True))
    beside = evolve(plan, executors=(trades, evolve(own, name="chain")))
    async with open_world() as world, running_engine(world, beside):
        await decide(world, WINS, LOSES)
        assert paid(world) == [(WINS, Usd.parse(10)), (LOSES, Usd(0))]
        assert [act.key for act in actor.asked] == [KEY]


async def test_who_trades_off_the_chain_and_does_not_redeem_is_booked_at_once(clock: Clock, tmp_path: Path) -> None:
    """Whoever has it redeemed at the venue is paid there."""
    actor = actor_of(paying())
    plan = plan_for(tmp_path, actor, redeem=False)
    (own,) = plan.executors
    trades = evolve(own, plugin=evolve(scripted_plugin(ScriptedExecutor()), moves_money=True))
    async with open_world() as world, running_engine(world, evolve(plan, executors=(trades,))):
        await decide(world, WINS)
        assert paid(world) == [(WINS, Usd.parse(10))]
