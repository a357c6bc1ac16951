"""Engines that are broken on purpose: a checker that does not find them would be decoration."""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import sha256
from math import inf
from typing import Any

import trio
from attrs import evolve, frozen

import trio_copy.model.signals
from tests.crash.apart import BrokeApart, apart
from tests.crash.checker import Verdict
from tests.crash.histories import Case, EngineBroke, play
from tests.crash.world import RESTS
from tests.worlds import instances
from trio_copy.accounts import Account
from trio_copy.accounts.events import Placed
from trio_copy.accounts.orders import LIFE, OpenOrder, OrderState, Said, Step, not_sent
from trio_copy.accounts.state import AccountState
from trio_copy.engine.sending.submitting import Submitting
from trio_copy.engine.shards.grants import Grants
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.progress import Progress
from trio_copy.engine.shards.queued import Queued
from trio_copy.engine.shards.shard import Shard
from trio_copy.engine.shards.writing import Batch, Writer
from trio_copy.model.decisions import CopyTask
from trio_copy.model.fills import Fill
from trio_copy.model.ids import OrderId, SignalId, TaskId
from trio_copy.model.orders import ExecutionReport, Order
from trio_copy.model.units import Usd
from trio_copy.ports import Changes, DocumentKey, Heads
from trio_copy_dry_run.executor import DryRunExecutor
from trio_copy_memory.accounts import MemoryAccounts
from trio_copy_sqlite.accounts import SqliteAccounts


def checkpoint_ahead_of_effects() -> None:
    """Let the checkpoint pass a block as soon as it is read, whatever has become of its tasks."""
    next_checkpoint = Progress.next_checkpoint

    def broken(self: Progress) -> Any:
        self._blocks.clear()
        return next_checkpoint(self)

    Progress.next_checkpoint = broken  # type: ignore[method-assign]


def place_before_the_lane_is_free() -> None:
    """Give out the next task of a lane while one of it is under way, or not proven."""
    take = Lanes.take_nowait

    def broken(self: Lanes, *, room: float = inf) -> Queued | None:
        queued = take(self, room=room)
        if queued is not None:
            self.free(queued.lane, queued)
        return queued

    Lanes.take_nowait = broken  # type: ignore[method-assign]
    Lanes.close_lane = lambda self, lane, by: None  # type: ignore[method-assign]


def write_out_of_order() -> None:
    """Let what was learned of an order go behind the write by which it ends."""
    write, seen, late = Writer._write, set[DocumentKey](), list[tuple[Batch, Changes]]()

    async def broken(self: Writer, batch: Batch, changes: Changes) -> None:
        orders = {document.key for document in changes.puts if document.kind == "order"}
        if not late and orders & seen:
            late.append((batch, changes))
            return
        seen.update(orders)
        await write(self, batch, changes)
        if late and any(document.key in changes.deletes for document in late[0][1].puts):
            await write(self, *late.pop())

    Writer._write = broken  # type: ignore[method-assign]


def takeover_that_does_not_fence() -> None:
    """Let whoever owned a shard before go on writing to it."""
    write = MemoryAccounts.write

    async def broken(self: MemoryAccounts, shard: int, token: int, number: int, *rest: Any) -> None:
        written = self.data.shard(shard)
        written.token, written.number = token, number - 1
        await write(self, shard, token, number, *rest)

    MemoryAccounts.write = broken  # type: ignore[method-assign,assignment]
    MemoryAccounts._unless_fenced = lambda self, shard, token: self.data.shard(shard)  # type: ignore[method-assign]


def takeover_without_open_orders() -> None:
    """Begin without what may be at a venue."""
    take, load = SqliteAccounts.take, SqliteAccounts.load

    async def take_broken(self: SqliteAccounts, shard: int, token: int) -> Heads:
        heads = await take(self, shard, token)
        return evolve(heads, documents=[one for one in heads.documents if one.kind != "order"])

    async def load_broken(self: SqliteAccounts, *args: Any) -> Any:
        found = await load(self, *args)
        return {who: [one for one in documents if one.kind != "order"] for who, documents in found.items()}

    SqliteAccounts.take = take_broken  # type: ignore[method-assign]
    SqliteAccounts.load = load_broken  # type: ignore[method-assign,assignment]


def book_a_report_twice() -> None:
    """Book what was matched once more, when the venue says so once more."""
    LIFE[OrderState.MATCHED, Said.MATCHED] = (Step.BOOK, OrderState.MATCHED)


def spend_a_grant_before_it_is_durable() -> None:
    """Take what is left of a budget for granted."""

    async def broken(self: Grants, task: CopyTask, cost: Usd) -> bool:
        assert self.limit is not None
        await trio.lowlevel.checkpoint()
        day = self._of(task)
        day.granted = self.limit.micro
        return day.left >= cost.micro

    Grants.draw = broken  # type: ignore[method-assign]


