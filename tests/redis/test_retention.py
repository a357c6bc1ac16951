"""Facts that Redis lets go: when, by whom, and that nobody's sums change."""

from typing import Any

import pytest
import trio

from tests.redis.server import running_redis
from tests.redis.stores import new_prefix, open_redis
from trio_copy.errors import LeaseLost
from trio_copy.model.facts import Amounts, FactQuery
from trio_copy.ports import Changes, Store
from trio_copy.testing.conformance.terms import ALICE, document, fact
from trio_copy_redis.accounts import RedisAccounts
from trio_copy_redis.client import Client
from trio_copy_redis.retention import Retention

AMOUNTS: Amounts = (1, 2, 3, 4, 5, -6)
ONE: Amounts = (1, 0, 0, 0, 0, 0)


async def test_old_facts_are_let_go() -> None:
    """By number and by age; the newest stay, questions find nothing else, and sums are what they were."""
    every = FactQuery(kinds=["filled"], limit=10**6)
    with running_redis() as server:
        async with open_redis(server.url, new_prefix()) as store:
            await store.accounts.take(0, 1)
            retention = retention_of(store, keep_s=1e6, facts_max=1000)

            async def write_many(first: int, last: int) -> None:
                for number in range(first, last):
                    # Some are told twice, the second time otherwise.
                    names = [f"{number // 2 if i < 20 else number} {i}" for i in range(50)]
                    facts = [
                        fact(name, names=(f"s{number:03}", "", ""), amounts=(1, number, 0, 0, -1, 0)) for name in names
                    ]
                    await store.accounts.write(0, 1, number, Changes(facts=facts))

            async def signals_left() -> set[str]:
                return {one.signal_id for one in await store.history.facts(every)}

            await write_many(1, 101)
            sums = await store.history.sums(every, ("follower", "day"))
            await retention.look()
            assert await signals_left() == {f"s{number:03}" for number in range(81, 101)}
            assert await store.history.sums(every, ("follower", "day")) == sums
            assert await store.history.sums(every, ("token_id",)) != sums
            assert (await store.history.story("s001"))[0] == []
            assert len((await store.history.story("s100"))[0]) == 50
            retention.keep_s = 0.5
            await trio.sleep(0.7)
            await write_many(101, 118)
            sums = await store.history.sums(every, ("follower", "day"))
            await retention.look()
            assert await signals_left() == {f"s{number:03}" for number in range(101, 118)}
            assert await store.history.sums(every, ("follower", "day")) == sums


async def test_new_markets_leave_nothing_in_redis() -> None:
    """Each is bought, held, decided and told of, one after the other: after a while it keeps as much as before."""
    sizes = list[int]()
    with running_redis() as server:
        prefix = new_prefix()
        async with open_redis(server.url, prefix) as store:
            await store.accounts.take(0, 1)
            retention = retention_of(store, keep_s=1e6, facts_max=1000)
            for number in range(1, 601):
                tokens = range(10**9 + number * 20, 10**9 + number * 20 + 20)
                puts = [document(f"{token}", "x" * 100) for token in tokens]
                puts += [document(f"{token}", "x" * 100, kind="order") for token in tokens]
                deletes = [(ALICE, kind, f"{token - 20}") for token in tokens for kind in ("position", "order")]
                facts = [fact(f"{token}", token_id=token, amounts=AMOUNTS) for token in tokens]
                changes = Changes(puts=puts, deletes=deletes, facts=facts)
                await store.accounts.write(0, 1, number, changes)
                if number % 100 == 0:
                    await retention.look()
                    sizes.append(await size_of(store, prefix))
    # A stream is as long as the pages that it is cut into. Two bytes a market that stay would be seen.
    assert max(sizes[2:]) <= 1.15 * min(sizes), sizes


async def size_of(store: Store, prefix: str) -> int:
    """Return how many bytes all keys of a store take."""
    client: Client = store.accounts.client  # type: ignore[attr-defined]  # as the store's parts are
    names = await client.call(f"{{{prefix}:common}}", "KEYS", f"*{prefix}:*")
    return sum([int(await client.call(name, "MEMORY", "USAGE", name, "SAMPLES", 0)) for name in names])


