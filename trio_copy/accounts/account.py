"""One follower's money, whole: commands in, events out, and a state that only events change.

No I/O, no clock, no entropy. `decide` reads and answers; `apply` changes and never decides. So the same events give the
same account again, and what was decided can be made durable before anything leaves.
"""

from collections.abc import Iterable, Sequence

from attrs import define, evolve

from trio_copy.accounts import events as e
from trio_copy.accounts.booking import book, confirm, correct, take_back
from trio_copy.accounts.budgets import count_in_windows
from trio_copy.accounts.cash import with_funding
from trio_copy.accounts.commands import Command
from trio_copy.accounts.deciding import decide
from trio_copy.accounts.names import MONEY, Part, order_name, waits_name
from trio_copy.accounts.orders import OpenOrder, OrderState, never_came, spent_by
from trio_copy.accounts.state import AccountState
from trio_copy.accounts.telling import OrderEnd, SkipTold, TaskEnd, Told
from trio_copy.accounts.unplaced import DeadLetter, Waiting
from trio_copy.model.control import Mode
from trio_copy.model.decisions import CopyTask
from trio_copy.model.facts import NO_AMOUNTS
from trio_copy.model.fills import Side
from trio_copy.model.orders import ExecutionReport, Settlement
from trio_copy.model.signals import Signal

_SELL = Side.SELL
_UNKNOWN, _RESTING, _ENDED = OrderState.UNKNOWN, OrderState.RESTING, OrderState.ENDED
_FIRM, _FAILED = Settlement.FIRM, Settlement.FAILED


