"""One task from its lane to its end: a straight way down, by `Readiness`, the account and `Submitting`. Steps 5 to 8 of a trade.

Until it is placed, everything may be cancelled: nothing has happened. From there on it runs shielded, and a send has a
deadline, so that a shutdown neither interrupts a send nor loses what came of it. An outcome that is not proven keeps what it
holds, and its lane stays closed: the reconciler goes on asking.
"""

from collections.abc import Callable, Mapping

import trio
from attrs import define, field

from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.clock import WallClock
from trio_copy.config import EngineSettings
from trio_copy.copying.exits import drawdown_by_mark
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.borders.contract import Contract
from trio_copy.engine.sending.calling_off import RestingRules, call_off_before
from trio_copy.engine.sending.markets import Markets
from trio_copy.engine.sending.modes import ModeBoard
from trio_copy.engine.sending.patience import Patience
from trio_copy.engine.sending.readiness import Readiness, Ready
from trio_copy.engine.sending.shared_depth import SharedDepth
from trio_copy.engine.sending.submitting import AnyAnswer, Later, Submitting, refused
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.queued import Queued
from trio_copy.engine.shards.shard import Shard
from trio_copy.engine.shards.taking_in import retract
from trio_copy.engine.shards.worth import held_since, unrealised
from trio_copy.entropy import Entropy
from trio_copy.errors import LeaseLost, OrderNotSent, OrderUncertain, ReportBroken
from trio_copy.model.decisions import CopyTask, Outcome, Reason
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import rest_id
from trio_copy.model.units import NO_USD, Usd
from trio_copy.ports import nowhere

_FOR_EXITS = 10
"""For so many workers there is one more, for exits alone."""
_SELL = Side.SELL


