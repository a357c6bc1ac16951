"""What prices are known while a copy is made: at the gate, when its order is placed, and when it is answered. Sync.

Nothing waits for a price, and nothing is decided by it here: what nobody knows at its moment is not known. It lives in memory
until the task's end is written down, so what a crash interrupts is told without.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from attrs import define, field

from trio_copy.accounts import OrderState
from trio_copy.accounts import events as e
from trio_copy.accounts.telling import TaskEnd, Told
from trio_copy.engine.shards.later_looks import LaterLooks
from trio_copy.engine.shards.writing import Writer
from trio_copy.model.books import Quote
from trio_copy.model.decisions import CopyTask
from trio_copy.model.ids import IntentKey, SignalId, TokenId
from trio_copy.model.orders import Order, Status
from trio_copy.model.sightings import Allotment, Sighting
from trio_copy.ports import Quotes

_KEPT = 20_000
"""Signals, and orders, of which it is known; of more than a minute at hundreds a second. Those that wait for longer are told without."""
_ANSWERS = frozenset({Status.FILLED, Status.PARTIAL, Status.KILLED})
_FINAL = (OrderState.ENDED, OrderState.MATCHED)


def want_nothing(token_id: TokenId) -> None:
    """Hear of a token whose price will be asked for where nobody can tell it."""


@define(eq=False)
class _Sighted:
    order: Order
    task: CopyTask
    seen: Quote | None
    decided: Quote | None
    answered: Quote | None = None
    allotment: Allotment | None = None


@define(eq=False)
class Sightings:
    quotes: Quotes | None = None
    """None where nobody tells prices: then none are kept."""
    later: LaterLooks | None = None
    on_wanted: Callable[[TokenId], None] = want_nothing
    """Told of each token that is going to be traded and is not the leader's own: nobody has asked for its price yet."""
    _seen: OrderedDict[tuple[SignalId, TokenId], Quote] = field(factory=OrderedDict)
    _open: OrderedDict[IntentKey, _Sighted] = field(factory=OrderedDict)

    def see(self, signal_id: SignalId, token_id: TokenId, tasks: Iterable[CopyTask]) -> None:
        """Take note of the prices at which a signal came through the gate."""
        if self.quotes is None:
            return
        for token in {task.intent.token_id for task in tasks}:
            if token != token_id:
                self.on_wanted(token)
            quote = self.quotes.quote(token)
            if quote is not None:
                # Of several shards the first one is right: they meet it one after the other.
                self._seen.setdefault((signal_id, token), quote)
        while len(self._seen) > _KEPT:
            self._seen.popitem(last=False)

    def place(self, order: Order, task: CopyTask) -> None:
        """Take note of the prices at which an order was placed."""
        if self.quotes is None:
            return
        token = order.token_id
        seen = self._seen.get((task.signal.signal_id, token))
        self._open[order.key] = _Sighted(order, task, seen, self.quotes.quote(token))
        self._bound()

    def allot(self, order: Order, task: CopyTask, allotment: Allotment) -> None:
        """Take note of what an order that was placed just now may take of the book that it shares."""
        sighted = self._open.setdefault(order.key, _Sighted(order, task, None, None))
        sighted.allotment = allotment
        self._bound()

    @property
    def any_open(self) -> bool:
        """Whether anything is known of an order."""
        return bool(self._open)

    def _bound(self) -> None:
        if len(self._open) > _KEPT:
            self._open.popitem(last=False)

    def answer(self, learned: e.Learned, writer: Writer) -> None:
        """Take note of the prices at which an order was answered, and have the book looked at from then on.

        Called for the first thing that is learned of an order only: what the reconciler proves happened long before.
        """
        sighted, report = self._open.get(learned.key), learned.report
        if sighted is None or self.quotes is None or report is None or report.status not in _ANSWERS:
            return
        sighted.answered = self.quotes.quote(sighted.order.token_id)
        if self.later is not None and learned.state in _FINAL:
            shares = report.shares if report.shares.micro else sighted.order.shares
            self.later.want(sighted.order, sighted.task, shares, learned.at, writer)

    def complete(self, told: Told) -> Told:
        """Add to the end of a task what was known while its order was made."""
        end = told.record
        if not self._open or not isinstance(end, TaskEnd) or end.order is None:
            return told
        sighted = self._open.pop(end.order.key, None)
        if sighted is None or (sighted.seen or sighted.decided or sighted.answered or sighted.allotment) is None:
            return told
        sighting = Sighting(sighted.seen, sighted.decided, sighted.answered, sighted.allotment)
        return Told(TaskEnd(end.task, end.outcome, end.at, end.order, end.entry, sighting), told.amounts)
