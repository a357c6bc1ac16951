"""What wallets are asked to do: by the engine that owns their shard, by the command where none does, and once."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import ALICE, LEADER, NOW
from tests.harness import World, make_test_plan, open_world, running_engine
from trio_copy.config.wallets import WalletTable
from trio_copy.engine.people.act_requests import ACT, KINDS, answer_of, ask_act, errand_of, report_of
from trio_copy.engine.people.acting import Acting, executor_of, open_acting, owner_of
from trio_copy.engine.people.acting import ask_act as ask
from trio_copy.engine.people.actors import actor_of
from trio_copy.engine.people.acts import Acts
from trio_copy.engine.people.asking import Asker
from trio_copy.engine.people.requests import REFUSED, set_mode
from trio_copy.engine.plan import Plan
from trio_copy.engine.service import Service
from trio_copy.errors import ConfigError, LeaseLost, OrderNotSent, OrderUncertain, Refused, StoreError, Unanswered
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import Mode, shard_lease
from trio_copy.model.fleets import funding_wallet
from trio_copy.model.follows import Follower
from trio_copy.model.ids import Address, FollowerId, Hash32, IntentKey, TokenId
from trio_copy.model.orders import Wallet
from trio_copy.model.units import Price, Usd
from trio_copy.ports import Act, ActReport, Deed, Done, Paid, PlannedAct, Request, Store, StoreContext
from trio_copy.testing.acting import GAS_WEI, ScriptedActor, acting_plugin
from trio_copy.transactions.calls import Call
from trio_copy_memory import open_memory_store
from trio_copy_memory.data import MemoryData

Clock = trio.testing.MockClock
OWN, USDC = Address("0x" + "a1" * 20), Address("0x" + "c0" * 20)
WALLET = Wallet(follower=ALICE, address=OWN, name="hot")
CALL = Call(to=USDC, data=b"\x09\x5e\xa7\xb3" + bytes(64))
KEY = IntentKey("ab" * 32)


def planned(key: IntentKey = KEY, pays: Sequence[Paid] = (), deed: Deed = Deed.APPROVE) -> PlannedAct:
    act = Act(key=key, wallet=WALLET, deed=deed, calls=(CALL,), until=0)
    return PlannedAct(words=("let it take 5 USD",), act=act, pays=tuple(pays))


def request(name: str = "r", one: PlannedAct | None = None, wallet: Wallet = WALLET) -> Request:
    return ask_act(name, wallet, Deed.APPROVE, one or planned(), NOW + 300, NOW)


def plan_of(folder: Path, data: MemoryData, actor: ScriptedActor) -> Plan:
    """Alice pays with a live wallet, by an executor that can act, on a store that outlives engines; Bob does not."""
    plan = make_test_plan()
    settings = plan.settings
    followers = tuple(evolve(one, wallet="hot" if one.id == ALICE else None) for one in settings.follower)
    settings = evolve(
        settings,
        follower=followers,
        wallet={"hot": WalletTable(key="file:none", address=OWN)},
        signing=evolve(settings.signing, folder=str(folder)),
    )
    plugin = evolve(plan.store.plugin, durable=True, open=lambda context: open_memory_store(context, data))
    executors = tuple(evolve(one, plugin=acting_plugin(actor)) for one in plan.executors)
    return evolve(plan, settings=settings, store=evolve(plan.store, plugin=plugin), executors=executors)


@asynccontextmanager
async def command(world: World, plan: Plan, name: str = "command") -> AsyncGenerator[Acting, None]:
    async with open_acting(plan, world.seams(), plan.settings.followers()[ALICE], name) as acting:
        yield acting


async def have_done(store: Store, one: Request, told: list[Done] | None = None, patience_s: float = 100) -> ActReport:
    heard = [] if told is None else told
    return await ask(store, 0, one, ALICE, lambda report: heard.append(report.done), patience_s)


async def test_the_owner_answers_once_at_the_end_and_holds_nothing_up(clock: Clock, tmp_path: Path) -> None:
    """What carries it is told as soon as something does, and that it is mined; meanwhile other requests are carried out."""
    actor = ScriptedActor()
    actor.becomes = [ActReport(done=Done.PENDING), *[actor.report(planned().act, one) for one in _STEPS]]  # type: ignore[arg-type]
    async with open_world() as world, running_engine(world, plan_of(tmp_path, MemoryData(), actor)) as service:
        told: list[Done] = []
        ended: list[ActReport] = []

        async def wait() -> None:
            ended.append(await have_done(service.store, request(), told))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            with trio.fail_after(3):
                while not actor.asked:  # noqa: ASYNC110  virtual
                    await trio.sleep(0.1)
                asker = Asker(store=service.store, catalog=Catalog(), wall=world.wall, name="other", patience_s=5)
                assert await asker.ask(0, set_mode("m", ALICE, Mode.HALT_NEW, "why", NOW)) == "alice: halt-new"
            assert not ended
        assert told == [Done.PENDING, Done.MINED]
        [report] = ended
        assert (report.done, report.gas_wei) == (Done.LANDED, GAS_WEI)
        assert report_of(str(await service.store.accounts.answer(0, "r"))) == report
        assert {act.key for act in actor.asked} == {KEY}
        assert {act.wallet for act in actor.asked} == {WALLET}
        await trio.sleep(3)
        assert len(actor.landed) == 1


_STEPS = (Done.PENDING, Done.MINED, Done.MINED, Done.MINED, Done.LANDED)


async def test_the_next_engine_goes_on_with_what_one_has_left(clock: Clock, tmp_path: Path) -> None:
    """The request is open until its end is known: the same key is asked for again, and it happens once."""
    actor, data = ScriptedActor(), MemoryData()
    plan = plan_of(tmp_path, data, actor)
    actor.becomes = [actor.report(planned().act, Done.PENDING)] * 3  # type: ignore[arg-type]
    async with open_world() as world:
        async with running_engine(world, plan) as first:
            with pytest.raises(Unanswered, match="what was asked for stays"):
                await have_done(first.store, request(), patience_s=2.5)
        async with running_engine(world, plan) as second:
            assert (await have_done(second.store, request())).done is Done.LANDED
    assert {act.key for act in actor.asked} == {KEY}
    assert list(actor.landed) == [KEY]


async def test_what_is_redeemed_is_booked_with_the_answer_once(clock: Clock, tmp_path: Path) -> None:
    """A winner at what it pays, a loser at zero and without a transaction; asked again, nothing is left to book."""
    actor = ScriptedActor()
    plan = plan_of(tmp_path, MemoryData(), actor)
    async with open_world() as world, running_engine(world, plan) as service:
        account = service.holder.shards[0].accounts
        await service.holder.shards[0].load([ALICE])
        _hold(service, token=1)
        _hold(service, token=2)
        winner = Paid(token_id=TokenId(1), condition_id="0x" + "c1" * 32, payout=Price.parse("1"))
        loser = Paid(token_id=TokenId(2), condition_id="0x" + "c1" * 32, payout=Price(0))
        await have_done(service.store, request("win", planned(pays=[winner])))
        report = await have_done(service.store, request("lose", PlannedAct(words=("loses",), pays=(loser,))))
        assert report == ActReport(done=Done.LANDED)
        await have_done(service.store, request("again", planned(pays=[winner])))
        assert not account[ALICE].holdings or not any(one.now.shares for one in account[ALICE].holdings.values())
        entries = [(entry.token_id, entry.notional) for entry in world.recorder.entries if "redeem" in entry.key]
        assert entries == [(1, Usd.parse(10)), (2, Usd(0))]
        assert len(actor.asked) == 2


def _hold(service: Service, token: int) -> None:
    from tests.builders import make_signal, make_task
    from tests.cli.filled import Owner

    owner = Owner(service.store, 0)
    owner.accounts = service.holder.shards[0].accounts
    signal = evolve(make_signal(token), token_id=TokenId(token), leader=LEADER)
    owner.fill(make_task(signal), shares="10", dollars="5")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"wallet": evolve(WALLET, name="cold")}, "expected a wallet that pays for alice, got cold"),
        ({"wallet": evolve(WALLET, follower=FollowerId("zoe"))}, "expected a wallet that pays for zoe, got hot"),
        ({"body": '["alice","hot"]'}, "expected a request to act"),
        ({"body": '["alice","hot","dance","",1,[],[]]'}, "expected a request to act"),
        ({"body": '["alice","hot","split","",1,[["0x12","",0]],[]]'}, "expected a request to act"),
        ({"body": '["alice","hot","split","",1,[["0x' + "a1" * 20 + '","","-1"]],[]]'}, "expected a request to act"),
        ({"mode": Mode.HALT_ALL}, "halt-all: nothing at all is sent"),
    ],
)
async def test_what_the_owner_refuses_is_not_sent(
    clock: Clock, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    """The answer says why, and the executor hears nothing of it."""
    actor = ScriptedActor()
    async with open_world() as world, running_engine(world, plan_of(tmp_path, MemoryData(), actor)) as service:
        if isinstance(mode := change.get("mode"), Mode):
            await service.store.control.set_mode(mode, "a fire")
            await trio.sleep(1)
        one = request(wallet=change.get("wallet", WALLET))  # type: ignore[arg-type]
        with pytest.raises(Refused, match=says):
            await have_done(service.store, evolve(one, body=change.get("body", one.body)))  # type: ignore[arg-type]
        assert not actor.asked


async def test_no_more_than_twenty_acts_wait_for_their_ends(clock: Clock, tmp_path: Path) -> None:
    """The next one is refused; those of them that are open go on."""
    actor = ScriptedActor(becomes=[None] * 20)
    async with open_world() as world, running_engine(world, plan_of(tmp_path, MemoryData(), actor)) as service:
        for number in range(21):
            await service.store.accounts.ask(0, request(f"r{number}", planned(IntentKey(f"{number:064x}"))))
        await trio.sleep(2)
        refused = await service.store.accounts.answer(0, "r20")
        assert str(refused) == f"{REFUSED}expected at most 20 acts at a time"
        await trio.sleep(20)
        assert len(actor.landed) == 20


async def test_an_executor_that_breaks_its_word_is_told_once_and_asked_again(clock: Clock, tmp_path: Path) -> None:
    """Whatever it raises or returns: nothing of it is believed, and the act is not taken for refused."""
    actor = ScriptedActor()
    garbage = ActReport(done=Done.PENDING, transaction=Hash32("0x12"))
    actor.becomes = [ValueError("oh"), garbage, ActReport(done=Done.LANDED), OrderUncertain("who knows"), None]
    async with open_world() as world, running_engine(world, plan_of(tmp_path, MemoryData(), actor)) as service:
        report = await have_done(service.store, request())
        assert report.done is Done.LANDED
        assert len(actor.asked) == 6
        assert [detail for kind, detail in world.recorder.alerts if kind == "contract-broken"] == [
            'executor "sim" (of no distribution), act: raised ValueError: oh'
        ]


async def test_what_has_not_left_is_refused_with_its_reason(clock: Clock, tmp_path: Path) -> None:
    actor = ScriptedActor(becomes=[OrderNotSent("the guard refuses it")])
    async with open_world() as world, running_engine(world, plan_of(tmp_path, MemoryData(), actor)) as service:
        report = await have_done(service.store, request())
        assert report == ActReport(done=Done.REFUSED, why="the guard refuses it")


async def test_what_nobody_can_tell_is_left_to_a_person(clock: Clock, tmp_path: Path) -> None:
    """An hour after the last moment at which it may have been sent, it is answered as pending, and asked for no more."""
    actor = ScriptedActor(becomes=[OrderUncertain("the node is away")] * 10_000)
    async with open_world() as world, running_engine(world, plan_of(tmp_path, MemoryData(), actor)) as service:
        one = ask_act("r", WALLET, Deed.APPROVE, planned(), NOW - 3590, NOW)
        report = await have_done(service.store, one)
        assert report == ActReport(done=Done.PENDING, why="the node is away")
        assert 10 < world.wall() - NOW < 14


async def test_where_nobody_owns_the_shard_the_command_does_it_by_itself(clock: Clock, tmp_path: Path) -> None:
    """Under the shard's lease, with a journal that is durable before anything leaves; then the shard is free again."""
    actor, data = ScriptedActor(), MemoryData()
    plan = plan_of(tmp_path, data, actor)
    async with open_world() as world:
        async with command(world, plan) as acting:
            assert await owner_of(acting.store, 0) == "command"
            report = await have_done(acting.store, request())
            assert report.done is Done.LANDED
            kept = await acting.store.history.documents("sending")
            assert [(one.follower, one.name, one.body) for one in kept] == [("", f"sim/{KEY}", b"[1]")]
            direct = await acting.act(
                Act(key=IntentKey("cd" * 32), wallet=WALLET, deed=Deed.REFUEL, calls=(CALL,), until=NOW)
            )
            assert direct.done is Done.LANDED
        assert actor.journals == []
        async with running_engine(world, plan) as service:  # the lease was given back
            assert (await service.store.control.held([shard_lease(0)]))[shard_lease(0)].owner == "instance-1"
        async with command(world, plan, "again") as acting:
            assert KEY in actor.journals[0].documents()


