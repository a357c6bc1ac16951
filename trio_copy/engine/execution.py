"""One task from its lane to its end: a straight way down. Steps 5 to 8 of a trade.

Until it is placed, everything may be cancelled: nothing has happened. From there on it runs shielded, with a deadline of its
own, so that a shutdown neither interrupts a send nor loses what came of it. An outcome that is not proven keeps what it
holds, and its lane stays closed: the reconciler goes on asking.
"""

from collections.abc import Callable, Mapping, Sequence

import trio
from attrs import define

from trio_copy.accounts import OpenOrder
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.costs import worst_cost
from trio_copy.accounts.orders import not_sent
from trio_copy.clock import WallClock
from trio_copy.config import EngineSettings
from trio_copy.copying.filters import check_book
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.lanes import Lanes, Queued
from trio_copy.engine.modes import ModeBoard
from trio_copy.engine.shard import Shard
from trio_copy.entropy import Entropy
from trio_copy.errors import ContractBroken, LeaseLost, OrderNotSent, OrderUncertain
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason, too_late
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.orders import ExecutionReport, Market, Order, Status
from trio_copy.ports import Executor, nowhere

_SENDS = 3
"""Sends of the same bytes, while the venue certainly has none of them and the deadline allows."""
_RESEND_BASE_S = 0.05
_LEASE_LOOK_S = 0.05
_UNFOLLOWED = FollowSettings()
"""How exits are carried out whose follow was removed since."""


