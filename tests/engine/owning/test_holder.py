"""The shards that are held: what a new owner does with what the one before left, and what is left of one that is lost."""

from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import ALICE, LEADER, NOW, hash_of, make_signal
from tests.engine.rig import LEASE_S, Rig, buy, on_memory, open_rig, sell
from trio_copy.accounts import OrderState
from trio_copy.accounts.commands import Park, Replay
from trio_copy.engine.people.acts import Acts
from trio_copy.engine.people.hearing import Hearing
from trio_copy.engine.people.requests import replay
from trio_copy.engine.shards.taking_in import arm, resume, retract, seal, take_in
from trio_copy.errors import LeaseLost, StoreUnavailable
from trio_copy.model.control import Lease, shard_lease
from trio_copy.model.decisions import Code, CopyTask, End
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.logs import BlockRef
from trio_copy.model.units import Price, Shares
from trio_copy_memory.data import MemoryData

Clock = trio.testing.MockClock


def waiting(number: int = 1, **changes: Any) -> CopyTask:
    """A task that waits durably for a minute before it is sent."""
    return buy(number, **{"not_before": NOW + 60, "deadline": NOW + 600, **changes})


def nobody_leaves(*_: object) -> Any:
    raise AssertionError("nobody has asked for it")


def hearing(rig: Rig) -> Hearing:
    """Make what hears people of whom nobody leaves a position, or has a wallet act."""
    acts = Acts(
        executor_of=lambda follower: None,
        follower_of=lambda follower: None,
        wall=rig.wall,
        on_step=lambda step, detail: None,  # no wallet is live
    )
    return Hearing(shard_of=rig.holder.shard_of, acts=acts, look_for=nobody_leaves, leave=nobody_leaves)


async def test_what_was_open_closes_its_lane_until_it_is_proven(clock: Clock) -> None:
    """It may be at the venue: exits and entries of its lane wait, those of others do not."""
    books = on_memory()
    async with open_rig(open_store=books) as rig:
        await rig.hold("bob")
        rig.executor.script, rig.executor.hide, venue = ["lose reply"], True, rig.executor
        await rig.take_in(buy(1))
        await trio.sleep(1)
    async with open_rig(open_store=books, executor=venue) as rig:
        assert [order.state for order in rig.open_orders()] == [OrderState.UNKNOWN]
        behind = sell(2, deadline=NOW + 60)
        await rig.take_in(behind)
        assert await rig.end_of(sell(3, "bob")) == [(End.FILLED, None)]
        await trio.sleep(5)
        assert len(venue.sent) == 2
        venue.hide = False
        assert await rig.wait_ends(buy(1), behind) == [(End.FILLED, None)] * 2
    assert len(venue.sent) == 3


async def test_what_was_being_sent_may_be_at_the_venue(clock: Clock) -> None:
    """A process that dies between the write and the answer: the order is in doubt, and asked about, and not sent again."""
    data = MemoryData()
    async with open_rig(open_store=on_memory(data)) as rig:
        rig.executor.script, venue = ["hang"], rig.executor
        await rig.take_in(buy(1))
        await trio.sleep(1)
        assert [order.state for order in rig.open_orders()] == [OrderState.PLACED]
        left = data.copy()
    async with open_rig(open_store=on_memory(left), executor=venue) as rig:
        assert [order.state for order in rig.open_orders()] == [OrderState.UNKNOWN]
        assert await rig.wait_ends(buy(1)) == [(End.FILLED, None)]
    assert len(venue.sent) == 1


async def test_tasks_that_waited_go_on(clock: Clock) -> None:
    """After an end in good order: for the rest of their time, once, and none of them is blamed for anything."""
    books = on_memory()
    async with open_rig(open_store=books) as rig:
        task = waiting()
        await rig.take_in(task)
        await trio.sleep(10)
        await rig.holder.end(0)
        assert rig.holder.shards == {}
    async with open_rig(open_store=books) as rig:
        assert not rig.shard.unclean
        assert rig.account().waiting[task.task_id].tries == 0
        await trio.sleep(49)
        assert rig.executor.sent == []
        assert await rig.wait_ends(task) == [(End.FILLED, None)]
        await rig.take_in(task)
        await trio.sleep(5)
    assert len(rig.executor.sent) == 1


