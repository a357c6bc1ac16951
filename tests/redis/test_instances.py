"""Several real processes share one Redis: they divide the accounts, survive each other, and copy everything once."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.redis.fleet import FOLLOWERS, losses, open_fleet
from tests.redis.server import RedisServer, running_redis
from trio_copy.testing.devnet.chain import fake_hash


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis(durable=True) as server:
        yield server


async def test_instances_share_hand_over_and_copy_once(tmp_path: Path, redis: RedisServer) -> None:
    """A second instance gets half the shards, one that is asked to drain gives all of its up, and nothing is lost."""
    async with open_fleet(tmp_path, redis) as fleet:
        first = fleet.start()
        await fleet.wait_owned(1)
        await fleet.wait(lambda: first.says("armed"))
        second = fleet.start()
        await fleet.wait_owned(2)
        await fleet.wait(lambda: second.says("armed"))
        fleet.trade(16)
        await fleet.wait_quiet()
        status = fleet.status()
        assert [len(one["shards"]) for one in status["instances"]] == [2, 2]
        assert {first.events("report") != [], second.events("report") != []} == {True}
        name = next(one["instance"] for one in status["instances"] if str(first.process.pid) in one["instance"])
        assert fleet.command("drain", name).returncode == 0
        await fleet.wait(lambda: not first.alive, what="the drained instance's end")
        assert first.process.returncode == 0
        await fleet.wait_owned(1)
        fleet.trade(8)
        await fleet.wait_quiet()
        sent = await fleet.check()
        assert sent == {"fill": 24 * len(FOLLOWERS)}
        # What had gone to the other one ended there; who has kept all that it ever had knows of each. A busy machine may lose a lease.
        assert first.events("summary")[-1]["lost"] is None
        second.send(signal.SIGTERM)
        await fleet.wait(lambda: not second.alive, what="the end of the other one")
        assert second.process.returncode == 0
        told = second.events("summary")[-1]
        assert (told["lost"], told["left"]) == (None if second.count("shard-lost") else 0, 0)
        assert told["tasks"] == sum(told["ends"].values()) > 0


async def test_an_instance_without_a_shard_subscribes_to_nothing(tmp_path: Path, redis: RedisServer) -> None:
    """One shard, two instances: one copies, the other has no subscription open, until it takes over."""
    async with open_fleet(tmp_path, redis, shards=1) as fleet:
        first = fleet.start()
        await fleet.wait(lambda: first.says("armed"))
        subscriptions = len(fleet.net.node.log_filters)
        second = fleet.start()
        await fleet.wait(lambda: second.says("paused"))
        assert subscriptions == len(fleet.net.node.log_filters)
        fleet.trade(5)
        await fleet.wait_quiet()
        assert second.events("report") == []
        first.send(signal.SIGKILL)
        fleet.trade(5)
        await fleet.wait(lambda: second.says("armed"), what="the takeover")
        await fleet.wait_quiet()
        await fleet.check()


async def test_a_killed_instance_is_taken_over(tmp_path: Path, redis: RedisServer) -> None:
    """kill -9 of one of three under load: its shards are owned again within three heartbeats; nothing lost, nothing twice."""
    async with open_fleet(tmp_path, redis, shards=6, leaders=12) as fleet:
        for _ in range(3):
            fleet.start()
        await fleet.wait_owned(3)
        await fleet.wait(lambda: all(one.says("armed") for one in fleet.instances))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fleet.trade_for, 6.0, 40.0)
            await trio.sleep(2)
            fleet.instances[1].send(signal.SIGKILL)
            began = trio.current_time()
            await trio.sleep(0.2)
            await fleet.wait_owned(2, within_s=5)
            taken_s = trio.current_time() - began
        assert taken_s < 5
        await fleet.wait_quiet()
        await fleet.check(ended_badly=1 + losses(fleet))


async def test_a_paused_owner_changes_nothing(tmp_path: Path, redis: RedisServer) -> None:
    """SIGSTOP of an owner for longer than its lease, then SIGCONT: others have copied everything, and it adds nothing."""
    async with open_fleet(tmp_path, redis) as fleet:
        zombie, other = fleet.start(), fleet.start()
        await fleet.wait_owned(2)
        await fleet.wait(lambda: zombie.says("armed") and other.says("armed"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fleet.trade_for, 4.0, 40.0)
            await trio.sleep(1.5)
            await fleet.pause(zombie)
            stopped = len(fleet.venue.read_text().splitlines())
            await trio.sleep(0.2)
            # Not how soon, but that nothing is lost or doubled: on a machine that is busy, it takes its time.
            await fleet.wait_owned(1)
        await fleet.wait_quiet()
        before = await fleet.check(ended_badly=1 + losses(fleet))
        assert sum(before.values()) > stopped
        zombie.send(signal.SIGCONT)
        await fleet.wait(lambda: zombie.says("shard-lost"), what="the zombie's insight")
        await fleet.wait_owned(2)
        assert await fleet.check(ended_badly=1 + losses(fleet)) == before
        fleet.trade(8)
        await fleet.wait_quiet()
        await fleet.check(ended_badly=1 + losses(fleet))


async def test_a_warm_instance_costs_no_block(tmp_path: Path, redis: RedisServer) -> None:
    """Each reads the leaders of all accounts, each copy is made once, and whoever takes over copies what came meanwhile."""
    async with open_fleet(tmp_path, redis, more="warm = true", leaders=2) as fleet:
        first, second = fleet.start(), fleet.start()
        await fleet.wait_owned(2)
        await fleet.wait(lambda: first.says('"armed"') and second.says('"armed"'))
        fleet.trade(12)
        await fleet.wait_quiet()
        first.send(signal.SIGKILL)
        fleet.trade(12)
        await fleet.wait_quiet()
        await fleet.check(ended_badly=1)


async def test_a_poisonous_task_becomes_a_dead_letter(tmp_path: Path, redis: RedisServer) -> None:
    """A task that kills whoever works on it is taken up three times, then waits for a person; the others live on."""
    two = FOLLOWERS[:2]
    async with open_fleet(tmp_path, redis, shards=1, leaders=1, poison="1", followers=two, deadline_s=600.0) as fleet:
        conf = fleet.conf.read_text()
        fleet.conf.write_text(conf.replace('poison = "1"', f'poison = "{int(fake_hash("token", 0)[2:], 16)}"'))
        fleet.start()
        await fleet.wait(lambda: fleet.instances[-1].says("armed"))
        fleet.trade(1)
        while (dead := len(await fleet.store.history.documents("dead"))) < len(two):
            if not fleet.instances[-1].alive:
                fleet.start()
            fleet.net.chain.mine()
            await trio.sleep(0.2)
        assert fleet.status()["dead"] == dead
        assert fleet.instances[-1].alive
        assert len(fleet.instances) <= 2 + 3 * len(two)
        stats = fleet.command("dlq", "stats", "--json")
        assert json_lines(stats.stdout)[0]["letters"] == len(two)
        assert f"{len(two)} dead letters would be queued again" in fleet.command("dlq", "replay", "--dry-run").stdout
        assert fleet.command("dlq", "purge").returncode == 2
        assert f"{len(two)} of {len(two)} dead letters forgotten" in fleet.command("dlq", "purge", "--all").stdout
        fleet.trade(2)
        fleet.traded -= 1  # what was forgotten is no copy any more
        await fleet.wait_quiet()


def json_lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]
