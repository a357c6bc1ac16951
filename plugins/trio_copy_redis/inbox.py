"""The gate and the queue behind it: everything of one signal lives in the shard of its leader."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import trio
from attrs import define, field

from trio_copy.errors import LeaseLost
from trio_copy.model.control import ShardDepth
from trio_copy.model.decisions import (
    CopyTask,
    Ended,
    OrderIntent,
    Outcome,
    Skip,
    evicted,
    never_enough,
    retracted,
    shed,
)
from trio_copy.model.ids import FollowerId, SignalId, TaskId
from trio_copy.model.logs import Checkpoint
from trio_copy.model.records import skip_record
from trio_copy.model.signals import Signal
from trio_copy.ports import Admitted, Adopted, DeadLetter, Depth, Duplicate, Retracted, Unsure
from trio_copy.records import decode, encode
from trio_copy_redis.bell import LOOK_EVERY_S, Bell
from trio_copy_redis.client import Script, load_script
from trio_copy_redis.desk import Desk

CREDIT_MS = 600_000
"""How long a retracted trade may come back under another transaction hash."""
_MOST_AT_ONCE = 1000
_LEASE_S = 5.0
"""A lease that Redis does not answer for this long is given up, so that a shutdown is not held up for ever."""


def _script(name: str) -> Script:
    return load_script("shard", name)


_ADMIT, _RETRACT, _LEASE, _GATHER = _script("admit"), _script("retract"), _script("lease"), _script("gather")
_WAIT, _RENEW, _COMPLETE, _RETRY = _script("wait"), _script("renew_tasks"), _script("complete"), _script("retry")
_BURY, _DEAD, _REPLAY, _EXPIRE = _script("bury"), _script("dead"), _script("replay"), _script("expire")
_WITHDRAW, _AMEND, _SUSPEND = _script("withdraw"), _script("amend"), _script("suspend")
_END, _RECLAIM, _DEPTH = _script("end_resting"), _script("reclaim"), _script("depth")


@define(eq=False, kw_only=True)
class RedisInbox:
    desk: Desk
    bell: Bell
    capacity: int
    """Of each shard."""
    dedup_ttl_s: float
    lease_s: float
    history_max: int
    _served: frozenset[int] | None = None
    _maybe: dict[str, set[int]] = field(factory=dict)
    """Shards that may have something queued, by executor; the others are asked once a second."""
    _due: dict[str, dict[int, float]] = field(factory=dict)
    """When the next delayed task of a shard is due, by executor."""
    _unheard: set[tuple[str, int]] = field(factory=set)
    """Executors and shards of leases whose answer may not have been heard: they are told again."""
    _shards: dict[TaskId, int] = field(factory=dict)
    """Where the tasks are that were leased here."""

    def __attrs_post_init__(self) -> None:
        self.desk.on_loss.append(self._shards.clear)

    async def admit(
        self,
        signal: Signal,
        tasks: Sequence[CopyTask],
        checkpoint: Checkpoint | None,
        skips: Sequence[Skip] = (),
        *,
        whole: bool = True,
    ) -> Admitted | Duplicate | Adopted | Unsure:
        now = self.desk.wall()
        intents: dict[int, str] = {}
        words: list[str] = []
        for task in tasks:
            body = intents.get(id(task.intent))
            if body is None:
                body = intents[id(task.intent)] = encode(task.intent)
            words += (
                *(task.task_id, task.executor, task.follower, body, repr(task.deadline), repr(task.not_before)),
                *(_company(task), task.intent.side.value, repr(task.decided_at), _position(task)),
            )
        answer = await self.desk.on_shard(
            self.desk.shard_of(signal.leader),
            _ADMIT,
            signal.signal_id,
            _milliseconds(self.dedup_ttl_s),
            self.capacity,
            "" if signal.credit_key is None else "|".join(signal.credit_key),
            signal.block_hash,
            encode(signal),
            "" if checkpoint is None else encode(checkpoint),
            self.desk.next_nonce(),
            encode(shed(self.capacity)),
            encode(evicted(self.capacity)),
            self.desk.keep_ms,
            self.history_max,
            self.desk.bell,
            int(whole),
            signal.tx_hash,
            len(tasks),
            *words,
            *(encode(skip_record(skip, signal, now)) for skip in skips),
            reads=True,
        )
        match answer:
            case ["admitted", kept, gone]:
                mine = {task.task_id: task for task in tasks}
                return Admitted(
                    kept=kept,
                    shed=tuple(
                        Ended(task=mine.get(task.task_id, task), outcome=self._end_of(task, mine))
                        for task in read_tasks(gone)
                    ),
                )
            case ["adopted", signal_id, resumed]:
                return Adopted(signal_id=SignalId(signal_id), resumed=resumed)
            case ["unsure"]:
                return Unsure()
            case _:
                return Duplicate()

    def _end_of(self, task: CopyTask, mine: dict[TaskId, CopyTask]) -> Outcome:
        return shed(self.capacity) if task.task_id in mine else evicted(self.capacity)

    async def retract(self, signal: Signal) -> Retracted | None:
        shard = self.desk.shard_of(signal.leader)
        found = await self.desk.on_shard(shard, _RETRACT, signal.signal_id, signal.block_hash, CREDIT_MS)
        return None if found is None else Retracted(signal_id=SignalId(found[0]), held=found[1], given_out=found[2])

    async def lease(self, executor: str, owner: str, limit: int) -> tuple[CopyTask, ...]:
        while True:
            rung = self.bell.next("queue")
            tasks = await self._lease_shielded(executor, owner, limit)
            if tasks:
                return tasks
            served = set(self._to_serve())
            dues = (due for shard, due in self._due.get(executor, {}).items() if shard in served)
            due = min(dues, default=float("inf")) - self.desk.wall()
            with trio.move_on_after(min(LOOK_EVERY_S, max(0.0, due))) as waited:
                await rung.wait()
            if waited.cancelled_caught and due > 0:
                self._maybe.pop(executor, None)  # a bell may have been missed: all are asked

    async def lease_nowait(self, executor: str, owner: str, limit: int) -> tuple[CopyTask, ...]:
        self._maybe.pop(executor, None)
        return await self._lease_shielded(executor, owner, limit)

    async def _lease_shielded(self, executor: str, owner: str, limit: int) -> tuple[CopyTask, ...]:
        tasks: list[CopyTask] = []
        # A lease that nobody hears of would wait for its end: a cancellation waits for the answer.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LEASE_S):
            await self._lease(executor, owner, limit, tasks)
        return tuple(tasks)

    async def _lease(self, executor: str, owner: str, limit: int, tasks: list[CopyTask]) -> None:
        """Add to the tasks what the shards have for an executor."""
        until = repr(self.desk.wall() + self.lease_s)
        asked = self._to_ask(executor)
        for shard in sorted(asked):
            left = min(limit - len(tasks), _MOST_AT_ONCE)
            if left <= 0:
                break
            asked.discard(shard)
            # Whatever ends this call, or repeats it, before its answer is heard: what it leased is told again.
            call, before = (executor, shard), self.desk.client.lost_answers
            words = (executor, owner, until, left, int(call in self._unheard))
            self._unheard.add(call)
            try:
                found, due = await self.desk.on_shard(shard, _LEASE, *words)
            except LeaseLost:
                continue  # whoever looks after the shards finds out for himself
            if self.desk.client.lost_answers == before:
                self._unheard.discard(call)
            leased = self._note(shard, read_tasks(found))
            tasks.extend(leased)
            self._due.setdefault(executor, {})[shard] = float(due or "inf")
            if len(leased) >= left or call in self._unheard:
                asked.add(shard)  # there may be more

    def _to_ask(self, executor: str) -> set[int]:
        """Return the shards that may have something for an executor; asking takes a shard out until its bell rings."""
        served = set(self._to_serve())
        for tag in tuple(self.bell.busy):
            self.bell.busy.discard(tag)
            for asked in self._maybe.values():
                asked.update(shard for shard in served if self.desk.tag(shard) == tag)
        now = self.desk.wall()
        asked = self._maybe.setdefault(executor, served)
        asked |= {shard for shard, due in self._due.get(executor, {}).items() if due <= now}
        asked &= served
        return asked

    async def gather(self, task: TaskId, owner: str) -> tuple[CopyTask, ...]:
        shard = await self._find(task)
        until = repr(self.desk.wall() + self.lease_s)
        return await self._lease_beside(shard, _GATHER, task, owner, until)

    async def _lease_beside(self, shard: int, script: Script, *words: str) -> tuple[CopyTask, ...]:
        """Lease tasks beside the queue. Should an answer be lost, what was leased is told again with the next lease."""
        before = self.desk.client.lost_answers
        try:
            return self._note(shard, read_tasks(await self.desk.on_shard(shard, script, *words)))
        finally:
            if self.desk.client.lost_answers != before:
                self._unheard.update((executor, shard) for executor in self._maybe)
                for asked in self._maybe.values():
                    asked.add(shard)

    async def withdraw(self, task: TaskId, owner: str) -> tuple[CopyTask, ...]:
        shard = await self._find(task)
        until = repr(self.desk.wall() + self.lease_s)
        return await self._lease_beside(shard, _WITHDRAW, task, owner, until)

    async def amend(self, intents: Mapping[TaskId, OrderIntent], owner: str) -> None:
        words = [word for task, intent in intents.items() for word in (task, encode(intent))]
        await self.desk.on_shard(await self._find(next(iter(intents))), _AMEND, owner, *words)

    async def suspend(self, task: TaskId, owner: str) -> bool:
        held = bool(await self.desk.on_shard(await self._find(task), _SUSPEND, task, owner))
        if held:
            self._let_go([task])
        return held

    async def wait(self, tasks: Sequence[TaskId], owner: str, until: float) -> None:
        await self.desk.on_shard(await self._find(tasks[0]), _WAIT, owner, repr(until), *tasks)
        self._let_go(tasks)

    async def renew(self, tasks: Sequence[TaskId], owner: str) -> tuple[TaskId, ...]:
        until = repr(self.desk.wall() + self.lease_s)
        by_shard: dict[int, list[TaskId]] = {}
        lost: list[TaskId] = []
        for task in tasks:
            try:
                by_shard.setdefault(await self._find(task), []).append(task)
            except LeaseLost:
                lost.append(task)
        for shard, mine in by_shard.items():
            try:
                lost.extend(map(TaskId, await self.desk.on_shard(shard, _RENEW, owner, until, *mine)))
            except LeaseLost:
                lost.extend(mine)
        self._let_go(lost)
        return tuple(lost)

    async def complete(self, task: TaskId, owner: str, outcome: Outcome) -> bool:
        words = (task, owner, encode(outcome), self.desk.next_nonce(), self.desk.keep_ms)
        first = await self.desk.on_shard(await self._find(task), _COMPLETE, *words)
        self._let_go([task])
        return bool(first)

    async def retry(self, task: TaskId, owner: str) -> None:
        await self.desk.on_shard(await self._find(task), _RETRY, task, owner, self.desk.bell)
        self._let_go([task])

    async def bury(self, task: TaskId, owner: str, why: str) -> None:
        await self.desk.on_shard(await self._find(task), _BURY, task, owner, why)
        self._let_go([task])

    async def dead_letters(self) -> tuple[DeadLetter, ...]:
        letters = []
        for found, about in await self._everywhere(_DEAD):
            why = {task: (reason, float(at)) for task, reason, at in about}
            letters += [
                DeadLetter(task=task, why=why[task.task_id][0], at=why[task.task_id][1]) for task in read_tasks(found)
            ]
        return tuple(sorted(letters, key=lambda letter: letter.at))

    async def replay(self, tasks: Sequence[TaskId]) -> int:
        return await self._on_dead("replay", tasks)

    async def purge(self, tasks: Sequence[TaskId]) -> int:
        return await self._on_dead("purge", tasks)

    async def expire(self, now: float) -> tuple[Ended, ...]:
        ended = []
        for shard in self.desk.held():
            try:
                held, waiting = await self.desk.on_shard(
                    shard, _EXPIRE, self.desk.deliveries, self.desk.bell, repr(now)
                )
                for state, found, end in (("held", held, retracted), ("waiting", waiting, never_enough)):
                    for task in read_tasks(found):
                        outcome = end(task)
                        words = (task.task_id, state, encode(outcome), self.desk.keep_ms)
                        if await self.desk.on_shard(shard, _END, *words):
                            ended.append(Ended(task=task, outcome=outcome))
            except LeaseLost:
                continue
        return tuple(ended)

    async def depth(self) -> Depth:
        answers = [[int(count or 0) for count in counts] for counts, _ in await self._everywhere(_DEPTH)]
        queued, leased, waiting, held, dead, peak = (sum(column) for column in zip(*answers, strict=True))
        return Depth(
            queued=queued,
            leased=leased,
            held=waiting + held,
            dead=dead,
            capacity=self.capacity * len(answers),
            peak=peak,
        )

    async def depths(self) -> tuple[ShardDepth, ...]:
        depths = []
        for shard, (counts, oldest) in enumerate(await self._everywhere(_DEPTH)):
            queued, leased, waiting, held, dead, _ = (int(count or 0) for count in counts)
            depths.append(
                ShardDepth(
                    shard=shard,
                    queued=queued,
                    leased=leased,
                    held=waiting + held,
                    dead=dead,
                    oldest_at=float(oldest) if oldest else None,
                )
            )
        return tuple(depths)

    def serve(self, shards: frozenset[int]) -> None:
        if shards != self._served:
            self._served = shards
            self._maybe.clear()
            self._due.clear()
            self.bell.ring("queue")

    async def reclaim(self, shard: int) -> int:
        found: int = await self.desk.on_shard(shard, _RECLAIM, self.desk.deliveries, self.desk.bell)
        return found

    def _to_serve(self) -> tuple[int, ...]:
        held = self.desk.held()
        return held if self._served is None else tuple(shard for shard in held if shard in self._served)

    async def _on_dead(self, verb: str, tasks: Sequence[TaskId]) -> int:
        if not tasks:
            return 0
        words = (verb, self.desk.bell, *dict.fromkeys(tasks))
        return sum([await self.desk.on_shard(shard, _REPLAY, *words) for shard in self.desk.held()])

    async def _everywhere(self, script: Script) -> list[Any]:
        """Look at every shard, whoever owns it."""
        return await self.desk.client.all(
            [partial(self.desk.look_at, self.desk.tag(shard), script) for shard in range(self.desk.shards)]
        )

    async def _find(self, task: TaskId) -> int:
        """Return the shard of a task; those that were leased here are known."""
        known = self._shards.get(task)
        if known is not None:
            return known
        held = self.desk.held()
        found = await self.desk.client.all(
            [partial(self.desk.ask, self.desk.tag(shard), "EXISTS", f"task:{task}") for shard in held]
        )
        for shard, exists in zip(held, found, strict=True):
            if exists:
                self._shards[task] = shard
                return shard
        raise LeaseLost(f"task {task} is in no shard of ours")

    def _note(self, shard: int, tasks: tuple[CopyTask, ...]) -> tuple[CopyTask, ...]:
        self._shards.update((task.task_id, shard) for task in tasks)
        return tasks

    def _let_go(self, tasks: Sequence[TaskId]) -> None:
        for task in tasks:
            self._shards.pop(task, None)


def read_tasks(rows: Any) -> tuple[CopyTask, ...]:  # noqa: ANN401  as a script returned them
    """Make tasks of rows; equal signals and intents are read once."""
    found, records = rows
    signals = {signal: decode(record, Signal) for signal, record in records if record}
    intents: dict[str, OrderIntent] = {}
    tasks = []
    for task_id, signal, follower, executor, body, deadline, decided_at, not_before, company, again, *_ in found:
        if signal not in signals:
            continue  # older than what is kept of its signal
        if body not in intents:
            intents[body] = decode(body, OrderIntent)
        tasks.append(
            CopyTask(
                task_id=TaskId(task_id),
                signal=signals[signal],
                follower=FollowerId(follower),
                executor=executor,
                intent=intents[body],
                deadline=float(deadline),
                decided_at=float(decided_at),
                not_before=float(not_before),
                gathers=bool(company),
                again=again == "1",
            )
        )
    return tuple(tasks)


def _company(task: CopyTask) -> str:
    """Name those whom a task gathers with; nothing for a task that goes alone."""
    if not task.gathers:
        return ""
    return f"{_position(task)}:{task.intent.side.value}"


def _position(task: CopyTask) -> str:
    return f"{task.follower}:{task.signal.leader}:{task.intent.token_id}"


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
