"""Engines that are broken on purpose: a checker that does not find them would be decoration."""

import os
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import trio
from attrs import evolve, frozen

import trio_copy.model.signals
from tests.crash.histories import Case, play
from trio_copy.engine.execution import Execution
from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import CopyTask, End, Outcome
from trio_copy.model.fills import Fill
from trio_copy.model.ids import OrderId, SignalId
from trio_copy.model.orders import JournalState, Order
from trio_copy.model.records import OrderRecord
from trio_copy_dry_run.executor import DryRunExecutor
from trio_copy_sqlite.journal import SqliteJournal


def get_then_set() -> None:
    """Look whether the key is free, and only then insert: somebody else may have looked at the same moment."""
    freeze = SqliteJournal.freeze

    async def broken(self: SqliteJournal, order: Order, task: CopyTask, members: Any = ()) -> OrderRecord:
        if await self.of_task(task.follow, task.task_id):
            return await freeze(self, order, task, members)
        await trio.sleep(0.01)
        return await _overwrite(self, order, task, members)

    SqliteJournal.freeze = broken  # type: ignore[method-assign]


def fresh_salt_on_retry() -> None:
    """Sign anew each time, and send what was signed last."""
    prepare = DryRunExecutor.prepare

    def broken(self: DryRunExecutor, *args: Any) -> Order:
        order = prepare(self, *args)
        body = os.urandom(8).hex().encode() + order.body
        return evolve(order, body=body, order_id=OrderId("0x" + sha256(body).hexdigest()))

    async def forgetful(self: Execution, task: CopyTask) -> None:
        await trio.lowlevel.checkpoint()

    DryRunExecutor.prepare = broken  # type: ignore[method-assign,assignment]
    Execution._resume = forgetful  # type: ignore[method-assign]
    SqliteJournal.freeze = _overwrite  # type: ignore[method-assign]


def acknowledge_before_recording() -> None:
    """Tell the queue that a task is done, and do it then."""
    run = Execution.run

    async def broken(self: Execution, task: CopyTask) -> Any:
        await self.store.inbox.complete(task.task_id, self.owner, Outcome(end=End.FILLED))
        return await run(self, task)

    Execution.run = broken  # type: ignore[method-assign]


def release_on_timeout() -> None:
    """Take no answer for a refusal."""
    submit = Execution._submit

    async def broken(self: Execution, task: CopyTask, order: Order) -> Any:
        with trio.move_on_after(self.settings.send_timeout_s / 2):
            return await submit(self, task, order)
        raise OrderNotSent("no answer, so it was surely not sent")

    Execution._submit = broken  # type: ignore[method-assign]


def log_index_in_the_key() -> None:
    """Name a fill by its place in its block, which changes when the block is mined again."""

    def broken(fill: Fill) -> SignalId:
        return SignalId(sha256(f"{fill.tx_hash}|{fill.log_index}".encode()).hexdigest())

    trio_copy.model.signals.fill_signal_id = broken


async def _overwrite(self: SqliteJournal, order: Order, task: CopyTask, members: Any = ()) -> OrderRecord:
    """Store an order as if nobody else could have stored one."""
    await self.writer.run(
        lambda db: db.execute("UPDATE orders SET key = key || '-' || hex(randomblob(4)) WHERE key = ?", (order.key,))
    )
    now = self.wall()
    await _FREEZE(self, order, task, members)
    return OrderRecord(order=order, task=task, members=tuple(members), state=JournalState.INTENT, at=now, frozen_at=now)


_FREEZE = SqliteJournal.freeze


@frozen
class Mutant:
    """A way to break the engine, and the history that shows it."""

    sabotage: Callable[[], None]
    case: Case


MUTANTS = (
    Mutant(get_then_set, Case("twins", 0, (), "fresh")),
    Mutant(fresh_salt_on_retry, Case("send: answered", 1, (), "fresh")),
    Mutant(acknowledge_before_recording, Case("place: before the reservation", 1, (), "fresh")),
    Mutant(release_on_timeout, Case("nowhere", 0, ("lose-reply",), "fresh")),
    Mutant(log_index_in_the_key, Case("nowhere", 0, (), "fresh")),
)


def hunt() -> list[tuple[str, bool, bool]]:
    """Play each mutant's history: its name, whether it was caught, and whether the honest engine passes the same one."""
    return [
        (mutant.sabotage.__name__, bool(play(mutant.case, mutant.sabotage)[0]), not play(mutant.case)[0])
        for mutant in MUTANTS
    ]