@define(eq=False)
class Account(AccountState):
    """What an account knows, with the two things that one does with it: it answers, and it is changed."""

    def decide(self, command: Command) -> Sequence[e.Event]:
        """Answer a command. Changes nothing; the caller applies what comes, all of it and in order."""
        if self.exposure.version != self.catalog.version and not self.exposure.keep_up():
            # What was added to one question may not be taken from another.
            self.recount()
        return decide(self, command)

    def apply(self, events: Iterable[e.Event]) -> None:
        """Let events happen: the only way in which an account changes."""
        if self.exposure.version != self.catalog.version and not self.exposure.keep_up():
            self.recount()
        for event in events:
            match event:
                case e.Placed():
                    self._place(event)
                case e.Learned():
                    self._learn(event)
                case e.Ended():
                    self._end(event)
                case e.Waits(task=task):
                    if self.dead.pop(task.task_id, None) is not None:
                        self.changed["dead", task.task_id] = None
                    self.waiting[task.task_id] = Waiting(
                        task=task, until=event.until, suspended=event.suspended, tries=event.tries, unsent=event.unsent
                    )
                    self.changed["waits", waits_name(task)] = None
                case e.Buried(task=task):
                    self._wait_no_more(task)
                    self.dead[task.task_id] = DeadLetter(task=task, why=event.why, at=event.at)
                    self.changed["dead", task.task_id] = None
                case e.Passed(skip=skip, signal=signal, at=at):
                    self._remember(signal)
                    self.told.append(Told(record=SkipTold(skip=skip, signal=signal, at=at)))
                case e.Missed(entry=entry) | e.Redeemed(entry=entry):
                    self.told.append(Told(record=entry, amounts=book(self, entry)))
                case e.OnChain(key=key, settlement=settlement):
                    before = self.orders[key]
                    assert before.report is not None  # it was filled
                    self._put_order(evolve(before, report=evolve(before.report, settlement=settlement)))
                case e.Settled():
                    self._settle(event)
                case e.Reversed():
                    self._reverse(event)
                case e.Corrected():
                    self._correct(event)
                case e.Breached(key=key, at=at):
                    before = self.orders[key]
                    # One that rested was known up to now: from now on nobody knows, and a person is asked as late as always.
                    self._put_order(evolve(before, breached=True, at=before.at if before.unproven else at))
                case e.CalledOff(key=key, why=why, at=at):
                    self._put_order(evolve(self.orders[key], called_off=why, at=at, handed_over=False))
                case e.HandedOver(key=key):
                    self._put_order(evolve(self.orders[key], handed_over=True))
                case e.Contradicted():
                    pass  # nothing changes: a person has to look, and the engine says so
                case e.ModeSet(change=change):
                    self.mode = None if change.mode is Mode.RUN else change
                    self.changed[MONEY] = None
                case e.PeakSeen(worth=worth):
                    self.performance = evolve(self.performance, worth_peak=worth)
                    self.changed[MONEY] = None
                case e.PeakReset():
                    self.performance = evolve(self.performance, peak=self.performance.realised, worth_peak=None)
                    self.changed[MONEY] = None
                case e.Funded(funding=funding):
                    self.fundings = with_funding(self.fundings, funding)
                    self.changed[MONEY] = None
                case e.Forgot(signals=signals, windows=windows):
                    for signal_id in signals:
                        self.recent.pop(signal_id, None)
                    for name in windows:
                        self.windows.pop(name, None)
                    self.changed[MONEY] = None

    def take_changes(self) -> tuple[Sequence[Part], Sequence[Told]]:
        """Return which documents changed since the last call, and what is to be told; see `documents.document_of`."""
        changed, told = tuple(self.changed), tuple(self.told)
        self.changed.clear()
        self.told.clear()
        return changed, told

    def _place(self, placed: e.Placed) -> None:
        at = placed.at
        open_order = OpenOrder(placed.order, placed.task, placed.cost, placed.members, at, at)
        if self.waiting or self.dead:
            self._wait_no_more(placed.task)
        self._put_order(open_order)
        self._note_tasks(open_order)
        self._hold(open_order)

    def _learn(self, learned: e.Learned) -> None:
        open_order, entry, outcome = self.orders[learned.key], learned.entry, learned.outcome
        state, report = learned.state, learned.report
        if state is _UNKNOWN:
            self._put_order(open_order.after(state, report, learned.at, ended=open_order.ended))
            return
        rested, rests = open_order.state is _RESTING, state is _RESTING
        count, cost = self._use(open_order, report) if rests else self._release(open_order, report)
        amounts = NO_AMOUNTS
        if entry is not None:
            amounts = book(self, entry, count, cost)
        elif count or cost:
            self.exposure.change(open_order.spot, count, cost)
        if state is _ENDED:
            self._drop_order(open_order)
        else:
            ended = open_order.ended or outcome is not None
            self._put_order(open_order.after(state, report, learned.at, ended=ended))
        if entry is not None and (rested or rests or open_order.ended):
            # What an order fills while it rests is a booking each; and where its task has ended already, for a person to look
            # at, now the books are right as well.
            self.told.append(Told(record=entry, amounts=amounts))
            entry, amounts = None, NO_AMOUNTS
        if rested and report is not None:
            if report.settlement is _FIRM:
                confirm(self, self.unsettled(open_order), learned.at)
            elif report.settlement is _FAILED:
                take_back(self, self.unsettled(open_order), learned.at)
        if rests or open_order.ended:
            return
        if outcome is not None:
            self._remember(open_order.task.signal)
        elif report is None:
            return  # what no venue had is no attempt
        order = OrderEnd.of(open_order, learned)
        self.told.append(Told(TaskEnd(open_order.task, outcome, learned.at, order, entry), amounts))

    def _end(self, ended: e.Ended) -> None:
        task = ended.task
        self._wait_no_more(task)
        self._remember(task.signal)
        order = None
        if ended.key is not None:
            open_order = evolve(self.orders[ended.key], ended=True, handed_over=True)
            self._put_order(open_order)
            order = OrderEnd.of(open_order)
        self.told.append(Told(record=TaskEnd(task=task, outcome=ended.outcome, order=order, at=ended.at)))

    def _settle(self, settled: e.Settled) -> None:
        open_order = self.orders[settled.key]
        self._drop_order(open_order)
        confirm(self, self.unsettled(open_order), settled.at)

    def _reverse(self, reversed_: e.Reversed) -> None:
        open_order = self.orders[reversed_.key]
        self._drop_order(open_order)
        first, *others = self.unsettled(open_order)  # there is one at least, or the books are broken
        take_back(self, [first, *others], reversed_.at)

    def _correct(self, corrected: e.Corrected) -> None:
        open_order = self.orders[corrected.key]
        self._put_order(evolve(open_order, report=corrected.report))
        if corrected.spent:
            count_in_windows(self.windows, open_order.task.signal, 0, 0, spent=corrected.spent.micro)
            self.changed[MONEY] = None
        correct(self, open_order, corrected.entries, corrected.at)

    def _wait_no_more(self, task: CopyTask) -> None:
        if self.waiting.pop(task.task_id, None) is not None:
            self.changed["waits", waits_name(task)] = None
        elif self.dead.pop(task.task_id, None) is not None:
            self.changed["dead", task.task_id] = None

    def _remember(self, signal: Signal) -> None:
        """Take note that a signal came to its end here."""
        self.recent[signal.signal_id] = signal.block_number
        self.changed[MONEY] = None

    def _put_order(self, open_order: OpenOrder) -> None:
        self.orders[open_order.order.key] = open_order
        self.changed["order", order_name(open_order)] = None

    def _drop_order(self, open_order: OpenOrder) -> None:
        del self.orders[open_order.order.key]
        self._order_of.pop(open_order.task.task_id, None)
        for task in open_order.members:
            self._order_of.pop(task, None)
        self.changed["order", order_name(open_order)] = None

    def _use(self, open_order: OpenOrder, report: ExecutionReport | None) -> tuple[int, int]:
        """Take note of what an order that rests has used; returns what that changes of its spot's exposure, see `_release`."""
        used = spent_by(report) - open_order.used
        if used:
            count_in_windows(self.windows, open_order.task.signal, -used, 0, spent=used)
            self.changed[MONEY] = None
        return 0, -used

    def _release(self, open_order: OpenOrder, report: ExecutionReport | None) -> tuple[int, int]:
        """Take note that an order holds nothing any more, and what it used; returns what that changes of its spot's exposure."""
        order, cost = open_order.order, open_order.cost.micro
        if order.side is _SELL:
            self._promise(open_order.spot, -order.shares.micro)
            return 0, 0
        used = open_order.used if open_order.state is _RESTING else 0
        cost -= used
        if report is None or never_came(report):
            count_in_windows(self.windows, open_order.task.signal, -cost, -1)
        else:
            # Also what the chain undoes was spent: a day's budget is never given back.
            spent = report.notional.micro + report.fee.micro
            count_in_windows(self.windows, open_order.task.signal, -cost, -1, spent=spent - used, sent=1)
            self.changed[MONEY] = None
        return -1, -cost