async def test_facts_are_let_go_while_more_are_told() -> None:
    """The log changes under whoever lets facts go: nothing counts twice or not at all, also for who asks meanwhile."""
    every = FactQuery(kinds=["filled"])
    with running_redis() as server:
        prefix = new_prefix()
        async with open_redis(server.url, prefix) as store, open_redis(server.url, prefix, guest=True) as guest:
            await store.accounts.take(0, 1)
            retention = retention_of(store, keep_s=1e6, facts_max=1000)
            told = 20
            await store.accounts.write(0, 1, 1, Changes(facts=[fact(f"1 {i}", amounts=ONE) for i in range(20)]))

            async def tell() -> None:
                nonlocal told
                for number in range(2, 301):
                    facts = [fact(f"{number} {i}", amounts=ONE) for i in range(20)]
                    await store.accounts.write(0, 1, number, Changes(facts=facts))
                    told += 20

            async def let_go() -> None:
                while told < 6000:
                    await retention.look()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(tell)
                nursery.start_soon(let_go)
                while told < 6000:
                    before = told
                    counted = (await guest.history.sums(every, ()))[()][0]
                    assert before <= counted <= told + 20
            assert (await store.history.sums(every, ()))[()][0] == 6000
            assert len(await store.history.facts(FactQuery(kinds=["filled"], limit=10**6))) < 2000


async def test_whoever_lost_a_shard_lets_nothing_go() -> None:
    """Its token is compared as in a write."""
    with running_redis() as server:
        prefix = new_prefix()
        async with open_redis(server.url, prefix) as store, open_redis(server.url, prefix) as other:
            await store.accounts.take(0, 1)
            facts = [fact(str(number), amounts=AMOUNTS) for number in range(2000)]
            for number in range(20):
                await store.accounts.write(0, 1, number + 1, Changes(facts=facts[number * 100 : number * 100 + 100]))
            await other.accounts.take(0, 2)
            with pytest.raises(LeaseLost):
                await retention_of(store, keep_s=1e6, facts_max=1000).look()
            assert len(await other.history.facts(FactQuery(kinds=["filled"], limit=10**6))) == 2000


async def test_a_shard_that_was_lost_keeps_no_other_from_letting_go() -> None:
    """Whoever has it now may be idle, so that its oldest facts stay for long; those of other shards must not."""
    with running_redis() as server:
        prefix = new_prefix()
        async with open_redis(server.url, prefix) as store, open_redis(server.url, prefix) as other:
            facts = [fact(str(number), amounts=AMOUNTS) for number in range(2000)]
            for shard in range(2):
                await store.accounts.take(shard, 1)
                for number in range(20):
                    changes = Changes(facts=facts[number * 100 : number * 100 + 100])
                    await store.accounts.write(shard, 1, number + 1, changes)
            await other.accounts.take(0, 2)
            with pytest.raises(LeaseLost):
                await retention_of(store, keep_s=1e6, facts_max=1000).look()
            assert len(await other.history.facts(FactQuery(kinds=["filled"], limit=10**6))) == 3000


async def test_what_the_next_owner_lets_go_meanwhile_surprises_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stood still while he looked finds that nothing of it is old any more."""
    with running_redis() as server:
        prefix = new_prefix()
        async with open_redis(server.url, prefix) as store, open_redis(server.url, prefix) as other:
            await store.accounts.take(0, 1)
            for number in range(20):
                facts = [fact(f"{number} {i}", amounts=AMOUNTS) for i in range(100)]
                await store.accounts.write(0, 1, number + 1, Changes(facts=facts))
            slow = retention_of(store, keep_s=1e6, facts_max=1000)
            read_old = Retention._read_old

            async def late(self: Retention, *args: Any) -> Any:
                if self is slow:
                    await other.accounts.take(0, 2)
                    await retention_of(other, keep_s=1e6, facts_max=1000).look()
                return await read_old(self, *args)

            monkeypatch.setattr(Retention, "_read_old", late)
            await slow.look()
            assert len(await other.history.facts(FactQuery(kinds=["filled"], limit=10**6))) == 1000


def retention_of(store: Store, *, keep_s: float, facts_max: int) -> Retention:
    """Return what lets facts of a store go, to be told when."""
    accounts: RedisAccounts = store.accounts  # type: ignore[assignment]  # as the store's parts are
    return Retention(
        client=accounts.client, accounts=accounts, shards=accounts.shards, keep_s=keep_s, facts_max=facts_max
    )
