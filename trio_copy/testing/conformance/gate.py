"""What every store promises about the gate, the queue, follows and control."""

import trio
from attrs import evolve

from trio_copy.entropy import seeded_entropy
from trio_copy.errors import LeaseLost
from trio_copy.model.control import ENGINE, Instance, Mode, follower_scope
from trio_copy.model.decisions import Code, CopyTask, End, Outcome
from trio_copy.model.fills import Side
from trio_copy.model.follows import Follow
from trio_copy.model.ids import FollowerId
from trio_copy.model.layers import layer
from trio_copy.model.logs import Checkpoint
from trio_copy.model.units import Ratio
from trio_copy.model.watches import Light, Watch
from trio_copy.ports import Admitted, Adopted, Duplicate, Unsure
from trio_copy.testing.conformance.terms import (
    FILLED,
    ME,
    START,
    YOU,
    OpenStoreForTest,
    StoreCheck,
    admit,
    lease_all,
    open_with,
)
from trio_copy.testing.devnet.chain import fake_hash
from trio_copy.testing.samples import EXECUTOR, LEADER, sample_signal, sample_task


async def admits_a_signal_once(open_store: OpenStoreForTest) -> None:
    """The second admission of a signal is a duplicate and queues nothing."""
    async with open_with(open_store) as store:
        assert await admit(store, 1, "alice", "bob") == Admitted(kept=2)
        assert await admit(store, 1, "alice", "bob") == Duplicate()
        assert {"alice", "bob"} == {task.follower for task in await lease_all(store)}


async def admits_once_however_many_race(open_store: OpenStoreForTest) -> None:
    """Of many tasks that admit the same signal at once, exactly one is told that it is new."""
    answers: list[object] = []
    async with open_with(open_store) as store:

        async def race() -> None:
            answers.append(await admit(store, 1))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(race)
        assert sum(isinstance(answer, Admitted) for answer in answers) == 1
        assert len(await lease_all(store)) == 1


async def forgets_a_signal_after_its_time(open_store: OpenStoreForTest) -> None:
    """Once the time to live has passed and nothing of it is open, the same signal is new again."""
    async with open_with(open_store, dedup_ttl_s=2.0) as store:
        assert isinstance(await admit(store, 1), Admitted)
        (task,) = await lease_all(store)
        await store.inbox.complete(task.task_id, ME, FILLED)
        await trio.sleep(1.0)
        assert await admit(store, 1) == Duplicate()
        await trio.sleep(1.5)
        assert isinstance(await admit(store, 1), Admitted)


async def sheds_entries_when_full(open_store: OpenStoreForTest) -> None:
    """Beyond its capacity the inbox keeps what it has and sheds entries with a reason."""
    async with open_with(open_store, queue_capacity=3) as store:
        admission = await admit(store, 1, "a", "b", "c", "d", "e")
        assert isinstance(admission, Admitted)
        assert admission.kept == 3
        assert [ended.outcome.reason and ended.outcome.reason.code for ended in admission.shed] == [Code.QUEUE_FULL] * 2
        assert (await store.inbox.depth()).queued == 3


async def an_exit_takes_the_place_of_an_entry(open_store: OpenStoreForTest) -> None:
    """A SELL is never shed while a BUY is queued: the oldest BUY makes room."""
    async with open_with(open_store, queue_capacity=2) as store:
        await admit(store, 1, "a", "b")
        admission = await admit(store, 2, "c", "d", side=Side.SELL)
        assert isinstance(admission, Admitted)
        assert admission.kept == 2
        assert [ended.task.follower for ended in admission.shed] == ["a", "b"]
        assert {Code.EVICTED_BY_EXIT} == {
            ended.outcome.reason and ended.outcome.reason.code for ended in admission.shed
        }
        assert [task.follower for task in await lease_all(store)] == ["c", "d"]
        full = await admit(store, 3, "e", "f", "g", side=Side.SELL)
        assert isinstance(full, Admitted)
        assert len(full.shed) == 1