async def test_a_command_that_lost_the_shard_sends_nothing_more(clock: Clock, tmp_path: Path) -> None:
    """Whoever took it finds the request, and goes on."""
    actor, data = ScriptedActor(), MemoryData()
    plan = plan_of(tmp_path, data, actor)
    actor.becomes = [actor.report(planned().act, Done.PENDING)] * 100  # type: ignore[arg-type]
    async with open_world() as world, command(world, plan) as acting:
        act = Act(key=KEY, wallet=WALLET, deed=Deed.APPROVE, calls=(CALL,), until=NOW + 300)
        async with trio.open_nursery() as nursery:

            async def lose() -> None:
                await trio.sleep(5)
                accounts, token = acting.store.accounts, acting.owner.token
                await accounts.take(0, token + 1)

            nursery.start_soon(lose)
            with pytest.raises(LeaseLost):
                await acting.act(act)
        assert trio.current_time() < 25


async def test_two_do_not_stand_in_at_once(clock: Clock, tmp_path: Path) -> None:
    """The second one sends nothing; nor does a command beside an engine."""
    actor, data = ScriptedActor(), MemoryData()
    plan = plan_of(tmp_path, data, actor)
    async with open_world() as world, command(world, plan, "first"):
        with pytest.RaisesGroup(pytest.RaisesExc(Unanswered), flatten_subgroups=True, allow_unwrapped=True):
            async with command(world, plan, "second"):
                pass
    assert not actor.asked


