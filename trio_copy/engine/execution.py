"""One task from its lease to its recorded end: steps 6 to 9 of a trade.

Everything before the reservation may be cancelled: nothing has happened yet. From there on, the steps run
shielded with their own deadline, so that a shutdown neither interrupts a send nor loses what came of it. An outcome that
is not proven keeps its reservation and goes to the reconciler; it is never written down as success or failure.
"""

from collections.abc import Callable

import trio
from attrs import define, evolve, field, frozen

from trio_copy.clock import WallClock, utc_date
from trio_copy.config import EngineSettings
from trio_copy.copying.catalog import Catalog
from trio_copy.copying.claims import POSITION, breach, claims_of, exit_claim, exit_counter
from trio_copy.copying.exits import portion
from trio_copy.copying.filters import check_book
from trio_copy.copying.follow_book import FollowBook
from trio_copy.copying.sizing import below_minimum, with_fees, worst_cost
from trio_copy.engine.company import Company, left
from trio_copy.engine.lanes import Lanes
from trio_copy.engine.leases import Leases
from trio_copy.engine.memory import Memory
from trio_copy.engine.modes import ModeBoard
from trio_copy.engine.settlement import Settlements, not_sent, outcome_of
from trio_copy.engine.shards import Everything, Ownership
from trio_copy.entropy import Entropy
from trio_copy.errors import LeaseLost, OrderNotSent, OrderUncertain
from trio_copy.model.budgets import Claim
from trio_copy.model.control import Mode, follower_scope
from trio_copy.model.decisions import Code, CopyTask, End, OrderIntent, Outcome, Parcel, Reason
from trio_copy.model.fills import Kind, Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import Address, TaskId, intent_key
from trio_copy.model.orders import ExecutionReport, JournalState, Market, Order
from trio_copy.model.records import OrderRecord
from trio_copy.model.units import Rounding, Shares
from trio_copy.ports import Executor, Refused, Store, nowhere
from trio_copy.telemetry.observer import Observer

_SENDS = 3
"""Sends of the same bytes, while the venue certainly has none of them and the deadline allows."""
_RESEND_BASE_S = 0.05
_UNFOLLOWED = FollowSettings()
"""How exits are carried out that were decided before their follow was removed."""
_MODES_AFTER_LOSS = {"close-only": Mode.REDUCE_ONLY, "halt": Mode.HALT_ALL}


@frozen
class Done:
    """A task came to its end."""

    outcome: Outcome
    report: ExecutionReport | None = None
    members: tuple[str, ...] = ()
    """Tasks that went out in the same order."""


@frozen
class Waits:
    """The task went back to the inbox: for others, or for a fill to be mined again."""


@frozen
class Unproven:
    """Nobody can say yet: the reconciler takes over."""


@frozen
class GivesWay:
    """The lane goes to another task that waits in it; this one is next."""

    to: TaskId


