"""Entries that rest at a venue: why one shall rest no longer, and how it is called off.

A resting entry is an offer to buy at a price of the past. Whatever would keep an entry from being sent now takes it off the
venue's book as well: nobody waits for its lifetime. Cancelling is no knowledge, so what came of it is always asked. For the
same reasons an entry that provably never arrived is not sent again.
"""

from collections.abc import Callable

import trio
from attrs import define

from trio_copy.accounts import OpenOrder
from trio_copy.accounts import commands as c
from trio_copy.accounts.budgets import breach, day_of
from trio_copy.clock import WallClock
from trio_copy.config import EngineSettings
from trio_copy.copying.exits import drawdown_by_mark
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.borders.contract import Contract
from trio_copy.engine.sending.modes import ModeBoard
from trio_copy.engine.shards.shard import Shard
from trio_copy.engine.shards.worth import held_since, unrealised
from trio_copy.errors import ExecutorError, LeaseLost, ReportBroken
from trio_copy.model.decisions import Code, CopyTask, Reason, left_by, retracted
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, task_id
from trio_copy.model.units import NO_USD

_LEAST_S = 0.5
"""How long a venue is asked to take something off its book, however late it is for the exit."""
_BLIND_S = 30.0
"""So long a watchdog may halt entries before what rests is called off: who sees no chain does not see its leader leave."""


@define(eq=False, kw_only=True)
class RestingRules:
    """Says why an entry is not wanted any more; asked again and again, because most of it may begin at any time."""

    book: FollowBook
    mode: ModeBoard
    settings: EngineSettings
    wall: WallClock
    draining: bool = False
    """Whether the engine is about to end: nothing shall rest that nobody watches."""
    _halted_at: float | None = None

    def why(self, shard: Shard, open_order: OpenOrder) -> Reason | None:
        """Return why an order is to be called off now; None while it may rest."""
        task, now = open_order.task, self.wall()
        if open_order.breached:
            return _reason(Code.CONTRACT_BROKEN, "executor", "reported what cannot be", "a report inside its order")
        if now >= task.intent.rest_until:
            return _rested_out(task, now)
        if self.draining:
            return _reason(Code.DRAINED, "engine.drain_s", "rested at the end", "filled before the stop")
        return self._unwanted(shard, open_order, now)

    def why_not_again(self, shard: Shard, open_order: OpenOrder) -> Reason | None:
        """Return why an order that its venue provably does not have is not to be sent again; None while it may be.

        An exit always may, but of a sale that a reorg took back: not being able to leave is worse. What modes forbid is looked
        at before every send.
        """
        task, now = open_order.task, self.wall()
        if task.intent.side is Side.SELL:
            return retracted(task).reason if shard.met.is_retracted(task.signal.signal_id) else None
        if task.intent.rest_until and now >= task.intent.rest_until:
            return _rested_out(task, now)
        leaving = shard.lanes[open_order.order.executor].unplaced.leaving(task)
        return self._unwanted(shard, open_order, now) if leaving is None else left_by(leaving, task)

    def _unwanted(self, shard: Shard, open_order: OpenOrder, now: float) -> Reason | None:
        """Return why an entry would not be sent if it came now."""
        task = open_order.task
        follower, leader, account = task.follower, task.signal.leader, shard.accounts[task.follower]
        if shard.met.is_retracted(task.signal.signal_id):
            return retracted(task).reason
        if _has_lost_a_member(shard, open_order):
            # No part of an order can be taken off, and what is bought for a trade that never was, nobody ever sells.
            return _reason(Code.RETRACTED, "chain", "one that went out with it", "blocks that stay")
        return (
            self.mode.forbids_for_good(Side.BUY, follower, leader)
            or account.forbids(Side.BUY)
            or not_followed(self.book, follower, leader)
            or self._moved(open_order)
            or _decided(shard, open_order)
            or self._lost(shard, open_order)
            or self._blind(now)
        )

    def _moved(self, open_order: OpenOrder) -> Reason | None:
        """Say whether its follower trades elsewhere by now: his exits go out there, and would leave behind what it buys."""
        here, now = open_order.order.executor, self.book.terms.followers[open_order.task.follower].executor
        return None if here == now else _reason(Code.EXECUTOR_CHANGED, "follower.executor", now, here)

    def _lost(self, shard: Shard, open_order: OpenOrder) -> Reason | None:
        task = open_order.task
        terms = self.book.find(task.follower, task.signal.leader)
        if terms is None:
            return None
        caps, account, gained = terms.settings.caps, shard.accounts[task.follower], NO_USD
        if drawdown_by_mark(terms.settings):
            known = unrealised(account, shard.marks, "caps.max_drawdown_usd", held_since(self.settings, self.wall()))
            if isinstance(known, Reason):
                return (
                    None  # nothing new is bought; what a venue has on its book already is left to those who know more
                )
            gained = known
        return breach(caps, account.performance, day_of(self.wall()), gained)

    def look(self) -> None:
        """Take note whether entries are halted now; to be called before any order is asked about."""
        halted = self.mode.halted() is not None
        self._halted_at = None if not halted else self.wall() if self._halted_at is None else self._halted_at

    def _blind(self, now: float) -> Reason | None:
        return self.mode.halted() if self._halted_at is not None and now - self._halted_at >= _BLIND_S else None