async def test_an_act_waits_for_whoever_has_an_executor(clock: Clock, tmp_path: Path) -> None:
    """A command that stands in to change an account leaves it open, and comes to an end."""
    actor, data = ScriptedActor(), MemoryData()
    plan = plan_of(tmp_path, data, actor)
    async with open_world() as world:
        async with plan.store.plugin.open(StoreContext(settings=plan.store.settings, wall=world.wall)) as store:
            await store.accounts.ask(0, request())
            asker = Asker(store=store, catalog=Catalog(), wall=world.wall, name="other", patience_s=5)
            assert await asker.ask(0, set_mode("m", ALICE, Mode.RUN, "why", NOW)) == "alice: run"
            assert await store.accounts.answer(0, "r") is None
        async with command(world, plan) as acting:
            assert (await have_done(acting.store, request())).done is Done.LANDED


def test_an_executor_without_acts_is_named() -> None:
    plan = make_test_plan()
    with pytest.raises(
        ConfigError, match="expected its executor, or just one beside it, to have wallets act: there is none"
    ):
        executor_of(plan, plan.settings.followers()[ALICE])


def test_another_executor_may_have_a_wallet_act_where_its_own_cannot() -> None:
    """The only one beside it; of two nobody can say which. Its own goes first."""
    plan, alice = make_test_plan(), Follower(follower=ALICE, executor="sim", address=OWN, wallet_name="hot")
    (sim,) = plan.executors
    first, second = (evolve(sim, name=name, plugin=acting_plugin(ScriptedActor())) for name in ("one", "two"))
    assert actor_of((sim,), alice) is None
    assert actor_of((sim, first), alice) is first
    assert actor_of((sim, first, second), alice) is None
    assert actor_of((first, second), evolve(alice, executor="two")) is second