@define(eq=False, kw_only=True)
class Execution:
    """What every worker of a group needs to carry out a task."""

    name: str
    owner: str
    """The instance that holds the leases."""
    executor: Executor
    store: Store
    book: FollowBook
    catalog: Catalog
    settings: EngineSettings
    mode: ModeBoard
    wall: WallClock
    entropy: Entropy
    observer: Observer = field(factory=Observer)
    ownership: Ownership = field(factory=Everything)
    at: Callable[[str], None] = nowhere
    """Called at each point where a crash would matter."""
    lanes: Lanes = field(factory=Lanes)
    leases: Leases = field(init=False)
    company: Company = field(init=False)
    settlements: Settlements = field(init=False)
    memory: Memory = field(factory=Memory)
    """What was sent lately, should the store forget it."""

    def __attrs_post_init__(self) -> None:
        self.settlements = Settlements(store=self.store, catalog=self.catalog, wall=self.wall, at=self.at)
        self.leases = Leases(
            inbox=self.store.inbox,
            owner=self.owner,
            shared=self.ownership.shared,
            wall=self.wall,
            observer=self.observer,
        )
        self.company = Company(
            store=self.store, leases=self.leases, lanes=self.lanes, book=self.book, wall=self.wall, at=self.at
        )

    async def run(self, task: CopyTask) -> Done | Waits | GivesWay | Unproven:
        """Carry a task out as far as it goes; the caller, who holds its lane, records its end.

        Cancelled before the reservation, nothing has happened; later, the cancellation waits.
        """
        self.at("task: leased")
        done: Done | Waits | GivesWay | Unproven | None = None
        if task.again or task.task_id in self.memory:
            done = await self._resume(task)
        if done is None and (task.again or self.leases.in_doubt(task)) and await self.leases.suspend(task.task_id):
            return Waits()
        if done is None and (rival := self.lanes.exit_behind(task)) is not None:
            return GivesWay(rival)
        if done is None and _leaves_with_leader(task):
            entries, under_way = await self.company.withdraw(task)
            if under_way:
                # They may be at the venue already: the exit sells what comes of them.
                for entry in reversed(under_way):
                    self.leases.keep(entry)
                    self.lanes.put_first(entry)
                await self.company.put_back(task, entries)
                return GivesWay(under_way[0].task_id)
            task = await self.company.call_off(task, entries)
        if done is None:
            done = await self._carry_out(task)
        if isinstance(done, Done) and (done.report is None or not done.report.shares):
            await self.settlements.miss(task)
        return done

    async def _carry_out(self, task: CopyTask) -> Done | Waits | GivesWay | Unproven:
        if task.intent.side is Side.BUY and not task.intent.shares:
            return Done(left(task))
        settings = self._settings_of(task)
        if isinstance(settings, Outcome):
            return Done(settings)
        parcel = await self.company.gather(task, settings) if task.gathers else Parcel(task=task)
        if parcel is None:
            return Waits()
        if settings.size.minimum_policy != "accumulate" and below_minimum(parcel.task.intent, settings.size):
            return Done(_too_small(parcel.task, settings), members=parcel.members)  # an exit has called the rest off
        done = await self._run_parcel(parcel, settings)
        if isinstance(done, Done) and parcel.members and not done.members:
            return evolve(done, members=parcel.members)
        return done

    async def expired(self, task: CopyTask) -> Done:
        """Say how a task ends that was never begun in time, though an exit still calls off what rests of its entries.

        The caller need not hold its lane: what somebody has in hand is left alone.
        """
        if _leaves_with_leader(task):
            entries, under_way = await self.company.withdraw(task)
            await self.leases.give_back([entry.task_id for entry in under_way])
            task = await self.company.call_off(task, entries)
        await self.settlements.miss(task)
        return Done(Outcome(end=End.EXPIRED, reason=_too_late(task, self.wall())))

    async def settle(self, record: OrderRecord, report: ExecutionReport) -> Outcome:
        """Write down what came of an order; safe to repeat."""
        return await self.settlements.settle(record.task, record.order, report)

    async def recall(self, of: Callable[[Address], bool]) -> None:
        """Tell the store what this process sent lately for some leaders, should it have forgotten; else nothing changes."""
        for record in self.memory.recent(self.wall()):
            if of(record.task.signal.leader):
                with trio.CancelScope(shield=True):
                    await self._recall(record)

    async def _recall(self, record: OrderRecord) -> None:
        follow, key, journal = record.task.follow, record.order.key, self.store.journal
        stored = await journal.freeze(record.order, record.task, record.members)
        if stored.state in (JournalState.ENDED, JournalState.SETTLING):
            return
        if record.report is not None and record.report.proven:
            await journal.mark(follow, key, JournalState.SENDING)
            await self.settle(record, record.report)
        elif stored.state is JournalState.INTENT:
            await journal.mark(follow, key, JournalState.SENDING)

    async def send_again(self, record: OrderRecord) -> ExecutionReport | None:
        """Send the same bytes of an order that the venue provably does not have. None: nothing was sent, nor will be.

        Raises:
            OrderUncertain: it was sent, and nobody knows what came of it.
        """
        follow, key, journal = record.task.follow, record.order.key, self.store.journal
        report: ExecutionReport | None = None
        if not self.ownership.may_send(record.task.signal.leader):
            raise _ran_out(record)
        with trio.CancelScope(shield=True):
            await journal.mark(follow, key, JournalState.SENDING)
            if not self.ownership.may_send(record.task.signal.leader):
                await journal.mark(follow, key, JournalState.UNKNOWN)
                raise _ran_out(record)
            if self.wall() > record.task.deadline or self.mode.forbids(record.order.side, record.task.follower):
                return None
            try:
                with trio.move_on_after(self.settings.send_timeout_s):
                    report = await self.executor.submit(record.order)
            except OrderNotSent:
                return None
            except OrderUncertain:
                report = None
            if report is None or not report.proven:
                await journal.mark(follow, key, JournalState.UNKNOWN, report)
                raise OrderUncertain(f"order {record.order.order_id} was sent again, and nobody answered")
        return report

    async def _resume(self, task: CopyTask) -> Done | Unproven | None:
        """Finish a task by what the journal knows of its orders; None when it knows none that settles it."""
        records = await self.store.journal.of_task(task.follow, task.task_id)
        # What was reserved for an order that was never frozen was never sent either.
        await self.store.limits.release(task.follow, intent_key(task.task_id, len(records)))
        if not records:
            return None
        self.leases.placed.add(task.task_id)
        last = records[-1]
        if last.task.task_id != task.task_id:
            reason = Reason(
                code=Code.GATHERED, control="gathering", value=last.task.task_id, limit="an order of its own"
            )
            return Done(Outcome(end=End.GATHERED, reason=reason))
        with trio.CancelScope(shield=True):
            done = await self._carry_on(last)
        return done

    async def _carry_on(self, record: OrderRecord) -> Done | Unproven:
        """Take a frozen order further from wherever the journal says that it is."""
        match record.state:
            case JournalState.INTENT:
                return await self._send_and_settle(record)
            case JournalState.SENDING | JournalState.UNKNOWN:
                return Unproven()
            case JournalState.ENDED | JournalState.SETTLING:
                await self.store.limits.release(
                    record.task.follow, record.order.key
                )  # changes nothing where it was committed
                return Done(outcome_of(record.order, record.report), record.report, record.members)

    def _settings_of(self, task: CopyTask) -> FollowSettings | Outcome:
        """Return the settings in force for a task, or why nothing may be sent for it now."""
        now, intent = self.wall(), task.intent
        if now > task.deadline:
            return Outcome(end=End.EXPIRED, reason=_too_late(task, now))
        forbidden = self.mode.forbids(intent.side, task.follower)
        if forbidden is not None:
            return Outcome(end=End.HALTED, reason=forbidden)
        terms = self.book.find(task.follower, task.signal.leader)
        if intent.side is Side.SELL:
            return _UNFOLLOWED if terms is None else terms.settings
        if terms is None:
            reason = Reason(code=Code.NOT_FOLLOWED, control="follow", value="removed", limit="a follow")
            return Outcome(end=End.SKIPPED, reason=reason)
        if terms.settings.status != "active":
            reason = Reason(code=Code.FOLLOW_PAUSED, control="status", value=terms.settings.status, limit="active")
            return Outcome(end=End.SKIPPED, reason=reason)
        return terms.settings

    async def _run_parcel(self, parcel: Parcel, settings: FollowSettings) -> Done | Waits | GivesWay | Unproven:
        task = parcel.task
        while True:
            prepared = await self._prepare(parcel, settings)
            if isinstance(prepared, Outcome):
                return Done(prepared)
            with trio.CancelScope(shield=True):
                done = await self._place(parcel, *prepared)
            if isinstance(done, Refused):
                if done.claim.control == POSITION:
                    continue  # another exit was faster: what is left now is smaller, and ends at nothing
                return Done(_over_budget(done))
            again = evolve(task, attempt=task.attempt + 1)
            if not self._may_try_again(done, again, settings):
                return done
            # The attempt before is proven to have filled nothing: only that makes room for a new order.
            task, parcel = again, evolve(parcel, task=evolve(parcel.task, attempt=again.attempt))

    def _may_try_again(
        self, done: Done | Waits | GivesWay | Unproven, again: CopyTask, settings: FollowSettings
    ) -> bool:
        return (
            isinstance(done, Done)
            and done.outcome.end is End.KILLED
            and again.attempt < settings.execution.attempts
            and self.wall() < again.deadline
            and self.lanes.exit_behind(again) is None
        )

    async def _prepare(self, parcel: Parcel, settings: FollowSettings) -> tuple[Order, tuple[Claim, ...]] | Outcome:
        """Size the order to what is held and to the venue's rules, and work out which budgets it draws on."""
        task = parcel.task
        try:
            market = await self.executor.market(task.intent.token_id)
        except OrderNotSent as error:
            return not_sent(str(error))
        if market.closed is not None:
            reason = Reason(code=Code.VENUE_REFUSED, control="venue.market", value=market.closed, limit="tradable")
            return Outcome(end=End.REJECTED, reason=reason)
        key = (task.follower, task.signal.leader, task.intent.token_id)
        position = await self.store.ledger.position(key)
        if task.intent.side is Side.SELL:
            # What other orders may have sold already is not sold a second time.
            promised = Shares(await self.store.limits.used(task.follower, exit_counter(key)))
            intent = portion(task.intent, position, position.shares - min(promised, position.shares))
        else:
            intent = await self._allowed_entry(task, settings, market)
        if isinstance(intent, Reason):
            end = End.SKIPPED if intent.code in _SKIPS else End.DENIED
            return Outcome(end=end, reason=intent)
        follower = self.book.terms.followers[task.follower]
        order = self.executor.prepare(task.key, intent, follower.account, market)
        if not order.shares:
            reason = Reason(code=Code.BELOW_MINIMUM, control="venue.minimum", value="0", limit=str(market.minimum))
            return Outcome(end=End.DENIED, reason=reason)
        if order.side is Side.SELL:
            return order, (exit_claim(key, order.shares),)
        return order, claims_of(
            task,
            worst_cost(order.shares, order.limit_price, market.fee_bps),
            settings,
            self.settings.max_day_usd,
            self.catalog,
            opens=not position.lots,
            date_of=utc_date,
        )

    async def _allowed_entry(self, task: CopyTask, settings: FollowSettings, market: Market) -> OrderIntent | Reason:
        reason = check_book(task.intent, settings, market) or await self._loss(task, settings)
        return with_fees(task.intent, settings, market.fee_bps) if reason is None else reason

    async def _loss(self, task: CopyTask, settings: FollowSettings) -> Reason | None:
        """Return the loss cap that is broken; what the follower chose for that case is put in force."""
        caps = settings.caps
        if caps.max_day_loss_usd is None and caps.max_drawdown_usd is None:
            return None
        performance = await self.store.ledger.performance(task.follower)
        reason = breach(caps, performance, utc_date(self.wall()))
        if reason is not None and caps.on_breach in _MODES_AFTER_LOSS:
            why = f"{reason.control} is {reason.limit}, lost {reason.value}"
            mode = _MODES_AFTER_LOSS[caps.on_breach]
            await self.store.control.set_mode(mode, why, follower_scope(task.follower))
        return reason

    async def _place(
        self, parcel: Parcel, order: Order, claims: tuple[Claim, ...]
    ) -> Done | Waits | GivesWay | Unproven | Refused:
        self.at("place: before the reservation")
        rival = self.lanes.exit_behind(parcel.task)
        if rival is not None:
            # He has sold while the market was asked: what is certainly not on its way is called off instead of bought.
            members = map(self.leases.outstanding.get, parcel.members)
            await self.company.put_back(parcel.task, [member for member in members if member is not None])
            return GivesWay(rival)
        reserved = await self.store.limits.reserve(parcel.task.follow, order.key, claims)
        if isinstance(reserved, Refused):
            return reserved
        self.at("place: reserved")
        if await self.company.suspend(parcel):
            await self.store.limits.release(parcel.task.follow, order.key)
            return Waits()
        self.leases.placed.update((parcel.task.task_id, *parcel.members))
        # Whoever froze this key first decided what is sent; our own body is dropped if it differs.
        record = await self.store.journal.freeze(order, parcel.task, parcel.members)
        self.at("place: frozen")
        return await self._carry_on(record)

    async def _send_and_settle(self, record: OrderRecord) -> Done | Unproven:
        """Send a frozen order that certainly was not sent before, and write down what is proven."""
        task, order, journal = record.task, record.order, self.store.journal
        if self.memory.sent(record):
            # The store has forgotten what this process knows: it may be at the venue already.
            await journal.mark(task.follow, order.key, JournalState.UNKNOWN)
            return Unproven()
        if not self.ownership.may_send(task.signal.leader):
            raise _ran_out(record)  # here it is still certainly not sent, whoever carries on with it
        await journal.mark(task.follow, order.key, JournalState.SENDING)
        # Looked at last of all, for the store may have taken its time.
        if not self.ownership.may_send(task.signal.leader):
            # Certainly not sent: whoever has the lease next may send it, and need not doubt it.
            await journal.mark(task.follow, order.key, JournalState.INTENT)
            raise _ran_out(record)
        now = self.wall()
        forbidden = self.mode.forbids(order.side, task.follower)
        if now > task.deadline or forbidden is not None:
            await self.settlements.forget(record)
            if now > task.deadline:
                return Done(Outcome(end=End.EXPIRED, reason=_too_late(task, now)), None, record.members)
            return Done(Outcome(end=End.HALTED, reason=forbidden), None, record.members)
        self.memory.note(record, self.wall())
        self.at("send: may have been sent")
        report: ExecutionReport | None = None
        try:
            with trio.move_on_after(self.settings.send_timeout_s):
                report = await self._submit(task, order)
        except OrderNotSent as error:
            self.memory.forget(record)
            await self.settlements.forget(record)
            return Done(not_sent(str(error)), None, record.members)
        except OrderUncertain:
            pass
        self.memory.learn(record, report)
        self.at("send: answered")
        if report is not None and report.proven:
            outcome = await self.settlements.settle(task, order, report)
            return Done(outcome, report, record.members)
        await journal.mark(task.follow, order.key, JournalState.UNKNOWN, report)
        self.at("send: unknown")
        return Unproven()

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


