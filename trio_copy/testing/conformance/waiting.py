"""What every store promises about tasks that wait: for their time, for company, for somebody who comes back."""

import trio
from attrs import evolve

from trio_copy.model.decisions import Code, CopyTask, End
from trio_copy.model.fills import Side
from trio_copy.ports import Admitted, Store
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
from trio_copy.testing.samples import EXECUTOR, sample_signal, sample_task


async def a_task_is_not_given_out_before_its_time(open_store: OpenStoreForTest) -> None:
    """A delayed task is queued at once and leased when it is due, also by somebody who waits for it."""
    async with open_with(open_store) as store:
        signal = sample_signal(1)
        await store.inbox.admit(signal, [evolve(sample_task(signal), not_before=START + 5)], None)
        assert await lease_all(store) == ()
        assert (await store.inbox.depth()).queued == 1
        (task,) = await store.inbox.lease(EXECUTOR, ME, 10)
        assert trio.current_time() >= 5
        assert task.task_id == sample_task(signal).task_id


async def _admit_gathering(store: Store, number: int, follower: str = "alice", *, side: Side = Side.BUY) -> CopyTask:
    signal = sample_signal(number, side=side, now=START)
    task = evolve(sample_task(signal, follower), gathers=True, decided_at=START + number)
    await store.inbox.admit(signal, [task], None)
    return task


async def what_waits_gathers(open_store: OpenStoreForTest) -> None:
    """A leased task takes along what is queued or waits of its follower, leader, token and side; nothing else."""
    async with open_with(open_store) as store:
        small = await _admit_gathering(store, 1)
        await lease_all(store)
        await store.inbox.wait([small.task_id], ME, START + 60)
        assert await lease_all(store) == ()
        await _admit_gathering(store, 2)
        (leased,) = await lease_all(store)
        mine, hers = await _admit_gathering(store, 3), await _admit_gathering(store, 4, "bob")
        taken = await store.inbox.gather(leased.task_id, ME)
        assert [small.task_id, mine.task_id] == [task.task_id for task in taken]
        assert [hers.task_id] == [task.task_id for task in await lease_all(store)]
        assert await store.inbox.complete(small.task_id, ME, FILLED)


async def what_waits_in_vain_ends(open_store: OpenStoreForTest) -> None:
    """A task that too few joined in time ends with a reason, counted from the first time it waited."""
    async with open_with(open_store) as store:
        first = await _admit_gathering(store, 1)
        await lease_all(store)
        await store.inbox.wait([first.task_id], ME, START + 10)
        await _admit_gathering(store, 2)
        (second,) = await lease_all(store)
        assert [first.task_id] == [task.task_id for task in await store.inbox.gather(second.task_id, ME)]
        await store.inbox.wait([first.task_id, second.task_id], ME, START + 100)
        assert (await store.inbox.depth()).held == 2
        assert await store.inbox.expire(START + 9) == ()
        (ended,) = await store.inbox.expire(START + 11)
        assert ended.task.task_id == first.task_id
        assert ended.outcome.reason is not None
        assert (ended.outcome.end, ended.outcome.reason.code) == (End.SKIPPED, Code.NEVER_ENOUGH)


async def a_task_given_out_again_says_so(open_store: OpenStoreForTest) -> None:
    """Whoever gets a task that somebody else did not end is told to ask the journal first."""
    async with open_with(open_store) as store:
        await admit(store, 1)
        (task,) = await lease_all(store)
        assert not task.again
        await store.inbox.expire(START + 1000)
        (task,) = await lease_all(store, YOU)
        assert task.again


async def what_was_given_out_before_goes_its_own_way(open_store: OpenStoreForTest) -> None:
    """The journal may know an order of it: it is neither gathered, nor held by a reorg, nor evicted by an exit."""
    async with open_with(open_store, queue_capacity=2) as store:
        first = await _admit_gathering(store, 1)
        await lease_all(store)
        await store.inbox.expire(START + 1000)
        second = await _admit_gathering(store, 2)
        leased = await store.inbox.lease_nowait(EXECUTOR, ME, 1)
        assert [first.task_id] == [task.task_id for task in leased]
        await store.inbox.expire(START + 2000)
        retracted = await store.inbox.retract(first.signal)
        assert retracted is not None
        assert (retracted.held, retracted.started) == (0, 1)
        admission = await admit(store, 3, side=Side.SELL)
        assert isinstance(admission, Admitted)
        assert [second.task_id] == [ended.task.task_id for ended in admission.shed]
        fresh = await _admit_gathering(store, 4)
        assert fresh.task_id not in {first.task_id}
        (again, *_) = await lease_all(store)
        assert again.task_id == first.task_id
        assert await store.inbox.gather(again.task_id, ME) == ()


async def waiting_entries_make_room_for_exits(open_store: OpenStoreForTest) -> None:
    """An inbox that is full of entries which wait for company still takes an exit."""
    async with open_with(open_store, queue_capacity=1) as store:
        small = await _admit_gathering(store, 1)
        await lease_all(store)
        await store.inbox.wait([small.task_id], ME, START + 1000)
        admission = await admit(store, 2, side=Side.SELL)
        assert isinstance(admission, Admitted)
        assert (admission.kept, [ended.task.task_id for ended in admission.shed]) == (1, [small.task_id])


async def a_task_given_back_after_a_reorg_is_held(open_store: OpenStoreForTest) -> None:
    """Its signal was taken back while it was leased and never sent: it waits for the signal, not for a worker."""
    async with open_with(open_store) as store:
        for number, give_back in ((1, "retry"), (2, "wait")):
            task = await _admit_gathering(store, number)
            await lease_all(store)
            await store.inbox.retract(task.signal)
            if give_back == "retry":
                await store.inbox.retry(task.task_id, ME)
            else:
                await store.inbox.wait([task.task_id], ME, START + 1000)
            assert await lease_all(store) == ()
        assert (await store.inbox.depth()).held == 2


WAITING_CHECKS: tuple[StoreCheck, ...] = (
    a_task_is_not_given_out_before_its_time,
    what_waits_gathers,
    what_waits_in_vain_ends,
    a_task_given_out_again_says_so,
    what_was_given_out_before_goes_its_own_way,
    waiting_entries_make_room_for_exits,
    a_task_given_back_after_a_reorg_is_held,
)