async def no_exit_is_shed_for_an_entry(open_store: OpenStoreForTest) -> None:
    """In any burst: when a SELL is shed, no BUY waits in the inbox, and none is admitted by the same signal."""
    for seed in range(10):
        luck = seeded_entropy(seed)
        async with open_with(open_store, queue_capacity=luck.randint(1, 6)) as store:
            sides: dict[str, Side] = {}
            waiting: set[str] = set()
            for number in range(40):
                side = luck.choice((Side.BUY, Side.SELL))
                signal = sample_signal(1000 * seed + number, side=side, now=START)
                tasks = [sample_task(signal, f"f{who}") for who in range(luck.randint(1, 4))]
                sides.update({task.task_id: side for task in tasks})
                admission = await store.inbox.admit(signal, tasks, None)
                assert isinstance(admission, Admitted)
                waiting |= {task.task_id for task in tasks}
                waiting -= {ended.task.task_id for ended in admission.shed}
                assert len(waiting) == (await store.inbox.depth()).queued
                if any(ended.task.intent.side is Side.SELL for ended in admission.shed):
                    assert Side.BUY not in {sides[task] for task in waiting}
                for task in await store.inbox.lease_nowait(EXECUTOR, ME, luck.randint(0, 2)):
                    waiting.discard(task.task_id)


async def leases_in_order_and_once(open_store: OpenStoreForTest) -> None:
    """Tasks are leased oldest first, each to one owner only."""
    async with open_with(open_store) as store:
        await admit(store, 1, "a")
        await admit(store, 2, "b", "c")
        first = await store.inbox.lease_nowait(EXECUTOR, ME, 2)
        second = await store.inbox.lease_nowait(EXECUTOR, YOU, 2)
        assert [task.follower for task in (*first, *second)] == ["a", "b", "c"]
        assert await lease_all(store) == ()


async def a_lease_waits_for_a_task(open_store: OpenStoreForTest) -> None:
    """A waiting lease wakes up when something is admitted, and returns it."""
    leased: list[CopyTask] = []
    async with open_with(open_store) as store:

        async def wait() -> None:
            leased.extend(await store.inbox.lease(EXECUTOR, ME, 10))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.sleep(1)
            await admit(store, 1)
        assert len(leased) == 1


async def a_cancelled_lease_takes_nothing(open_store: OpenStoreForTest) -> None:
    """Cancelling a lease that waits leaves every task for the next one."""
    async with open_with(open_store) as store:
        with trio.move_on_after(1):
            await store.inbox.lease(EXECUTOR, ME, 10)
        await admit(store, 1)
        assert len(await lease_all(store)) == 1


async def a_task_ends_once(open_store: OpenStoreForTest) -> None:
    """The first terminal state stands; a second one is refused."""
    async with open_with(open_store) as store:
        await admit(store, 1)
        (task,) = await lease_all(store)
        assert await store.inbox.complete(task.task_id, ME, FILLED)
        assert not await store.inbox.complete(task.task_id, ME, Outcome(end=End.REJECTED))
        assert (await store.inbox.depth()).leased == 0


async def only_the_owner_ends_a_task(open_store: OpenStoreForTest) -> None:
    """Whoever does not hold the lease can neither end, retry nor bury a task."""
    async with open_with(open_store) as store:
        await admit(store, 1)
        (task,) = await lease_all(store)
        for attempt in (
            store.inbox.complete(task.task_id, YOU, FILLED),
            store.inbox.retry(task.task_id, YOU),
            store.inbox.bury(task.task_id, YOU, "why"),
        ):
            try:
                await attempt
            except LeaseLost:
                continue
            raise AssertionError("expected LeaseLost")