def _ran_out(record: OrderRecord) -> LeaseLost:
    where, order = record.task.signal.leader, record.order.order_id
    return LeaseLost(f"the lease on the shard of {where} ran out before order {order} was sent")


_SKIPS = frozenset({Code.BOOK_TOO_THIN, Code.SPREAD_TOO_WIDE, Code.PRICE_TOO_GOOD, Code.LEADER_LEFT})


def _leaves_with_leader(task: CopyTask) -> bool:
    """Tell whether a task is an exit that has not looked yet for entries of its leader that wait."""
    return task.intent.side is Side.SELL and task.signal.kind is not Kind.EXIT and not task.intent.called_off


def _too_small(task: CopyTask, settings: FollowSettings) -> Outcome:
    value, limit = str(task.intent.shares.at(task.intent.price, Rounding.UP)), str(settings.size.minimum_usd)
    reason = Reason(code=Code.BELOW_MINIMUM, control="size.minimum_usd", value=value, limit=limit)
    return Outcome(end=End.DENIED, reason=reason)


def _too_late(task: CopyTask, now: float) -> Reason:
    return Reason(
        code=Code.DEADLINE_PASSED,
        control="engine.deadline_s",
        value=f"{now - task.signal.block_time:.2f}",
        limit=f"{task.deadline - task.signal.block_time:g}",
    )


def _over_budget(refused: Refused) -> Outcome:
    claim = refused.claim
    wanted = type(claim.amount)(refused.used + claim.amount.micro)
    code = Code.ALREADY_IN if claim.control == "filters.entry" else Code.CAP_REACHED
    return Outcome(
        end=End.DENIED, reason=Reason(code=code, control=claim.control, value=str(wanted), limit=str(claim.limit))
    )