async def test_what_only_waited_in_a_lane_is_read_again(clock: Clock) -> None:
    """The checkpoint has not passed it; after a crash the next owner meets its signal, and decides."""
    books = on_memory()
    async with open_rig(open_store=books, at_work=False) as rig:
        task = buy(deadline=NOW + 60)
        rig.shard.met.meet(task.signal, NOW, whole=True)
        await rig.take_in(task)
        arm(rig.shard, BlockRef(number=8, hash=hash_of(8), parent=hash_of(7), time=0), 8, anew=False)
        seal(rig.shard, BlockRef(number=12, hash=hash_of(12), parent=hash_of(11), time=0))
        await rig.shard.writer.flush()
        assert rig.shard.checkpoint is not None
        assert rig.shard.checkpoint.number == 8
    async with open_rig(open_store=books) as rig:
        assert rig.shard.progress.floor == 8
        assert task.signal.signal_id not in rig.shard.met
        assert await rig.end_of(task) == [(End.FILLED, None)]


async def test_after_an_unclean_end_tasks_are_taken_up_one_by_one(clock: Clock) -> None:
    """One of them may be what ended the process: never two at once, each counted before it is taken up."""
    books = on_memory()
    tasks = [waiting(number, token=number, not_before=NOW + 1) for number in range(1, 4)]
    async with open_rig(open_store=books, at_work=False) as rig:
        await rig.take_in(*tasks)
        await rig.shard.writer.flush()
    await trio.sleep(5)
    async with open_rig(open_store=books) as rig:
        assert rig.shard.unclean
        at_once, counted = list[int](), list[int]()

        async def market(token: Any, ask: Any = rig.executor.market) -> Any:
            at_once.append(len(rig.lanes.unplaced))
            counted.append(len(await rig.store.history.documents("waits")))
            await trio.sleep(1)
            return await ask(token)

        rig.executor.market = market
        assert await rig.wait_ends(*tasks) == [(End.FILLED, None)] * 3
        assert at_once == [1, 1, 1]


async def test_after_an_unclean_end_exits_are_taken_up_first(clock: Clock) -> None:
    """However many entries wait for their turn."""
    books = on_memory()
    entries = [waiting(number, token=10 + number, not_before=NOW + 1) for number in range(1, 9)]
    leave = sell(20, not_before=NOW + 1, deadline=NOW + 600)  # of the same account, which read them in their order
    async with open_rig(open_store=books) as rig:
        await rig.hold()
        await rig.take_in(*entries, leave)
        await rig.shard.writer.flush()
    await trio.sleep(2)
    async with open_rig(open_store=books) as rig:
        assert rig.executor.sent == []
        await rig.wait_ends(*entries, leave)
        assert rig.executor.sent[0].side is Side.SELL


async def test_a_task_that_ends_the_process_three_times_is_a_dead_letter(clock: Clock) -> None:
    """The others are carried out; a person may replay it, and it is taken up like any other."""
    books = on_memory()
    poison, other = waiting(1, token=1, not_before=NOW + 1), waiting(2, token=2, not_before=NOW + 1)
    async with open_rig(open_store=books, at_work=False) as rig:
        await rig.take_in(poison, other)
        await rig.shard.writer.flush()
    for _ in range(3):
        await trio.sleep(2)
        with pytest.RaisesGroup(pytest.RaisesExc(ZeroDivisionError), flatten_subgroups=True):
            async with open_rig(open_store=books) as rig:
                rig.execution.markets.ask = _explode  # the contract would contain what a plugin raises
                await trio.sleep_forever()
    async with open_rig(open_store=books) as rig:
        assert await rig.wait_ends(other) == [(End.FILLED, None)]
        letter = rig.account().dead[poison.task_id]
        assert "3 times" in letter.why
        assert [name.name for name in await rig.store.history.documents("dead")] == [poison.task_id]
        await rig.store.accounts.ask(0, replay("please", poison.follower, poison.task_id, NOW))
        await hearing(rig).hear(rig.shard)
        assert await rig.wait_ends(poison) == [(End.FILLED, None)]


