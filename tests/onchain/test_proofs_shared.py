"""Several engines on one shared store, with wallets that all of them can sign for: one of them copies, and it is copied once."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGCONT

import pytest
import trio
from attrs import define, evolve, field

from tests.harness import Recorder, with_follow_settings
from tests.onchain.apart import LIMIT_S, STEP_S, open_apart, write_conf
from tests.onchain.living import Kind, Living, open_living
from tests.onchain.proving import books_of, mining, sent, trade_in_a_block, until, wait_waiting
from tests.redis.server import RedisServer, running_redis
from tests.redis.stores import new_prefix, open_redis
from trio_copy.chain.dial import dial_network
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import EndpointSettings, PluginTable, ShardsSettings
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan, make_plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.service import Service
from trio_copy.entropy import seeded_entropy
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Filters
from trio_copy.model.units import Price
from trio_copy.registry import discover
from trio_copy.testing.anvil.leaders import Place

pytestmark = pytest.mark.anvil
BEAT_S = 0.2


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis(durable=True) as server:
        yield server


@pytest.fixture
async def living(tmp_path: Path) -> AsyncGenerator[Living, None]:
    with trio.fail_after(LIMIT_S):
        async with open_living(tmp_path, {"alice": Kind.EOA, "bob": Kind.SAFE}) as living:
            yield living


@define(eq=False)
class Several:
    services: list[Service] = field(factory=list)
    recorders: list[Recorder] = field(factory=list)


@asynccontextmanager
async def open_several(living: Living, plan: Plan, count: int = 2) -> AsyncGenerator[Several, None]:
    """Run several engines with the same keys, each begun once the one before follows the chain."""
    several = Several()
    async with trio.open_nursery() as nursery:

        async def run(number: int, task_status: trio.TaskStatus[None]) -> None:
            recorder = Recorder()
            seams = Seams(
                dial=dial_network,
                wall=anchored_wall_clock(),
                entropy=seeded_entropy(number),
                observer=recorder,
                instance=f"instance-{number}",
                keys={name: person.keys[0] for name, person in living.people.items()},
            )
            endpoint = EndpointSettings(name="anvil", url=living.door.url)
            async with open_service(plan, seams, [endpoint]) as service, trio.open_nursery() as inner:
                await inner.start(service.run)
                several.services.append(service)
                several.recorders.append(recorder)
                if not number:
                    await recorder.wait_until(lambda: "armed" in recorder.steps)
                task_status.started()

        for number in range(count):
            await nursery.start(run, number)
        yield several
        nursery.cancel_scope.cancel()


def shared_plan(living: Living, redis: RedisServer) -> Plan:
    """Return a plan in which leaders are read from the transfers of the conditional tokens themselves."""
    amm = living.stage.amm
    store = PluginTable(name="redis", plugin="redis", options={"url": redis.url, "prefix": new_prefix()})
    # A transfer names no price: any will do, and guards have to agree to that.
    living.policy |= {"min_price": Price(0), "max_price": Price(1_000_000)}
    settings = living.plan("onchain", store=store).settings
    decoder = PluginTable(name="erc1155", plugin="erc1155", options={"contracts": [amm.ctf], "venues": [amm.pool]})
    settings = evolve(settings, decoder=(decoder,), shards=ShardsSettings(count=1, heartbeat_s=BEAT_S))
    filters = Filters(max_age_s=600.0, unpriced="copy")
    return with_follow_settings(make_plan(settings, discover()), filters=filters)


async def test_of_two_supervisors_exactly_one_copies_each_transfer(living: Living, redis: RedisServer) -> None:
    """A mint and a sale, as `TransferSingle` tells them: both are copied on the chain, by the owner of the shard alone."""
    plan = shared_plan(living, redis)
    before = {name: await sent(living, name) for name in living.people}
    async with open_several(living, plan) as several:
        owner, idle = several.recorders
        assert several.services[1].board.filters == ()
        await living.trade(Place.YES, Side.BUY, 100)
        await owner.wait_copies(2)
        await living.trade(Place.YES, Side.SELL, 30)
        await owner.wait_copies(4)
        assert [signal.side for signal in owner.admitted] == [Side.BUY, Side.SELL]
        assert (idle.finished, idle.entries) == ([], [])
        assert len(set(owner.copies)) == len(owner.copies) == 4
        assert {name: await sent(living, name) for name in living.people} == {
            name: count + 2 for name, count in before.items()
        }
        await living.expect_books_as_on_chain(owner)


def write_shared_conf(living: Living, redis: RedisServer, prefix: str) -> Path:
    store = f'[store.redis]\nurl = "{redis.url}"\nprefix = "{prefix}"\n[shards]\ncount = 1\nheartbeat_s = {BEAT_S}'
    return write_conf(living, "onchain", store=store)


async def expect_each_once(living: Living, redis: RedisServer, prefix: str, before: Mapping[str, int]) -> None:
    """Compare what the shared store says with the chain; each copy that is booked is a transaction, and no other is there."""
    async with open_redis(redis.url, prefix, shards=1, guest=True) as store:
        books = await books_of(store)
    await living.expect_books_as_on_chain(books)
    booked = [(one.follower, one.task_id) for one in books.entries if one.shares]
    assert len(booked) == len(set(booked))
    for name in living.people:
        assert await sent(living, name) - before[name] == sum(follower == name for follower, _ in booked), name


async def test_who_takes_over_from_the_dead_follows_their_transactions(living: Living, redis: RedisServer) -> None:
    """They wait in a pool when the owner of the shard is killed: the next one books them, and copies with the nonces behind."""
    prefix = new_prefix()
    conf, before = write_shared_conf(living, redis, prefix), {name: await sent(living, name) for name in living.people}
    async with open_apart(conf) as first:
        await first.wait_step("armed")
        async with open_apart(conf) as second:
            await second.wait_step("paused")
            await trade_in_a_block(living, Place.YES, Side.BUY, 100)
            await wait_waiting(living, 2)
            await first.kill()
            await second.wait_step("armed")
            assert len(await wait_waiting(living, 2)) == 2
            await mining(living, True)
            await living.trade(Place.POOL, Side.BUY, 100)
            await second.wait_copies(4)
            assert await second.stop() == 0
    for place in (Place.YES, Place.POOL):
        assert await living.who_has(place) == list(living.people)
    await expect_each_once(living, redis, prefix, before)


@pytest.mark.parametrize("point", ["onchain: bound", "onchain: written down"])
async def test_who_loses_the_lease_in_the_middle_of_a_send_sends_nothing_more(
    living: Living, redis: RedisServer, point: str
) -> None:
    """It stands still while another takes the shard over, and goes on then: what the other has not learned of never leaves."""
    prefix = new_prefix()
    conf, before = write_shared_conf(living, redis, prefix), {name: await sent(living, name) for name in living.people}
    async with open_apart(conf, signal_at=f"STOP 1 {point}") as first:
        await first.wait_step("armed")
        async with open_apart(conf) as second:
            await second.wait_step("paused")
            await living.trade(Place.YES, Side.BUY, 100)
            await second.wait_step("armed")
            first.process.send_signal(SIGCONT)
            await first.wait(lambda events: any(one.get("kind") == "shard-lost" for one in events), "shard-lost")
            await living.trade(Place.POOL, Side.BUY, 100)

            async def copied() -> bool:
                await trio.lowlevel.checkpoint()
                # Whoever is first in line has the shard again by then, or soon.
                return len([one for one in (*first.events, *second.events) if one["event"] == "report"]) >= 4

            await until(copied, "four ends", STEP_S)
            assert await second.stop() == 0
            assert await first.stop() == 0
    assert await living.who_has(Place.POOL) == list(living.people)
    assert bool(await living.who_has(Place.YES)) == (point == "onchain: written down")
    await expect_each_once(living, redis, prefix, before)
