"""A Redis that lost something: whatever was decided on what it knew before is refused, and nothing is ever half there."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.redis.server import RedisServer, running_redis
from tests.redis.stores import new_prefix, open_redis
from tests.redis.test_open import replicated
from trio_copy.errors import LeaseLost, StoreForgot, StoreUnavailable
from trio_copy.model.facts import FactQuery
from trio_copy.model.ids import TokenId
from trio_copy.ports import Changes, Document, Store
from trio_copy.testing.conformance.terms import ALICE, BOB, checkpoint, document, fact

FILLED = FactQuery(kinds=["filled"], limit=100_000)


async def write(store: Store, token: int, number: int) -> None:
    """Write something of every kind, all of which tells the number."""
    text = str(number)
    puts = [
        document("position", text),
        document(f"order {text}", text, kind="order"),
        document("p", text, follower=BOB),
    ]
    deletes = [document(f"order {number - 1}", kind="order").key]
    facts = [fact(f"fact {text}", token_id=number, amounts=(1, number, 0, 0, 0, 0))]
    changes = Changes(puts=puts, deletes=deletes, facts=facts, answers={f"request {text}": text})
    await store.accounts.write(0, token, number, changes, checkpoint(number))


async def expect_whole(store: Store, token: int, number: int) -> None:
    """Everything says that this write was the last one."""
    heads, text = await store.accounts.take(0, token), str(number).encode()
    loaded = await store.accounts.load(0, token, [ALICE, BOB])
    if number == 0:
        assert (heads.checkpoint, list(heads.documents), loaded) == (None, [], {ALICE: [], BOB: []})
    else:
        assert heads.checkpoint == checkpoint(number)
        assert list(heads.documents) == [document(f"order {number}", text, kind="order")]
        assert {one.name: one.body for one in loaded[ALICE]} == {"position": text, f"order {number}": text}
        assert loaded[BOB] == [document("p", text, follower=BOB)]
        assert await store.accounts.answer(0, f"request {number}") == str(number)
    assert await store.accounts.answer(0, f"request {number + 1}") is None
    facts = await store.history.facts(FILLED)
    assert sorted(one.token_id for one in facts) == list(range(1, number + 1))
    assert len((await store.history.story(f"fact {number}"))[0]) == 0
    sums = await store.history.sums(FILLED, ())
    assert sums.get((), (0, 0))[1] == sum(range(number + 1))


def log_of(server: RedisServer) -> Path:
    """Return the file to which the server appends."""
    parts = sorted(server.folder.glob("appendonlydir/*.incr.aof"))  # from Redis 7 on
    return parts[-1] if parts else server.folder / "appendonly.aof"


def ends_of_commands(log: bytes) -> list[int]:
    """Return where each command of an append-only file ends."""
    ends, at = [], 0
    while at < len(log):
        line = log.index(b"\r\n", at)
        words, at = int(log[at + 1 : line]), line + 2
        for _ in range(words):
            line = log.index(b"\r\n", at)
            at = line + 2 + int(log[at + 1 : line]) + 2
        ends.append(at)
    return ends


async def test_a_log_that_is_cut_at_any_command() -> None:
    """Redis dies and comes back without its last commands: the next write is refused, the one whose answer is awaited is
    carried out if it is the only one that is missing, and what is there is whole."""
    prefix, last = new_prefix(), 4
    with running_redis(durable=True) as server:
        async with open_redis(server.url, prefix) as store:
            lease = await store.control.acquire("shard-0", "me", 1000)
            assert lease is not None
            await store.accounts.take(0, lease.token)
            taken = log_of(server).stat().st_size
            for number in range(1, last + 1):
                await write(store, lease.token, number)
        server.kill()
        whole = log_of(server).read_bytes()
        seen = set()
        for end in [0, *ends_of_commands(whole)]:
            log_of(server).write_bytes(whole[:end])
            server.start()
            async with open_redis(server.url, prefix) as store:
                known = 0 if (told := await store.history.facts(FILLED)) == [] else max(one.token_id for one in told)
                seen.add(known)
                if end < taken:
                    with pytest.raises((StoreForgot, LeaseLost)):
                        await write(store, lease.token, 1)
                else:
                    for number in {*range(known + 2, last + 2), *range(1, known)}:
                        with pytest.raises(StoreForgot):
                            await write(store, lease.token, number)
                    await write(store, lease.token, known + 1)
                    known += 1
                    await write(store, lease.token, known)
                await expect_whole(store, lease.token + 1, known)
                again = await store.control.acquire("shard-0", "me", 1000)
                assert again is not None
                if again.token != lease.token:
                    assert again.token > lease.token
                    with pytest.raises(LeaseLost):
                        await store.control.renew(lease, 10)
            server.kill()
        assert seen == set(range(last + 1))


@asynccontextmanager
async def owning(server: RedisServer, prefix: str) -> AsyncGenerator[tuple[Store, int], None]:
    """Open a store, take a lease and its shard, and write three times."""
    async with open_redis(server.url, prefix, {"timeout_s": 1.0, "patience_s": 10.0}) as store:
        lease = await store.control.acquire("shard-0", "me", 1000)
        assert lease is not None
        await store.accounts.take(0, lease.token)
        for number in range(1, 4):
            await write(store, lease.token, number)
        yield store, lease.token


async def test_emptied() -> None:
    """FLUSHALL: the owner's writes and leases are refused, and no token is given a second time."""
    with running_redis() as server:
        async with owning(server, new_prefix()) as (store, token):
            held = (await store.control.held(["shard-0"]))["shard-0"]
            server.ask("FLUSHALL")
            for number in (3, 4, 1):
                with pytest.raises(StoreForgot):
                    await write(store, token, number)
            with pytest.raises(LeaseLost):
                await store.control.renew(held, 10)
            again = await store.control.acquire("shard-0", "you", 10)
            assert again is not None
            assert again.token > token
            await expect_whole(store, again.token, 0)
            await write(store, again.token, 1)


