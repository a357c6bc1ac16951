"""One follower's money, whole: commands in, events out, and a state that only events change.

No I/O, no clock, no entropy. `decide` reads and answers; `apply` changes and never decides. So the same events give the
same account again, and what was decided can be made durable before anything leaves.
"""

from collections.abc import Iterable, Sequence

from attrs import define, evolve, field

from trio_copy.accounts import events as e
from trio_copy.accounts.budgets import Exposure, Spot, Windows, count_in_windows, day_of
from trio_copy.accounts.cash import with_funding
from trio_copy.accounts.commands import Command
from trio_copy.accounts.deciding import decide
from trio_copy.accounts.entries import about_entry, is_of
from trio_copy.accounts.holdings import NOTHING_HELD, Holding
from trio_copy.accounts.names import bundle_name, order_name, position_name, waits_name
from trio_copy.accounts.orders import OpenOrder, OrderState, Unsent, never_came, spent_by
from trio_copy.accounts.telling import OrderEnd, SkipTold, TaskEnd, Told, amounts_of
from trio_copy.model.budgets import Performance
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import Mode, ModeChange
from trio_copy.model.decisions import Code, CopyTask, Reason
from trio_copy.model.facts import NO_AMOUNTS, Amounts
from trio_copy.model.fills import Side
from trio_copy.model.fundings import Funding
from trio_copy.model.ids import FollowerId, IntentKey, SignalId, TaskId, task_id
from trio_copy.model.orders import ExecutionReport, Settlement
from trio_copy.model.positions import EntryKind, LedgerEntry, Position
from trio_copy.model.signals import Signal
from trio_copy.model.units import Shares, Usd
from trio_copy.model.values import value

Part = tuple[str, str]
"""Kind and name of one of an account's documents."""
MONEY: Part = ("money", "")
_SELL = Side.SELL
_UNKNOWN, _RESTING, _ENDED = OrderState.UNKNOWN, OrderState.RESTING, OrderState.ENDED
_FIRM, _FAILED = Settlement.FIRM, Settlement.FAILED


@value(kw_only=True)
class Waiting:
    """A task that waits durably."""

    task: CopyTask
    until: float | None = None
    """When it has waited for company in vain."""
    suspended: bool = False
    """Whether a reorg took its signal back."""
    tries: int = 0
    """How often it was taken up by a process that then ended uncleanly."""
    unsent: Unsent | None = None
    """Its last order, where that may go again."""


@value(kw_only=True)
class DeadLetter:
    """A task that a person has to decide about."""

    task: CopyTask
    why: str
    at: float


