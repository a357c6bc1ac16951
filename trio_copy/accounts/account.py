"""One follower's money, whole: commands in, events out, and a state that only events change.

No I/O, no clock, no entropy. `decide` reads and answers; `apply` changes and never decides. So the same events give the
same account again, and what was decided can be made durable before anything leaves.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from attrs import define, evolve, field, frozen

from trio_copy.accounts import events as e
from trio_copy.accounts.budgets import Exposure, Window, day_of, tally, windows_of
from trio_copy.accounts.commands import Command
from trio_copy.accounts.deciding import decide
from trio_copy.accounts.entries import about_entry
from trio_copy.accounts.holdings import NOTHING_HELD, Holding
from trio_copy.accounts.orders import OpenOrder, OrderState, Said, said, spent_by
from trio_copy.accounts.telling import OrderEnd, SkipTold, TaskEnd, Told, amounts_of
from trio_copy.model.budgets import Performance
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import Mode, ModeChange
from trio_copy.model.decisions import Code, CopyTask, Reason
from trio_copy.model.facts import NO_AMOUNTS
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, IntentKey, SignalId, TaskId, TokenId
from trio_copy.model.positions import EntryKind, LedgerEntry, Position
from trio_copy.model.units import Shares, Usd

Spot = tuple[Address, TokenId]
"""Whose trades of which token a position copies."""
Part = tuple[str, str]
"""Kind and name of one of an account's documents."""
MONEY: Part = ("money", "")


@frozen(kw_only=True)
class Waiting:
    """A task that waits durably."""

    task: CopyTask
    until: float | None = None
    """When it has waited for company in vain."""
    suspended: bool = False
    """Whether a reorg took its signal back."""
    tries: int = 0
    """How often it was taken up by a process that then ended uncleanly."""


