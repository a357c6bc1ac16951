"""One task from its lane to its end: a straight way down. Steps 5 to 8 of a trade.

Until it is placed, everything may be cancelled: nothing has happened. From there on it runs shielded, and a send has a
deadline, so that a shutdown neither interrupts a send nor loses what came of it. An outcome that is not proven keeps what it
holds, and its lane stays closed: the reconciler goes on asking.
"""

from collections.abc import Callable, Mapping
from math import inf
from typing import NamedTuple

import trio
from attrs import define, field, frozen

from trio_copy.accounts import OpenOrder
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.costs import worst_cost
from trio_copy.accounts.orders import not_sent
from trio_copy.clock import WallClock
from trio_copy.config import EngineSettings
from trio_copy.copying.exits import drawdown_by_mark
from trio_copy.copying.filters import check_book
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.borders.contract import Contract
from trio_copy.engine.sending.calling_off import RestingRules, call_off_before, not_followed
from trio_copy.engine.sending.markets import Markets
from trio_copy.engine.sending.modes import ModeBoard
from trio_copy.engine.sending.patience import Patience, Sends
from trio_copy.engine.sending.shared_depth import SharedDepth, left_out
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.queued import Queued
from trio_copy.engine.shards.shard import Shard
from trio_copy.engine.shards.taking_in import retract
from trio_copy.engine.shards.worth import held_since, unrealised
from trio_copy.entropy import Entropy
from trio_copy.errors import ContractBroken, LeaseLost, OrderNotSent, OrderUncertain, ReportBroken
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason, left_by, retracted, too_late
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import rest_id
from trio_copy.model.orders import ExecutionReport, Market, Order, Status
from trio_copy.model.sightings import Allotment
from trio_copy.model.units import NO_USD, Usd
from trio_copy.ports import nowhere

