"""The accounts of a shard that are in memory: those of which something is open, and those that were needed lately."""

from collections.abc import Collection, Iterable, Sequence
from functools import partial

import trio
from attrs import define, field

from trio_copy.accounts import Account
from trio_copy.engine.shards.marks import Marks
from trio_copy.engine.shards.stored import kept_in, stored_account
from trio_copy.engine.shards.writing import Writer
from trio_copy.model.catalog import Catalog
from trio_copy.model.ids import FollowerId
from trio_copy.ports import Accounts, Document

_LOAD_AT_ONCE = 1000
"""Accounts that one read of the store brings."""
_SURE_AFTER = 2
"""Writes: the first may have been under way while an account was read."""


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
    _unsure: dict[FollowerId, int] = field(factory=dict)
    """How many writes had succeeded when an account was read that a store which had just forgotten may have told of."""
    _sweeps: tuple[float, ...] = (0.0,)
    """When accounts were let go last, and the time before; the first is when the shard was taken."""
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
                kept_in(document, partial(self.marks.load, follower, document.name))
        account = self.accounts[follower] = stored_account(follower, self.catalog, documents)
        self._lately.add(follower)
        self._unsure[follower] = self.writer.number
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

    @property
    def swept_at(self) -> float:
        """When accounts were let go last, or the shard was taken: stored, it says what a store knows at least."""
        return self._sweeps[-1]

    def begin(self, at: float) -> None:
        """Take note that the shard was taken: of accounts that are not read, nothing has changed since."""
        self._sweeps = (at,)

    def may_lack(self, knows: float | None, followers: Iterable[FollowerId]) -> bool:
        """Tell whether a store that forgot may have lost something of one of some accounts that is not at hand.

        `knows` is the last `swept_at` that it tells: whatever changed since the last two is at hand. Where it tells an older
        one, or none, each account has to be at hand, and a write that was begun after it was read must have succeeded: so
        the store had not forgotten it then.
        """
        if knows in self._sweeps:
            return False
        self._forget_sure()
        return any(follower not in self.accounts or follower in self._unsure for follower in followers)

    def trust(self) -> None:
        """Take note that the store holds again what is at hand, whatever it had forgotten."""
        self._unsure.clear()

    def _forget_sure(self) -> None:
        sure = self.writer.number - _SURE_AFTER
        self._unsure = {follower: number for follower, number in self._unsure.items() if number > sure}

    def drop_idle(self, busy: Collection[FollowerId], at: float) -> None:
        """Drop the accounts of which nothing is open, and that nothing happened to since this was called last."""
        self._forget_sure()
        self._sweeps = (self.swept_at, at)
        for follower in [one.follower for one in self.accounts.values() if one.idle and not one.dead]:
            if follower not in busy and follower not in self._lately:
                del self.accounts[follower]
        self._lately.clear()
