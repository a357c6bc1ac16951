"""What every store promises about tasks that wait: for their time, for company, for somebody who comes back."""

import trio
from attrs import evolve

from trio_copy.errors import LeaseLost
from trio_copy.model.decisions import Code, CopyTask, End
from trio_copy.model.fills import Side
from trio_copy.model.units import NO_SHARES
from trio_copy.ports import Admitted, Adopted, Store
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


async def _admit_entry(
    store: Store, number: int, follower: str = "alice", *, side: Side = Side.BUY, not_before: float = 0.0
) -> CopyTask:
    signal = sample_signal(number, side=side, now=START)
    task = evolve(sample_task(signal, follower), decided_at=START + number, not_before=not_before)
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
        assert (retracted.held, retracted.given_out) == (0, 1)
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


async def an_exit_finds_the_entries_before_it(open_store: OpenStoreForTest) -> None:
    """Queued, delayed, waiting, given out before, or leased by its owner already; no others, and none that has ended."""
    async with open_with(open_store) as store:
        waits = await _admit_gathering(store, 1)
        await lease_all(store)
        await store.inbox.wait([waits.task_id], ME, START + 60)
        delayed = await _admit_entry(store, 2, not_before=START + 50)
        again = await _admit_entry(store, 3)
        await lease_all(store)
        await store.inbox.expire(START + 30)
        (leased,) = await lease_all(store)
        assert leased.task_id == again.task_id
        ended = await _admit_entry(store, 4)
        await lease_all(store)
        await store.inbox.complete(ended.task_id, ME, FILLED)
        queued = await _admit_entry(store, 5)
        hers = await _admit_entry(store, 6, "bob")
        leaves = await _admit_entry(store, 7, side=Side.SELL)
        await lease_all(store, YOU)
        await store.inbox.retry(queued.task_id, YOU)
        later = await _admit_entry(store, 8)
        try:
            await store.inbox.withdraw(leaves.task_id, ME)
        except LeaseLost:
            pass
        else:
            raise AssertionError("expected LeaseLost")
        found = await store.inbox.withdraw(leaves.task_id, YOU)
        # What somebody else has leased is his.
        assert [waits.task_id, delayed.task_id, queued.task_id] == [task.task_id for task in found]
        assert found == await store.inbox.withdraw(leaves.task_id, YOU)
        for task in found:
            await store.inbox.complete(task.task_id, YOU, FILLED)
        assert [later.task_id] == [task.task_id for task in await lease_all(store)]
        assert await store.inbox.withdraw(leaves.task_id, YOU) == ()
        await store.inbox.retry(leaves.task_id, YOU)
        await lease_all(store)
        assert [again.task_id] == [task.task_id for task in await store.inbox.withdraw(leaves.task_id, ME)]
        assert hers.task_id not in {task.task_id for task in found}


async def what_a_task_wants_may_change(open_store: OpenStoreForTest) -> None:
    """An amended intent is what everybody leases from then on; a change that concerns others' tasks changes nothing."""
    async with open_with(open_store) as store:
        first, second = await _admit_entry(store, 1), await _admit_entry(store, 2)
        await store.inbox.lease_nowait(EXECUTOR, ME, 1)
        await store.inbox.lease_nowait(EXECUTOR, YOU, 1)
        less = evolve(first.intent, shares=NO_SHARES)
        try:
            await store.inbox.amend({first.task_id: less, second.task_id: less}, ME)
        except LeaseLost:
            pass
        else:
            raise AssertionError("expected LeaseLost")
        await store.inbox.retry(first.task_id, ME)
        (unchanged,) = await lease_all(store)
        assert unchanged.intent == first.intent
        await store.inbox.amend({first.task_id: less}, ME)
        await store.inbox.retry(first.task_id, ME)
        (changed,) = await lease_all(store)
        assert changed == evolve(first, intent=less)


async def a_task_given_back_before_its_time_waits_for_it(open_store: OpenStoreForTest) -> None:
    """Leased for an exit and given back, a delayed entry is still not given out before it is due."""
    async with open_with(open_store) as store:
        entry = await _admit_entry(store, 1, not_before=START + 50)
        leaves = await _admit_entry(store, 2, side=Side.SELL)
        await lease_all(store)
        assert [entry.task_id] == [task.task_id for task in await store.inbox.withdraw(leaves.task_id, ME)]
        await store.inbox.retry(entry.task_id, ME)
        assert await lease_all(store) == ()
        assert (await store.inbox.depth()).queued == 1
        (task,) = await store.inbox.lease(EXECUTOR, ME, 10)
        assert trio.current_time() >= 50
        assert task.task_id == entry.task_id


async def what_has_no_order_is_suspended(open_store: OpenStoreForTest) -> None:
    """Its owner says so: then a task of a retracted signal is held, given out before or not, and resumed with it."""
    async with open_with(open_store) as store:
        fresh, again = await _admit_entry(store, 1), await _admit_entry(store, 2)
        await store.inbox.lease_nowait(EXECUTOR, ME, 1)
        await store.inbox.lease_nowait(EXECUTOR, YOU, 1)
        assert not await store.inbox.suspend(fresh.task_id, ME)
        await store.inbox.expire(START + 1000)
        await lease_all(store)
        for task in (fresh, again):
            retracted = await store.inbox.retract(task.signal)
            assert retracted is not None
            assert (retracted.signal_id, retracted.given_out) == (task.signal.signal_id, 1)
            try:
                await store.inbox.suspend(task.task_id, YOU)
            except LeaseLost:
                pass
            else:
                raise AssertionError("expected LeaseLost")
            assert await store.inbox.suspend(task.task_id, ME)
        depth = await store.inbox.depth()
        assert (depth.leased, depth.held) == (0, 2)
        assert await lease_all(store) == ()
        assert isinstance(await store.inbox.admit(fresh.signal, [fresh], None), Adopted)
        assert [fresh.task_id] == [task.task_id for task in await lease_all(store)]


WAITING_CHECKS: tuple[StoreCheck, ...] = (
    a_task_is_not_given_out_before_its_time,
    what_waits_gathers,
    what_waits_in_vain_ends,
    a_task_given_out_again_says_so,
    what_was_given_out_before_goes_its_own_way,
    waiting_entries_make_room_for_exits,
    a_task_given_back_after_a_reorg_is_held,
    an_exit_finds_the_entries_before_it,
    what_a_task_wants_may_change,
    a_task_given_back_before_its_time_waits_for_it,
    what_has_no_order_is_suspended,
)
