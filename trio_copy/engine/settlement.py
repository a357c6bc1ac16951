"""What is written down once an order's outcome is proven: step 9 of a trade. Every part is safe to repeat."""

from collections.abc import Callable

from attrs import define

from trio_copy.clock import WallClock
from trio_copy.copying.catalog import Catalog
from trio_copy.copying.claims import credits_of
from trio_copy.model.budgets import Credit
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason
from trio_copy.model.fills import Kind, Side
from trio_copy.model.ids import FollowerId, TokenId, task_id
from trio_copy.model.orders import ExecutionReport, JournalState, Order, Settlement, Status
from trio_copy.model.positions import Booking, EntryKind, LedgerEntry
from trio_copy.model.records import OrderRecord
from trio_copy.model.signals import Signal
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Shares
from trio_copy.ports import Closing, Store


@define(eq=False, kw_only=True)
class Settlements:
    """Books outcomes and settles their reservations."""

    store: Store
    catalog: Catalog
    wall: WallClock
    at: Callable[[str], None]

    async def settle(self, task: CopyTask, order: Order, report: ExecutionReport) -> Outcome:
        """Book a proven report, settle its reservation and close its journal entry.

        What was filled is booked in one step with both; what was not closes its journal entry last: whatever is cut off
        before is done again from the venue's own answer.
        """
        store = self.store
        pending = report.shares and report.settlement is Settlement.PENDING
        state = JournalState.SETTLING if pending else JournalState.ENDED
        if report.shares:
            failed = report.settlement is Settlement.FAILED
            exits = order.side is Side.SELL
            closing = Closing(
                key=order.key,
                spent=NO_USD if exits else report.notional + report.fee,
                # What never settled is taken back before its order is closed: a crash between must find it open.
                state=JournalState.SETTLING if failed else state,
                report=report,
            )
            await self._book(self._fill(task, order, report), frees=exits, closing=closing)
            self.at("settle: booked")
            if failed:
                await self._undo(task, order)
                await store.journal.mark(task.follow, order.key, JournalState.ENDED, report)
            return outcome_of(order, report)
        if report.status is Status.ABSENT:
            await store.limits.release(task.follow, order.key)
        else:
            await store.limits.commit(task.follow, order.key, NO_USD)
        self.at("settle: budgets")
        await store.journal.mark(task.follow, order.key, state, report)
        self.at("settle: journal")
        return outcome_of(order, report)

    async def miss(self, task: CopyTask) -> None:
        """Note that the leader left and this follower did not: the next exit must know how much he still holds."""
        await self._miss(task.signal, task.follower, task.intent.token_id, task.intent.leader_shares)

    async def miss_signal(self, signal: Signal, follower: FollowerId, token_id: TokenId) -> None:
        """The same for a signal that never became a task."""
        await self._miss(signal, follower, token_id, signal.shares)

    async def _miss(self, signal: Signal, follower: FollowerId, token_id: TokenId, leader_shares: Shares) -> None:
        if signal.side is Side.BUY or signal.kind is Kind.EXIT or not leader_shares:
            return
        task = task_id(signal.signal_id, follower)
        if (await self.store.ledger.position((follower, signal.leader, token_id))).lots:
            await self.store.ledger.book(
                LedgerEntry(
                    key=f"{task}:missed",
                    kind=EntryKind.MISSED,
                    task_id=task,
                    signal_id=signal.signal_id,
                    follower=follower,
                    leader=signal.leader,
                    token_id=token_id,
                    side=Side.SELL,
                    shares=NO_SHARES,
                    notional=NO_USD,
                    fee=NO_USD,
                    leader_shares=leader_shares,
                    booked_at=self.wall(),
                )
            )

    async def forget(self, record: OrderRecord) -> None:
        """Close an order that was certainly never sent."""
        follow, key = record.task.follow, record.order.key
        await self.store.limits.release(follow, key)
        await self.store.journal.mark(follow, key, JournalState.ENDED)

    async def confirm(self, record: OrderRecord, report: ExecutionReport) -> None:
        """Make a provisional fill firm: it is on the chain."""
        await self.store.ledger.book(self._about(record.task, record.order, EntryKind.CONFIRM))
        self.at("confirm: booked")
        await self.store.journal.mark(record.task.follow, record.order.key, JournalState.ENDED, report)

    async def reverse(self, record: OrderRecord, report: ExecutionReport) -> None:
        """Take a provisional fill back: it never reached the chain."""
        await self._undo(record.task, record.order)
        await self.store.journal.mark(record.task.follow, record.order.key, JournalState.ENDED, report)

    async def _undo(self, task: CopyTask, order: Order) -> None:
        await self._book(self._about(task, order, EntryKind.REVERSE), frees=True)
        self.at("reverse: booked")
        await self.miss(task)

    async def _book(self, entry: LedgerEntry, *, frees: bool, closing: Closing | None = None) -> Booking:
        """Book an entry, and with it what it gives back to the budgets of open cost."""

        def freed(booking: Booking) -> tuple[Credit, ...]:
            return credits_of(entry.position, booking, self.catalog) if frees else ()

        return await self.store.ledger.book(entry, freed, closing)

    async def redeem(self, entry: LedgerEntry) -> Booking:
        """Book a position at what its token pays."""
        return await self._book(entry, frees=True)

    def _fill(self, task: CopyTask, order: Order, report: ExecutionReport) -> LedgerEntry:
        return LedgerEntry(
            key=order.key,
            task_id=task.task_id,
            signal_id=task.signal.signal_id,
            follower=task.follower,
            leader=task.signal.leader,
            token_id=order.token_id,
            side=order.side,
            shares=report.shares,
            notional=report.notional,
            fee=report.fee,
            leader_shares=task.intent.leader_shares,
            reference=Price(0) if task.signal.price is None else task.intent.price,
            firm=report.settlement is Settlement.FIRM,
            booked_at=self.wall(),
        )

    def _about(self, task: CopyTask, order: Order, kind: EntryKind) -> LedgerEntry:
        return LedgerEntry(
            key=f"{order.key}:{kind.value}",
            kind=kind,
            of=order.key,
            task_id=task.task_id,
            signal_id=task.signal.signal_id,
            follower=task.follower,
            leader=task.signal.leader,
            token_id=order.token_id,
            side=order.side,
            shares=NO_SHARES,
            notional=NO_USD,
            fee=NO_USD,
            booked_at=self.wall(),
        )


