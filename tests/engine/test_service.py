"""The nursery tree: start, drain, reload, escalate, and the same run twice from one seed."""

import pytest
import trio
import trio.testing
from attrs import define, evolve, field

from tests.builders import LEADER, NOW, OTHER_LEADER, make_follow, make_signal, make_task
from tests.harness import Recorder, World, make_test_plan, open_world, patient, running_engine, with_follow_settings
from tests.written import stored_changes
from trio_copy.accounts import Account, OrderState
from trio_copy.accounts import events as e
from trio_copy.cli.load import _plan, _run_virtual
from trio_copy.cli.simulation import Load
from trio_copy.cli.stores import store_table
from trio_copy.config import ShardsSettings
from trio_copy.config.settings import DefaultsTable
from trio_copy.engine.opening import open_service
from trio_copy.engine.service import Service
from trio_copy.engine.shards.stored import stored_account
from trio_copy.errors import ConfigError, StoreUnavailable
from trio_copy.model.books import Quote
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import Instance, Mode, shard_lease
from trio_copy.model.decisions import End
from trio_copy.model.follow_settings import Caps, Leaving
from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId, TokenId
from trio_copy.model.logs import Checkpoint
from trio_copy.model.units import Price, Usd
from trio_copy.ports import Changes, StoreContext, StorePlugin
from trio_copy.testing.samples import sample_order
from trio_copy.testing.virtual import run_virtually
from trio_copy_memory import MemorySettings, open_memory_store
from trio_copy_memory.data import MemoryData
from trio_copy_memory.follows import MemoryFollows

Clock = trio.testing.MockClock


async def test_a_drain_finishes_what_was_admitted(clock: Clock) -> None:
    """After the intake is closed, every admitted task still reaches its end; the tree ends by itself."""
    plan = make_test_plan(engine={"workers": 1}, executor={"latency_ms": 500})
    async with open_world() as world:
        async with running_engine(world, plan) as service:
            world.chain.mine(world.buy(token=1), world.buy(token=2))
            await world.recorder.wait_until(lambda: len(world.recorder.admitted) == 2)
            service.drain()
        assert len(world.recorder.copies) == 4
    assert service.abandoned == 0


async def test_workers_whose_sends_take_long_are_stood_in_for(clock: Clock) -> None:
    """The second follower's copy waits for a quarter of the time of a send at most, and not until the first one is answered."""
    plan = make_test_plan(engine={"workers": 1, "send_timeout_s": 8.0}, executor={"latency_ms": 4_000})
    async with open_world() as world, running_engine(world, plan):
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        assert [one.started_at - one.task.decided_at for one in world.recorder.finished] == [0.0, 2.0]


async def test_what_waits_expires_whatever_the_workers_do(clock: Clock) -> None:
    """Nobody takes what stands behind an order that nobody can prove: it ends when it must all the same."""
    plan = make_test_plan(
        followers=("alice",),
        engine={"deadline_s": 20.0},
        executor={"faults": ["lose-request"], "prove_absence_s": 3_600.0},
    )
    async with open_world() as world, running_engine(world, plan):
        began = trio.current_time()
        world.chain.mine(world.buy())
        await trio.sleep(5)
        world.chain.mine(world.buy())
        await world.recorder.wait_until(lambda: len(world.recorder.finished) == 1)
        assert world.recorder.finished[0].outcome.end is End.EXPIRED
        assert trio.current_time() - began < 27