async def an_unrenewed_lease_is_given_out_again(open_store: OpenStoreForTest) -> None:
    """A task whose worker died comes back to the front; the late worker is told that it lost it."""
    async with open_with(open_store, lease_s=10.0) as store:
        await admit(store, 1, "a", "b")
        (task,) = await store.inbox.lease_nowait(EXECUTOR, ME, 1)
        await trio.sleep(6)
        assert await store.inbox.renew([task.task_id], ME) == ()
        await trio.sleep(6)
        assert await store.inbox.expire(START + 12) == ()
        await trio.sleep(6)
        await store.inbox.expire(START + 18)
        (again,) = await store.inbox.lease_nowait(EXECUTOR, YOU, 1)
        assert again.task_id == task.task_id
        assert (task.task_id,) == await store.inbox.renew([task.task_id], ME)


async def a_retried_task_comes_first(open_store: OpenStoreForTest) -> None:
    """A task that is given back keeps its place at the front."""
    async with open_with(open_store) as store:
        await admit(store, 1, "a", "b")
        (task,) = await store.inbox.lease_nowait(EXECUTOR, ME, 1)
        await store.inbox.retry(task.task_id, ME)
        assert [leased.follower for leased in await lease_all(store)] == ["a", "b"]


async def dead_letters_wait_for_a_person(open_store: OpenStoreForTest) -> None:
    """A buried task is listed with its reason until it is replayed or purged."""
    async with open_with(open_store) as store:
        await admit(store, 1, "a", "b")
        first, second = await lease_all(store)
        await store.inbox.bury(first.task_id, ME, "poison")
        await store.inbox.bury(second.task_id, ME, "poison")
        assert [letter.why for letter in await store.inbox.dead_letters()] == ["poison", "poison"]
        assert await store.inbox.replay([first.task_id, first.task_id]) == 1
        assert await store.inbox.purge([second.task_id]) == 1
        assert await store.inbox.dead_letters() == ()
        assert [first.task_id] == [task.task_id for task in await lease_all(store)]


async def a_retracted_signal_is_adopted_when_it_returns(open_store: OpenStoreForTest) -> None:
    """Tasks of a retracted signal wait, and are queued again when it is mined in another block; nothing is doubled."""
    async with open_with(open_store) as store:
        await admit(store, 1, "a", block=5)
        retracted = await store.inbox.retract(sample_signal(1, block=5))
        assert retracted is not None
        assert (retracted.held, retracted.given_out) == (1, 0)
        assert await lease_all(store) == ()
        admission = await admit(store, 1, "a", block=6)
        assert isinstance(admission, Adopted)
        assert admission.resumed == 1
        assert len(await lease_all(store)) == 1


async def a_retraction_counts_once(open_store: OpenStoreForTest) -> None:
    """Retracting twice, or what was never admitted, changes nothing."""
    async with open_with(open_store) as store:
        assert await store.inbox.retract(sample_signal(1)) is None
        await admit(store, 1)
        assert await store.inbox.retract(sample_signal(1)) is not None
        assert await store.inbox.retract(sample_signal(1)) is None


async def a_signal_lives_on_in_another_block(open_store: OpenStoreForTest) -> None:
    """A signal seen in its new block before it is removed from its old one is not retracted at all."""
    async with open_with(open_store) as store:
        await admit(store, 1, block=5)
        assert await admit(store, 1, block=6) == Duplicate()
        assert await store.inbox.retract(sample_signal(1, block=5)) is None
        assert len(await lease_all(store)) == 1


async def a_second_trade_of_an_order_is_no_return_of_the_first(open_store: OpenStoreForTest) -> None:
    """While the block is not whole, the retracted trade may still stand in it: nothing is decided, and it goes first."""
    async with open_with(open_store) as store:
        first, second = sample_signal(1, block=5), sample_signal(1, block=6, tx=2)
        again = sample_signal(1, block=6)
        assert isinstance(await store.inbox.admit(first, [sample_task(first)], None, whole=False), Admitted)
        await store.inbox.retract(first)
        assert await store.inbox.admit(second, [sample_task(second)], None, whole=False) == Unsure()
        assert isinstance(await store.inbox.admit(again, [sample_task(again)], None, whole=False), Adopted)
        assert isinstance(await store.inbox.admit(second, [sample_task(second)], None, whole=True), Admitted)
        assert len(await lease_all(store)) == 2


