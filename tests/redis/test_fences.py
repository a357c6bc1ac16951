"""What keeps two instances from doing the same thing: the gate, tokens, and budgets on the follower's own account."""

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from attrs import evolve

from tests.redis.server import RedisServer, running_redis
from tests.redis.stores import new_prefix, open_redis
from trio_copy.errors import LeaseLost
from trio_copy.model.budgets import Claim, Per
from trio_copy.model.control import shard_lease, shard_of
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId
from trio_copy.model.orders import JournalState
from trio_copy.model.units import Shares, Usd
from trio_copy.ports import Admitted, Adopted, Duplicate, Reserved, Store
from trio_copy.testing.conformance.terms import FILLED, START
from trio_copy.testing.samples import EXECUTOR, LEADER, sample_entry, sample_order, sample_signal, sample_task
from trio_copy_redis.inbox import _LEASE

SHARD = shard_of(LEADER, 4)
SIGNALS = 10_000
ALICE = FollowerId("alice")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as one:
        yield one


async def test_eight_instances_race_for_ten_thousand_signals(server: RedisServer) -> None:
    """Each signal is admitted by exactly one of them, whoever comes first, and queued once."""
    prefix = new_prefix()
    admitted = [0] * SIGNALS
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(open_redis(server.url, prefix, queue_capacity=SIGNALS)) for _ in range(8)
        ]
        signals = [sample_signal(number, now=START) for number in range(SIGNALS)]

        async def race(store: Store, lane: int) -> None:
            for number in range(lane, SIGNALS, 25):
                signal = signals[number]
                answer = await store.inbox.admit(signal, [sample_task(signal)], None)
                assert isinstance(answer, (Admitted, Duplicate))
                admitted[number] += isinstance(answer, Admitted)

        async with trio.open_nursery() as racing:
            for store in stores:
                for lane in range(25):
                    racing.start_soon(race, store, lane)
        assert admitted == [1] * SIGNALS
        assert (await stores[0].inbox.depth()).queued == SIGNALS


async def refuses(attempt: Any) -> None:
    """Expect that an old token is refused."""
    with pytest.raises(LeaseLost):
        await attempt


async def test_an_old_token_changes_nothing(server: RedisServer) -> None:
    """Who lost its lease without noticing can neither admit, lease, freeze, reserve, mark, book, end nor save."""
    prefix, name = new_prefix(), shard_lease(SHARD)
    async with (
        open_redis(server.url, prefix, fenced=True) as zombie,
        open_redis(server.url, prefix, fenced=True) as heir,
    ):
        assert await zombie.control.acquire(name, "zombie", 0.2) is not None
        signals = [sample_signal(number) for number in range(3)]
        await zombie.inbox.admit(signals[0], [sample_task(signals[0]), sample_task(signals[0], "bob")], None)
        leased, other = await zombie.inbox.lease_nowait(EXECUTOR, "zombie", 2)
        order = sample_order(leased)
        await zombie.journal.freeze(order, leased)
        await trio.sleep(0.3)
        assert await heir.control.acquire(name, "heir", 10) is not None
        assert await heir.inbox.reclaim(SHARD) == 2
        # The heir has touched the account since: from here on, the zombie's token is known to be old there.
        await heir.journal.mark(leased.follow, order.key, JournalState.UNKNOWN)
        desk: Any = zombie.inbox
        token = desk.desk._tokens[desk.desk.tag(SHARD)]
        kept = dict(token)
        attempts: tuple[Callable[[], Any], ...] = (
            lambda: zombie.inbox.admit(signals[1], [sample_task(signals[1])], None),
            lambda: zombie.inbox.complete(other.task_id, "zombie", FILLED),
            lambda: zombie.inbox.retry(other.task_id, "zombie"),
            lambda: zombie.inbox.bury(other.task_id, "zombie", "why"),
            lambda: zombie.journal.freeze(sample_order(sample_task(signals[2])), sample_task(signals[2])),
            lambda: zombie.journal.mark(leased.follow, order.key, JournalState.SENDING),
            lambda: zombie.limits.reserve(leased.follow, order.key, []),
            lambda: zombie.ledger.book(sample_entry(leased)),
        )
        for attempt in attempts:
            await refuses(attempt())
            token.update(kept)  # as if it had not noticed
        assert await zombie.inbox.lease_nowait(EXECUTOR, "zombie", 10) == ()
        (record,) = await heir.journal.unresolved()
        assert record.state is JournalState.UNKNOWN
        again = await heir.inbox.lease_nowait(EXECUTOR, "heir", 10)
        assert {task.task_id for task in again} == {leased.task_id, other.task_id}
        assert all(task.again for task in again)
        assert not (await heir.ledger.position(sample_entry(leased).position)).shares


async def test_a_lease_whose_answer_was_lost_is_told_again(server: RedisServer) -> None:
    """Tasks that were leased to us in a call that nobody heard are not left to their lease's end."""
    async with open_redis(server.url, new_prefix()) as store:
        inbox: Any = store.inbox
        signal = sample_signal(1)
        await store.inbox.admit(signal, [sample_task(signal, name) for name in ("a", "b", "c")], None)
        lost = await inbox.desk.on_shard(SHARD, _LEASE, EXECUTOR, "me", "9e9", 2, 0)
        assert len(lost[0][0]) == 2
        inbox._unheard.add((EXECUTOR, SHARD))
        assert len(await store.inbox.lease_nowait(EXECUTOR, "me", 1)) == 2
        assert len(await store.inbox.lease_nowait(EXECUTOR, "me", 10)) == 1
        assert await store.inbox.lease_nowait(EXECUTOR, "me", 10) == ()