def test_requests_and_answers_read_as_they_were_written() -> None:
    """To the unit, and whatever stands in a report; what is none is refused."""
    paid = Paid(token_id=TokenId(2**255), condition_id="0x" + "c1" * 32, payout=Price(333_333))
    one = planned(pays=[paid])
    errand = errand_of(ask_act("r", WALLET, Deed.REDEEM, one, NOW, NOW))
    assert errand.pays == (paid,)
    assert one.act is not None
    assert errand.act(WALLET) == evolve(one.act, until=NOW)
    report = ActReport(done=Done.REFUSED, transaction=Hash32("0x" + "ab" * 32), why='a "reason"', gas_wei=2**70)
    assert report_of(answer_of(report)) == report
    assert ACT in KINDS
    for wrong in ("", "[]", '["LANDED"]', '["WON",null,"","0"]', "x"):
        with pytest.raises(StoreError):
            report_of(wrong)


@pytest.mark.parametrize("until", ['"nan"', '"inf"', f"1{'0' * 400}"])
def test_what_may_be_sent_for_ever_is_refused(until: str) -> None:
    """Sent before when, is part of what is asked for: it would be taken up by every engine to come, or end each of them."""
    body = f'["alice","hot","approve","k",{until},[],[]]'
    with pytest.raises(ValueError, match="expected a request to act"):
        errand_of(Request(name="r", kind=ACT, body=body, at=NOW))


