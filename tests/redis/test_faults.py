"""What Redis may do to the engine: nothing is copied twice, nothing is lost, and the pause is there to be seen."""

import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import trio

from tests.redis.fleet import FOLLOWERS, Fleet, Instance, open_fleet
from tests.redis.server import running_redis
from tests.redis.test_open import replicated
from trio_copy.model.records import Query


async def armed(fleet: Fleet) -> Instance:
    """Start an instance and wait until it copies."""
    one = fleet.start()
    await fleet.wait(lambda: one.says('"armed"'), what="an armed instance")
    fleet.trade(4)
    await fleet.wait_quiet()
    return one


def alerts(one: Instance) -> list[str]:
    return [event["kind"] for event in one.events("alert")]


async def test_a_restart_of_redis_is_a_pause(tmp_path: Path) -> None:
    """Stopped for some seconds and started again with its data: everything waits, then goes on; no double, no loss."""
    with running_redis(durable=True) as redis:
        async with open_fleet(tmp_path, redis) as fleet:
            one = await armed(fleet)
            redis.stop()
            fleet.trade(8)
            await fleet.wait(lambda: "store-waiting" in alerts(one), what="the alert")
            await trio.sleep(3)
            redis.start()
            fleet.trade(8)
            await fleet.wait_quiet()
            await fleet.check()
            assert {"store-waiting", "store-changed", "store-back"} <= set(alerts(one))
            assert one.alive


async def test_a_paused_redis_piles_nothing_up(tmp_path: Path) -> None:
    """A server that hangs for ten seconds: calls time out and wait, and all is well afterwards."""
    with running_redis(durable=True) as redis:
        async with open_fleet(tmp_path, redis) as fleet:
            one = await armed(fleet)
            redis.pause()
            fleet.trade(8)
            await trio.sleep(10)
            redis.resume()
            await fleet.wait_quiet()
            await fleet.check()
            assert "store-waiting" in alerts(one)


async def test_a_full_redis_stops_admissions(tmp_path: Path) -> None:
    """OOM: nothing is admitted, a person is told which setting to change, and it goes on where it stopped."""
    with running_redis(durable=True) as redis:
        async with open_fleet(tmp_path, redis) as fleet:
            one = await armed(fleet)
            redis.ask("CONFIG", "SET", "maxmemory", 1)
            fleet.trade(8)
            await fleet.wait(lambda: "store-waiting" in alerts(one), what="the alert")
            assert "raise maxmemory" in one.log.read_text()
            await trio.sleep(1)
            redis.ask("CONFIG", "SET", "maxmemory", 0)
            await fleet.wait_quiet()
            await fleet.check()


async def test_a_redis_that_stays_away_stops_the_engine(tmp_path: Path) -> None:
    """Past patience_s the engine stops with exit code 1 and one line; another start goes on where it stopped."""
    with running_redis(durable=True) as redis:
        async with open_fleet(tmp_path, redis, patience_s=1.0) as fleet:
            one = await armed(fleet)
            redis.stop()
            fleet.trade(4)
            await fleet.wait(lambda: not one.alive, what="the end of the engine")
            assert one.process.returncode == 1
            assert "did not come back within 1 s" in one.log.read_text()
            redis.start()
            two = fleet.start()
            await fleet.wait(lambda: two.says('"armed"'))
            await fleet.wait_quiet()
            await fleet.check()


async def test_a_failover_that_loses_writes(tmp_path: Path) -> None:
    """A replica without the last writes takes over: they are told again from memory and read again from the chain."""
    with running_redis() as primary, running_redis("--replicaof", "127.0.0.1", str(primary.port)) as replica:
        await replicated(replica)
        async with (
            _switchboard(primary.port) as (port, switch),
            open_fleet(tmp_path, primary, url=f"redis://127.0.0.1:{port}") as fleet,
        ):
            one = await armed(fleet)
            await replicated(replica)
            replica.pause()  # from here on it hears nothing any more
            fleet.trade(8)
            await fleet.wait_quiet()
            primary.kill()
            replica.resume()
            assert replica.ask("REPLICAOF", "NO", "ONE") == "OK"
            switch(replica.port)
            await fleet.wait(lambda: "store-changed" in alerts(one), what="the insight that data may be missing")
            fleet.redis = replica
            fleet.trade(4)
            async with fleet.look_at(replica):
                await fleet.wait_quiet()
                sent = await fleet.check()
            assert sent["fill"] == 16 * len(FOLLOWERS)
            assert sent["duplicate"] == 0


