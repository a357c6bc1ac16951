"""What of a shard is written down, in the form in which stores keep it, and what is announced once it is."""

from trio_copy.accounts import Account, OpenOrder
from trio_copy.accounts.documents import document_of
from trio_copy.accounts.names import place_of
from trio_copy.accounts.plain import Plain
from trio_copy.accounts.telling import TaskEnd, Told
from trio_copy.engine.shards.marks import Marks
from trio_copy.engine.shards.sightings import Sightings
from trio_copy.engine.shards.stored import stored_fact
from trio_copy.engine.shards.writing import Batch
from trio_copy.model.ids import FollowerId
from trio_copy.model.positions import LedgerEntry
from trio_copy.ports import Document
from trio_copy.records import write_plain
from trio_copy.telemetry.observer import Finished, Observer


def put_account(batch: Batch, account: Account, marks: Marks, sightings: Sightings) -> None:
    """Add what changed of an account since it was written last."""
    follower = account.follower
    parts, told = account.take_changes()
    if told and sightings.any_open:
        told = [sightings.complete(one) for one in told]
    for part in parts:
        kind, name = part
        body = document_of(account, part)
        # Nobody but this writes documents of accounts, once a batch: none of them is in it already.
        if body is not None:
            batch.puts[follower, kind, name] = Document(follower, kind, name, write_plain(body))
            continue
        batch.deletes[follower, kind, name] = None
        if kind == "position":
            spot, bundle = place_of(name)
            if bundle is None:
                marks.drop((follower, *spot))
    batch.facts.extend(map(stored_fact, told))
    batch.told.extend(told)


def put(batch: Batch, follower: FollowerId, kind: str, name: str, body: Plain | None) -> None:
    """Add one document; one without a body is to be deleted."""
    if body is None:
        batch.delete((follower, kind, name))
    else:
        batch.put(Document(follower, kind, name, write_plain(body)))


def announce(observer: Observer, told: Told) -> None:
    """Let people hear of what has become durable."""
    record, amounts = told.record, told.amounts
    if amounts[1] or amounts[2]:
        observer.on_booked(amounts)
    if isinstance(record, TaskEnd):
        if record.entry is not None:
            observer.on_entry(record.entry, amounts)
        if record.outcome is not None:
            order = record.order
            report, started_at = (None, 0.0) if order is None else (order.report, order.placed_at)
            observer.on_finished(Finished(record.task, record.outcome, report, started_at, record.at))
    elif isinstance(record, LedgerEntry):
        observer.on_entry(record, amounts)
    else:
        observer.on_skip(record.skip, record.signal)


def told_resting(open_order: OpenOrder, market: str) -> str:
    """Say how an order for a token, as people call it, rests, and what came of it so far."""
    order, report, task = open_order.order, open_order.report, open_order.task
    filled = "nothing" if report is None or not report.shares.micro else f"{report.shares}"
    most = task.intent.rest_until - task.signal.block_time
    rests = f"{task.follower}: {filled} of {order.shares} filled at {order.limit_price}: {market}"
    return f"{rests}; for up to {most} s, order {order.order_id}"
