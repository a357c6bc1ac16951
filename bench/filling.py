"""Fills a store with books as an owner of accounts would have written them; prints the id of a task in the middle.

python -m bench.filling sqlite FILE COPIES, or redis URL COPIES
"""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

import trio
from attrs import evolve

from trio_copy.accounts.entries import fill_entry
from trio_copy.accounts.holdings import Holding
from trio_copy.accounts.names import position_name
from trio_copy.accounts.telling import OrderEnd, SkipTold, TaskEnd, Told, amounts_of
from trio_copy.accounts.written_positions import plain_holding
from trio_copy.cli.synthetic import synthetic_address
from trio_copy.clock import anchored_wall_clock
from trio_copy.engine.shards.marks import plain_mark
from trio_copy.engine.shards.stored import stored_fact
from trio_copy.model.control import shard_lease
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason, Skip
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, TaskId, TokenId, task_id
from trio_copy.model.orders import ExecutionReport, Status
from trio_copy.model.positions import EMPTY, Mark
from trio_copy.model.units import Price, Shares, Usd
from trio_copy.ports import Changes, Document, StoreContext
from trio_copy.records import write_plain
from trio_copy.registry import discover
from trio_copy.testing.samples import sample_order, sample_signal, sample_task

SKIPS_PER_SIGNAL, FOLLOWERS, PER_SIGNAL, LEADERS, TOKENS, POSITIONS = 25, 2_000, 100, 200, 3_000, 20_000
BATCH, STARTED_AT, EVERY_S = 1_000, 1_760_000_000.0, 5.0
_T = TypeVar("_T")


def main() -> None:
    name, place, copies = sys.argv[1:]
    print(trio.run(_fill, name, place, int(copies)))


async def _fill(name: str, place: str, copies: int) -> TaskId:
    plugin = discover().store(name)
    settings = {
        "sqlite": {"path": place, "keep_days": 1e5},
        "redis": {"url": place, "facts_max": 10**9, "keep_days": 1e5},
    }
    context = StoreContext(settings=plugin.settings(**settings[name]), wall=anchored_wall_clock())
    async with plugin.open(context) as store:
        lease = await store.control.acquire(shard_lease(0), "bench", 3600)
        assert lease is not None
        await store.accounts.take(0, lease.token)
        number, tasks = 0, []
        for told in _batches(_told(copies)):
            number += 1
            facts = [stored_fact(one) for one in told]
            await store.accounts.write(0, lease.token, number, Changes(facts=facts))
            tasks.append(facts[len(facts) // 2].task_id)
            print(f"\r  {number * BATCH:,} facts", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        for documents in _batches(_held(copies)):
            number += 1
            await store.accounts.write(0, lease.token, number, Changes(puts=documents))
        return tasks[len(tasks) // 2]


def _batches(items: Iterator[_T]) -> Iterator[list[_T]]:
    while batch := list(islice(items, BATCH)):
        yield batch


def _told(copies: int) -> Iterator[Told]:
    for number in range(copies // PER_SIGNAL):
        side = Side.SELL if number % 4 == 3 else Side.BUY
        at = STARTED_AT + number * EVERY_S
        signal = evolve(
            sample_signal(number, side=side, block=number, now=at),
            leader=synthetic_address("leader", number % LEADERS),
            token_id=TokenId((1 << 200) + number % TOKENS),
        )
        task = sample_task(signal, deadline=at + 5)
        for nth in range(PER_SIGNAL):
            follower = FollowerId(f"user-{(number * 7 + nth) % FOLLOWERS}")
            yield _copied(evolve(task, task_id=task_id(signal.signal_id, follower), follower=follower), at)
        reason = Reason(code=Code.PRICE_TOO_HIGH, control="filters.price_max", value="0.99", limit="0.9")
        for nth in range(SKIPS_PER_SIGNAL):
            follower = FollowerId(f"user-{(number * 11 + nth) % FOLLOWERS}")
            skip = Skip(signal_id=signal.signal_id, follower=follower, leader=signal.leader, reason=reason)
            yield Told(record=SkipTold(skip=skip, signal=signal, at=at))


def _copied(task: CopyTask, at: float) -> Told:
    task = evolve(task, intent=evolve(task.intent, token_id=task.signal.token_id))
    order = sample_order(task)
    report = ExecutionReport(
        order_id=order.order_id, status=Status.FILLED, shares=order.shares, notional=Usd(5_000_000), fee=Usd(10_000)
    )
    entry = fill_entry(task, order, report, at + 0.1)
    end = OrderEnd(
        key=order.key,
        order_id=order.order_id,
        executor=order.executor,
        side=order.side,
        token_id=order.token_id,
        shares=order.shares,
        limit_price=order.limit_price,
        cost=task.intent.max_cost,
        members=(),
        report=report,
        state="ended",
        placed_at=at,
        at=at + 0.1,
    )
    realised = 100_000 if order.side is Side.SELL else 0
    record = TaskEnd(task=task, outcome=Outcome(end=End.FILLED), order=end, entry=entry, at=at + 0.1)
    return Told(record=record, amounts=amounts_of(entry, realised, 0))


def _held(copies: int) -> Iterator[Document]:
    mark = write_plain(plain_mark(Mark(price=Price(510_000), peak=Price(600_000), at=STARTED_AT)))
    for number in range(min(POSITIONS, copies)):
        signal = evolve(sample_signal(number), token_id=TokenId((1 << 200) + number % TOKENS))
        follower = FollowerId(f"user-{number % FOLLOWERS}")
        task = sample_task(signal, follower)
        report = ExecutionReport(order_id=sample_order(task).order_id, status=Status.FILLED, shares=Shares(10_000_000))
        entry = fill_entry(task, sample_order(task), evolve(report, notional=Usd(5_000_000)), STARTED_AT)
        position = EMPTY
        for lot in range(4):
            position = position.after(evolve(entry, key=f"{entry.key}{lot}"))
        name = position_name((synthetic_address("leader", number // FOLLOWERS % LEADERS), signal.token_id))
        yield Document(follower, "position", name, write_plain(plain_holding(Holding(position, (), position))))
        yield Document(follower, "mark", name, mark)


if __name__ == "__main__":
    main()
