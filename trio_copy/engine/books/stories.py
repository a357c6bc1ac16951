"""All that a store keeps about one copy, put together: how far it got, its orders, its bookings, and its books."""

from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, field, frozen

from trio_copy.accounts import DeadLetter, OpenOrder, Waiting
from trio_copy.accounts.documents import open_order_of, waiting_of
from trio_copy.accounts.entries import is_of
from trio_copy.accounts.sighted import KIND as LOOKS
from trio_copy.accounts.telling import OrderEnd, SkipTold, TaskEnd
from trio_copy.engine.books.books import dead_letters
from trio_copy.engine.shards.stored import kept_in, looked_by, told_by
from trio_copy.model.decisions import CopyTask, End, Outcome, Reason
from trio_copy.model.facts import Fact
from trio_copy.model.ids import IntentKey, TaskId, intent_key
from trio_copy.model.orders import Status
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.sightings import Looks, Sighting
from trio_copy.ports import Document, History

_STORIES = 100
_LOOKED_UP = 10
"""So many stories are asked for one by one: looks, and what was booked while an order rested, are stored under their tasks alone."""
_ENDED_BY_RESTING = (Status.RESTING, Status.PARTIAL, Status.KILLED)


@frozen(kw_only=True)
class TaskTold:
    """How far a task got. All times are Unix seconds."""

    task: CopyTask
    state: str
    """placed, waiting, suspended, dead or ended."""
    outcome: Outcome | None = None
    admitted_at: float
    ended_at: float | None = None


@frozen(kw_only=True)
class Story:
    """All that is known about one task."""

    record: TaskTold
    orders: tuple[OrderEnd, ...] = ()
    """Those that it went out in, oldest first; that of an aggregated task is another one's."""
    entries: tuple[LedgerEntry, ...] = ()
    breached: frozenset[IntentKey] = frozenset()
    """Those of its open orders about which their executor reported what cannot be."""
    sightings: Mapping[IntentKey, Sighting] = field(factory=dict)
    """What prices were known while its own orders were made."""
    looks: Mapping[IntentKey, Looks] = field(factory=dict)
    """What was seen of the book after these."""
    called_off: Mapping[IntentKey, Reason] = field(factory=dict)
    """Those of its open orders that shall rest no longer, and why."""
    rested: frozenset[IntentKey] = frozenset()
    """Those of its orders that the venue had on its book for a while, or has."""


@frozen
class _Found:
    """What a store tells about one task, in any order."""

    ends: list[TaskEnd] = field(factory=list)
    entries: list[LedgerEntry] = field(factory=list)
    looks: list[Looks] = field(factory=list)
    orders: list[OpenOrder] = field(factory=list)
    waiting: list[Waiting] = field(factory=list)
    dead: list[DeadLetter] = field(factory=list)


async def stories(history: History, prefix: str) -> Sequence[Story]:
    """Return what is known about the tasks whose id, signal or order starts with a text."""
    facts, documents = await history.story(prefix)
    found: dict[TaskId, _Found] = {}
    _sort_in(found, facts, documents)
    for letter in await dead_letters(history):
        task = letter.task
        if task.task_id.startswith(prefix) or task.signal.signal_id.startswith(prefix):
            found.setdefault(task.task_id, _Found()).dead.append(letter)
    told = []
    for task_id, one in list(found.items())[:_STORIES]:
        if len(found) <= _LOOKED_UP and not task_id.startswith(prefix):
            of_task: dict[TaskId, _Found] = {}
            _sort_in(of_task, *await history.story(task_id))
            one = evolve(of_task.get(task_id, one), dead=one.dead)
        story = _story(one)
        if story is not None:
            lead = _lead_of(story)
            of_lead: dict[TaskId, _Found] = {}
            if lead is not None:
                _sort_in(of_lead, *await history.story(lead))
            orders = [*story.orders, *(order for other in of_lead.values() for order in _orders(other))]
            mine = [order for order in orders if task_id in order.members or order in story.orders]
            opened = [order for other in (one, *of_lead.values()) for order in other.orders]
            breached = frozenset(order.order.key for order in opened if order.breached)
            called_off = {order.order.key: order.called_off for order in opened if order.called_off is not None}
            told.append(evolve(story, orders=tuple(mine), breached=breached, called_off=called_off))
    return sorted(told, key=lambda story: story.record.admitted_at)