@define(eq=False, kw_only=True)
class Execution:
    """What the workers of one executor carry out."""

    executor: Executor
    lanes: Lanes
    shards: Mapping[int, Shard]
    """Those that are held here."""
    book: FollowBook
    mode: ModeBoard
    settings: EngineSettings
    wall: WallClock
    entropy: Entropy
    at: Callable[[str], None] = nowhere
    """Called at each point where a crash would matter."""
    busy: int = 0
    """Tasks in hand."""

    async def run_worker(self) -> None:
        """Carry out one task after the other, until the lanes are closed and empty."""
        while (queued := await self.lanes.take()) is not None:
            self.busy += 1
            try:
                await self.carry_out(queued)
            finally:
                self.busy -= 1

    async def carry_out(self, queued: Queued) -> None:
        """Carry out a task in hand as far as it goes. Cancelled before it is placed, it is still waiting."""
        shard = self.shards.get(queued.shard)
        # A shard that was lost, and may be ours anew, counts for nothing here: it is read again, and decided again.
        if shard is not None and self.lanes.holds(queued):
            try:
                await self._carry_out(shard, queued)
            except LeaseLost as error:
                shard.lose(error)
        self.lanes.free(queued.lane, queued)

    async def _carry_out(self, shard: Shard, queued: Queued) -> None:
        while True:
            self.at("task: in hand")
            try:
                # First, so that what is asked about the task and its market is asked after the wait.
                await self._wait_lease(shard, queued.task)
                ready = await self._wait_ready(shard, queued.task)
            except BaseException:
                self.lanes.give_back(queued)
                raise
            if self.lanes.must_give_way(queued):
                # While the market was asked, its leader has sold again, or a reorg took it back.
                self.lanes.give_back(queued)
                return
            if isinstance(ready, Outcome):
                self._end(shard, queued, ready)
                return
            self.lanes.sending[shard.number] += 1
            try:
                with trio.CancelScope(shield=True):
                    if not await self._place(shard, queued, *ready):
                        return
            finally:
                self.lanes.sending[shard.number] -= 1

    async def _wait_ready(self, shard: Shard, task: CopyTask) -> Outcome | tuple[FollowSettings, Market]:
        """Learn what a decision needs, or why there is none to be made."""
        settings, market = self._settings_of(task), None
        if isinstance(settings, Outcome):
            return settings
        try:
            with trio.move_on_after(self.settings.send_timeout_s):
                market = await self.executor.market(task.intent.token_id)
        except OrderNotSent as error:
            return refused(error)
        if market is None:
            return not_sent(f"the venue said nothing about the market in {self.settings.send_timeout_s:g} s")
        if self.wall() > task.deadline:
            return too_late(task, self.wall())
        unwanted = self._unwanted(task, settings, market)
        if unwanted is not None:
            return unwanted
        if task.intent.side is Side.BUY:
            cost = worst_cost(task.intent.shares, task.intent.limit_price, market.fee_bps)
            while not shard.grants.covers(task, cost) and await shard.grants.draw(task, cost):
                pass
        return settings, market

    async def _place(self, shard: Shard, queued: Queued, settings: FollowSettings, market: Market) -> bool:
        """Place a task, send its order and learn what came of it; returns whether it shall be tried once more."""
        task = queued.task
        wallet = self.book.terms.followers[task.follower].wallet
        offer = c.Offer(
            task=task,
            resting=self.lanes.resting(queued),
            settings=settings,
            market=market,
            prepare=lambda key, intent: self.executor.prepare(key, intent, wallet, market),
            day=shard.grants.day(task),
            at=self.wall(),
        )
        try:
            effect = shard.act(task.follower, offer)
        except OrderNotSent as error:  # of `prepare`: nothing was decided, and nothing has changed
            self._end(shard, queued, refused(error))
            return False
        self.lanes.placed(queued)
        placed = next((event for event in effect.events if isinstance(event, e.Placed)), None)
        if placed is None:
            return False
        self.at("place: decided")
        await effect.batch.wait()
        self.at("place: durable")
        events = await self._send(shard, placed.task, placed.order, settings)
        self.at("send: learned")
        again = next(
            (event.task for event in events if isinstance(event, e.Waits) and event.task.attempt > task.attempt), None
        )
        if again is None:
            return False
        queued.task = again
        self.lanes.take_again(queued)
        if shard.met.is_retracted(again.signal.signal_id):
            shard.retract(again.signal.signal_id)  # while it was being sent there was nothing to suspend
        return True

    async def _send(self, shard: Shard, task: CopyTask, order: Order, settings: FollowSettings) -> Sequence[e.Event]:
        answer = await self._submit(shard, task, order)
        if isinstance(answer, Outcome):
            return shard.act(task.follower, c.NotSent(key=order.key, outcome=answer, at=self.wall())).events
        self.at("send: answered")
        if answer is None:
            return shard.act(task.follower, c.Doubt(key=order.key, at=self.wall())).events
        again = task.attempt + 1 < settings.execution.attempts and self.wall() < task.deadline
        command = c.Answer(key=order.key, report=answer, again=again, at=self.wall())
        return shard.act(task.follower, command).events

    async def send_again(self, shard: Shard, open_order: OpenOrder) -> ExecutionReport | None:
        """Send the same bytes of an order that the venue provably does not have; None: nothing was sent, nor will be.

        It is on the disk as one that may have been sent, and stays so until its outcome is proven. What an earlier owner
        has placed is never sent again, nor what a person was asked to look at. Raises `LeaseLost` as `_forbidden` does.
        """
        task, order = open_order.task, open_order.order
        if open_order.ended or open_order.placed_at < shard.taken_at:
            return None
        if self._forbidden(shard, task, order) is not None:
            return None
        answer = None
        with trio.move_on_after(self.settings.send_timeout_s, shield=True):
            answer = await self._ask(order)
        if isinstance(answer, Outcome):
            return None
        return answer or ExecutionReport(order_id=order.order_id, status=Status.UNKNOWN)

    async def _submit(self, shard: Shard, task: CopyTask, order: Order) -> ExecutionReport | Outcome | None:
        """Send the frozen body; an end where it certainly was not sent, None when nobody can say what came of it."""
        await self._wait_lease(shard, task)
        # Looked at last of all, for the store may have taken its time.
        forbidden = self._forbidden(shard, task, order)
        if forbidden is not None:
            return forbidden
        self.at("send: may have been sent")
        answer = None
        with trio.move_on_after(self.settings.send_timeout_s):
            answer = await self._try_to_send(shard, task, order)
        return answer

    async def _wait_lease(self, shard: Shard, task: CopyTask) -> None:
        """Wait while nobody knows whether the shard is still ours: a store that is away, or slow, is no other owner.

        Whoever had it meanwhile, and gave it up again, would have ended what we are about to send. So a write under our
        token has to succeed once the lease is ours again. Raises `LeaseLost` when it does not.
        """
        if self.wall() < shard.until:
            return
        while not shard.lost and shard.until <= self.wall() <= task.deadline:  # noqa: ASYNC110  a clock has no event
            await trio.sleep(_LEASE_LOOK_S)
        if self.wall() < shard.until:
            await shard.confirm()

    async def _try_to_send(self, shard: Shard, task: CopyTask, order: Order) -> ExecutionReport | Outcome | None:
        for attempt in range(1, _SENDS):
            answer = await self._ask(order)
            if not isinstance(answer, Outcome):
                return answer
            pause = self.entropy.uniform(0, _RESEND_BASE_S * 2**attempt)
            if self.wall() + pause > task.deadline:
                return answer
            await trio.sleep(pause)
            # Once more, for so may the venue: what was allowed when it was asked first may not be by now.
            forbidden = self._forbidden(shard, task, order)
            if forbidden is not None:
                return forbidden
        return await self._ask(order)

    async def _ask(self, order: Order) -> ExecutionReport | Outcome | None:
        """Send the frozen body once; see `_submit`."""
        try:
            return await self.executor.submit(order)
        except OrderNotSent as error:
            return not_sent(str(error))
        except OrderUncertain:
            return None

    def _forbidden(self, shard: Shard, task: CopyTask, order: Order) -> Outcome | None:
        """Say why an order must not leave at this moment.

        Raises:
            LeaseLost: somebody else may own the shard by now, and finds the order as one that may have been sent.
        """
        now = self.wall()
        if shard.lost or now >= shard.until:
            raise LeaseLost(f"the lease of shard {shard.number} ran out before order {order.order_id} was sent")
        if now > task.deadline:
            return too_late(task, now)
        forbidden = self.mode.forbids(order.side)
        return None if forbidden is None else Outcome(end=End.HALTED, reason=forbidden)

    def _settings_of(self, task: CopyTask) -> FollowSettings | Outcome:
        """Return the settings in force for a task, or why nothing may be sent for it now."""
        now, intent = self.wall(), task.intent
        if now > task.deadline:
            return too_late(task, now)
        forbidden = self.mode.forbids(intent.side)
        if forbidden is not None:
            return Outcome(end=End.HALTED, reason=forbidden)
        terms = self.book.find(task.follower, task.signal.leader)
        if task.follower not in self.book.terms.followers:
            reason = Reason(code=Code.NOT_FOLLOWED, control="follower", value="removed", limit="a follower")
            return Outcome(end=End.SKIPPED, reason=reason)
        if intent.side is Side.SELL:
            return _UNFOLLOWED if terms is None else terms.settings
        if terms is None:
            reason = Reason(code=Code.NOT_FOLLOWED, control="follow", value="removed", limit="a follow")
            return Outcome(end=End.SKIPPED, reason=reason)
        if terms.settings.status != "active":
            reason = Reason(code=Code.FOLLOW_PAUSED, control="status", value=terms.settings.status, limit="active")
            return Outcome(end=End.SKIPPED, reason=reason)
        return terms.settings

    def _unwanted(self, task: CopyTask, settings: FollowSettings, market: Market) -> Outcome | None:
        """Return why the venue, or its book, is not wanted for a task."""
        if market.closed is not None:
            reason = Reason(code=Code.VENUE_REFUSED, control="venue.market", value=market.closed, limit="tradable")
            return Outcome(end=End.REJECTED, reason=reason)
        if task.intent.side is Side.SELL:
            return None
        poor = check_book(task.intent, settings, market)
        return None if poor is None else Outcome(end=End.SKIPPED, reason=poor)

    def _end(self, shard: Shard, queued: Queued, outcome: Outcome) -> None:
        shard.give_up(queued, outcome)
        self.lanes.placed(queued)


def refused(error: OrderNotSent) -> Outcome:
    """Say how a task ends whose order was never made: nobody answered, or what the executor answered breaks its contract."""
    if not isinstance(error, ContractBroken):
        return not_sent(str(error))
    reason = Reason(code=Code.CONTRACT_BROKEN, control="executor", value=str(error), limit="inside its intent")
    return Outcome(end=End.DENIED, reason=reason)