def send_before_it_is_durable() -> None:
    """Wait for nothing."""

    async def broken(self: Batch) -> None:
        await trio.lowlevel.checkpoint()

    Batch.wait = broken  # type: ignore[method-assign]


def fresh_salt_on_retry() -> None:
    """Sign anew each time that something is sent again."""
    submit, sent = DryRunExecutor.submit, set[str]()

    async def broken(self: DryRunExecutor, order: Order) -> ExecutionReport:
        if order.key in sent:
            body = os.urandom(8).hex().encode() + order.body
            order = evolve(order, body=body, order_id=OrderId("0x" + sha256(body).hexdigest()))
        sent.add(order.key)
        return await submit(self, order)

    DryRunExecutor.submit = broken  # type: ignore[method-assign]


def release_on_timeout() -> None:
    """Take no answer for a refusal."""
    submit = Submitting.submit

    async def broken(self: Submitting, shard: Shard, queued: Queued, placed: Placed, scope: trio.CancelScope) -> Any:
        with trio.move_on_after(self.settings.send_timeout_s / 2):
            return await submit(self, shard, queued, placed, scope)
        return not_sent("no answer, so it was surely not sent")

    Submitting.submit = broken  # type: ignore[method-assign]


def sell_beside_what_rests() -> None:
    """Send an exit while an entry of its token is open at the venue: one of them, for a venue refuses all it gets so again."""
    resting_before, sold = Account.resting_before, set[TaskId]()

    def broken(self: AccountState, task: CopyTask) -> list[OpenOrder]:
        resting = resting_before(self, task)
        if resting and not sold:
            sold.add(task.task_id)
        return [] if task.task_id in sold else resting

    Account.resting_before = broken  # type: ignore[method-assign]


def log_index_in_the_key() -> None:
    """Name a fill by its place in its block, which changes when the block is mined again."""

    def broken(fill: Fill) -> SignalId:
        return SignalId(sha256(f"{fill.tx_hash}|{fill.log_index}".encode()).hexdigest())

    trio_copy.model.signals.fill_signal_id = broken


@frozen
class Mutant:
    """A way to break the engine, and what shows it: one of some histories, or of the first seeded worlds of several engines."""

    sabotage: Callable[[], None]
    shown_by: Sequence[Case] = ()


def _undisturbed(*faults: str) -> Sequence[Case]:
    return (Case("sqlite", "nowhere", 0, faults, "fresh"),)


def _killed_at(point: str, nths: Iterable[int], *faults: str) -> Sequence[Case]:
    """Return a death at each of some passages: which one shows it moves with every write that is saved."""
    return tuple(Case("sqlite", point, nth, faults, "fresh") for nth in nths)


MUTANTS = (
    Mutant(checkpoint_ahead_of_effects, _killed_at("write: durable", range(8, 20), "lose-request")),
    Mutant(place_before_the_lane_is_free, _undisturbed("lose-request")),
    Mutant(write_out_of_order, _undisturbed("lose-reply")),
    Mutant(takeover_that_does_not_fence),
    Mutant(takeover_without_open_orders, _killed_at("send: answered", range(1, 9))),
    Mutant(book_a_report_twice, _undisturbed()),
    Mutant(spend_a_grant_before_it_is_durable),
    Mutant(send_before_it_is_durable, _undisturbed()),
    Mutant(fresh_salt_on_retry, _undisturbed("lose-request", "kill")),
    Mutant(release_on_timeout, _undisturbed("lose-reply")),
    Mutant(log_index_in_the_key, _undisturbed()),
    Mutant(sell_beside_what_rests, _undisturbed(RESTS)),
)

_WORLDS = 16
"""About half of all worlds show an engine that does not fence."""


def hunt() -> list[tuple[str, bool, bool]]:
    """Play what shows each mutant: its name, whether it was caught, and whether the honest engine passes the same."""
    return [(mutant.sabotage.__name__, *_hunt(mutant)) for mutant in MUTANTS]


def _hunt(mutant: Mutant) -> tuple[bool, bool]:
    # Not one seed that is known to show it: whatever a world draws more would make another world of it.
    for world in mutant.shown_by or range(_WORLDS):
        if _play(world, mutant.sabotage):
            return True, not _play(world, None)
    return False, True


def _play(shown_by: Case | int, sabotage: Callable[[], None] | None) -> Verdict:
    try:
        if isinstance(shown_by, Case):
            return play(shown_by, sabotage)[0]
        return apart(partial(instances.play, shown_by, sabotage=sabotage))
    except (EngineBroke, BrokeApart) as error:
        # Books that contradict each other end an engine before anybody compares them.
        return Verdict(wrong=[str(error)])
