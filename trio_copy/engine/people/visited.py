"""A shard that nobody owns, while a command changes accounts of it: what its owner would write besides is written as well.

What an order has cost counts in the budget of all accounts, and a position that is closed leaves no mark behind.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from attrs import define, field

from trio_copy.accounts import Account
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.engine.shards.grants import Grants
from trio_copy.engine.shards.marks import Marks
from trio_copy.engine.shards.paperwork import put, put_account
from trio_copy.engine.shards.sightings import Sightings
from trio_copy.engine.shards.stored import kept_in, stored_account
from trio_copy.engine.shards.writing import Batch
from trio_copy.model.catalog import Catalog
from trio_copy.model.ids import FollowerId
from trio_copy.ports import NOBODY, Control, Document
from trio_copy.records import read_plain


@define(eq=False, kw_only=True)
class Visited:
    catalog: Catalog
    accounts: dict[FollowerId, Account] = field(factory=dict)
    """Those that were read."""
    _grants: Grants
    _marks: Marks = field(factory=Marks)

    @classmethod
    def of(cls, shard: int, control: Control, catalog: Catalog, heads: Sequence[Document]) -> "Visited":
        """Visit a shard that was just taken; nothing is drawn here, what was spent is counted."""
        grants = Grants(control=control, shard=shard, alone=True, limit=None)
        spent = (one for one in heads if (one.follower, one.kind) == (NOBODY, "spent"))
        grants.load({(one.kind, one.name): read_plain(one.body) for one in spent})
        return cls(catalog=catalog, grants=grants)

    def put(self, found: Mapping[FollowerId, Sequence[Document]]) -> None:
        """Have accounts at hand, as they are stored. Raises `StoreError` for what is none."""
        for follower, documents in found.items():
            for document in documents:
                if document.kind == "mark":
                    kept_in(document, partial(self._marks.load, follower, document.name))
            self.accounts[follower] = stored_account(follower, self.catalog, documents)

    def act(self, account: Account, command: c.Command) -> None:
        """Let a command happen to one of the accounts. None of those that people ask for corrects what an order has cost."""
        events = account.decide(command)
        for event in events:
            if isinstance(event, e.Learned):
                order = account.orders[event.key]
                self._grants.hold(event.key, order.task, order.cost, order.used)
                self._grants.spend(event.key, event)
        account.apply(events)

    def write_down(self, batch: Batch) -> None:
        """Add all that has changed since."""
        for account in self.accounts.values():
            put_account(batch, account, self._marks, Sightings())
        for follower, name, body in self._marks.take_changes():
            put(batch, follower, "mark", name, body)
        for name, body in self._grants.take_changes():
            put(batch, NOBODY, "spent", name, body)
