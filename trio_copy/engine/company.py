"""What tasks of one follower, leader and token do to each other: entries gather, and an exit calls off what rests of them.

Whoever carries out a task holds its lane, so that nothing of the same token is on its way meanwhile. What else is wanted
of it rests in the store or waits in that lane, and is leased to be changed.
"""

from collections.abc import Callable, Sequence

from attrs import define, evolve

from trio_copy.clock import WallClock
from trio_copy.copying.exits import call_off
from trio_copy.copying.follow_book import FollowBook
from trio_copy.copying.gathering import gathered
from trio_copy.copying.sizing import below_minimum
from trio_copy.engine.lanes import Lanes, leaves_entry
from trio_copy.engine.leases import Leases
from trio_copy.model.decisions import CopyTask, End, Outcome, Parcel, leader_left
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.ports import Store


@define(eq=False, kw_only=True)
class Company:
    """Of one worker group."""

    store: Store
    leases: Leases
    lanes: Lanes
    book: FollowBook
    wall: WallClock
    at: Callable[[str], None]

    async def withdraw(self, task: CopyTask) -> tuple[list[CopyTask], list[CopyTask]]:
        """Take the entries that rest before an exit in hand: those without an order, and those that have one."""
        found = await self.leases.withdraw(task)
        names = {entry.task_id for entry in found}
        parked = {entry.task_id for entry in self.lanes.take(task.lane, lambda other: other.task_id in names)}
        resting = [entry for entry in found if entry.task_id in parked or not self.leases.attended(entry.task_id)]
        self.leases.adopt(task, resting)
        entries: list[CopyTask] = []
        later: list[CopyTask] = []
        under_way: list[CopyTask] = []
        for entry in resting:
            if await self.store.journal.of_task(entry.follow, entry.task_id):
                under_way.append(evolve(entry, again=True))
            else:
                (entries if leaves_entry(task, entry) else later).append(entry)
        await self.put_back(task, later)
        return entries, under_way

    async def call_off(self, task: CopyTask, entries: Sequence[CopyTask]) -> CopyTask:
        """Take the leader's exit from entries that rest, in proportion; returns what is left of the exit."""
        if not entries:
            return task
        position = await self.store.ledger.position((task.follower, task.signal.leader, task.intent.token_id))
        intent, rests = call_off(task.intent, position, [entry.intent for entry in entries])
        task = evolve(task, intent=intent)
        entries = [evolve(entry, intent=rest) for entry, rest in zip(entries, rests, strict=True)]
        # In one step with the exit's own part: whoever carries on after a crash counts nothing twice.
        await self.leases.amend([task, *entries])
        self.at("exit: called off")
        for entry in entries:
            if not entry.intent.shares:
                await self.leases.end(entry, left(entry))
        await self.put_back(task, [entry for entry in entries if entry.intent.shares])
        return task

    async def put_back(self, task: CopyTask, others: Sequence[CopyTask]) -> None:
        """Give back what was leased beside a task: to wait for company where it is too small, else to the queue."""
        terms = self.book.find(task.follower, task.signal.leader)
        size = FollowSettings().size if terms is None else terms.settings.size
        small = [other for other in others if size.minimum_policy == "accumulate" and below_minimum(other.intent, size)]
        if small:
            await self.leases.wait([other.task_id for other in small], self.wall() + size.accumulate_s)
        await self.leases.give_back([other.task_id for other in others if other not in small])

    async def gather(self, task: CopyTask, settings: FollowSettings) -> Parcel | None:
        """Put a task together with those that wait for company; None when even together they are too small."""
        accumulates = settings.size.minimum_policy == "accumulate"
        found = await self.leases.gather(task)
        parked = self.lanes.take(task.lane, lambda other: _goes_with(other, task))
        self.leases.adopt(task, parked)
        others = sorted((*found, *parked), key=lambda other: other.decided_at)
        usable = [other for other in others if other.intent.shares and (accumulates or other.deadline >= self.wall())]
        parcel = gathered(task, usable, settings)
        chosen = {task.task_id, *parcel.members}
        too_small = accumulates and below_minimum(parcel.task.intent, settings.size)
        if too_small:
            await self.leases.wait(tuple(chosen), self.wall() + settings.size.accumulate_s)
        await self.put_back(task, [other for other in others if other.task_id not in chosen])
        return None if too_small else parcel

    async def suspend(self, parcel: Parcel) -> bool:
        """Give a parcel back when a reorg took the signal of one of its tasks: that one is held, the others go again."""
        tasks = [self.leases.outstanding.get(task) for task in (parcel.task.task_id, *parcel.members)]
        doubtful = [task.task_id for task in tasks if task is not None and self.leases.in_doubt(task)]
        held = [task for task in doubtful if await self.leases.suspend(task)]
        if held:
            company = self.leases.company_of(parcel.task.task_id)
            await self.leases.give_back([task for task in company if task not in held])
        return bool(held)


def _goes_with(other: CopyTask, task: CopyTask) -> bool:
    """Tell whether a task that waits in the same lane may go out in another one's order."""
    side, leader = task.intent.side, task.signal.leader
    return other.gathers and not other.again and (other.signal.leader, other.intent.side) == (leader, side)


def left(task: CopyTask) -> Outcome:
    """Say how an entry ends that its leader's exit has called off."""
    return Outcome(end=End.SKIPPED, reason=leader_left(task.intent))
