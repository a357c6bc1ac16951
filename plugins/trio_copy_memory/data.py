"""What the memory store holds. It may outlive the store that works on it: a test opens another one on it after a crash."""

from collections.abc import Iterator
from copy import deepcopy

import trio
from attrs import define, field, fields

from trio_copy.clock import utc_date
from trio_copy.model.control import Instance, Lease, Modes
from trio_copy.model.facts import NO_AMOUNTS, Amounts, Fact
from trio_copy.model.follows import Follow
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.logs import Checkpoint
from trio_copy.ports import HEAD_KINDS, NOBODY, Document, DocumentKey, FollowChange, Request


def add(one: Amounts, two: Amounts) -> Amounts:
    """Add amounts up, each to its own."""
    a, b, c, d, e, f = one
    trades, bought, sold, fees, realised, provisional = two
    return (a + trades, b + bought, c + sold, d + fees, e + realised, f + provisional)


@define(eq=False)
class Wakeup:
    """Wakes whoever waits for a change. What changed is read from the data."""

    _told: trio.Event = field(factory=trio.Event)

    def wake(self) -> None:
        self._told.set()
        self._told = trio.Event()

    async def wait(self) -> None:
        await self._told.wait()

    def __reduce__(self) -> tuple[type["Wakeup"], tuple[()]]:
        return Wakeup, ()  # in a copy of the data nobody waits yet


@define(eq=False)
class Shard:
    """One slice of accounts."""

    token: int = 0
    """Of the owner; 0 when nobody ever took it."""
    number: int = 0
    """Of the last write of this token."""
    checkpoint: Checkpoint | None = None
    accounts: dict[FollowerId, dict[DocumentKey, Document]] = field(factory=dict)
    heads: dict[DocumentKey, Document] = field(factory=dict)
    """Those of the documents that an owner has to know first."""
    requests: dict[str, Request] = field(factory=dict)
    answers: dict[str, tuple[float, str]] = field(factory=dict)
    """Unix seconds and words of each, oldest first."""

    def put(self, document: Document) -> None:
        follower, kind, _, _ = document
        key = document[:3]
        account = self.accounts.get(follower)
        if account is None:
            account = self.accounts[follower] = {}
        account[key] = document
        if kind in HEAD_KINDS or follower == NOBODY:
            self.heads[key] = document

    def delete(self, key: DocumentKey) -> None:
        account = self.accounts.get(key[0], {})
        account.pop(key, None)
        self.heads.pop(key, None)
        if not account:
            self.accounts.pop(key[0], None)


@define(eq=False)
class Budget:
    drawn_at: float
    """Unix seconds of the last draw."""
    has: dict[int, int] = field(factory=dict)
    """How much of it each shard has, in millionths."""


@define(eq=False, kw_only=True)
class MemoryData:
    shards: dict[int, Shard] = field(factory=dict)
    facts: dict[str, Fact] = field(factory=dict)
    """By key, in the order in which they were told last."""
    totals: dict[tuple[str, FollowerId, Address, str], Amounts] = field(factory=dict)
    """What facts that were let go add up to, by kind, follower, leader and day."""
    budgets: dict[str, Budget] = field(factory=dict)
    modes: Modes = field(factory=lambda: Modes(version=0, by_scope={}))
    leases: dict[str, Lease] = field(factory=dict)
    tokens: dict[str, int] = field(factory=dict)
    """The newest token of each lease."""
    instances: dict[str, Instance] = field(factory=dict)
    drained: set[str] = field(factory=set)
    version: int = 0
    """Of the follows."""
    follows: dict[tuple[FollowerId, Address], Follow] = field(factory=dict)
    changes: dict[tuple[FollowerId, Address], FollowChange] = field(factory=dict)
    """The last change of each follow, in the order of versions: enough for whoever is behind."""
    modes_changed: Wakeup = field(factory=Wakeup)
    follows_changed: Wakeup = field(factory=Wakeup)

    def shard(self, number: int) -> Shard:
        return self.shards.setdefault(number, Shard())

    def documents(self) -> Iterator[Document]:
        for shard in self.shards.values():
            for account in shard.accounts.values():
                yield from account.values()

    def let_go(self, key: str) -> None:
        """Let a fact go, but not its amounts."""
        fact = self.facts.pop(key)
        if any(fact.amounts):
            where = (fact.kind, fact.follower, fact.leader, utc_date(fact.at))
            self.totals[where] = add(self.totals.get(where, NO_AMOUNTS), fact.amounts)

    def copy(self) -> "MemoryData":
        """Return what it holds now, apart from it: what a store would have that loses all that comes later."""
        return deepcopy(self)

    def fall_back(self, earlier: "MemoryData") -> None:
        """Become what it was, as a server does that lost its last writes: whoever works on it finds that out."""
        for each in fields(MemoryData):
            if each.type is not Wakeup:
                setattr(self, each.name, deepcopy(getattr(earlier, each.name)))