async def test_a_command_drains_the_only_instance_too(clock: Clock) -> None:
    """Whoever asks for it from afar is told that it was asked, and has to be heard where nobody takes over."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        (me,) = await service.store.control.instances()
        world.chain.mine(world.buy())
        await world.recorder.wait_until(lambda: len(world.recorder.admitted) == 1)
        assert await service.store.control.ask_drain(me.instance)
        with trio.fail_after(60):
            await world.recorder.wait_until(lambda: "draining" in world.recorder.steps)
        await trio.sleep(1)
        assert service.draining
    assert len(world.recorder.copies) == 2


async def test_a_drain_that_takes_too_long_says_what_it_left(clock: Clock) -> None:
    """What could not be started before the deadline of the drain ends with a reason instead of vanishing."""
    plan = make_test_plan(engine={"workers": 1, "drain_s": 1.0, "deadline_s": 100.0}, executor={"latency_ms": 700})
    async with open_world() as world:
        async with running_engine(world, plan) as service:
            world.chain.mine(*(world.buy(token=number) for number in range(1, 6)))
            await world.recorder.wait_until(lambda: len(world.recorder.admitted) == 5)
        left = await service.store.history.documents("waits")
    ends = [finished.outcome.end for finished in world.recorder.finished]
    assert len(ends) == 10
    assert ends.count(End.HALTED) == service.abandoned > 0
    assert left == []


@pytest.mark.parametrize("broken", [False, True])
async def test_an_end_leaves_the_list_of_instances(clock: Clock, monkeypatch: pytest.MonkeyPatch, broken: bool) -> None:
    """Nobody takes a run that ended for a living one; a store that fails at that does not spoil the end."""

    async def fail(_: object, instance: str) -> None:
        await trio.lowlevel.checkpoint()
        raise StoreUnavailable("the disk is gone")

    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        control = service.store.control
        await trio.sleep(1)
        assert [one.instance for one in await control.instances()] == ["instance-1"]
        if broken:
            monkeypatch.setattr(type(control), "leave", fail)
    assert [one.instance for one in await control.instances()] == ["instance-1"] * broken


async def test_a_mode_change_reaches_the_workers(clock: Clock) -> None:
    """An operator's halt stops entries at once and is announced."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        await trio.sleep(1)
        await service.store.control.set_mode(Mode.HALT_NEW, "lunch")
        await trio.testing.wait_all_tasks_blocked()
        world.chain.mine(world.buy())
        await world.recorder.wait_until(lambda: len(world.recorder.finished) == 2)
    assert {End.HALTED} == {finished.outcome.end for finished in world.recorder.finished}
    assert ("mode", "engine: halt-new: lunch") in world.recorder.alerts