def _sort_in(found: dict[TaskId, _Found], facts: Iterable[Fact], documents: Iterable[Document]) -> None:
    for fact in facts:
        if fact.kind == LOOKS:
            found.setdefault(fact.task_id, _Found()).looks.append(looked_by(fact))
            continue
        told = told_by(fact)
        match told:
            case TaskEnd():
                found.setdefault(told.task.task_id, _Found()).ends.append(told)
            case LedgerEntry():
                found.setdefault(told.task_id, _Found()).entries.append(told)
            case SkipTold():
                pass  # no task was made
    for document in documents:
        if document.kind == "order":
            open_order = kept_in(document, open_order_of)
            found.setdefault(open_order.task.task_id, _Found()).orders.append(open_order)
        elif document.kind == "waits":
            waiting = kept_in(document, waiting_of)
            found.setdefault(waiting.task.task_id, _Found()).waiting.append(waiting)


def _story(found: _Found) -> Story | None:
    """Put together what is known of a task; None where it is known by a booking alone."""
    record = _record(found)
    if record is None:
        return None
    booked = [end.entry for end in found.ends if end.entry is not None]
    entries = sorted((*booked, *found.entries), key=lambda entry: entry.booked_at)
    orders = _orders(found)
    return Story(
        record=record,
        orders=orders,
        entries=tuple(entries),
        sightings={end.order.key: end.sighting for end in found.ends if end.order is not None and end.sighting},
        looks={intent_key(looks.task_id, looks.attempt): looks for looks in found.looks},
        rested=frozenset(
            order.key for order in orders if record.task.intent.rest_until and _rested(order, found.entries)
        ),
    )


def _rested(order: OrderEnd, apart: Iterable[LedgerEntry]) -> bool:
    """Tell whether an order that was allowed to rest did: what it fills meanwhile is booked apart from its end.

    Without a fill, or with a part of one, it can only have ended by resting: nothing else ends it at the venue.
    """
    if order.report is not None and order.report.status in _ENDED_BY_RESTING:
        return True
    return any(is_of(order.key, entry) for entry in apart if not entry.of)


def _record(found: _Found) -> TaskTold | None:
    for end in found.ends:
        if end.outcome is not None:
            return _told(end.task, "ended", end.outcome, end.at)
    for letter in found.dead:
        return _told(letter.task, "dead")
    for waiting in found.waiting:
        return _told(waiting.task, "suspended" if waiting.suspended else "waiting")
    for open_order in found.orders:
        return _told(open_order.task, "placed")
    for end in found.ends:
        return _told(end.task, "waiting")  # for its next attempt, which nobody has placed yet
    return None


def _told(task: CopyTask, state: str, outcome: Outcome | None = None, ended_at: float | None = None) -> TaskTold:
    return TaskTold(task=task, state=state, outcome=outcome, admitted_at=task.decided_at, ended_at=ended_at)


def _orders(found: _Found) -> tuple[OrderEnd, ...]:
    """Return a task's orders, oldest first; an open one as it is now, and not as it was when its task ended."""
    orders = {end.order.key: _closed(end.order) for end in found.ends if end.order is not None}
    orders.update((one.order.key, OrderEnd.of(one)) for one in found.orders)
    return tuple(sorted(orders.values(), key=lambda order: order.placed_at))


def _closed(order: OrderEnd) -> OrderEnd:
    """What was open when its task ended, and is not any more, has ended since."""
    return evolve(order, state="ended")


def _lead_of(story: Story) -> TaskId | None:
    """Return the task in whose order an aggregated one went out."""
    outcome = story.record.outcome
    if outcome is None or outcome.end is not End.GATHERED or outcome.reason is None:
        return None
    return TaskId(outcome.reason.value)