_AFTER_DEADLINE_S = 0.05
"""Whoever waits for a deadline looks at the clock when it is surely over."""
_FOR_EXITS = 10
"""For so many workers there is one more, for exits alone."""
_BUY, _SELL, _DENIED = Side.BUY, Side.SELL, End.DENIED
_UNFOLLOWED = FollowSettings()
"""How exits are carried out whose follow was removed since."""


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
    patience: Patience = field(init=False)
    markets: Markets = field(init=False)
    depth: SharedDepth = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.patience = Patience(workers=self.workers, entry_workers=self.settings.workers, entropy=self.entropy)
        self.markets = Markets(self.executor.market, self.executor.market_for_exit)
        self.depth = SharedDepth(
            executor=self.executor, markets=self.markets, lanes=self.lanes, shards=self.shards, wall=self.wall
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
                await self._wait_lease(shard, task)
                now = self.wall()
            ready = await self._wait_ready(shard, queued, now)
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
            answer = await self._submit(shard, queued, placed, scope)
            return True, self._learn(shard, queued, placed, answer, ready.settings)
        finally:
            scope.shield = False
            self.lanes.sending[shard.number] -= 1

    async def _wait_ready(self, shard: Shard, queued: Queued, now: float) -> "Outcome | _Ready":
        """Learn what a decision needs, or why there is none to be made."""
        task = queued.task
        settings = self._settings_of(task, now)
        if isinstance(settings, Outcome):
            return settings
        try:
            market, allotment = await self.depth.of(queued)
        except OrderNotSent as error:
            return refused(error)
        now = self.wall()
        if now > task.deadline:
            return too_late(task, now)
        unwanted = self._unwanted(task, settings, market) or left_out(task, allotment, market)
        if unwanted is not None:
            return unwanted
        if shard.grants.limit is not None and task.intent.side is _BUY:
            cost = worst_cost(task.intent.max_cost, task.intent.limit_price, market.fee)
            while not shard.grants.covers(task, cost) and await shard.grants.draw(task, cost):
                now = self.wall()
        return _Ready(settings, market, allotment, now)

    def _place(self, shard: Shard, queued: Queued, ready: "_Ready") -> e.Placed | None:
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
        self,
        shard: Shard,
        queued: Queued,
        placed: e.Placed,
        answer: "ExecutionReport | Outcome | _Later | OrderUncertain",
        settings: FollowSettings,
    ) -> bool:
        """Let the account decide what came of a send; returns whether its task shall be tried once more."""
        task, order, now = placed.task, placed.order, self.wall()
        key = order.key
        command: c.Command
        if isinstance(answer, Outcome):
            command = c.NotSent(key=key, outcome=answer, at=now)
        elif isinstance(answer, _Later):
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
                if not isinstance(answer, _Later) or answer.here:
                    queued.task = event.task
                    self.lanes.take_again(queued)
                if shard.met.is_retracted(event.task.signal.signal_id):
                    # While it was being sent there was nothing to suspend.
                    retract(shard, event.task.signal.signal_id)
                if not isinstance(answer, _Later):
                    return True
                if answer.here:
                    self.lanes.give_back(queued)
        return False

    async def send_again(self, shard: Shard, open_order: OpenOrder) -> ExecutionReport | None:
        """Send the same bytes of an order that the venue provably does not have; None: nothing was sent, nor will be.

        It is on the disk as one that may have been sent, and stays so until its outcome is proven. What an earlier owner
        has placed is never sent again, nor what a person was asked to look at. Raises `LeaseLost` as `_forbidden` does, and
        `ReportBroken`.
        """
        task, order = open_order.task, open_order.order
        if open_order.ended or open_order.placed_at < shard.taken_at:
            return None
        now = self.wall()
        if self._forbidden(shard, task, order, now) is not None:
            return None
        with trio.CancelScope(shield=True) as scope:
            answer = await self.executor.submit(order, scope, task.deadline - now)
        match answer:
            case OrderNotSent():
                return None
            case ReportBroken():
                raise answer
            case OrderUncertain():
                return ExecutionReport(order_id=order.order_id, status=Status.UNKNOWN)
            case _:
                return answer

    async def _submit(
        self, shard: Shard, queued: Queued, placed: e.Placed, scope: trio.CancelScope
    ) -> "ExecutionReport | Outcome | _Later | OrderUncertain":
        """Send the frozen body; an end where it certainly was not sent, an error when nobody can say what came of it."""
        task, order = placed.task, placed.order
        began = now = self.wall()
        sends: Sends | None = None  # most orders are accepted at once
        try:
            while True:
                if now >= shard.until:
                    await self._wait_lease(shard, task)
                    now = self.wall()
                # Looked at last of all, for the store, or the venue, may have taken its time.
                forbidden = self._forbidden(shard, task, order, now)
                if forbidden is not None:
                    return forbidden
                if sends is not None and (unwanted := self._not_again(shard, queued, order)) is not None:
                    return unwanted
                self.at("send: may have been sent")
                # What a reorg took back since is not sent again before it is back.
                is_gone = sends is not None and shard.met.is_retracted(task.signal.signal_id)
                answer = retracted(task) if is_gone else await self.executor.submit(order, scope, task.deadline - now)
                if not isinstance(answer, OrderNotSent | Outcome):
                    self.at("send: answered")
                    return answer
                if sends is None:
                    sends = self.patience.begin(
                        is_exit=queued.is_exit, now=began, timeout_s=self.settings.send_timeout_s
                    )
                sends.made += 1
                outcome = answer if isinstance(answer, Outcome) else refused(answer)
                # Said after the time for it was over, the scope is used up: nothing could wait in it. And who refuses an order
                # will refuse it again, where one that nobody could send may go through.
                if scope.cancel_called or outcome.end is _DENIED:
                    return outcome
                goes_on = queued.is_exit or (isinstance(answer, OrderNotSent) and answer.not_yet)
                if goes_on and self.wall() < task.deadline and (shard.leaving or _is_given_up(scope)):
                    return _Later(outcome, here=not shard.leaving)
                pause_s = sends.pause_s(self.wall(), task.deadline, goes_on=goes_on)
                if pause_s is None:
                    return outcome
                await trio.sleep(pause_s)
                now = self.wall()
        finally:
            if sends is not None:
                sends.end()

    def _not_again(self, shard: Shard, queued: Queued, order: Order) -> "Outcome | _Later | None":
        """Say why what was not accepted is not sent again: a person has settled it, or nobody wants it any more.

        An entry goes on later where it would keep an exit waiting, or a reorg has taken its trade back.
        """
        task = queued.task
        open_order = shard.accounts[task.follower].orders.get(order.key)
        if open_order is None:
            return not_sent("settled by hand")
        if queued.is_exit:
            return None
        if shard.met.is_retracted(task.signal.signal_id):
            # It is nowhere yet, so it is suspended like what was never placed.
            return _Later(retracted(task), here=not shard.leaving)
        unwanted = self.rules.why_not_again(shard, open_order)
        if unwanted is not None:
            return Outcome(end=End.SKIPPED, reason=unwanted)
        leaving = self.lanes.exit_behind(queued)
        if leaving is None:
            return None
        # It sells something else, as in the one lane of a wallet, or what somebody else has bought.
        return _Later(Outcome(end=End.SKIPPED, reason=left_by(leaving, task)), here=not shard.leaving)

    async def _wait_lease(self, shard: Shard, task: CopyTask) -> None:
        """Wait while nobody knows whether the shard is still ours: a store that is away, or slow, is no other owner.

        Whoever had it meanwhile, and gave it up again, would have ended what we are about to send. So a write under our
        token has to succeed once the lease is ours again. Raises `LeaseLost` when it does not.
        """
        while not shard.lost and shard.until <= self.wall() <= task.deadline:
            with trio.move_on_after(task.deadline - self.wall() + _AFTER_DEADLINE_S):
                await shard.wait_extended()
        if self.wall() < shard.until:
            await shard.confirm()

    def _forbidden(self, shard: Shard, task: CopyTask, order: Order, now: float) -> Outcome | None:
        """Say why an order must not leave at this moment.

        Raises:
            LeaseLost: somebody else may own the shard by now, and finds the order as one that may have been sent.
        """
        if shard.lost or now >= shard.until:
            raise LeaseLost(f"the lease of shard {shard.number} ran out before order {order.order_id} was sent")
        if now > task.deadline:
            return too_late(task, now)
        forbidden = self.mode.forbids(order.side, task.follower, task.signal.leader)
        if forbidden is None:
            forbidden = shard.accounts[task.follower].forbids(order.side)
        return None if forbidden is None else Outcome(end=End.HALTED, reason=forbidden)

    def _settings_of(self, task: CopyTask, now: float) -> FollowSettings | Outcome:
        """Return the settings in force for a task, or why nothing may be sent for it now."""
        intent = task.intent
        if now > task.deadline:
            return too_late(task, now)
        forbidden = self.mode.forbids(intent.side, task.follower, task.signal.leader)
        if forbidden is not None:
            return Outcome(end=End.HALTED, reason=forbidden)
        terms = self.book.find(task.follower, task.signal.leader)
        if task.follower in self.book.terms.followers:
            if intent.side is _SELL:
                return _UNFOLLOWED if terms is None else terms.settings
            if terms is not None and terms.settings.status == "active":
                return terms.settings
        unwanted = not_followed(self.book, task.follower, task.signal.leader)
        return Outcome(end=End.SKIPPED, reason=unwanted)

    def _unwanted(self, task: CopyTask, settings: FollowSettings, market: Market) -> Outcome | None:
        """Return why the venue, or its book, is not wanted for a task."""
        if market.closed is not None:
            reason = Reason(code=Code.VENUE_REFUSED, control="venue.market", value=market.closed, limit="tradable")
            return Outcome(end=End.REJECTED, reason=reason)
        if task.intent.side is _SELL:
            return None
        if task.intent.rest_until and not self.executor.rests:
            wanted, limit = task.intent.order_type, "FAK or FOK: no order of this executor rests"
            reason = Reason(code=Code.VENUE_REFUSED, control="execution.order_type", value=wanted, limit=limit)
            return Outcome(end=End.REJECTED, reason=reason)
        poor = check_book(task.intent, settings, market)
        return None if poor is None else Outcome(end=End.SKIPPED, reason=poor)

    def _end(self, shard: Shard, queued: Queued, outcome: Outcome) -> None:
        shard.give_up(queued, outcome)
        self.lanes.placed(queued)