async def test_a_replica_that_lags_takes_over() -> None:
    """What it had not heard of is lost: the owner is refused there, and its token is old for good."""
    prefix = new_prefix()
    with running_redis() as primary, running_redis("--replicaof", "127.0.0.1", str(primary.port)) as replica:
        async with owning(primary, prefix) as (store, token):
            await replicated(replica)
            assert primary.ask("WAIT", 1, 5000) == 1  # it has heard of all so far
            assert replica.ask("REPLICAOF", "NO", "ONE") == "OK"
            await write(store, token, 4)
            primary.kill()
            async with open_redis(replica.url, prefix) as other:
                with pytest.raises(StoreForgot):
                    await write(other, token, 5)
                await expect_whole(other, token + 1, 3)
                with pytest.raises(LeaseLost):
                    await write(other, token, 4)


async def test_a_restart_without_loss_is_a_pause() -> None:
    """Killed and started again with all its data: the owner waits and goes on, and hears that the server was restarted."""
    heard: list[str] = []
    with running_redis(durable=True) as server:
        async with open_redis(
            server.url, new_prefix(), {"timeout_s": 0.5}, on_trouble=lambda kind, _: heard.append(kind)
        ) as store:
            await store.accounts.take(0, 1)
            await write(store, 1, 1)
            server.kill()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write, store, 1, 2)
                await trio.sleep(0.3)
                server.start()
            await write(store, 1, 3)
            await expect_whole(store, 2, 3)
    assert {"store-waiting", "store-changed", "store-back"} <= set(heard)


async def test_a_backup_from_before_the_shard_was_taken_again(tmp_path: Path) -> None:
    """The count of writes began anew in between, so that its number fits by chance: it is refused all the same."""
    with running_redis(durable=True) as server:
        async with owning(server, new_prefix()) as (store, token):
            server.stop()
            shutil.copytree(server.folder, tmp_path / "backup")
            server.start()
            await store.accounts.take(0, token)
            for number in range(1, 4):
                await write(store, token, number)
            server.stop()
            shutil.rmtree(server.folder)
            shutil.copytree(tmp_path / "backup", server.folder)
            server.start()
            with pytest.raises(StoreForgot):
                await write(store, token, 4)


