"""What Redis may do to the engine: nothing is copied twice, nothing is lost, and the pause is there to be seen."""

import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.redis.fleet import FOLLOWERS, Fleet, Instance, losses, open_fleet
from tests.redis.server import RedisServer, running_cluster, running_redis
from tests.redis.test_forgetting import ends_of_commands, log_of
from tests.redis.test_moving import id_of, slots_of
from tests.redis.test_open import replicated
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.units import NO_USD, Shares, Usd
from trio_copy.testing.devnet import DevTx
from trio_copy.testing.devnet.chain import fake_hash
from trio_copy.testing.devnet.encode import order_filled_log


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
            await fleet.check(ended_badly=1)
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
            await fleet.check(ended_badly=1)
            assert "store-waiting" in alerts(one)


async def test_a_full_redis_stops_placements(tmp_path: Path) -> None:
    """OOM: nothing is placed, a person is told which setting to change, and it goes on where it stopped."""
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
            await fleet.check(ended_badly=1)


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
            await fleet.check(ended_badly=1)


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
                sent = await fleet.check(ended_badly=1)
            assert sent["fill"] == 16 * len(FOLLOWERS)
            assert sent["duplicate"] == 0


@pytest.mark.parametrize("capped", [False, True])
async def test_flushall_under_load(tmp_path: Path, capped: bool) -> None:
    """Everything is gone at once, twice: the living owners write their accounts again whole, and no cap is passed."""
    caps: dict[str, Any] = (
        {"defaults": "[defaults.caps]\nmax_day_usd = 40", "engine": "max_day_usd = 210"} if capped else {}
    )
    with running_redis() as redis:
        async with open_fleet(tmp_path, redis, **caps) as fleet:
            one, two = fleet.start(), fleet.start()
            await fleet.wait_owned(2)
            await fleet.wait(lambda: one.says('"armed"') and two.says('"armed"'), what="both to be armed")
            fleet.trade(4)
            await fleet.wait_quiet()  # everybody who may buy is at hand, or entries would be halted
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fleet.trade_for, 4.0, 10.0)
                for _ in range(2):
                    await trio.sleep(1.2)
                    assert redis.ask("FLUSHALL") == "OK"
            await fleet.wait(lambda: one.count("store-forgot") + two.count("store-forgot") >= 1, what="the insight")
            await fleet.wait_quiet(within_s=60.0)
            sent = await fleet.check(ended_badly=losses(fleet), all_filled=not capped)
            assert sent["duplicate"] == 0
            if capped:
                assert_capped(fleet, follower=Usd.parse("40"), engine=Usd.parse("210"))


async def test_flushall_of_what_nobody_has_in_memory(tmp_path: Path) -> None:
    """A day was spent, all of it was sold, and the engine started anew: emptied, Redis does not give the day a second time."""
    caps = "[defaults.caps]\nmax_day_usd = 20"
    with running_redis(durable=True) as redis:
        async with open_fleet(tmp_path, redis, shards=1, leaders=1, followers=("alice",), defaults=caps) as fleet:
            one = fleet.start()
            await fleet.wait(lambda: one.says('"armed"'), what="an armed instance")
            fleet.trade(6)
            await fleet.wait_quiet()
            held = len(fleet.sent())
            for number in range(6):
                fleet.net.chain.mine(leader_sells(fleet.leaders[0], number))
            await fleet.wait_fills(2 * held)
            one.send(signal.SIGTERM)
            await fleet.wait(lambda: not one.alive, what="the end of the first")
            two = fleet.start()
            await fleet.wait(lambda: two.says('"armed"'), what="the second to be armed")
            assert redis.ask("FLUSHALL") == "OK"
            fleet.trade(4)
            await fleet.wait(lambda: "accounts-forgotten" in alerts(two), what="the insight")
            await trio.sleep(2)
            bought = [Usd.parse(line["notional"]).micro for line in fleet.sent() if line["side"] == "BUY"]
            assert sum(bought) <= Usd.parse("20").micro
            assert fleet.status()["mode"] == "halt-new"
            assert two.alive