async def _explode(_token: Any) -> Any:
    await trio.lowlevel.checkpoint()
    raise ZeroDivisionError("poison")


async def test_what_the_chain_brings_after_an_unclean_end_is_taken_up_singly_as_well(clock: Clock) -> None:
    """It was traded before the crash, and may have been under way in a lane: it waits durably, and is carried out."""
    books = on_memory()
    async with open_rig(open_store=books):
        await trio.sleep(1)
    await trio.sleep(5)
    async with open_rig(open_store=books) as rig:
        await trio.sleep(1)
        tasks = [buy(number, token=number, deadline=NOW + 60) for number in range(3)]
        assert await rig.end_of(*tasks) == [(End.FILLED, None)] * 3
        new = evolve(buy(9), signal=evolve(make_signal(9), block_time=int(rig.wall()) + 5), deadline=NOW + 60)
        await rig.take_in(new)
        assert rig.account().waiting == {}
        assert await rig.wait_ends(new) == [(End.FILLED, None)]


@pytest.mark.parametrize("how", ["suspended", "for later"])
async def test_what_cannot_be_taken_up_yet_holds_nobody_up(clock: Clock, how: str) -> None:
    """After an unclean end, one waits for its signal, or for a later time: the others need not wait for that."""
    books = on_memory()
    first = waiting(1, token=1, not_before=NOW + (30 if how == "for later" else 1))
    second = waiting(2, token=2, not_before=NOW + 1)
    async with open_rig(open_store=books, at_work=False) as rig:
        await rig.take_in(first, second)
        if how == "suspended":
            retract(rig.shard, first.signal.signal_id)
        await rig.shard.writer.flush()
    await trio.sleep(2)
    async with open_rig(open_store=books) as rig:
        assert await rig.wait_ends(second) == [(End.FILLED, None)]
        assert rig.wall() < NOW + 5
        resume(rig.shard, first.signal.signal_id)
        assert await rig.wait_ends(first) == [(End.FILLED, None)]


async def test_a_signal_that_is_taken_back_while_its_task_awaits_its_turn_is_not_sent(clock: Clock) -> None:
    """It stands in no lane yet: it is suspended in the account, and waits for its signal when its turn comes."""
    books = on_memory()
    tasks = [waiting(number, token=number, not_before=NOW + 1) for number in (1, 2)]
    async with open_rig(open_store=books, at_work=False) as rig:
        await rig.take_in(*tasks)
        await rig.shard.writer.flush()
    await trio.sleep(2)
    async with open_rig(open_store=books) as rig:
        assert tasks[1].task_id not in rig.lanes.unplaced
        retract(rig.shard, tasks[1].signal.signal_id)
        assert await rig.wait_ends(tasks[0]) == [(End.FILLED, None)]
        await trio.sleep(5)
        assert len(rig.executor.sent) == 1
        resume(rig.shard, tasks[1].signal.signal_id)
        assert await rig.wait_ends(tasks[1]) == [(End.FILLED, None)]


async def test_what_belongs_to_an_executor_that_is_gone_ends_and_stops_nobody(clock: Clock) -> None:
    """The file does not name it any more: its tasks end with that reason, a start succeeds, and what ended is not one too many."""
    books = on_memory()
    gone = waiting(1, executor="gone")
    async with open_rig(open_store=books, at_work=False) as rig:
        await rig.shard.load([gone.follower])
        rig.shard.lanes["gone"] = rig.lanes  # type: ignore[index]  # as if it had been running
        rig.shard.act(gone.follower, Park(task=gone, at=NOW))
        await rig.holder.end(0)
    async with open_rig(open_store=books) as rig:
        assert await rig.wait_ends(gone) == [(End.REJECTED, Code.NOT_SENT)]
        assert rig.holder.found == 1
        reason = rig.recorder.finished[0].outcome.reason
        assert reason is not None
        assert "no executor named gone" in reason.value


