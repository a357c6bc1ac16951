"""The accounts of a shard that are in memory: those of which something is open, and those that were needed lately."""

from collections.abc import Collection, Iterable, Sequence

import trio
from attrs import define, field

from trio_copy.accounts import Account
from trio_copy.engine.marks import Marks
from trio_copy.engine.stored import stored_account
from trio_copy.engine.writing import Writer
from trio_copy.model.catalog import Catalog
from trio_copy.model.ids import FollowerId
from trio_copy.ports import Accounts, Document
from trio_copy.records import read_plain

_LOAD_AT_ONCE = 1000
"""Accounts that one read of the store brings."""


@define(eq=False, kw_only=True)
class AtHand:
    shard: int
    store: Accounts
    writer: Writer
    """Knows the token that they are read with."""
    catalog: Catalog
    marks: Marks
    """What is stored of them beside the accounts."""
    accounts: dict[FollowerId, Account] = field(factory=dict)
    _waiters: dict[FollowerId, None] = field(factory=dict)
    """Accounts in which tasks may wait."""
    _lately: set[FollowerId] = field(factory=set)
    """Accounts that something happened to, or that were read, since the last sweep."""
    _loading: trio.Lock = field(factory=trio.Lock)

    @property
    def reading(self) -> bool:
        """Whether somebody is having accounts read, and counts on those that are at hand already."""
        return self._loading.locked()

    async def load(self, followers: Iterable[FollowerId]) -> None:
        """Have accounts at hand. Raises what the store raises."""
        if self.accounts.keys() >= set(followers):
            return
        async with self._loading:
            missing = [follower for follower in dict.fromkeys(followers) if follower not in self.accounts]
            for start in range(0, len(missing), _LOAD_AT_ONCE):
                wanted = missing[start : start + _LOAD_AT_ONCE]
                found = await self.store.load(self.shard, self.writer.token, wanted)
                for follower in wanted:
                    self._put(follower, found[follower])

    def _put(self, follower: FollowerId, documents: Sequence[Document]) -> None:
        for document in documents:
            if document.kind == "mark":
                self.marks.load(follower, document.name, read_plain(document.body))
        account = self.accounts[follower] = stored_account(follower, self.catalog, documents)
        self._lately.add(follower)
        if account.waiting:
            self._waiters[follower] = None

    def waiting(self) -> list[Account]:
        """Return the accounts in which tasks wait."""
        found = [self.accounts[follower] for follower in self._waiters if follower in self.accounts]
        waiting = [account for account in found if account.waiting]
        self._waiters = dict.fromkeys(account.follower for account in waiting)
        return waiting

    def note_waiting(self, follower: FollowerId) -> None:
        """Take note that a task waits in an account."""
        self._waiters[follower] = None

    def note(self, followers: Iterable[FollowerId]) -> None:
        """Take note that something happened to accounts."""
        self._lately.update(followers)

    def drop_idle(self, busy: Collection[FollowerId]) -> None:
        """Drop the accounts of which nothing is open, and that nothing happened to since this was called last."""
        for follower in [one.follower for one in self.accounts.values() if one.idle and not one.dead]:
            if follower not in busy and follower not in self._lately:
                del self.accounts[follower]
        self._lately.clear()