@define(eq=False, kw_only=True)
class Execution:
    """What the workers of one executor carry out."""

    executor: Contract
    lanes: Lanes
    shards: Mapping[int, Shard]
    """Those that are held here."""
    book: FollowBook
    mode: ModeBoard
    settings: EngineSettings
    wall: WallClock
    entropy: Entropy
    rules: RestingRules
    """Say why an entry is not wanted any more, however often it may still be sent."""
    at: Callable[[str], None] = nowhere
    """Called at each point where a crash would matter."""
    in_hand: dict[Queued, None] = field(factory=dict)
    """What the workers have, in the order in which they took it."""
    markets: Markets = field(init=False)
    depth: SharedDepth = field(init=False)
    readiness: Readiness = field(init=False)
    submitting: Submitting = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.markets = Markets(self.executor.market, self.executor.market_for_exit)
        self.depth = SharedDepth(
            executor=self.executor, markets=self.markets, lanes=self.lanes, shards=self.shards, wall=self.wall
        )
        self.readiness = Readiness(
            executor=self.executor, book=self.book, mode=self.mode, depth=self.depth, wall=self.wall
        )
        self.submitting = Submitting(
            executor=self.executor,
            lanes=self.lanes,
            mode=self.mode,
            settings=self.settings,
            wall=self.wall,
            rules=self.rules,
            patience=Patience(workers=self.workers, entry_workers=self.settings.workers, entropy=self.entropy),
            at=self.at,
        )

    async def run_worker(self) -> None:
        """Carry out one task after the other, until the lanes are closed and empty, or another worker stands in for it."""
        while True:
            rested = False
            # One scope for all tasks, shielded from where one is placed to where its end is known, and with the deadline of the
            # send that is under way: one each is dear. A send that takes too long uses it up, and no more is taken in it.
            with trio.CancelScope() as scope:
                while (queued := await self.lanes.take(rested=rested, room=self._room)) is not None:
                    self.in_hand[queued] = None
                    try:
                        rested = await self.carry_out(queued, scope)
                    finally:
                        del self.in_hand[queued]
                        replaced = self.lanes.turns.done(queued)
                    if replaced:
                        return
                return

    @property
    def busy(self) -> int:
        """How many tasks are in hand."""
        return len(self.in_hand)

    @property
    def workers(self) -> int:
        """How many run at once, besides those that take long: more than may have entries, which can all wait for the same book."""
        return self.settings.workers - -self.settings.workers // _FOR_EXITS

    def _room(self) -> int:
        return self.settings.workers - self.lanes.turns.entries_out

    async def carry_out(self, queued: Queued, scope: trio.CancelScope) -> bool:
        """Carry out a task in hand as far as it goes. Cancelled before it is placed, it is still waiting.

        `scope` is the innermost one that is entered; while an order may be under way, it is shielded, and it is used up by a
        send that takes too long. Returns whether the task was placed: then others had their turn meanwhile.
        """
        rested = False
        shard = self.shards.get(queued.shard)
        # A shard that was lost, and may be ours anew, counts for nothing here: it is read again, and decided again.
        if shard is not None and self.lanes.unplaced.holds(queued):
            try:
                again = True
                while again:
                    rested, again = await self._try(shard, queued, scope)
            except LeaseLost as error:
                shard.lose(error)
        self.lanes.free(queued.lane, queued)
        return rested

    async def _try(self, shard: Shard, queued: Queued, scope: trio.CancelScope) -> tuple[bool, bool]:
        """Place a task, send its order and learn what came of it; returns whether it was placed, and shall be again."""
        task = queued.task
        self.at("task: in hand")
        try:
            await trio.lowlevel.checkpoint_if_cancelled()  # from here on there may be nothing else to wait for
            # First, so that what is asked about the task and its market is asked after the wait.
            now = self.wall()
            if now >= shard.until:
                await self.submitting.wait_lease(shard, task)
                now = self.wall()
            ready = await self.readiness.of(shard, queued, now)
        except BaseException:
            self.lanes.give_back(queued)
            raise
        if self.lanes.must_give_way(queued):
            # While the market was asked, its leader has sold again, or a reorg took it back.
            self.lanes.give_back(queued)
            return False, False
        if isinstance(ready, Outcome):
            self._end(shard, queued, ready)
            return False, False
        self.lanes.sending[shard.number] += 1
        scope.shield = True
        try:
            placed = self._place(shard, queued, ready)
            if placed is None:
                # Only an exit can still be in hand then: what rests of its token goes first.
                in_hand = self.lanes.unplaced.holds(queued) and queued.in_hand
                return await self._call_off(shard, queued) if in_hand else (False, False)
            batch = shard.writer.open  # durable together with it
            self.at("place: decided")
            await batch.wait()
            self.at("place: durable")
            answer = await self.submitting.submit(shard, queued, placed, scope)
            return True, self._learn(shard, queued, placed, answer, ready.settings)
        finally:
            scope.shield = False
            self.lanes.sending[shard.number] -= 1

    def _place(self, shard: Shard, queued: Queued, ready: Ready) -> e.Placed | None:
        """Let the account decide about a task; None when there is nothing to be sent for it now."""
        task, (settings, market, allotment, now) = queued.task, ready
        follower, prepare = self.book.terms.followers[task.follower], self.executor.prepare
        wallet = follower.wallet
        offer = c.Offer(
            task,
            settings,
            market,
            lambda key, intent: prepare(key, intent, wallet, market),
            now,
            self.lanes.unplaced.resting(queued),
            shard.grants.day(task),
            queued.is_exit and self.lanes.unplaced.crowded,
            follower.paper_usd,
            self._unrealised(shard, task, settings) if settings.caps.drawdown_by == "mark" else NO_USD,
            allotment,
            wallet,
        )
        waits = shard.accounts[task.follower].waiting.get(task.task_id)
        try:
            if waits is not None and waits.unsent is not None:
                self.executor.expect_allowed(task.intent.side)  # it may go as it was prepared before
            events = shard.act(task.follower, offer)
        except OrderNotSent as error:  # of the executor: nothing was decided, and nothing has changed
            self._end(shard, queued, refused(error))
            return None
        if queued.is_exit and shard.accounts[task.follower].resting_before(task):
            return None
        if queued.is_exit and task.task_id in shard.accounts[task.follower].waiting:
            self.lanes.set_aside(queued)
            shard.tell_followed()
            return None
        self.lanes.placed(queued)
        placed = None
        for event in events:
            if isinstance(event, e.Placed):
                placed = event
                if allotment is not None:
                    shard.sightings.allot(event.order, event.task, allotment)
            elif isinstance(event, e.Waits) and placed and event.task.task_id == rest_id(placed.task.key):
                # It is tried behind this one, in its lane, and set aside then.
                self.lanes.restore(Queued(event.task, shard.number, queued.lane), self.wall())
                shard.observer.on_divided(event.task)
        return placed

    def _unrealised(self, shard: Shard, task: CopyTask, settings: FollowSettings) -> Usd | Reason:
        if task.intent.side is _SELL or not drawdown_by_mark(settings):
            return NO_USD
        account, since = shard.accounts[task.follower], held_since(self.settings, self.wall())
        return unrealised(account, shard.marks, "caps.max_drawdown_usd", since)

    async def _call_off(self, shard: Shard, queued: Queued) -> tuple[bool, bool]:
        """Call off what rests of an exit's token, at once; returns what `_try` does: placed now, it sells what came of that.

        What is not proven keeps the lane closed, and the exit waits in it while the reconciler asks: no worker is held up.
        """
        if await call_off_before(shard, queued.task, self.executor, self.wall, self.at):
            return True, True
        self.lanes.give_back(queued)
        return True, False

    def _learn(
        self, shard: Shard, queued: Queued, placed: e.Placed, answer: AnyAnswer, settings: FollowSettings
    ) -> bool:
        """Let the account decide what came of a send; returns whether its task shall be tried once more."""
        task, order, now = placed.task, placed.order, self.wall()
        key = order.key
        command: c.Command
        if isinstance(answer, Outcome):
            command = c.NotSent(key=key, outcome=answer, at=now)
        elif isinstance(answer, Later):
            # Who keeps a journal keeps what was sent under each key, and with it who sends for it: there another key is freer.
            intent = None if task.executor in shard.journals else placed.intent
            command = c.NotSent(key=key, outcome=answer.outcome, at=now, waits_on=True, intent=intent)
        elif isinstance(answer, OrderUncertain):
            command = c.Doubt(key=key, at=now, breached=isinstance(answer, ReportBroken))
        else:
            again = now < task.deadline and (answer.stale or task.counted_attempts < settings.execution.attempts)
            if answer.stale:
                self.depth.forget(order.token_id)
            command = c.Answer(key=key, report=answer, again=again, at=now)
        events = shard.act(task.follower, command)
        self.at("send: learned")
        for event in events:
            if isinstance(event, e.Waits) and event.task.task_id == task.task_id:
                if not isinstance(answer, Later) or answer.here:
                    queued.task = event.task
                    self.lanes.take_again(queued)
                if shard.met.is_retracted(event.task.signal.signal_id):
                    # While it was being sent there was nothing to suspend.
                    retract(shard, event.task.signal.signal_id)
                if not isinstance(answer, Later):
                    return True
                if answer.here:
                    self.lanes.give_back(queued)
        return False

    def _end(self, shard: Shard, queued: Queued, outcome: Outcome) -> None:
        shard.give_up(queued, outcome)
        self.lanes.placed(queued)