async def test_a_lost_shard_leaves_nothing_behind(clock: Clock) -> None:
    """Another one has it: everything that waited is forgotten, nothing is decided any more, and an alert says so."""
    async with open_rig(alone=False, at_work=False) as rig:
        shard, task = rig.shard, waiting()
        await rig.take_in(task, buy(2))
        shard.lose(LeaseLost("somebody else has it"))
        assert rig.holder.shards == {}
        assert len(rig.lanes.unplaced) == 0
        assert rig.recorder.alerts == [("shard-lost", "somebody else has it")]
        with pytest.raises(LeaseLost):
            shard.act(task.follower, Replay(task=task.task_id, at=NOW))
        assert take_in(shard, buy(3).signal, [buy(3)], ()) == 0
        shard.lose(LeaseLost("once more"))
        assert len(rig.recorder.alerts) == 1


async def test_only_the_owner_writes(clock: Clock) -> None:
    """The one that lost it without knowing finds out with its next write, which changes nothing."""
    books = on_memory()
    async with open_rig(open_store=books, alone=False, at_work=False) as first:
        await first.take_in(waiting(1))
        await first.shard.writer.flush()
        await first.store.control.release(first.lease)
        async with open_rig(open_store=books, alone=False, owner="another", at_work=False) as second:
            await first.take_in(waiting(2))
            await trio.testing.wait_all_tasks_blocked()
            assert first.holder.shards == {}
            assert list(second.account().waiting) == [waiting(1).task_id]
            assert len(await second.store.history.documents("waits")) == 1


async def test_a_shard_that_is_begun_again_is_not_dropped_for_the_one_before(clock: Clock) -> None:
    """The old one's last write is refused when the new one is at work already: that loses nothing of the new one."""
    async with open_rig(alone=False) as rig:
        old = rig.shard
        rig.holder.drop(0, LeaseLost("it ran out"))
        await rig.holder.begin(0, _next_lease(rig))
        old.writer.tell()
        await trio.testing.wait_all_tasks_blocked()
        assert rig.shard is not old
        assert await rig.end_of(buy()) == [(End.FILLED, None)]


def _next_lease(rig: Rig) -> Lease:
    return Lease(name=shard_lease(0), owner="me", token=rig.lease.token + 1, until=rig.wall() + LEASE_S)


async def test_the_only_shard_that_is_lost_ends_everything(clock: Clock) -> None:
    """There is nothing to go on with: another process has taken it."""
    books = on_memory()

    async def lose() -> None:
        async with open_rig(open_store=books) as rig:
            await rig.store.accounts.take(0, rig.lease.token + 1)
            await rig.take_in(waiting())
            await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as caught:
        await lose()
    lost, other = caught.value.split(LeaseLost)
    assert lost is not None
    assert other is None


