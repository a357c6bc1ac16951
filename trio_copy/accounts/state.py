"""What an account knows, and what can be asked of it: whoever decides sees this, and changes nothing."""

from attrs import define, evolve, field

from trio_copy.accounts.budgets import Exposure, Spot, Windows, count_in_windows
from trio_copy.accounts.entries import is_of
from trio_copy.accounts.holdings import NOTHING_HELD, Holding
from trio_copy.accounts.names import Part
from trio_copy.accounts.orders import OpenOrder, OrderState
from trio_copy.accounts.telling import Told
from trio_copy.accounts.unplaced import DeadLetter, Waiting
from trio_copy.model.budgets import Performance
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import Mode, ModeChange
from trio_copy.model.decisions import Code, CopyTask, Reason
from trio_copy.model.fills import Side
from trio_copy.model.fundings import Funding
from trio_copy.model.ids import FollowerId, IntentKey, SignalId, TaskId, task_id
from trio_copy.model.positions import LedgerEntry, Position
from trio_copy.model.units import Shares

_SELL, _RESTING = Side.SELL, OrderState.RESTING


@define(eq=False)
class AccountState:
    """What `Account` knows; `Account.apply` alone changes it."""

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
    changed: dict[Part, None] = field(factory=dict)
    """Documents that are to be written again, or deleted."""
    told: list[Told] = field(factory=list)
    """What people are to be told, in order."""

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

    def unsettled(self, open_order: OpenOrder) -> list[LedgerEntry]:
        """Return the bookings of an order that are not firm: they are in the tail until the chain has the last word."""
        holding = self.holdings.get(open_order.spot, NOTHING_HELD)
        return [entry for entry in holding.tail if not entry.firm and is_of(open_order.order.key, entry)]

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
        return not (self.orders or self.holdings or self.waiting or self.recent or self.changed)

    def _note_tasks(self, open_order: OpenOrder) -> None:
        key = open_order.order.key
        self._order_of[open_order.task.task_id] = key
        for task in open_order.members:
            self._order_of[task] = key

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

    def _promise(self, spot: Spot, shares: int) -> None:
        """Count what open exits may sell; nothing is kept at zero."""
        promised = self._promised.get(spot, 0) + shares
        if promised:
            self._promised[spot] = promised
        else:
            del self._promised[spot]
