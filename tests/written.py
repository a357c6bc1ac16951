"""What is written of accounts that no engine has: what they say themselves, without what a shard keeps beside them."""

from collections.abc import Iterable, Mapping

from trio_copy.accounts import Account
from trio_copy.engine.people import requests
from trio_copy.engine.shards.marks import Marks
from trio_copy.engine.shards.paperwork import put_account
from trio_copy.engine.shards.sightings import Sightings
from trio_copy.engine.shards.writing import Batch
from trio_copy.ports import Changes, Request


def stored_changes(accounts: Iterable[Account], answers: Mapping[str, str]) -> Changes:
    """Write what changed in accounts since they were last asked, what they told, and what came of requests."""
    batch = Batch(answers=dict(answers))
    for account in accounts:
        put_account(batch, account, Marks(), Sightings())
    return batch.changes


def carry_out(request: Request, account: Account | None, at: float) -> str:
    """Let a request happen to an account, and to nothing that is counted beside it; returns the answer."""
    return requests.carry_out(request, account, at, lambda whose, command: whose.apply(whose.decide(command)))