async def test_a_store_that_fails_ends_everything(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is traded blind: what could not be made durable is not sent."""
    venue: list[Any] = []

    async def fail(*_: object) -> None:
        await trio.lowlevel.checkpoint()
        raise StoreUnavailable("the disk is gone")

    async def trade() -> None:
        async with open_rig() as rig:
            venue.append(rig.executor)
            monkeypatch.setattr(type(rig.store.accounts), "write", fail)
            await rig.take_in(buy())
            await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as caught:
        await trade()
    assert caught.value.split(StoreUnavailable)[1] is None
    assert venue[0].sent == []


async def test_a_store_that_forgot_is_told_again_by_the_living_owner(clock: Clock) -> None:
    """It lost its last moments: everything that is at hand is written again, and the copy that found it out is made."""
    data = MemoryData()
    async with open_rig(open_store=on_memory(data)) as rig:
        await rig.end_of(buy(1))
        earlier = data.copy()
        rig.shard.met.meet(make_signal(50), NOW, whole=True)
        rig.shard.met.passed([make_signal(50).signal_id])
        await rig.take_in(waiting(2, token=8))
        await rig.end_of(buy(3, token=9))
        rig.shard.marks.note((ALICE, LEADER, TokenId(7)), Price.parse("0.8"), NOW)
        data.fall_back(earlier)
        assert await rig.end_of(buy(4, token=10)) == [(End.FILLED, None)]
        await rig.shard.writer.flush()
        assert "store-forgot" in dict(rig.recorder.alerts)
    async with open_rig(open_store=on_memory(data), at_work=False) as rig:
        assert [len(rig.account().waiting), len(rig.account().holdings)] == [1, 3]
        for task in (buy(1), buy(3, token=9), buy(4, token=10)):
            assert Shares.parse(10) == rig.position(task).shares
        assert rig.shard.met.first_of(make_signal(50).signal_id) is not None
        mark = rig.shard.marks.of((ALICE, LEADER, TokenId(7)))
        assert mark is not None
        assert mark.peak == Price.parse("0.8")


async def test_a_store_that_forgot_and_was_taken_by_somebody_is_his(clock: Clock) -> None:
    """The owner before finds out, and drops the shard with everything that it knew."""
    data = MemoryData()
    async with open_rig(open_store=on_memory(data), alone=False) as rig:
        await rig.end_of(buy(1))
        data.fall_back(MemoryData())
        assert await rig.store.control.acquire(shard_lease(0), "another", LEASE_S) is not None
        await rig.take_in(waiting(2))
        await trio.testing.wait_all_tasks_blocked()
        assert rig.holder.shards == {}


async def test_a_shard_that_is_given_up_while_it_is_written_again_stays_given_up(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has forgotten the lease as well, which is found out meanwhile: nothing of the time before is written."""
    data = MemoryData()
    async with open_rig(open_store=on_memory(data), alone=False, at_work=False) as rig:
        await rig.take_in(waiting(1))
        load = type(rig.store.accounts).load

        async def slowly(*args: Any) -> Any:
            await trio.sleep(1)
            return await load(*args)

        monkeypatch.setattr(type(rig.store.accounts), "load", slowly)
        data.fall_back(MemoryData())
        retract(rig.shard, waiting(1).signal.signal_id)
        await trio.sleep(0.5)
        rig.shard.lose(LeaseLost("the store knows of no lease"))
        await trio.sleep(2)
        assert rig.holder.shards == {}
        assert await rig.store.history.documents("waits") == []


@pytest.mark.parametrize("during", ["take", "load", "write"])
@pytest.mark.parametrize("how", ["fails", "is cancelled"])
async def test_a_store_that_forgot_and_cannot_be_told_again_leaves_nobody_waiting(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, during: str, how: str
) -> None:
    """Whoever has placed is shielded, and waits for what was being written when it was found out."""
    data, batches = MemoryData(), []

    async def trade() -> None:
        async with open_rig(open_store=on_memory(data), at_work=False) as rig:
            inner = getattr(rig.store.accounts, during)

            async def fail(_: object, *args: Any) -> Any:
                if "store-forgot" not in dict(rig.recorder.alerts):
                    return await inner(*args)
                await trio.sleep(2)
                raise StoreUnavailable("away again")

            await rig.take_in(waiting(1))
            await rig.shard.writer.flush()
            monkeypatch.setattr(type(rig.store.accounts), during, fail)
            data.fall_back(MemoryData())
            batches.append(rig.shard.writer.open)
            await rig.take_in(waiting(2, token=8))
            await trio.sleep(1)
            batches.append(rig.shard.writer.open)
            await rig.take_in(waiting(3, token=9))
            if how == "is cancelled":
                raise ValueError("something else went wrong")
            await trio.sleep(2)

    with pytest.raises(BaseExceptionGroup):
        await trade()
    for batch in batches:
        with trio.fail_after(1), pytest.raises(StoreUnavailable):
            await batch.wait()


async def test_two_shards_share_the_lanes_and_not_the_accounts(clock: Clock) -> None:
    """An exit of one shard evicts an entry of the other one, which ends in its own account."""
    async with open_rig(alone=False, at_work=False, queue_capacity=1) as rig:
        lease = await rig.store.control.acquire(shard_lease(1), "me", LEASE_S)
        assert lease is not None
        other = await rig.holder.begin(1, lease)
        await other.load([FollowerId("bob")])
        entry, leave = buy(1), sell(2, "bob")
        await rig.take_in(entry)
        assert take_in(other, leave.signal, [leave], ()) == 1
        assert await rig.wait_ends(entry) == [(End.SHED, Code.EVICTED_BY_EXIT)]
        assert entry.signal.signal_id in rig.account().recent
        assert "alice" not in other.accounts
        assert [queued.task for queued in rig.lanes.unplaced] == [leave]
        rig.holder.hand_over(0)
        assert not rig.shard.is_read()
        assert len(rig.lanes.unplaced) == 1