async def test_flushall_while_it_runs(tmp_path: Path) -> None:
    """Everything is gone at once: groups are made anew, the window is read again, and nothing is sent twice."""
    with running_redis() as redis:
        async with open_fleet(tmp_path, redis) as fleet:
            one = await armed(fleet)
            assert redis.ask("FLUSHALL") == "OK"
            await fleet.wait(lambda: "shard-lost" in alerts(one), what="the insight")
            await fleet.wait_owned(1)
            fleet.trade(8)
            await fleet.wait_fills(12 * len(FOLLOWERS))
            await trio.sleep(3)  # whatever is read again had its time
            sent = fleet.sent()
            assert len({line["key"] for line in sent}) == len(sent) == 12 * len(FOLLOWERS)
            assert {line["what"] for line in sent} == {"fill"}
            entries = await fleet.store.history.entries(Query(limit=1 << 30))
            assert {entry.key for entry in entries} == {line["key"] for line in sent}, "the books are whole again"


async def test_a_deleted_stream_or_group_is_made_again(tmp_path: Path) -> None:
    """NOGROUP, and a queue that somebody deleted: what is admitted afterwards is copied."""
    with running_redis() as redis:
        async with open_fleet(tmp_path, redis, shards=1) as fleet:
            await armed(fleet)
            queue = "{fleet:shard-0}:queue:file-venue"
            assert redis.ask("XGROUP", "DESTROY", queue, "workers") == 1
            fleet.trade(4)
            await fleet.wait_quiet()
            assert redis.ask("DEL", queue) == 1
            fleet.trade(4)
            await fleet.wait_quiet()
            await fleet.check()


async def test_a_mode_is_heard_by_every_instance(tmp_path: Path) -> None:
    """halt-new stops entries everywhere within a second, survives restarts, and says why each copy was not made."""
    with running_redis(durable=True) as redis:
        async with open_fleet(tmp_path, redis) as fleet:
            one, two = fleet.start(), fleet.start()
            await fleet.wait_owned(2)
            await fleet.wait(lambda: one.says('"armed"') and two.says('"armed"'))
            assert fleet.command("mode", "halt-new", "--why", "a test").returncode == 0
            await fleet.wait(lambda: one.says("a test") and two.says("a test"), within_s=1.5, what="the mode")
            fleet.trade(8)
            await fleet.wait_quiet()
            await fleet.check(all_filled=False)
            assert not fleet.venue.exists()
            for instance in (one, two):
                instance.send(signal.SIGTERM)
            await fleet.wait(lambda: not one.alive and not two.alive)
            three = fleet.start()
            await fleet.wait(lambda: three.says('"armed"'))
            fleet.trade(2)
            await fleet.wait_quiet()
            assert not fleet.venue.exists()


@asynccontextmanager
async def _switchboard(port: int) -> AsyncGenerator[tuple[int, Callable[[int], None]], None]:
    """Forward connections to a server that can be changed; a change cuts those that are open."""
    target, scopes = port, set[trio.CancelScope]()

    async def forward(stream: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            scopes.add(scope)
            async with (
                stream,
                await trio.open_tcp_stream("127.0.0.1", target) as server,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(_pump, stream, server, scope)
                nursery.start_soon(_pump, server, stream, scope)
        scopes.discard(scope)

    async def handle(stream: trio.SocketStream) -> None:
        with suppress(OSError):
            await forward(stream)

    def switch(to: int) -> None:
        nonlocal target
        target = to
        for scope in tuple(scopes):
            scope.cancel()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield listener.socket.getsockname()[1], switch
        nursery.cancel_scope.cancel()


async def _pump(source: trio.SocketStream, target: trio.SocketStream, both: trio.CancelScope) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in source:
            await target.send_all(data)
    both.cancel()