@define(eq=False)
class Account:
    follower: FollowerId
    catalog: Catalog
    orders: dict[IntentKey, OpenOrder] = field(factory=dict)
    holdings: dict[Spot, Holding] = field(factory=dict)
    waiting: dict[TaskId, Waiting] = field(factory=dict)
    dead: dict[TaskId, DeadLetter] = field(factory=dict)
    recent: dict[SignalId, int] = field(factory=dict)
    """Signals that came to their end here above the shard's checkpoint, and their blocks."""
    windows: Windows = field(factory=dict)
    """What orders that are open hold of them is derived from `orders`."""
    performance: Performance = field(factory=Performance)
    mode: ModeChange | None = None
    """What a person or a loss cap allows the follower; None for everything."""
    fundings: tuple[Funding, ...] = ()
    """What a person put into the paper wallet, and took out, the newest last."""
    exposure: Exposure = field(init=False)
    """Derived from `orders` and `holdings`."""
    _promised: dict[Spot, int] = field(init=False)
    """What open exits may have sold of each spot, in millionths of a share; derived from `orders`."""
    _order_of: dict[TaskId, IntentKey] = field(init=False)
    """The open order of each task that has one, members included; derived from `orders`."""
    _changed: dict[Part, None] = field(factory=dict)
    _told: list[Told] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.recount()

    def recount(self) -> None:
        """Add everything derived up anew."""
        self.exposure, self._promised, self._order_of = Exposure(self.catalog), {}, {}
        self.windows = {name: evolve(window, held=0) for name, window in self.windows.items() if window.used}
        for spot, holding in self.holdings.items():
            self.exposure.change(spot, 1 if holding.now.lots else 0, holding.now.cost.micro)
        for open_order in self.orders.values():
            self._note_tasks(open_order)
            if open_order.held:
                self._hold(open_order)

    def knows(self, task: CopyTask) -> bool:
        """Tell whether a task has ended here, has an order, or is a dead letter: offered once more, nothing changes.

        What an exit left for later waits also when the rest of its signal has ended.
        """
        if task.task_id in self.waiting:
            return False
        return task.task_id in self._order_of or task.signal.signal_id in self.recent or task.task_id in self.dead

    def has_met(self, signal: SignalId, task: TaskId) -> bool:
        """Tell whether a signal, and the follower's task of it, has been heard of here, and not been forgotten."""
        return signal in self.recent or task in self._order_of or task in self.waiting or task in self.dead

    def waits_of(self, signal: SignalId) -> int:
        """Return how many tasks of a signal wait here."""
        return sum(waits.task.signal.signal_id == signal for waits in self.waiting.values())

    def placed_of(self, signal: SignalId) -> int:
        """Return how many tasks of a signal have an order that is open, those that went out with others included."""
        return int(task_id(signal, self.follower) in self._order_of)

    def position(self, spot: Spot) -> Position:
        """Return what is held at a spot, what is not settled included."""
        return self.holdings.get(spot, NOTHING_HELD).now

    def free(self, spot: Spot) -> Shares:
        """Return the shares of a spot that no open order may have sold already."""
        return Shares(max(0, self.position(spot).shares.micro - self._promised.get(spot, 0)))

    def in_flight(self, spot: Spot) -> bool:
        """Tell whether an open order may still change what is held at a spot."""
        return any(open_order.spot == spot for open_order in self.orders.values())

    def resting_before(self, task: CopyTask) -> list[OpenOrder]:
        """Return the entries of an exit's token that rest where it would be sent: they are called off before it is placed.

        One that is off the book already can meet nothing: what it fills besides, nobody knows soon enough to wait for it.

        Whoever they copy: an order of ours must not meet another one of ours. One that a person has to look at holds nothing up;
        that a task has ended says nothing of its order, which may have turned out to rest since.
        """
        if task.intent.side is not _SELL:
            return []
        token, executor = task.intent.token_id, task.executor
        return [
            one
            for one in self.orders.values()
            if one.rests
            and not (one.handed_over or one.off_book)
            and (one.order.token_id, one.order.executor) == (token, executor)
        ]

    @property
    def oldest_recent(self) -> int:
        """Return the block of the signal that is known for longest; there must be one."""
        return next(iter(self.recent.values()))

    def forbids(self, side: Side) -> Reason | None:
        """Return why the follower's own mode forbids a side."""
        change = self.mode
        if change is None or (side is _SELL and change.mode is not Mode.HALT_ALL):
            return None  # exits first: only the mode that stops everything stops them
        limit = f"{change.mode.value}: {change.why}"
        return Reason(code=Code.MODE_FORBIDS, control=f"mode of {self.follower}", value=side.value, limit=limit)

    @property
    def idle(self) -> bool:
        """Whether nothing is open, held, waiting or unwritten: it may be dropped from memory and read again."""
        return not (self.orders or self.holdings or self.waiting or self.recent or self._changed)

    def decide(self, command: Command) -> Sequence[e.Event]:
        """Answer a command. Changes nothing; the caller applies what comes, all of it and in order."""
        if self.exposure.version != self.catalog.version and not self.exposure.keep_up():
            # What was added to one question may not be taken from another.
            self.recount()
        return decide(self, command)

    def take_changes(self) -> tuple[Sequence[Part], Sequence[Told]]:
        """Return which documents changed since the last call, and what is to be told; see `documents.document_of`."""
        changed, told = tuple(self._changed), tuple(self._told)
        self._changed.clear()
        self._told.clear()
        return changed, told

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
                        self._changed["dead", task.task_id] = None
                    self.waiting[task.task_id] = Waiting(
                        task=task, until=event.until, suspended=event.suspended, tries=event.tries, unsent=event.unsent
                    )
                    self._changed["waits", waits_name(task)] = None
                case e.Buried(task=task):
                    self._wait_no_more(task)
                    self.dead[task.task_id] = DeadLetter(task=task, why=event.why, at=event.at)
                    self._changed["dead", task.task_id] = None
                case e.Passed(skip=skip, signal=signal, at=at):
                    self._remember(signal)
                    self._told.append(Told(record=SkipTold(skip=skip, signal=signal, at=at)))
                case e.Missed(entry=entry) | e.Redeemed(entry=entry):
                    self._told.append(Told(record=entry, amounts=self._book(entry)))
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
                    self._changed[MONEY] = None
                case e.PeakSeen(worth=worth):
                    self.performance = evolve(self.performance, worth_peak=worth)
                    self._changed[MONEY] = None
                case e.PeakReset():
                    self.performance = evolve(self.performance, peak=self.performance.realised, worth_peak=None)
                    self._changed[MONEY] = None
                case e.Funded(funding=funding):
                    self.fundings = with_funding(self.fundings, funding)
                    self._changed[MONEY] = None
                case e.Forgot(signals=signals, windows=windows):
                    for signal_id in signals:
                        self.recent.pop(signal_id, None)
                    for name in windows:
                        self.windows.pop(name, None)
                    self._changed[MONEY] = None

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
            amounts = self._book(entry, count, cost)
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
            self._told.append(Told(record=entry, amounts=amounts))
            entry, amounts = None, NO_AMOUNTS
        if rested and report is not None:
            if report.settlement is _FIRM:
                self._confirm(self.unsettled(open_order), learned.at)
            elif report.settlement is _FAILED:
                self._take_back(self.unsettled(open_order), learned.at)
        if rests or open_order.ended:
            return
        if outcome is not None:
            self._remember(open_order.task.signal)
        elif report is None:
            return  # what no venue had is no attempt
        order = OrderEnd.of(open_order, learned)
        self._told.append(Told(TaskEnd(open_order.task, outcome, learned.at, order, entry), amounts))

    def _end(self, ended: e.Ended) -> None:
        task = ended.task
        self._wait_no_more(task)
        self._remember(task.signal)
        order = None
        if ended.key is not None:
            open_order = evolve(self.orders[ended.key], ended=True, handed_over=True)
            self._put_order(open_order)
            order = OrderEnd.of(open_order)
        self._told.append(Told(record=TaskEnd(task=task, outcome=ended.outcome, order=order, at=ended.at)))

    def _settle(self, settled: e.Settled) -> None:
        open_order = self.orders[settled.key]
        self._drop_order(open_order)
        self._confirm(self.unsettled(open_order), settled.at)

    def _confirm(self, entries: Iterable[LedgerEntry], at: float) -> None:
        """Make firm what an order has filled: it is on the chain for good."""
        for entry in entries:
            spot = (entry.leader, entry.token_id)
            known = self.holdings[spot]
            earned = self._hold_now(spot, known, known.confirmed(entry.key), at)
            confirmed = about_entry(entry, EntryKind.CONFIRM, at)
            self._told.append(Told(record=confirmed, amounts=amounts_of(confirmed, *earned)))

    def _reverse(self, reversed_: e.Reversed) -> None:
        open_order = self.orders[reversed_.key]
        self._drop_order(open_order)
        first, *others = self.unsettled(open_order)  # there is one at least, or the books are broken
        self._take_back([first, *others], reversed_.at)

    def _take_back(self, entries: Iterable[LedgerEntry], at: float) -> None:
        """Undo what an order has filled, as far as it is not firm."""
        for entry in entries:
            spot = (entry.leader, entry.token_id)
            known = self.holdings[spot]
            earned = self._hold_now(spot, known, known.without(entry.key), at)
            undone = about_entry(entry, EntryKind.REVERSE, at)
            self._told.append(Told(record=undone, amounts=amounts_of(entry, *earned, sign=-1)))

    def _correct(self, corrected: e.Corrected) -> None:
        """Book by how much an order's bookings were wrong; what is sold of them since is gained, or lost, anew."""
        open_order = self.orders[corrected.key]
        self._put_order(evolve(open_order, report=corrected.report))
        if corrected.spent:
            count_in_windows(self.windows, open_order.task.signal, 0, 0, spent=corrected.spent.micro)
            self._changed[MONEY] = None
        booked = {entry.key: entry for entry in self.unsettled(open_order)}
        for entry in corrected.entries:
            if entry.kind is EntryKind.REVERSE:
                self._take_back([booked[entry.of]], corrected.at)
                continue
            spot = (entry.leader, entry.token_id)
            known = self.holdings[spot]
            earned = self._hold_now(spot, known, known.corrected(entry), corrected.at)
            self._told.append(Told(record=entry, amounts=amounts_of(entry, *earned)))

    def unsettled(self, open_order: OpenOrder) -> list[LedgerEntry]:
        """Return the bookings of an order that are not firm: they are in the tail until the chain has the last word."""
        holding = self.holdings.get(open_order.spot, NOTHING_HELD)
        return [entry for entry in holding.tail if not entry.firm and is_of(open_order.order.key, entry)]

    def _book(self, entry: LedgerEntry, count: int = 0, cost: int = 0) -> Amounts:
        """Fold an entry in; returns what it adds to the sums. For `count` and `cost` see `_hold_now`."""
        spot = (entry.leader, entry.token_id)
        known = self.holdings.get(spot, NOTHING_HELD)
        return amounts_of(entry, *self._hold_now(spot, known, known.after(entry), entry.booked_at, count, cost))

    def _hold_now(
        self, spot: Spot, known: Holding, holding: Holding, at: float, count: int = 0, cost: int = 0
    ) -> tuple[int, int]:
        """Replace what is held; returns by how much the firm and the provisional profit changed, in millionths.

        `count` and `cost` are what is open besides: with what an order no longer holds, the spot is counted once.
        """
        before, after = known.now, holding.now
        if holding.gone:
            self.holdings.pop(spot, None)
        else:
            self.holdings[spot] = holding
        opened = (1 if after.lots else 0) - (1 if before.lots else 0)
        self.exposure.change(spot, opened + count, after.cost.micro - before.cost.micro + cost)
        self.note_position(spot, known)
        realised = after.realised.micro - before.realised.micro
        provisional = after.provisional.micro - before.provisional.micro
        if realised or provisional:
            self.performance = self.performance.after(Usd(realised + provisional), day_of(at))
            self._changed[MONEY] = None
        return realised, provisional

    def note_position(self, spot: Spot, before: Holding) -> None:
        """Have a position written again, with those of its bundles that it has since, or has no more."""
        self._changed["position", position_name(spot)] = None
        apart, now = before.apart, self.holdings.get(spot, NOTHING_HELD).apart
        if apart != now:
            for bundle in set(apart).symmetric_difference(now):
                self._changed["position", bundle_name(spot, bundle)] = None

    def _hold(self, open_order: OpenOrder) -> None:
        """Set aside what an open order may take."""
        order, cost = open_order.order, open_order.cost.micro
        if order.side is _SELL:
            self._promise(open_order.spot, order.shares.micro)
            return
        if open_order.state is _RESTING:
            cost -= open_order.used
        self.exposure.change(open_order.spot, 1, cost)
        count_in_windows(self.windows, open_order.task.signal, cost, 1)

    def _use(self, open_order: OpenOrder, report: ExecutionReport | None) -> tuple[int, int]:
        """Take note of what an order that rests has used; returns what that changes of its spot's exposure, see `_release`."""
        used = spent_by(report) - open_order.used
        if used:
            count_in_windows(self.windows, open_order.task.signal, -used, 0, spent=used)
            self._changed[MONEY] = None
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
            self._changed[MONEY] = None
        return -1, -cost

    def _promise(self, spot: Spot, shares: int) -> None:
        """Count what open exits may sell; nothing is kept at zero."""
        promised = self._promised.get(spot, 0) + shares
        if promised:
            self._promised[spot] = promised
        else:
            del self._promised[spot]

    def _put_order(self, open_order: OpenOrder) -> None:
        self.orders[open_order.order.key] = open_order
        self._changed["order", order_name(open_order)] = None

    def _drop_order(self, open_order: OpenOrder) -> None:
        del self.orders[open_order.order.key]
        self._order_of.pop(open_order.task.task_id, None)
        for task in open_order.members:
            self._order_of.pop(task, None)
        self._changed["order", order_name(open_order)] = None

    def _note_tasks(self, open_order: OpenOrder) -> None:
        key = open_order.order.key
        self._order_of[open_order.task.task_id] = key
        for task in open_order.members:
            self._order_of[task] = key

    def _wait_no_more(self, task: CopyTask) -> None:
        if self.waiting.pop(task.task_id, None) is not None:
            self._changed["waits", waits_name(task)] = None
        elif self.dead.pop(task.task_id, None) is not None:
            self._changed["dead", task.task_id] = None

    def _remember(self, signal: Signal) -> None:
        """Take note that a signal came to its end here."""
        self.recent[signal.signal_id] = signal.block_number
        self._changed[MONEY] = None