def leader_sells(leader: Address, number: int) -> DevTx:
    """Make the transaction in which a leader sells again what he bought."""
    token, shares = TokenId(int(fake_hash("token", number % 50)[2:], 16)), Shares.parse(1000)
    sold = order_filled_log(
        exchange=EXCHANGE_V2,
        order_hash=fake_hash("order", 1000 + number),
        owner=leader,
        counterparty=EXCHANGE_V2,
        side=Side.SELL,
        token_id=token,
        shares=shares,
        notional=Usd.parse("500"),
        fee=NO_USD,
    )
    return DevTx(tx_hash=fake_hash("tx", 1000 + number), logs=(sold,))


@pytest.mark.parametrize("capped", [False, True])
async def test_a_redis_that_lost_its_last_second(tmp_path: Path, capped: bool) -> None:
    """Killed under load, and its log cut by what a second had written: nothing is lost, doubled, or past its cap."""
    caps: dict[str, Any] = (
        {"defaults": "[defaults.caps]\nmax_day_usd = 40", "engine": "max_day_usd = 210"} if capped else {}
    )
    with running_redis(durable=True) as redis:
        async with open_fleet(tmp_path, redis, **caps) as fleet:
            one = await armed(fleet)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fleet.trade_for, 5.0, 10.0)
                await trio.sleep(1.0)
                log = log_of(redis)
                kept = log.stat().st_size
                await trio.sleep(1.0)
                redis.kill()
                os.truncate(log, next(end for end in ends_of_commands(log.read_bytes()) if end >= kept))
                redis.start()
            await fleet.wait(lambda: one.count("store-forgot") >= 1, what="the insight")
            await fleet.wait_quiet(within_s=60.0)
            sent = await fleet.check(ended_badly=losses(fleet), all_filled=not capped)
            assert sent["duplicate"] == 0
            if capped:
                assert_capped(fleet, follower=Usd.parse("40"), engine=Usd.parse("210"))


def assert_capped(fleet: Fleet, *, follower: Usd, engine: Usd) -> None:
    """Expect that the venue's own file adds up to no more than the caps, and to nearly as much."""
    spent = Counter[str]()
    for line in fleet.sent():
        if line["what"] == "fill":
            spent[line["follower"]] += Usd.parse(line["notional"]).micro
    assert max(spent.values()) <= follower.micro
    assert engine.micro * 3 // 4 <= sum(spent.values()) <= engine.micro


async def test_a_cluster_is_resharded_under_a_running_engine(tmp_path: Path) -> None:
    """Every slot moves to another node while leaders trade: nothing is lost, nothing twice."""
    with running_cluster() as nodes:
        url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        async with open_fleet(tmp_path, nodes[0], url=url) as fleet:
            one = await armed(fleet)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fleet.trade_for, 6.0, 10.0)
                await trio.sleep(0.5)
                moved = [await trio.to_thread.run_sync(move_slots, nodes, source) for source in range(2)]
            assert sum(moved) > 0
            await fleet.wait_quiet(within_s=60.0)
            await fleet.check(ended_badly=losses(fleet))
            assert one.alive


def move_slots(nodes: Sequence[RedisServer], source: int) -> int:
    """Move the slots of one node that hold something to the next node, by the book; returns how many these were."""
    old, new = nodes[source], nodes[(source + 1) % len(nodes)]
    here = [slot for first, last in slots_of(old) for slot in range(first, last + 1)]
    moving = [slot for slot in here if old.ask("CLUSTER", "COUNTKEYSINSLOT", slot)]
    for slot in moving:
        assert new.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", id_of(old)) == "OK"
        assert old.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", id_of(new)) == "OK"
        while keys := old.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            for key in keys:
                old.ask("MIGRATE", "127.0.0.1", new.port, key, 0, 5000)
        for node in (new, old, *nodes):
            assert node.ask("CLUSTER", "SETSLOT", slot, "NODE", id_of(new)) == "OK"
    return len(moving)


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
