"""A cluster whose slots are moved while accounts are written: by the book, and by redis-cli; nothing changes by it."""

import shutil
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
import trio
from attrs import define, field
from redis.crc import key_slot

from tests.redis.server import RedisServer, redis_server, running_cluster
from tests.redis.stores import open_redis
from trio_copy.model.control import Mode
from trio_copy.model.facts import FactQuery
from trio_copy.model.follows import Follow
from trio_copy.model.ids import FollowerId
from trio_copy.ports import Changes, Store
from trio_copy.testing.conformance.terms import LEADER, checkpoint, document, fact
from trio_copy_redis.documents import of_kind
from trio_copy_redis.follows import RedisFollows
from trio_copy_redis.keys import CommonKeys

FOLLOWERS = [FollowerId(f"follower-{number}") for number in range(5)]
SHARDS = 2


def url_of(nodes: Sequence[RedisServer]) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


def prefix_in(first: int, last: int) -> str:
    """Find a prefix whose first shard is in one of some slots."""
    return next(f"p{n}" for n in count() if first <= key_slot(f"{{p{n}:accounts-0}}".encode()) < last)


@asynccontextmanager
async def written_on(nodes: Sequence[RedisServer], prefix: str) -> AsyncGenerator[Store, None]:
    """Write every shard and what is shared without a pause, and look at the end whether all of it is there, once."""
    async with open_redis(url_of(nodes), prefix, {"patience_s": 60.0}, shards=SHARDS) as store:
        written = [0] * SHARDS

        async def write_on(shard: int) -> None:
            await store.accounts.take(shard, 7)
            while True:
                number = written[shard] + 1
                text = str(number)
                # A new account with each write: a key that is nowhere yet is made on neither side of a move alone.
                new = FollowerId(f"new-{number}")
                puts = [
                    *(document("position", text, follower=one) for one in FOLLOWERS),
                    *(document(f"order {text}", text, kind="order", follower=one) for one in FOLLOWERS),
                    document("position", text, follower=new),
                ]
                deletes = [document(f"order {number - 1}", kind="order", follower=one).key for one in FOLLOWERS]
                facts = [fact(f"{shard} {text} {one}", follower=one, amounts=(1, 2, 0, 0, 0, 0)) for one in FOLLOWERS]
                changes = Changes(puts=puts, deletes=deletes, facts=facts)
                await store.accounts.write(shard, 7, number, changes, checkpoint(number))
                written[shard] = number
                assert len((await store.accounts.load(shard, 7, FOLLOWERS))[FOLLOWERS[0]]) == 2
                assert await store.control.draw("day", shard, number, 10**9) == number

        async with trio.open_nursery() as nursery:
            for shard in range(SHARDS):
                nursery.start_soon(write_on, shard)
            await trio.sleep(0.2)
            yield store
            await trio.sleep(0.2)
            nursery.cancel_scope.cancel()
        for shard, number in enumerate(written):
            assert number > 10
            heads = await store.accounts.take(shard, 8)
            # The last write was cut off: it is there or not.
            assert heads.checkpoint in (checkpoint(number), checkpoint(number + 1))
            number = heads.checkpoint.number
            assert len(heads.documents) == len(FOLLOWERS)
            loaded = await store.accounts.load(shard, 8, [*FOLLOWERS, *(f"new-{n + 1}" for n in range(number))])  # type: ignore[list-item]  # names
            bodies = {one.body for follower in FOLLOWERS for one in loaded[follower]}
            assert bodies == {str(number).encode()}
            assert [len(loaded[FollowerId(f"new-{n + 1}")]) for n in range(number)] == [1] * number
            facts = await store.history.facts(FactQuery(kinds=["filled"], limit=10**6))
            mine = [one.key for one in facts if one.key.startswith(f"{shard} ")]
            assert sorted(mine) == sorted(f"{shard} {n + 1} {one}" for n in range(number) for one in FOLLOWERS)
        sums = await store.history.sums(FactQuery(kinds=["filled"]), ())
        assert sums[()][:2] == (len(facts), 2 * len(facts))