async def the_same_order_in_another_transaction_is_adopted(open_store: OpenStoreForTest) -> None:
    """A dropped trade that is sent again under another hash is the old one, once, and only after a retraction."""
    async with open_with(open_store) as store:
        await admit(store, 1, block=5)
        (task,) = await lease_all(store)
        await store.inbox.complete(task.task_id, ME, FILLED)
        await store.inbox.retract(sample_signal(1, block=5))
        signal = sample_signal(1, block=6, tx=2)
        again = await store.inbox.admit(signal, [sample_task(signal)], None)
        assert isinstance(again, Adopted)
        assert again.signal_id == task.signal.signal_id
        other = sample_signal(1, block=7, tx=3)
        assert isinstance(await store.inbox.admit(other, [sample_task(other)], None), Admitted)


async def equal_fills_come_back_each_for_itself(open_store: OpenStoreForTest) -> None:
    """However a reorg divides two equal fills of an order among transactions: two come back, the oldest first, once."""
    rows = (
        ([(1, 0), (1, 1)], [(2, 0), (3, 0)]),
        ([(1, 0), (2, 0)], [(3, 0), (3, 1)]),
        ([(1, 0), (2, 0)], [(3, 0), (4, 0)]),
    )
    async with open_with(open_store) as store:
        for number, (before, after) in enumerate(rows, start=1):
            first = [sample_signal(number, block=5, tx=10 * number + tx, nth=nth) for tx, nth in before]
            second = [sample_signal(number, block=6, tx=10 * number + tx, nth=nth) for tx, nth in after]
            third = sample_signal(number, block=6, tx=10 * number + 9)
            for signal in first:
                assert isinstance(await store.inbox.admit(signal, [sample_task(signal)], None), Admitted)
            for signal in first:
                assert await store.inbox.retract(signal) is not None
                await trio.sleep(1)
            for signal in second:
                assert await store.inbox.admit(signal, [sample_task(signal)], None, whole=False) == Unsure()
            for signal, old in zip(second, first, strict=True):
                answer = await store.inbox.admit(signal, [sample_task(signal)], None)
                assert answer == Adopted(signal_id=old.signal_id, resumed=1)
                assert await store.inbox.admit(signal, [sample_task(signal)], None) == Duplicate()
            assert isinstance(await store.inbox.admit(third, [sample_task(third)], None), Admitted)
            assert len(await lease_all(store)) == 3


async def another_fill_of_a_transaction_is_one_of_its_own(open_store: OpenStoreForTest) -> None:
    """An unknown fill is no return of one that stood in its transaction, under whatever hash that came first."""
    async with open_with(open_store) as store:
        first, moved = sample_signal(1, block=5, tx=1), sample_signal(1, block=6, tx=2)
        assert isinstance(await store.inbox.admit(first, [sample_task(first)], None), Admitted)
        await store.inbox.retract(first)
        assert isinstance(await store.inbox.admit(moved, [sample_task(moved)], None), Adopted)
        await store.inbox.retract(moved)
        for block, tx in ((7, 1), (8, 2)):
            other = sample_signal(1, block=block, tx=tx, nth=1)
            assert isinstance(await store.inbox.admit(other, [sample_task(other)], None, whole=tx == 1), Admitted)
        new = sample_signal(1, block=9, tx=3)
        assert await store.inbox.admit(new, [sample_task(new)], None) == Adopted(signal_id=first.signal_id, resumed=1)


