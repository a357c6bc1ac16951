"""One task from its lease to its recorded end: steps 6 to 9 of a trade.

Everything before the reservation may be cancelled: nothing has happened yet. From there on, the steps run
shielded with their own deadline, so that a shutdown neither interrupts a send nor loses what came of it. An outcome that
is not proven keeps its reservation and goes to the reconciler; it is never written down as success or failure.
"""

from collections.abc import Mapping

import trio
from attrs import define, evolve, field

from trio_copy.clock import WallClock, utc_date
from trio_copy.config import EngineSettings
from trio_copy.copying.claims import claims_of
from trio_copy.entropy import Entropy
from trio_copy.errors import OrderNotSent, OrderUncertain
from trio_copy.model.budgets import Claim
from trio_copy.model.control import Mode, ModeChange
from trio_copy.model.decisions import Code, CopyTask, End, OrderIntent, Outcome, Reason
from trio_copy.model.fills import Side
from trio_copy.model.follows import Follower
from trio_copy.model.ids import FollowerId, IntentKey
from trio_copy.model.orders import ExecutionReport, JournalState, Order, Status
from trio_copy.model.positions import LedgerEntry, PositionKey
from trio_copy.model.units import NO_SHARES, NO_USD, Ratio, Rounding, Shares, Usd
from trio_copy.ports import Executor, Refused, Store

_SENDS = 3
"""Sends of the same bytes, while the venue certainly has none of them and the deadline allows."""
_RESEND_BASE_S = 0.05


@define(eq=False)
class ModeBoard:
    """The mode in force, as last heard from the store."""

    change: ModeChange

    def forbids(self, side: Side) -> Reason | None:
        mode = self.change.mode
        if mode is Mode.RUN or (mode is Mode.REDUCE_ONLY and side is Side.SELL):
            return None
        return Reason(
            code=Code.MODE_FORBIDS, control="mode", value=side.value, limit=f"{mode.value}: {self.change.why}"
        )