async def test_a_reload_changes_follows_and_names_what_needs_a_restart(clock: Clock) -> None:
    """Follows and followers change while running; other settings are reported, not half applied."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        new = make_test_plan(followers=("alice", "carol"), leaders=(OTHER_LEADER,), engine={"workers": 7})
        assert await service.apply(new.settings) == ["engine"]
        assert set(service.book.followers) == {"alice", "bob", "carol"}  # who comes back has spent what he had spent
        await trio.sleep(0.5)
        world.chain.mine(world.buy(LEADER), world.buy(OTHER_LEADER))
        await world.recorder.wait_copies(2)
        await trio.sleep(1)
    assert {"alice", "carol"} == {follower for _, follower in world.recorder.copies}
    assert {OTHER_LEADER} == {signal.leader for signal in world.recorder.admitted}


async def test_what_a_command_changes_while_a_file_is_taken_up_stays_changed(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large book takes its time to be read, and what was read may be older than what the engine has heard since."""
    load = MemoryFollows.load

    async def load_slowly(follows: MemoryFollows) -> tuple[int, tuple[Follow, ...]]:
        read = await load(follows)
        await trio.sleep(10)
        return read

    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        follows = service.store.follows
        ended, begun = make_follow("alice", OTHER_LEADER), make_follow("bob", OTHER_LEADER)
        await follows.put([ended])
        await trio.sleep(5)
        monkeypatch.setattr(MemoryFollows, "load", load_slowly)
        new = make_test_plan(followers=("alice", "bob", "carol"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.apply, new.settings)
            await trio.sleep(15)  # the file's follows are written, and everything is read once more
            await follows.remove([ended.key])
            await follows.put([begun])
        assert list(service.book.followers_of(OTHER_LEADER)) == ["bob"]
        assert list(service.book.followers_of(LEADER)) == ["alice", "bob", "carol"]
        assert set(service.intake.reads) == {LEADER, OTHER_LEADER}


async def test_a_reload_that_names_an_unknown_executor_changes_nothing(clock: Clock) -> None:
    """A follower cannot be moved to an executor that does not run."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        table = evolve(make_test_plan().settings.follower[0], id=FollowerId("dave"), executor="clob")
        settings = evolve(make_test_plan().settings, follower=(table,), follow=())
        with pytest.raises(ConfigError, match="executor clob is not running"):
            await service.apply(settings)
        assert len(service.book) == 2


@pytest.mark.parametrize("part", ["load", "write"])
async def test_a_failing_store_stops_trading(clock: Clock, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Without its store the engine ends with the store's error; it does not trade blind."""

    async def fail(*_: object) -> None:
        await trio.lowlevel.checkpoint()
        raise StoreUnavailable("the disk is gone")

    async def trade(world: World) -> None:
        async with running_engine(world, make_test_plan()) as service:
            await trio.sleep(1)
            monkeypatch.setattr(type(service.store.accounts), part, fail)
            world.chain.mine(world.buy())
            await trio.sleep_forever()

    async with open_world() as world:
        with pytest.raises(BaseExceptionGroup) as caught:
            await trade(world)
    failed, other = caught.value.split(StoreUnavailable)
    assert failed is not None
    assert other is None
    assert world.recorder.copies == []


async def test_status_shows_feed_queue_and_nodes(clock: Clock) -> None:
    """One look tells block, age of the feed, depth and every node."""
    async with open_world(nodes=2) as world, running_engine(world, make_test_plan()) as service:
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        await trio.sleep(1.5)
        status = service.status()
    assert (status.block, round(status.feed_age_s or 0, 1), status.shard, status.mode) == (1, 1.5, "1/1", "run")
    assert [endpoint.live for endpoint in status.endpoints] == [True, True]


def test_a_seed_reproduces_a_whole_run() -> None:
    """Two virtual runs of the real engine from one seed agree in every figure."""
    plan = _plan(users=20, follows=2, leaders=4, latency_ms=30, workers=5, store=store_table("memory", ()))
    leaders = sorted({table.leader for table in plan.settings.follow})
    load = Load(events=50, rate_per_s=100, leaders=leaders, seed=3)
    first, second = _run_virtual(plan, load), _run_virtual(plan, load)

    assert first == second
    assert (first["tasks"], first["lost"], first["duplicates"]) == (50 * 10, 0, 0)


def test_a_seeded_schedule_is_the_same_schedule() -> None:
    """The canary for Trio's private switch: one seed, one order; another seed, another order."""

    async def race() -> list[int]:
        order: list[int] = []

        async def step(number: int) -> None:
            await trio.lowlevel.checkpoint()
            order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(step, number)
        return order

    traces = [run_virtually(race, seed=seed) for seed in (1, 1, 2)]
    assert traces[0] == traces[1] != traces[2]


async def test_a_reload_changes_what_every_level_says(clock: Clock) -> None:
    """New defaults for everybody are in force at once, for follows of the file and of commands alike."""
    async with open_world() as world, running_engine(world, make_test_plan(followers=("alice",))) as service:
        await trio.sleep(1)
        before = service.plan.settings
        capped = evolve(before, defaults=DefaultsTable(caps=Caps(max_order_usd=Usd.parse(1))))
        assert await service.apply(capped) == []
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(1)
        (task,) = [finished.task for finished in world.recorder.finished]
        assert task.intent.max_cost <= Usd.parse(1)
        assert await service.apply(before) == []
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(2)
        assert world.recorder.finished[-1].task.intent.max_cost > Usd.parse(1)


async def test_a_stop_while_the_start_still_asks_the_venue_is_heard(clock: Clock) -> None:
    """Orders of an earlier run keep a start busy for minutes; a drain ends it at once and leaves them as they are."""
    plan = make_test_plan(executor={"venue_file": "/dev/null"})
    async with (
        open_world() as world,
        open_service(plan, world.seams(), world.endpoints) as service,
        trio.open_nursery() as nursery,
    ):
        task = make_task(make_signal())
        placed = e.Placed(order=evolve(sample_order(task), executor="sim"), task=task, at=NOW)
        account = Account(task.follower, Catalog())
        account.apply([placed])
        await service.store.accounts.take(0, 0)
        await service.store.accounts.write(0, 0, 1, stored_changes([account], {}))
        nursery.start_soon(service.run)
        await trio.sleep(5)
        service.drain()
        await trio.testing.wait_all_tasks_blocked()
        assert not nursery.child_tasks
        (left,) = await service.store.history.documents("order")
        again = stored_account(task.follower, Catalog(), [left])
        assert [one.state for one in again.orders.values()] == [OrderState.UNKNOWN]
    assert world.dials == 0


async def test_a_cancelled_engine_writes_down_what_was_in_flight(clock: Clock) -> None:
    """Stopped at once while an order is at the venue: the send is completed, its answer is on the disk, and then it ends."""
    plan = make_test_plan(followers=("alice",), executor={"latency_ms": 2000})
    async with open_world() as world, open_service(plan, world.seams(), world.endpoints) as service:
        async with trio.open_nursery() as nursery:
            await nursery.start(service.run)
            await world.nodes[0].wait_log_filters(1)
            world.chain.mine(world.buy())
            await trio.sleep(1)
            before = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - before < 2.5
        assert len(await service.store.history.documents("position")) == 1
        assert await service.store.history.documents("order") == []


@pytest.mark.parametrize(("listed", "waits"), [(True, False), (False, True)], ids=["an engine", "a command"])
async def test_who_comes_after_a_crash_does_not_wait_for_the_dead(clock: Clock, listed: bool, waits: bool) -> None:
    """The only engine on a store knows that the one before is dead; a command beside it has the accounts until it ends."""
    data = MemoryData()
    plugin = StorePlugin(name="memory", open=lambda context: open_memory_store(context, data), settings=MemorySettings)
    made = make_test_plan()
    plan = evolve(made, store=evolve(made.store, plugin=plugin))
    async with open_world() as world:
        async with plugin.open(StoreContext(settings=MemorySettings(), wall=world.wall)) as store:
            assert await store.control.acquire(shard_lease(0), "before", 30.0) is not None
            if listed:
                await store.control.beat(Instance(instance="before", shards=(0,), started_at=NOW))
        began = trio.current_time()
        async with running_engine(world, plan) as service:
            assert [one.instance for one in await service.store.control.instances()] == ["instance-1"]
            assert (trio.current_time() - began > 25) is waits
            assert ("waiting" in world.recorder.steps) is waits


class Rising:
    """A book that a test moves."""

    price = "0.5"

    def quote(self, token_id: TokenId) -> Quote:
        return Quote(bid=Price.parse(self.price), ask=Price.parse(self.price))


@pytest.mark.parametrize("cancelled", [True, False])
async def test_who_takes_over_leaves_positions_by_their_rules(clock: Clock, cancelled: bool) -> None:
    """One instance has bought and ends; the other one, which ran all the time, watches the price from then on."""
    data = MemoryData()
    shared = StorePlugin(
        name="memory", open=lambda context: open_memory_store(context, data), settings=MemorySettings, shared=True
    )
    made = make_test_plan(followers=("alice",), executor={"price_source": "book"})
    made = with_follow_settings(made, leaving=Leaving(take_profit_bps=1000))
    plan = evolve(
        made, settings=evolve(made.settings, shards=ShardsSettings(count=1)), store=evolve(made.store, plugin=shared)
    )
    async with open_world() as world, trio.open_nursery() as nursery:
        world.quotes = book = Rising()
        services = []
        scopes = [trio.CancelScope(), trio.CancelScope()]

        async def run(  # noqa: ASYNC128  the service calls started()
            number: int, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
        ) -> None:
            seams = evolve(world.seams(), instance=f"instance-{number}")
            async with open_service(plan, seams, world.endpoints) as service:
                services.append(service)
                with scopes[number]:
                    await service.run(task_status=task_status)

        for number in range(2):
            await nursery.start(run, number)
        await world.nodes[0].wait_log_filters(1)
        assert [len(service.holder.shards) for service in services] == [1, 0]
        world.chain.mine(world.buy())
        await world.recorder.wait_copies(1)
        for _ in range(100):  # nothing of it is read again
            world.chain.mine()
            await trio.sleep(1)
        if cancelled:
            scopes[0].cancel()
        else:
            services[0].drain()
        for _ in range(8):
            world.chain.mine()
            await trio.sleep(1)
        assert [len(service.holder.shards) for service in services] == [0, 1]
        book.price = "0.6"
        await world.recorder.wait_copies(2)
        assert not services[1].holder.shards[0].accounts[FollowerId("alice")].holdings
        services[1].drain()


@define(eq=False)
class Beginning(Recorder):
    """Notes of each beginning of the reading whose shards were armed, and whether a leader was among those that are read."""

    service: Service | None = None
    begun: list[tuple[set[int], bool]] = field(factory=list)

    def on_step(self, step: str, detail: str) -> None:
        super().on_step(step, detail)
        if step == "subscribed" and self.service is not None:
            self.begun.append((set(self.service.holder.shards), OTHER_LEADER in self.service.intake.reads))


async def test_who_takes_over_reads_what_those_have_done_whom_the_shard_follows(clock: Clock) -> None:
    """However many are followed: nothing that a shard has missed is read before its leaders are known, below the window least of all."""
    followers = [FollowerId(f"user-{number}") for number in range(8)]
    many = tuple(Address(f"0x{number:040x}") for number in range(1000, 2000))
    shared = StorePlugin(
        name="memory",
        open=lambda context: open_memory_store(context, MemoryData()),
        settings=MemorySettings,
        shared=True,
    )
    made = make_test_plan(followers=followers, engine={"deadline_s": 500.0}, chain={"window_blocks": 8})
    table, placed = patient(made).settings.follow[0], evolve(made.settings, shards=ShardsSettings(count=2))
    plan = evolve(made, settings=placed, store=evolve(made.store, plugin=shared))
    ours, theirs = (next(one for one in followers if plan.shard_of(one) == number) for number in (0, 1))
    follows = ((theirs, OTHER_LEADER), *((ours, leader) for leader in many))
    tables = tuple(evolve(table, follower=follower, leader=leader) for follower, leader in follows)
    plan = evolve(plan, settings=evolve(placed, follow=tables))
    async with open_world() as world:
        world.recorder = beginning = Beginning()
        async with open_service(plan, world.seams(), world.endpoints) as service:
            beginning.service = service
            service.intake.reads.at_once = 1
            head, store = world.chain.head.ref, service.store
            lease = await store.control.acquire(shard_lease(1), "another", 10_000.0)
            assert lease is not None
            await store.accounts.take(1, lease.token)
            checkpoint = Checkpoint(number=head.number, hash=head.hash, armed_at=head.number)
            await store.accounts.write(1, lease.token, 1, Changes(), checkpoint)
            async with trio.open_nursery() as nursery:
                await nursery.start(service.run)
                assert set(service.holder.shards) == {0}
                world.chain.mine(world.buy(OTHER_LEADER))
                for _ in range(50):
                    world.chain.mine()
                    await trio.sleep(1)
                await store.control.release(lease)
                for _ in range(50):
                    world.chain.mine()
                    await trio.sleep(1)
                assert set(service.holder.shards) == {0, 1}
                service.drain()
    assert beginning.begun == [({0}, False), ({0, 1}, True)]
    assert [follower for _, follower in beginning.copies] == [theirs]