def outcome_of(order: Order, report: ExecutionReport | None) -> Outcome:
    """Say how a task ends whose order ended with a report; with none, it was never sent."""
    if report is None:
        return not_sent("it was never sent")
    if report.shares and report.settlement is Settlement.FAILED:
        reason = Reason(
            code=Code.SETTLEMENT_FAILED, control="venue.settlement", value="undone", limit="settled on the chain"
        )
        return Outcome(end=End.REJECTED, reason=reason)
    match report.status:
        case Status.FILLED:
            return Outcome(end=End.FILLED)
        case Status.PARTIAL if report.shares > NO_SHARES:
            return Outcome(end=End.PARTIAL)
        case Status.KILLED | Status.PARTIAL:
            reason = Reason(
                code=Code.NO_FILL, control="execution.slippage_bps", value=report.detail, limit=str(order.limit_price)
            )
            return Outcome(end=End.KILLED, reason=reason)
        case Status.ABSENT:
            return not_sent("it never reached the venue")
        case _:
            reason = Reason(code=Code.VENUE_REFUSED, control="venue", value=report.detail, limit="accepted")
            return Outcome(end=End.REJECTED, reason=reason)


def not_sent(detail: str) -> Outcome:
    """Say how a task ends whose order could not be sent."""
    reason = Reason(code=Code.NOT_SENT, control="executor", value=detail, limit="a venue that answers")
    return Outcome(end=End.REJECTED, reason=reason)