async def a_signal_that_returns_takes_its_own_credit(open_store: OpenStoreForTest) -> None:
    """What came back by itself leaves no credit behind, and the credits of its equals as they were."""
    async with open_with(open_store) as store:
        first, second = sample_signal(1, block=5, tx=1), sample_signal(1, block=5, tx=2)
        for signal in (first, second):
            await store.inbox.admit(signal, [sample_task(signal)], None)
        for signal in (first, second):
            await store.inbox.retract(signal)
        again = evolve(first, block_hash=fake_hash("block", 6))
        assert isinstance(await store.inbox.admit(again, [sample_task(again)], None), Adopted)
        third, fourth = sample_signal(1, block=6, tx=3), sample_signal(1, block=6, tx=4)
        answer = await store.inbox.admit(third, [sample_task(third)], None)
        assert answer == Adopted(signal_id=second.signal_id, resumed=1)
        assert isinstance(await store.inbox.admit(fourth, [sample_task(fourth)], None), Admitted)


async def held_tasks_end_at_their_deadline(open_store: OpenStoreForTest) -> None:
    """A retracted fill that is not mined again ends its waiting tasks with a reason."""
    async with open_with(open_store) as store:
        signal = sample_signal(1)
        await store.inbox.admit(signal, [sample_task(signal, deadline=START + 5)], None)
        await store.inbox.retract(signal)
        assert await store.inbox.expire(START + 4) == ()
        (ended,) = await store.inbox.expire(START + 6)
        assert (
            ended.outcome.end,
            ended.outcome.reason and ended.outcome.reason.code,
        ) == (End.RETRACTED, Code.RETRACTED)
        assert (await store.inbox.depth()).held == 0


async def follows_change_by_versions(open_store: OpenStoreForTest) -> None:
    """Each change raises the version; whoever waits hears all that came since; equal settings are no change."""
    async with open_with(open_store) as store:
        follow = Follow(follower=FollowerId("alice"), leader=LEADER)
        first = await store.follows.put([follow])
        assert first == await store.follows.put([follow])
        changed = evolve(follow, own=layer({"size.ratio": Ratio.parse("0.5")}))
        assert first + 1 == await store.follows.put([changed])
        version, follows = await store.follows.load()
        assert (first + 1, [changed.own]) == (version, [stored.own for stored in follows])
        heard: list[object] = []

        async def listen() -> None:
            heard.extend(await store.follows.wait_changes(version))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.sleep(1)
            await store.follows.remove([follow.key, (FollowerId("nobody"), LEADER)])
        assert len(heard) == 1
        assert (await store.follows.load())[1] == ()


async def the_mode_is_heard(open_store: OpenStoreForTest) -> None:
    """A change of mode reaches whoever waits, with its reason."""
    async with open_with(open_store) as store:
        await trio.sleep(1)
        before = await store.control.modes()
        assert before.of(ENGINE).mode is Mode.RUN
        await store.control.set_mode(Mode.REDUCE_ONLY, "test")
        await store.control.set_mode(Mode.HALT_ALL, "alone", follower_scope("alice"))
        heard = await store.control.wait_modes(before.version + 1)
        assert (heard.of(ENGINE).mode, heard.of(ENGINE).why) == (Mode.REDUCE_ONLY, "test")
        assert heard.of(follower_scope("alice")).mode is Mode.HALT_ALL
        assert heard.of(follower_scope("bob")).mode is Mode.RUN


async def checkpoints_are_kept(open_store: OpenStoreForTest) -> None:
    """What was saved last is what is loaded, also after a reorg lowered it."""
    async with open_with(open_store) as store:
        assert await store.control.checkpoint() is None
        for number in (5, 6, 4):
            checkpoint = Checkpoint(number=number, hash=fake_hash("block", number))
            await store.control.save_checkpoint(checkpoint)
            assert checkpoint == await store.control.checkpoint()


async def an_admission_advances_the_checkpoint(open_store: OpenStoreForTest) -> None:
    """The checkpoint that comes with a signal is saved in the same step; without one it stays."""
    async with open_with(open_store) as store:
        checkpoint = Checkpoint(number=9, hash=fake_hash("block", 9))
        await store.inbox.admit(sample_signal(1), (), checkpoint)
        await store.inbox.admit(sample_signal(2), (), None)
        assert checkpoint == await store.control.checkpoint()