def test_a_fleet_is_refuelled_by_its_funding_account_alone() -> None:
    """In the shard of the follower that it is written down with; and by nobody who only says so."""
    funding = funding_wallet("ops", USDC, ALICE)
    hot = Follower(follower=ALICE, executor="sim", address=OWN, wallet_name="hot")
    actor = ScriptedActor()
    acts = Acts(
        executor_of=lambda follower: actor,  # type: ignore[arg-type, return-value]  # nothing of it is asked
        follower_of={ALICE: hot}.get,
        funding={funding.name: funding},
        wall=lambda: NOW,
        on_step=lambda step, detail: None,
    )
    refuel, approve = Deed.REFUEL, Deed.APPROVE

    def answer(name: str, wallet: Wallet, deed: Deed) -> str | None:
        return acts.take(Shardless(), ask_act(name, wallet, deed, planned(deed=deed), NOW, NOW))

    assert answer("a", funding, refuel) is None
    assert answer("b", WALLET, approve) is None
    refused = [
        answer("c", WALLET, refuel),
        answer("d", funding, approve),
        answer("e", evolve(funding, follower=FollowerId("bob")), refuel),
        answer("f", evolve(funding, name="funding:other"), refuel),
    ]
    assert all(str(one).startswith(f"{REFUSED}expected a wallet that pays for") for one in refused), refused


class Shardless:
    """An owner of whom nothing is asked."""

    number, lost = 0, False

    async def finish(self, follower: FollowerId, pays: Sequence[Paid], answers: Mapping[str, str]) -> None:
        raise NotImplementedError