def _rested_out(task: CopyTask, now: float) -> Reason:
    most = task.intent.rest_until - task.signal.block_time
    return _reason(Code.NO_FILL, "execution.rest_s", f"{now - task.signal.block_time:.0f}", str(most))


def _has_lost_a_member(shard: Shard, open_order: OpenOrder) -> bool:
    """Tell whether a reorg took back one of the trades whose copies an order holds together."""
    follower, members = open_order.task.follower, open_order.members
    return bool(members) and any(task_id(first, follower) in members for first in shard.met.retracted)


def _decided(shard: Shard, open_order: OpenOrder) -> Reason | None:
    """Say whether an order's question was decided: who still sells then knows what the shares are worth."""
    question = shard.catalog.question_of(open_order.order.token_id)
    if question is None or shard.resolved.of(question[0]) is None:
        return None
    return _reason(Code.QUESTION_DECIDED, "market", question[0], "undecided")


async def call_off_before(
    shard: Shard, task: CopyTask, executor: Contract, wall: WallClock, at: Callable[[str], None]
) -> bool:
    """Take what rests of an exit's token off the venue's book, and learn what came of it; returns whether nothing rests now.

    Asked once, about all of it at the same time, and for no longer than leaves time for the exit: where nobody answers, the
    reconciler goes on. Raises `LeaseLost`: the shard is not ours any more.
    """
    account = shard.accounts[task.follower]
    lost: list[LeaseLost] = []

    async def ask(open_order: OpenOrder) -> None:
        try:
            await _call_off(shard, open_order, executor, wall)
        except LeaseLost as error:
            lost.append(error)

    with trio.move_on_after(max(_LEAST_S, (task.deadline - wall()) / 2)):
        async with trio.open_nursery() as nursery:
            for open_order in account.resting_before(task):
                nursery.start_soon(ask, open_order)
    if lost:
        raise lost[0]
    at("rest: called off")
    return not account.resting_before(task)


async def _call_off(shard: Shard, open_order: OpenOrder, executor: Contract, wall: WallClock) -> None:
    order, follower = open_order.order, open_order.task.follower
    try:
        await executor.cancel(order)
        report = None if open_order.breached else await executor.find(order)
    except ReportBroken:
        shard.act(follower, c.Doubt(key=order.key, at=wall(), breached=True))
        return
    except ExecutorError:
        return
    if report is not None and is_latest(shard, open_order):
        shard.act(follower, c.Answer(key=order.key, report=report, at=wall()))


def is_latest(shard: Shard, before: OpenOrder) -> bool:
    """Tell whether nobody has learned anything of an order since: then an answer about it is not older than what is known."""
    account = shard.accounts.get(before.task.follower)
    now = None if account is None else account.orders.get(before.order.key)
    return now is not None and now.report is before.report


def not_followed(book: FollowBook, follower: FollowerId, leader: Address) -> Reason | None:
    """Return why a follower takes no entries of a leader now, as the follows stand."""
    if follower not in book.terms.followers:
        return _reason(Code.NOT_FOLLOWED, "follower", "removed", "a follower")
    terms = book.find(follower, leader)
    if terms is None:
        return _reason(Code.NOT_FOLLOWED, "follow", "removed", "a follow")
    status = terms.settings.status
    return None if status == "active" else _reason(Code.FOLLOW_PAUSED, "status", status, "active")


def _reason(code: Code, control: str, value: str, limit: str) -> Reason:
    return Reason(code=code, control=control, value=value, limit=limit)