def _is_given_up(scope: trio.CancelScope) -> bool:
    """Tell whether whoever runs the workers has cancelled them, which a shielded scope does not hear by itself."""
    scope.shield = False
    try:
        return trio.current_effective_deadline() == -inf
    finally:
        scope.shield = True


class _Ready(NamedTuple):
    """What a decision needs."""

    settings: FollowSettings
    market: Market
    allotment: Allotment | None
    now: float
    """When all of it was known, in Unix seconds."""


@frozen
class _Later:
    """What was not accepted, and may be within its deadline: it waits, and goes as it is where it is decided alike then."""

    outcome: Outcome
    """How it would end otherwise."""
    here: bool
    """Whether it waits in its lane, behind an exit, for its trade, or until the process has ended; else its shard is handed
    over, and whoever has it next goes on."""


def refused(error: OrderNotSent) -> Outcome:
    """Say how a task ends whose order was not sent: nobody answered, a guard refused it, or the executor broke its contract."""
    if error.reason is not None:
        return Outcome(end=End.DENIED, reason=error.reason)
    if not isinstance(error, ContractBroken):
        return not_sent(str(error))
    reason = Reason(code=Code.CONTRACT_BROKEN, control="executor", value=str(error), limit="inside its intent")
    return Outcome(end=End.DENIED, reason=reason)