@define(eq=False, kw_only=True)
class Execution:
    """What every worker of a group needs to carry out a task."""

    name: str
    executor: Executor
    store: Store
    followers: Mapping[FollowerId, Follower]
    settings: EngineSettings
    mode: ModeBoard
    wall: WallClock
    entropy: Entropy
    _withheld: dict[IntentKey, tuple[PositionKey, Shares]] = field(factory=dict)
    """Shares that unproven exits may have sold already: not to be sold a second time."""

    async def run(self, task: CopyTask) -> tuple[Outcome, ExecutionReport | None] | None:
        """Carry a task out as far as it goes; the caller records the outcome. None: the outcome is not proven.

        Cancelled before the reservation, nothing has happened; later, the cancellation waits.
        """
        refusal = self._refusal(task)
        if refusal is not None:
            return refusal, None
        prepared = await self._prepare(task)
        if isinstance(prepared, Outcome):
            return prepared, None
        return await self._send_and_settle(task, *prepared)

    async def settle(self, task: CopyTask, order: Order, report: ExecutionReport) -> Outcome:
        """Book a proven report and settle its reservation; safe to repeat."""
        store = self.store
        self._withheld.pop(order.key, None)
        if report.shares:
            await store.ledger.book(
                LedgerEntry(
                    key=order.key,
                    signal_id=task.signal.signal_id,
                    follower=task.follower,
                    leader=task.signal.leader,
                    token_id=order.token_id,
                    side=order.side,
                    shares=report.shares,
                    notional=report.notional,
                    fee=report.fee,
                    booked_at=self.wall(),
                )
            )
            await store.limits.commit(order.key, report.notional + report.fee)
        else:
            await store.limits.release(order.key)
        await store.journal.mark(order.key, JournalState.ENDED, report)
        return _outcome(order, report)

    def _refusal(self, task: CopyTask) -> Outcome | None:
        now = self.wall()
        if now > task.deadline:
            return Outcome(end=End.EXPIRED, reason=self._too_late(task, now))
        forbidden = self.mode.forbids(task.intent.side)
        return None if forbidden is None else Outcome(end=End.HALTED, reason=forbidden)

    def _too_late(self, task: CopyTask, now: float) -> Reason:
        return Reason(
            code=Code.DEADLINE_PASSED,
            control="engine.deadline_s",
            value=f"{now - task.signal.block_time:.2f}",
            limit=f"{task.deadline - task.signal.block_time:g}",
        )

    async def _prepare(self, task: CopyTask) -> tuple[Order, tuple[Claim, ...]] | Outcome:
        """Size the order to what is held and to the venue's rules, and work out which budgets it draws on."""
        intent = await self._within_position(task)
        if isinstance(intent, Outcome):
            return intent
        try:
            market = await self.executor.market(intent.token_id)
        except OrderNotSent as error:
            return _not_sent(str(error))
        if market.closed is not None:
            reason = Reason(code=Code.VENUE_REFUSED, control="venue.market", value=market.closed, limit="tradable")
            return Outcome(end=End.REJECTED, reason=reason)
        follower = self.followers[task.follower]
        order = self.executor.prepare(task.key, intent, follower.account, market)
        if not order.shares:
            reason = Reason(code=Code.BELOW_MINIMUM, control="venue.minimum", value="0", limit=str(market.minimum))
            return Outcome(end=End.DENIED, reason=reason)
        cost = _worst_cost(order, market.fee_bps)
        return order, claims_of(task, cost, follower.limits, self.settings.max_day_usd, utc_date)

    async def _within_position(self, task: CopyTask) -> OrderIntent | Outcome:
        """Bound an exit by what was copied from this leader: other people's shares are not ours to sell."""
        intent = task.intent
        if intent.side is Side.BUY:
            return intent
        key = (task.follower, task.signal.leader, intent.token_id)
        free = (await self.store.ledger.position(key)).shares
        for position, shares in self._withheld.values():
            if position == key:
                free -= min(shares, free)
        if not free:
            reason = Reason(code=Code.NOTHING_TO_SELL, control="ledger.position", value="0", limit="above 0")
            return Outcome(end=End.DENIED, reason=reason)
        return intent if intent.shares <= free else evolve(intent, shares=free)

    async def _send_and_settle(
        self, task: CopyTask, order: Order, claims: tuple[Claim, ...]
    ) -> tuple[Outcome, ExecutionReport | None] | None:
        journal = self.store.journal
        deadline = trio.current_time() + self.settings.send_timeout_s
        report: ExecutionReport | None = None
        with trio.CancelScope(shield=True, deadline=deadline):
            reserved = await self.store.limits.reserve(order.key, claims)
            if isinstance(reserved, Refused):
                return _over_budget(reserved), None
            # Whoever froze this key first decided what is sent; our own body is dropped if it differs.
            order = await journal.freeze(order, task)
            now = self.wall()
            if now > task.deadline:
                await self._forget(order)
                return Outcome(end=End.EXPIRED, reason=self._too_late(task, now)), None
            await journal.mark(order.key, JournalState.SENDING)
            try:
                report = await self._submit(task, order)
            except OrderNotSent as error:
                await self._forget(order)
                return _not_sent(str(error)), None
            except OrderUncertain:
                report = None
            if report is not None and report.proven:
                return await self.settle(task, order, report), report
        if order.side is Side.SELL:
            position = (task.follower, task.signal.leader, order.token_id)
            self._withheld[order.key] = (position, order.shares)
        with trio.CancelScope(shield=True, deadline=trio.current_time() + self.settings.send_timeout_s):
            await journal.mark(order.key, JournalState.UNKNOWN, report)
        return None

    async def _submit(self, task: CopyTask, order: Order) -> ExecutionReport:
        for attempt in range(1, _SENDS + 1):
            try:
                return await self.executor.submit(order)
            except OrderNotSent:
                pause = self.entropy.uniform(0, _RESEND_BASE_S * 2**attempt)
                if attempt == _SENDS or self.wall() + pause > task.deadline:
                    raise
            await trio.sleep(pause)
            if self.wall() > task.deadline:  # a stall may have made the pause longer
                raise OrderNotSent("the deadline passed before the next try")
        raise AssertionError  # the last attempt returns or raises

    async def _forget(self, order: Order) -> None:
        await self.store.limits.release(order.key)
        await self.store.journal.mark(order.key, JournalState.ENDED)


def _worst_cost(order: Order, fee_bps: int) -> Usd:
    if order.side is Side.SELL:
        return NO_USD
    cost = order.shares.at(order.limit_price, Rounding.UP)
    return cost + cost.scaled(Ratio(fee_bps * 100), Rounding.UP) if fee_bps else cost


def _over_budget(refused: Refused) -> Outcome:
    reason = Reason(
        code=Code.CAP_REACHED,
        control=refused.claim.control,
        value=str(refused.used + refused.claim.amount),
        limit=str(refused.claim.limit),
    )
    return Outcome(end=End.DENIED, reason=reason)


def _not_sent(detail: str) -> Outcome:
    reason = Reason(code=Code.NOT_SENT, control="executor", value=detail, limit="a venue that answers")
    return Outcome(end=End.REJECTED, reason=reason)


def _outcome(order: Order, report: ExecutionReport) -> Outcome:
    match report.status:
        case Status.FILLED:
            return Outcome(end=End.FILLED)
        case Status.PARTIAL if report.shares > NO_SHARES:
            return Outcome(end=End.PARTIAL)
        case Status.KILLED | Status.PARTIAL:
            reason = Reason(
                code=Code.NO_FILL, control="size.slippage_bps", value=report.detail, limit=str(order.limit_price)
            )
            return Outcome(end=End.KILLED, reason=reason)
        case _:
            reason = Reason(code=Code.VENUE_REFUSED, control="venue", value=report.detail, limit="accepted")
            return Outcome(end=End.REJECTED, reason=reason)