async def test_killed_again_and_again_while_it_is_written() -> None:
    """Whenever a server with a synced log dies, what it comes back with is whole and holds all that was answered."""
    prefix = new_prefix()
    with running_redis(durable=True) as server:
        async with open_redis(server.url, prefix, {"timeout_s": 1.0}) as store:
            await store.accounts.take(0, 1)
            answered = 0

            async def write_on() -> None:
                nonlocal answered
                while True:
                    await write(store, 1, answered + 1)
                    answered += 1

            async with trio.open_nursery() as nursery:
                nursery.start_soon(write_on)
                for _ in range(4):
                    await trio.sleep(0.15)
                    server.kill()
                    server.start()
                await trio.sleep(0.15)
                nursery.cancel_scope.cancel()
            facts = await store.history.facts(FILLED)
            assert len(facts) in (answered, answered + 1)
            await expect_whole(store, 2, len(facts))
            assert answered > 20


async def test_a_full_server_is_waited_for_and_never_holds_half_a_write() -> None:
    """OOM: nothing of a write is there; when there is room again it is carried out, and past patience it fails."""
    prefix, heard = new_prefix(), list[str]()
    with running_redis() as server:
        async with (
            open_redis(server.url, prefix, {"patience_s": 0.3}) as hasty,
            open_redis(server.url, prefix, on_trouble=lambda kind, detail: heard.append(f"{kind} {detail}")) as store,
        ):
            await store.accounts.take(0, 1)
            await write(store, 1, 1)
            server.ask("CONFIG", "SET", "maxmemory", 1)
            with pytest.raises(StoreUnavailable, match="raise maxmemory, or lower keep_days"):
                await write(hasty, 1, 2)
            assert [one.token_id for one in await store.history.facts(FILLED)] == [TokenId(1)]
            loaded = await store.accounts.load(0, 1, [ALICE])
            assert {one.body for one in loaded[ALICE]} == {b"1"}
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write, store, 1, 2)
                await trio.sleep(0.3)
                server.ask("CONFIG", "SET", "maxmemory", 0)
            await expect_whole(store, 2, 2)
    assert [line.split()[0] for line in heard if "unsafe" not in line] == ["store-waiting", "store-back"]


async def test_an_account_is_loaded_whole_whatever_happened_to_its_writes() -> None:
    """The owner remembers what may be there: repeated, cut off, overlapping and refused writes do not make it forget any."""
    one, two = document("one", kind="order"), document("two", kind="waits")
    with running_redis() as server:
        prefix = new_prefix()
        async with open_redis(server.url, prefix) as store:
            await store.accounts.take(0, 1)

            async def loaded() -> list[Document]:
                return sorted((await store.accounts.load(0, 1, [ALICE]))[ALICE], key=lambda found: found.name)

            await store.accounts.write(0, 1, 1, Changes(puts=[one, two]))
            await store.accounts.write(0, 1, 1, Changes(deletes=[one.key]))
            assert await loaded() == [one, two]
            with trio.CancelScope() as scope:
                scope.cancel()
                await store.accounts.write(0, 1, 2, Changes(deletes=[two.key]))
            with pytest.raises(StoreForgot):
                await store.accounts.write(0, 1, 9, Changes(deletes=[one.key]))
            assert await loaded() in ([one], [one, two])
            await store.accounts.write(0, 1, 2, Changes(deletes=[two.key]))
            assert await loaded() == [one]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.accounts.write, 0, 1, 3, Changes(deletes=[one.key]))
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(store.accounts.write, 0, 1, 4, Changes(puts=[one]))
            assert await loaded() == [one]
            async with open_redis(server.url, prefix) as other:
                assert (await other.accounts.load(0, 1, [ALICE, BOB])) == {ALICE: [one], BOB: []}
