"""Everything that a store holds when the last process has ended, read once."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from attrs import frozen

from trio_copy.accounts import Account
from trio_copy.accounts.plain import number_of
from trio_copy.accounts.telling import OrderEnd, SkipTold, TaskEnd
from trio_copy.engine.books import books
from trio_copy.engine.shards.stored import kept_in, stored_account, told_by
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import CopyTask
from trio_copy.model.facts import Amounts, FactQuery
from trio_copy.model.ids import FollowerId, OrderId, TaskId
from trio_copy.model.positions import EntryKind, LedgerEntry
from trio_copy.ports import NOBODY, Document, Store

_KINDS = ("filled", "ended", "attempt", "skip", "entry")
_ACCOUNT_KINDS = ("money", "order", "waits", "dead", "position")


@frozen(kw_only=True)
class Sent:
    """An order that the books know, and whose copies it is."""

    order_id: OrderId
    task: CopyTask
    tasks: tuple[TaskId, ...]
    """The task with those that went out with it."""


@frozen(kw_only=True)
class Books:
    ends: Sequence[TaskEnd]
    """Of tasks."""
    attempts: Sequence[TaskEnd]
    skips: Sequence[SkipTold]
    entries: Sequence[LedgerEntry]
    """As they were booked."""
    sums: Mapping[FollowerId, Amounts]
    """Of the amounts of facts."""
    accounts: Mapping[FollowerId, Account]
    spent: Mapping[str, int]
    """What all shards together say they have spent of a day's common budget, in millionths."""

    @property
    def orders(self) -> list[Sent]:
        """Return every order that was ever placed, by what was told of it or is still open."""
        told = [(end.task, end.order) for end in (*self.ends, *self.attempts) if end.order is not None]
        opened = [(one.task, OrderEnd.of(one)) for account in self.accounts.values() for one in account.orders.values()]
        return [
            Sent(order_id=order.order_id, task=task, tasks=(task.task_id, *order.members))
            for task, order in (*told, *opened)
        ]


def _turn(entry: LedgerEntry) -> tuple[float, int]:
    """Say when an entry was booked; of two growths of one order in one moment, the one first that had less before it."""
    before = entry.key.partition(":")[2] if entry.kind is EntryKind.FILL else ""
    return (entry.booked_at, int(before) if before else 0)


async def read_books(store: Store) -> Books:
    """Read all of it, through what any person could ask."""
    facts = await store.history.facts(FactQuery(kinds=_KINDS, limit=1 << 30))
    told = [told_by(fact) for fact in reversed(facts)]
    ends = [one for one in told if isinstance(one, TaskEnd)]
    booked = [end.entry for end in ends if end.entry is not None]
    entries = [*booked, *(one for one in told if isinstance(one, LedgerEntry))]
    documents: dict[FollowerId, list[Document]] = defaultdict(list)
    for kind in _ACCOUNT_KINDS:
        for document in await store.history.documents(kind):
            documents[document.follower].append(document)
    summed = await store.history.sums(FactQuery(kinds=books.BOOKINGS), ("follower",))
    spent: dict[str, int] = defaultdict(int)
    for document in await store.history.documents("spent", NOBODY):
        spent[document.name] += kept_in(document, lambda body: number_of(body[1]))
    return Books(
        ends=[end for end in ends if end.outcome is not None],
        attempts=[end for end in ends if end.outcome is None],
        skips=[one for one in told if isinstance(one, SkipTold)],
        entries=sorted(entries, key=_turn),
        sums={FollowerId(follower): amounts for (follower,), amounts in summed.items()},
        accounts={follower: stored_account(follower, Catalog(), mine) for follower, mine in documents.items()},
        spent=spent,
    )
