"""What of a shard is written: with every write what has changed, and all of it for a store that forgot.

The checkpoint rides along with the effects that it vouches for.
"""

from trio_copy.accounts import commands as c
from trio_copy.accounts.documents import documents_of
from trio_copy.accounts.plain import Plain
from trio_copy.engine.shards.known_tokens import KIND as TOKEN
from trio_copy.engine.shards.paperwork import put, put_account
from trio_copy.engine.shards.shard import RUNNING, Shard
from trio_copy.engine.shards.writing import Batch
from trio_copy.ports import NOBODY, Document
from trio_copy.records import write_plain

_RECENT_MOST = 8
"""An account that knows of more signals is asked to forget before it is written: each of them is in its document."""


def ride_along(shard: Shard, batch: Batch) -> None:
    """Add what rides along with every write: what the shard itself remembers, and how far it has come."""
    settled = shard.progress.known_up_to
    # Only now: what happened to an account several times since the last write is written once.
    for account in shard.touched.values():
        # Within a block there is nothing to forget, however many trades it holds.
        if len(account.recent) > _RECENT_MOST and account.oldest_recent <= settled:
            shard.carry_out(account, c.Tick(passed=settled, met=shard.met, at=shard.wall()))
        put_account(batch, account, shard.marks, shard.sightings)
    shard.at_hand.note(shard.touched)
    shard.touched.clear()
    reached = shard.progress.next_checkpoint()
    if reached is not None:
        batch.checkpoint, passed = reached
        shard.met.passed(passed)
    for kind, signal, body in shard.met.take_changes():
        put(batch, NOBODY, kind, signal, body)
    for name, body in shard.grants.take_changes():
        put(batch, NOBODY, "spent", name, body)
    for name, body in shard.resolved.take_changes():
        put(batch, NOBODY, "resolution", name, body)
    for name, body in shard.tokens.take_changes():
        put(batch, NOBODY, TOKEN, name, body)
    for follower, name, body in shard.marks.take_changes():
        put(batch, follower, "mark", name, body)


def everything(shard: Shard) -> list[Document]:
    """Return every document of the shard, as far as it is at hand: for a store that forgot."""
    own: list[tuple[str, str, Plain]] = [
        (*RUNNING, shard.running),
        *shard.met.documents(),
        *(("spent", name, body) for name, body in shard.grants.documents()),
        *(("resolution", name, body) for name, body in shard.resolved.documents()),
        *((TOKEN, name, body) for name, body in shard.tokens.documents()),
    ]
    documents = [Document(NOBODY, kind, name, write_plain(body)) for kind, name, body in own]
    for journal in shard.journals.values():
        documents.extend(journal.whole())
    documents.extend(
        Document(follower, "mark", name, write_plain(body)) for follower, name, body in shard.marks.documents()
    )
    for account in shard.accounts.values():
        documents.extend(
            Document(account.follower, plain.kind, plain.name, write_plain(plain.body))
            for plain in documents_of(account)
        )
    return documents