async def test_queued_tasks_survive_their_stream(server: RedisServer) -> None:
    """Somebody deletes the stream: what was queued and what was leased is found again, and nothing twice."""
    prefix = new_prefix()
    async with open_redis(server.url, prefix) as store:
        signal = sample_signal(1, now=START)
        await store.inbox.admit(signal, [sample_task(signal, name) for name in ("a", "b", "c")], None)
        (leased,) = await store.inbox.lease_nowait(EXECUTOR, "me", 1)
        assert server.ask("DEL", f"{{{prefix}:shard-{SHARD}}}:queue:{EXECUTOR}") == 1
        assert await store.inbox.lease_nowait(EXECUTOR, "me", 10) == ()
        await store.inbox.expire(START)
        found = await store.inbox.lease_nowait(EXECUTOR, "me", 10)
        assert {task.follower for task in found} == {"a", "b", "c"} - {leased.follower}
        await store.inbox.expire(START)
        assert await store.inbox.lease_nowait(EXECUTOR, "me", 10) == ()
        assert await store.inbox.reclaim(SHARD) == 3


async def test_who_stands_by_only_admits(server: RedisServer) -> None:
    """A standby's admission counts; whether a reorg took a trade back, or brought it again, is the owner's word."""
    prefix, signal = new_prefix(), sample_signal(1, block=5)
    async with (
        open_redis(server.url, prefix, fenced=True) as owner,
        open_redis(server.url, prefix, fenced=True) as standby,
    ):
        assert await owner.control.acquire(shard_lease(SHARD), "owner", 10) is not None
        assert await standby.control.acquire(shard_lease(SHARD, 1), "standby", 10) is not None
        assert isinstance(await standby.inbox.admit(signal, [sample_task(signal)], None), Admitted)
        assert await owner.inbox.admit(signal, [sample_task(signal)], None) == Duplicate()
        await refuses(standby.inbox.retract(signal))
        assert await owner.inbox.retract(signal) is not None
        assert await standby.inbox.admit(signal, [sample_task(signal)], None) == Duplicate()
        assert isinstance(await owner.inbox.admit(signal, [sample_task(signal)], None), Adopted)


async def test_without_a_lease_nothing_is_touched(server: RedisServer) -> None:
    """A fenced store that holds no lease does not even ask."""
    async with open_redis(server.url, new_prefix(), fenced=True) as store:
        await refuses(store.inbox.admit(sample_signal(1), (), None))
        assert await store.journal.unresolved() == ()
        assert dict(await store.ledger.open_positions()) == {}


async def test_tokens_grow_even_when_redis_forgets(server: RedisServer) -> None:
    """After FLUSHALL no token is given out a second time."""
    async with open_redis(server.url, new_prefix(), fenced=True) as store:
        before = await store.control.acquire("shard-0", "one", 10)
        await trio.sleep(0.01)
        server.ask("FLUSHALL")
        after = await store.control.acquire("shard-0", "two", 10)
        assert before is not None
        assert after is not None
        assert after.token > before.token


async def test_two_instances_share_a_followers_budget_and_shares(server: RedisServer) -> None:
    """Two leaders of one follower on two instances: neither the cap is overspent, nor are shares sold twice."""
    prefix = new_prefix()
    async with open_redis(server.url, prefix) as one, open_redis(server.url, prefix) as two:
        follows = [(ALICE, LEADER), (ALICE, sample_signal(1).exchange)]
        granted = []

        async def spend(store: Store, number: int) -> None:
            claim = Claim(counter="follower:alice:day", control="c", amount=Usd(10), limit=Usd(95))
            everybody = evolve(claim, counter="engine:day", limit=Usd(10_000), shared=True)
            key = sample_task(sample_signal(number)).key
            answer = await store.limits.reserve(follows[number % 2], key, [claim, everybody])
            granted.append(isinstance(answer, Reserved))

        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(spend, (one, two)[number % 2], number)
        assert sum(granted) == 9
        for store in (one, two):
            assert await store.limits.used(ALICE, "follower:alice:day") == 90
            assert await store.limits.used(ALICE, "engine:day") == 90

        bought = sample_entry(sample_task(sample_signal(100)))
        await one.ledger.book(bought)
        promised = []

        async def leave(store: Store, number: int) -> None:
            amount = Shares.parse("6")
            claim = Claim(
                counter="exits", control="c", amount=amount, limit=amount, per=Per.UNTIL_PROVEN, of=bought.position
            )
            key = sample_task(sample_signal(number)).key
            promised.append(isinstance(await store.limits.reserve((ALICE, LEADER), key, [claim]), Reserved))

        async with trio.open_nursery() as nursery:
            for number in range(200, 210):
                nursery.start_soon(leave, (one, two)[number % 2], number)
        assert sum(promised) == 1


async def test_two_instances_book_for_one_follower(server: RedisServer) -> None:
    """Bookings that race are worked out anew until each has seen the others: nothing is overwritten."""
    prefix = new_prefix()
    async with open_redis(server.url, prefix) as one, open_redis(server.url, prefix) as two:

        async def buy(store: Store, number: int) -> None:
            await store.ledger.book(sample_entry(sample_task(sample_signal(number)), shares=1, dollars=1))

        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(buy, (one, two)[number % 2], number)
        key = sample_entry(sample_task(sample_signal(0))).position
        for store in (one, two):
            position = await store.ledger.position(key)
            assert (len(position.lots), str(position.shares)) == (40, "40")
        sale = sample_entry(sample_task(sample_signal(50)), side=Side.SELL, shares=15, dollars=15)
        await two.ledger.book(sale)
        assert str((await one.ledger.position(key)).shares) == "25"
