"""Sending what is placed: as often as its venue certainly does not have it, and as long as it may, and shall, be sent."""

from collections.abc import Callable
from math import inf

import trio
from attrs import define, frozen

from trio_copy.accounts import OpenOrder
from trio_copy.accounts import events as e
from trio_copy.accounts.orders import not_sent
from trio_copy.clock import WallClock
from trio_copy.config import EngineSettings
from trio_copy.engine.borders.contract import Contract
from trio_copy.engine.sending.calling_off import RestingRules
from trio_copy.engine.sending.modes import ModeBoard
from trio_copy.engine.sending.patience import Patience, Sends
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.queued import Queued
from trio_copy.engine.shards.shard import Shard
from trio_copy.errors import ContractBroken, LeaseLost, OrderNotSent, OrderUncertain, ReportBroken
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason, left_by, retracted, too_late
from trio_copy.model.orders import ExecutionReport, Order, Status
from trio_copy.ports import nowhere

_AFTER_DEADLINE_S = 0.05
"""Whoever waits for a deadline looks at the clock when it is surely over."""
_DENIED = End.DENIED


@frozen
class Later:
    """What was not accepted, and may be within its deadline: it waits, and goes as it is where it is decided alike then."""

    outcome: Outcome
    """How it would end otherwise."""
    here: bool
    """Whether it waits in its lane, behind an exit, for its trade, or until the process has ended; else its shard is handed
    over, and whoever has it next goes on."""


AnyAnswer = ExecutionReport | Outcome | Later | OrderUncertain
"""What came of a send: what the venue said, an end where it certainly was not sent, an error where nobody can say."""


@define(eq=False, kw_only=True)
class Submitting:
    """To one executor."""

    executor: Contract
    lanes: Lanes
    mode: ModeBoard
    settings: EngineSettings
    wall: WallClock
    rules: RestingRules
    """Say why an entry is not wanted any more, however often it may still be sent."""
    patience: Patience
    at: Callable[[str], None] = nowhere
    """Called at each point where a crash would matter."""

    async def submit(self, shard: Shard, queued: Queued, placed: e.Placed, scope: trio.CancelScope) -> AnyAnswer:
        """Send the frozen body; an end where it certainly was not sent, an error when nobody can say what came of it."""
        task, order = placed.task, placed.order
        began = now = self.wall()
        sends: Sends | None = None  # most orders are accepted at once
        try:
            while True:
                if now >= shard.until:
                    await self.wait_lease(shard, task)
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
                    return Later(outcome, here=not shard.leaving)
                pause_s = sends.pause_s(self.wall(), task.deadline, goes_on=goes_on)
                if pause_s is None:
                    return outcome
                await trio.sleep(pause_s)
                now = self.wall()
        finally:
            if sends is not None:
                sends.end()

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

    def _not_again(self, shard: Shard, queued: Queued, order: Order) -> Outcome | Later | None:
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
            return Later(retracted(task), here=not shard.leaving)
        unwanted = self.rules.why_not_again(shard, open_order)
        if unwanted is not None:
            return Outcome(end=End.SKIPPED, reason=unwanted)
        leaving = self.lanes.exit_behind(queued)
        if leaving is None:
            return None
        # It sells something else, as in the one lane of a wallet, or what somebody else has bought.
        return Later(Outcome(end=End.SKIPPED, reason=left_by(leaving, task)), here=not shard.leaving)

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

    async def wait_lease(self, shard: Shard, task: CopyTask) -> None:
        """Wait while nobody knows whether the shard is still ours: a store that is away, or slow, is no other owner.

        Whoever had it meanwhile, and gave it up again, would have ended what we are about to send. So a write under our
        token has to succeed once the lease is ours again. Raises `LeaseLost` when it does not.
        """
        while not shard.lost and shard.until <= self.wall() <= task.deadline:
            with trio.move_on_after(task.deadline - self.wall() + _AFTER_DEADLINE_S):
                await shard.wait_extended()
        if self.wall() < shard.until:
            await shard.confirm()


def _is_given_up(scope: trio.CancelScope) -> bool:
    """Tell whether whoever runs the workers has cancelled them, which a shielded scope does not hear by itself."""
    scope.shield = False
    try:
        return trio.current_effective_deadline() == -inf
    finally:
        scope.shield = True


def refused(error: OrderNotSent) -> Outcome:
    """Say how a task ends whose order was not sent: nobody answered, a guard refused it, or the executor broke its contract."""
    if error.reason is not None:
        return Outcome(end=End.DENIED, reason=error.reason)
    if not isinstance(error, ContractBroken):
        return not_sent(str(error))
    reason = Reason(code=Code.CONTRACT_BROKEN, control="executor", value=str(error), limit="inside its intent")
    return Outcome(end=End.DENIED, reason=reason)