async def a_lease_fences_out_its_old_owner(open_store: OpenStoreForTest) -> None:
    """Another owner gets a lease only when it ran out, with a higher token; the old token is worthless then."""
    async with open_with(open_store) as store:
        mine = await store.control.acquire("shard-1", ME, 10)
        assert mine is not None
        assert await store.control.acquire("shard-1", YOU, 10) is None
        await trio.sleep(5)
        mine = await store.control.renew(mine, 10)
        await trio.sleep(11)
        yours = await store.control.acquire("shard-1", YOU, 10)
        assert yours is not None
        assert yours.token > mine.token
        try:
            await store.control.renew(mine, 10)
        except LeaseLost:
            await store.control.release(mine)
            assert await store.control.acquire("shard-1", ME, 10) is None
            await store.control.release(yours)
            assert await store.control.acquire("shard-1", ME, 10) is not None
            return
        raise AssertionError("expected LeaseLost")


async def instances_are_seen(open_store: OpenStoreForTest) -> None:
    """A heartbeat shows when an instance was last alive, what it owns and what its watchdogs say, and tells it to drain."""
    async with open_with(open_store) as store:
        watch = Watch(name="head_age_s", endpoint="node", light=Light.RED, value=12.5, limit=10.0)
        one, two = Instance(instance="one", shards=(1, 2), watches=(watch,), halted="why"), Instance(instance="two")
        assert not await store.control.beat(one)
        await trio.sleep(3)
        await store.control.beat(two)
        seen = {instance.instance: instance.seen_at for instance in await store.control.instances()}
        assert round(seen["two"] - seen["one"]) == 3
        assert {instance.shards for instance in await store.control.instances()} == {(1, 2), ()}
        assert {(one.watches, one.halted) for one in await store.control.instances()} == {((watch,), "why"), ((), "")}
        assert await store.control.ask_drain("one")
        assert not await store.control.ask_drain("nobody")
        assert [await store.control.beat(one), await store.control.beat(two)] == [True, False]
        await store.control.leave("one")
        assert [instance.instance for instance in await store.control.instances()] == ["two"]


async def held_leases_are_seen(open_store: OpenStoreForTest) -> None:
    """Everybody can see who holds a lease, as long as somebody does."""
    async with open_with(open_store) as store:
        mine = await store.control.acquire("shard-1", ME, 10)
        assert mine is not None
        seen = await store.control.held(["shard-1", "shard-2"])
        assert {name: (lease.owner, lease.token) for name, lease in seen.items()} == {"shard-1": (ME, mine.token)}
        await trio.sleep(11)
        assert await store.control.held(["shard-1"]) == {}


GATE_CHECKS: tuple[StoreCheck, ...] = (
    admits_a_signal_once,
    admits_once_however_many_race,
    forgets_a_signal_after_its_time,
    sheds_entries_when_full,
    an_exit_takes_the_place_of_an_entry,
    no_exit_is_shed_for_an_entry,
    leases_in_order_and_once,
    a_lease_waits_for_a_task,
    a_cancelled_lease_takes_nothing,
    a_task_ends_once,
    only_the_owner_ends_a_task,
    an_unrenewed_lease_is_given_out_again,
    a_retried_task_comes_first,
    dead_letters_wait_for_a_person,
    a_retracted_signal_is_adopted_when_it_returns,
    a_retraction_counts_once,
    a_signal_lives_on_in_another_block,
    the_same_order_in_another_transaction_is_adopted,
    a_second_trade_of_an_order_is_no_return_of_the_first,
    equal_fills_come_back_each_for_itself,
    another_fill_of_a_transaction_is_one_of_its_own,
    a_signal_that_returns_takes_its_own_credit,
    held_tasks_end_at_their_deadline,
    follows_change_by_versions,
    the_mode_is_heard,
    checkpoints_are_kept,
    an_admission_advances_the_checkpoint,
    a_lease_fences_out_its_old_owner,
    instances_are_seen,
    held_leases_are_seen,
)