@frozen(kw_only=True)
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
    windows: dict[str, Window] = field(factory=dict)
    performance: Performance = field(factory=Performance)
    mode: ModeChange | None = None
    """What a person or a loss cap allows the follower; None for everything."""
    exposure: Exposure = field(init=False)
    """Derived from `orders` and `holdings`."""
    held: Counter[str] = field(init=False)
    """What open orders may use of each window; derived from `orders`."""
    _promised: Counter[Spot] = field(init=False)
    """What open exits may have sold of each spot, in millionths of a share; derived from `orders`."""
    _order_of: dict[TaskId, IntentKey] = field(init=False)
    """The open order of each task that has one, members included; derived from `orders`."""
    _changed: dict[Part, None] = field(factory=dict)
    _told: list[Told] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.recount()

    def recount(self) -> None:
        """Add everything derived up anew."""
        self.exposure, self.held, self._promised, self._order_of = Exposure(self.catalog), Counter(), Counter(), {}
        for spot, holding in self.holdings.items():
            self._count_held(spot, NOTHING_HELD.now, holding.now)
        for open_order in self.orders.values():
            self._note_tasks(open_order)
            if open_order.held:
                self._hold(open_order, +1)

    def knows(self, task: CopyTask) -> bool:
        """Tell whether a task has ended here, has an order, or is a dead letter: offered once more, nothing changes."""
        return task.task_id in self._order_of or task.signal.signal_id in self.recent or task.task_id in self.dead

    def has_met(self, signal: SignalId, task: TaskId) -> bool:
        """Tell whether a signal, and the follower's task of it, has been heard of here, and not been forgotten."""
        return signal in self.recent or task in self._order_of or task in self.waiting or task in self.dead

    def waits_of(self, signal: SignalId) -> int:
        """Return how many tasks of a signal wait here."""
        return sum(waits.task.signal.signal_id == signal for waits in self.waiting.values())

    def placed_of(self, signal: SignalId) -> int:
        """Return how many tasks of a signal have an order that is open, those that went out with others included."""
        tasks = (open_order.task for open_order in self.orders.values())
        return sum(task.signal.signal_id == signal for task in tasks)

    def position(self, spot: Spot) -> Position:
        """Return what is held at a spot, what is not settled included."""
        return self.holdings.get(spot, NOTHING_HELD).now

    def free(self, spot: Spot) -> Shares:
        """Return the shares of a spot that no open order may have sold already."""
        return Shares(max(0, self.position(spot).shares.micro - self._promised[spot]))

    def in_flight(self, spot: Spot) -> bool:
        """Tell whether an open order may still change what is held at a spot."""
        return any(open_order.spot == spot for open_order in self.orders.values())

    def spent(self, task: CopyTask) -> Mapping[str, int]:
        """Return what is used of the windows that an entry counts in, open orders included."""
        return {
            name: (self.windows[name].used if name in self.windows else 0) + self.held[name]
            for name, _, _ in windows_of(task, 0)
        }

    def forbids(self, side: Side) -> Reason | None:
        """Return why the follower's own mode forbids a side."""
        change = self.mode
        if change is None or (side is Side.SELL and change.mode is not Mode.HALT_ALL):
            return None  # exits first: only the mode that stops everything stops them
        limit = f"{change.mode.value}: {change.why}"
        return Reason(code=Code.MODE_FORBIDS, control=f"mode of {self.follower}", value=side.value, limit=limit)

    @property
    def idle(self) -> bool:
        """Whether nothing is open, held, waiting or unwritten: it may be dropped from memory and read again."""
        return not (self.orders or self.holdings or self.waiting or self.recent or self._changed or self._told)

    def decide(self, command: Command) -> Sequence[e.Event]:
        """Answer a command. Changes nothing; the caller applies what comes, all of it and in order."""
        self._follow_catalog()
        return decide(self, command)

    def take_changes(self) -> tuple[Sequence[Part], Sequence[Told]]:
        """Return which documents changed since the last call, and what is to be told; see `documents.document_of`."""
        changed, told = tuple(self._changed), tuple(self._told)
        self._changed.clear()
        self._told.clear()
        return changed, told

    def apply(self, events: Iterable[e.Event]) -> None:
        """Let events happen: the only way in which an account changes."""
        self._follow_catalog()
        for event in events:
            self._apply(event)

    def _follow_catalog(self) -> None:
        """Count anew when the catalog has changed: what was added to one question may not be taken from another."""
        if self.exposure.version != self.catalog.version:
            self.recount()

    def _apply(self, event: e.Event) -> None:
        match event:
            case e.Placed():
                self._place(event)
            case e.Learned():
                self._learn(event)
            case e.Ended():
                self._end(event)
            case e.Waits(task=task):
                if self.dead.pop(task.task_id, None) is not None:
                    self._change("dead", task.task_id)
                self.waiting[task.task_id] = Waiting(
                    task=task, until=event.until, suspended=event.suspended, tries=event.tries
                )
                self._change("waits", waits_name(task))
            case e.Buried(task=task):
                self._wait_no_more(task)
                self.dead[task.task_id] = DeadLetter(task=task, why=event.why, at=event.at)
                self._change("dead", task.task_id)
            case e.Passed(skip=skip, signal=signal, at=at):
                self._remember(signal.signal_id, signal.block_number)
                self._told.append(Told(record=SkipTold(skip=skip, signal=signal, at=at)))
            case e.Missed(entry=entry) | e.Redeemed(entry=entry):
                self._tell_entry(entry, *self._book(entry))
            case e.Settled():
                self._settle(event)
            case e.Reversed():
                self._reverse(event)
            case e.Contradicted():
                pass  # nothing changes: a person has to look, and the engine says so
            case e.ModeSet(change=change):
                self.mode = None if change.mode is Mode.RUN else change
                self._change(*MONEY)
            case e.PeakReset():
                self.performance = evolve(self.performance, peak=self.performance.realised)
                self._change(*MONEY)
            case e.Forgot(signals=signals, windows=windows):
                for signal_id in signals:
                    self.recent.pop(signal_id, None)
                for name in windows:
                    self.windows.pop(name, None)
                self._change(*MONEY)

    def _place(self, placed: e.Placed) -> None:
        open_order = OpenOrder(
            order=placed.order,
            task=placed.task,
            members=placed.members,
            cost=placed.cost,
            placed_at=placed.at,
            at=placed.at,
        )
        self._wait_no_more(placed.task)
        self._put_order(open_order)
        self._note_tasks(open_order)
        self._hold(open_order, +1)

    def _learn(self, learned: e.Learned) -> None:
        open_order = self.orders[learned.key]
        ended = open_order.ended or learned.outcome is not None
        after = open_order.after(learned.state, learned.report, learned.at, ended=ended)
        if learned.state is OrderState.UNKNOWN:
            self._put_order(after)
            return
        self._hold(open_order, -1)
        self._spend(open_order, learned)
        realised, provisional = (0, 0) if learned.entry is None else self._book(learned.entry)
        if learned.state is OrderState.ENDED:
            self._drop_order(open_order)
        else:
            self._put_order(after)
        if open_order.ended:
            # Its task has ended already, for a person to look at: now the books are right as well.
            if learned.entry is not None:
                self._tell_entry(learned.entry, realised, provisional)
            return
        if learned.outcome is not None:
            self._remember_end(open_order.task)
        end = TaskEnd(
            task=open_order.task,
            outcome=learned.outcome,
            order=OrderEnd.of(after),
            entry=learned.entry,
            at=learned.at,
        )
        amounts = NO_AMOUNTS if learned.entry is None else amounts_of(learned.entry, realised, provisional)
        self._told.append(Told(record=end, amounts=amounts))

    def _end(self, ended: e.Ended) -> None:
        task = ended.task
        self._wait_no_more(task)
        self._remember_end(task)
        order = None
        if ended.key is not None:
            open_order = evolve(self.orders[ended.key], ended=True)
            self._put_order(open_order)
            order = OrderEnd.of(open_order)
        self._told.append(Told(record=TaskEnd(task=task, outcome=ended.outcome, order=order, at=ended.at)))

    def _settle(self, settled: e.Settled) -> None:
        entry = self._entry_of(settled.key)
        self._drop_order(self.orders[settled.key])
        spot = (entry.leader, entry.token_id)
        realised, provisional = self._hold_now(spot, self.holdings[spot].confirmed(entry.key), settled.at)
        self._tell_entry(about_entry(entry, EntryKind.CONFIRM, settled.at), realised, provisional)

    def _reverse(self, reversed_: e.Reversed) -> None:
        entry = self._entry_of(reversed_.key)
        self._drop_order(self.orders[reversed_.key])
        spot = (entry.leader, entry.token_id)
        realised, provisional = self._hold_now(spot, self.holdings[spot].without(entry.key), reversed_.at)
        undone = about_entry(entry, EntryKind.REVERSE, reversed_.at)
        self._told.append(Told(record=undone, amounts=amounts_of(entry, realised, provisional, -1)))

    def _entry_of(self, key: IntentKey) -> LedgerEntry:
        """Return the booking of a matched order: it is in the tail until the chain has the last word."""
        (entry,) = (entry for entry in self.holdings[self.orders[key].spot].tail if entry.key == key)
        return entry

    def _spend(self, open_order: OpenOrder, learned: e.Learned) -> None:
        """Turn what an open entry held of its windows into what it used of them."""
        if open_order.order.side is Side.SELL:
            return
        report = learned.report
        if report is None or said(report) is Said.ABSENT:
            return
        # Also what the chain undoes was spent: a day's budget is never given back.
        for name, amount, until in windows_of(open_order.task, spent_by(report)):
            if amount:
                known = self.windows.get(name)
                self.windows[name] = Window(amount + (0 if known is None else known.used), until)
                self._change(*MONEY)

    def _book(self, entry: LedgerEntry) -> tuple[int, int]:
        """Fold an entry in; returns by how much the firm and the provisional profit changed, in millionths."""
        spot = (entry.leader, entry.token_id)
        return self._hold_now(spot, self.holdings.get(spot, NOTHING_HELD).after(entry), entry.booked_at)

    def _hold_now(self, spot: Spot, holding: Holding, at: float) -> tuple[int, int]:
        before, after = self.holdings.get(spot, NOTHING_HELD).now, holding.now
        if holding.gone:
            self.holdings.pop(spot, None)
        else:
            self.holdings[spot] = holding
        self._count_held(spot, before, after)
        self._change("position", position_name(spot))
        realised = after.realised.micro - before.realised.micro
        provisional = after.provisional.micro - before.provisional.micro
        if realised or provisional:
            self.performance = self.performance.after(Usd(realised + provisional), day_of(at))
            self._change(*MONEY)
        return realised, provisional

    def _count_held(self, spot: Spot, before: Position, after: Position) -> None:
        self.exposure.add(spot, after.cost.micro - before.cost.micro)
        if bool(before.lots) != bool(after.lots):
            self.exposure.enter(spot, +1 if after.lots else -1)

    def _hold(self, open_order: OpenOrder, sign: int) -> None:
        """Set aside what an open order may take, or give it back."""
        if open_order.order.side is Side.SELL:
            tally(self._promised, open_order.spot, sign * open_order.order.shares.micro)
            return
        self.exposure.enter(open_order.spot, sign)
        self.exposure.add(open_order.spot, sign * open_order.cost.micro)
        for name, amount, _ in windows_of(open_order.task, open_order.cost.micro):
            tally(self.held, name, sign * amount)

    def _put_order(self, open_order: OpenOrder) -> None:
        self.orders[open_order.order.key] = open_order
        self._change("order", order_name(open_order))

    def _drop_order(self, open_order: OpenOrder) -> None:
        del self.orders[open_order.order.key]
        for task in (open_order.task.task_id, *open_order.members):
            self._order_of.pop(task, None)
        self._change("order", order_name(open_order))

    def _note_tasks(self, open_order: OpenOrder) -> None:
        for task in (open_order.task.task_id, *open_order.members):
            self._order_of[task] = open_order.order.key

    def _wait_no_more(self, task: CopyTask) -> None:
        if self.waiting.pop(task.task_id, None) is not None:
            self._change("waits", waits_name(task))
        elif self.dead.pop(task.task_id, None) is not None:
            self._change("dead", task.task_id)

    def _remember_end(self, task: CopyTask) -> None:
        self._remember(task.signal.signal_id, task.signal.block_number)

    def _remember(self, signal: SignalId, block: int) -> None:
        self.recent[signal] = block
        self._change(*MONEY)

    def _tell_entry(self, entry: LedgerEntry, realised: int, provisional: int) -> None:
        self._told.append(Told(record=entry, amounts=amounts_of(entry, realised, provisional)))

    def _change(self, kind: str, name: str) -> None:
        self._changed[kind, name] = None


def order_name(open_order: OpenOrder) -> str:
    """Name an order's document by all the ids that people may ask for."""
    order, task = open_order.order, open_order.task
    return f"{order.key}/{task.task_id}/{task.signal.signal_id}/{order.order_id}"


def waits_name(task: CopyTask) -> str:
    """Name a waiting task's document."""
    return f"{task.task_id}/{task.signal.signal_id}"


def position_name(spot: Spot) -> str:
    """Name a position's document."""
    leader, token = spot
    return f"{leader}/{token}"