@pytest.mark.parametrize("what", ["accounts-0", "common"])
async def test_a_slot_is_moved_by_the_book(what: str) -> None:
    """SETSLOT, MIGRATE key by key with the slot open on both sides, SETSLOT: shared and own data alike."""
    with running_cluster() as nodes:
        prefix = "moved"
        slot = key_slot(f"{{{prefix}:{what}}}".encode())
        source = next(node for node in nodes if any(a <= slot <= b for a, b in slots_of(node)))
        target = next(node for node in nodes if node is not source)
        async with written_on(nodes, prefix) as store:
            if what == "common":
                await store.follows.put([Follow(follower=one, leader=LEADER) for one in FOLLOWERS])
                await store.control.set_mode(Mode.REDUCE_ONLY, "while it moves")
            assert target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", id_of(source)) == "OK"
            assert source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", id_of(target)) == "OK"
            await trio.sleep(0.1)
            while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 3):
                for key in keys:
                    source.ask("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
                await trio.sleep(0.002)
            await trio.sleep(0.2)
            for node in (target, source, *nodes):
                assert node.ask("CLUSTER", "SETSLOT", slot, "NODE", id_of(target)) == "OK"
            await trio.sleep(0.3)
            if what == "common":
                assert len((await store.follows.load())[1]) == len(FOLLOWERS)
                assert [change.mode for change in (await store.control.modes()).by_scope.values()] == [Mode.REDUCE_ONLY]
        assert target.ask("CLUSTER", "COUNTKEYSINSLOT", slot) > 0
        assert source.ask("CLUSTER", "COUNTKEYSINSLOT", slot) == 0


async def test_a_slot_is_moved_by_redis_cli() -> None:
    """`redis-cli --cluster reshard` under load goes through to its end, and so does every write."""
    beside = Path(redis_server()).with_name("redis-cli")
    cli = str(beside) if beside.exists() else shutil.which("redis-cli")
    if cli is None:
        pytest.fail("this test needs redis-cli beside redis-server")
    with running_cluster() as nodes:
        moved = 60
        prefix = prefix_in(0, moved)
        words = [cli, "--cluster", "reshard", f"127.0.0.1:{nodes[0].port}", "--cluster-from", id_of(nodes[0])]
        words += ["--cluster-to", id_of(nodes[2]), "--cluster-slots", str(moved), "--cluster-yes"]
        async with written_on(nodes, prefix):
            done = await trio.run_process(words, capture_stdout=True, stderr=subprocess.STDOUT, check=False)
            assert done.returncode == 0, done.stdout.decode()[-2000:]
        assert (0, moved - 1) in slots_of(nodes[2])


async def test_a_node_of_a_cluster_is_replaced() -> None:
    """Its replica has taken over and it is gone, before anybody could be told: the slots are looked up anew."""
    with running_cluster(replicas=1) as nodes:
        prefix, replica = prefix_in(0, 5000), nodes[3]
        async with open_redis(url_of(nodes), prefix, shards=SHARDS) as store:
            await store.accounts.take(0, 7)
            await store.accounts.write(0, 7, 1, Changes(puts=[document("position")]))
            with trio.fail_after(20):
                while True:
                    # Its primary hears it as soon as it has heard whose replica it is, and until then not at all.
                    replica.ask("CLUSTER", "FAILOVER")
                    await trio.sleep(0.5)
                    if "role:master" in replica.ask("INFO", "replication"):
                        break
            nodes[0].kill()
            await store.accounts.write(0, 7, 2, Changes(puts=[document("order", kind="order")]))
            assert len((await store.accounts.take(0, 8)).documents) == 1


def id_of(node: RedisServer) -> str:
    return str(node.ask("CLUSTER", "MYID"))


def slots_of(node: RedisServer) -> list[tuple[int, int]]:
    """Return the ranges of slots that a node answers for."""
    return [(first, last) for first, last, owner, *_ in node.ask("CLUSTER", "SLOTS") if owner[1] == node.port]


@define(eq=False)
class TwoServers:
    """Answers a scan in two pieces; after the first one another server takes over, as a client would notice."""

    turns: int = 0
    cursors: list[bytes] = field(factory=list)

    async def call(
        self, tag: str, command: str, key: str, cursor: bytes = b"", *words: object, raw: bool = False
    ) -> object:
        await trio.lowlevel.checkpoint()
        if command in ("GET", "HLEN"):
            return 2
        self.cursors.append(cursor)
        self.turns = int(len(self.cursors) > 1)
        early = cursor == b"0"
        name = b"early" if early else b"late"
        piece = [b"alice|" + name, b"1|file|{}"] if key == CommonKeys("p")("follows") else [b"p\x00" + name, b"body"]
        return [b"7" if early else b"0", piece]

    async def all(self, calls: Sequence[Callable[[], Awaitable[object]]]) -> list[object]:
        return [await call() for call in calls]


async def test_a_scan_begins_anew_on_another_server() -> None:
    """What one server calls a place in a hash means nothing to the next: a long account is listed from its beginning."""
    servers = TwoServers()
    keys = CommonKeys("p").shards(1)[0]
    found = await of_kind(servers, keys, FOLLOWERS[0], "p")  # type: ignore[arg-type]  # as much of a client as it needs
    assert servers.cursors == [b"0", b"7", b"0", b"7"]
    assert [one.name for one in found] == ["early", "late"]


async def test_a_book_that_is_read_from_two_servers_is_whole() -> None:
    """The same with the follows: whoever is missing would not be copied."""
    servers, keys = TwoServers(), CommonKeys("p")
    book = RedisFollows(client=servers, keys=keys, announcements=servers)  # type: ignore[arg-type]  # as above
    _, follows = await book.load()
    assert servers.cursors == [b"0", b"7", b"0", b"7"]
    assert [one.leader for one in follows] == ["early", "late"]
