"""What is over leaves nothing in memory: markets that were traded and closed, and accounts that nothing happens to any more."""

import importlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import ALICE, NOW, hash_of
from tests.engine.rig import Rig, buy, on_memory, open_rig, sell
from tests.harness import World, make_test_plan, open_world, running_engine
from trio_copy.accounts import commands as c
from trio_copy.chain.decoders.resolutions import CONDITIONAL_TOKENS, RESOLUTION_TOPIC
from trio_copy.config import PluginTable
from trio_copy.engine.service import Service
from trio_copy.engine.shards.taking_in import seal
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, Hash32, TokenId
from trio_copy.model.logs import BlockRef
from trio_copy.model.resolutions import Resolution
from trio_copy.testing.devnet import DevTx
from trio_copy.testing.devnet.chain import DevLog, fake_hash
from trio_copy_memory.data import MemoryData

Clock = trio.testing.MockClock
MARKETS = 250
_AT_ONCE = 50
"""Markets that are traded in one block."""
_FIXED = {
    "_shown._blocks",  # the scanner's window
    "_blocks.sources",
    "data.totals",  # of the memory store: by day, not by market
}
_AT_MOST = {
    "statements._numbers": _AT_ONCE + 10,  # of the SQLite store: names of a write, and those before it until it is full
    "_timeouts._due": 110,  # of a connection: questions that are answered, until there are a hundred
    "writer._waiting": 2,  # what waits for a commit
}
"""Tables whose length says at which moment they were looked at."""
SIZES = {
    "trio_copy.engine.borders.contract._REMEMBERED": 20_000,
    "trio_copy.engine.shards.known_tokens._MOST": 10_000,
    "trio_copy.engine.market_source.watched_tokens._TOKENS_MOST": 10_000,
    "trio_copy.engine.sending.markets._KEPT": 256,
    "trio_copy.engine.gate.reader._LOGS_KEPT": 50_000,
    "trio_copy.engine.shards.sightings._KEPT": 20_000,
    "trio_copy.engine.shards.writing.FACTS_KEPT": 20_000,
    "trio_copy.model.catalog._MOVES_KEPT": 10_000,
    "trio_copy_dry_run.depth._BOOKS_KEPT": 1_000,
    "trio_copy_dry_run.venue._ORDERS_KEPT": 100_000,
    "trio_copy_sqlite.transaction._NAMES_KEPT": 100_000,
}
"""Tables that have a size of their own, however many markets there are: where it stands, and what it is."""


def make_smaller(size: int, patch: pytest.MonkeyPatch) -> None:
    """Let these tables be full after little, so that what grows then grows for ever."""
    for path, usual in SIZES.items():
        module, _, name = path.rpartition(".")
        assert getattr(importlib.import_module(module), name) == usual, path
        patch.setattr(path, size)


def counted(thing: Any, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, int]]:
    """Return every table that can be reached from something of ours, by the last two names that lead to it, and its length."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, str | bytes | int | float):
        return
    seen.add(id(thing))
    if isinstance(thing, Mapping):
        yield path, len(thing)
        for value in tuple(thing.values()):
            yield from counted(value, path, seen)
    elif isinstance(thing, Collection):
        yield path, len(thing)
        for value in tuple(thing):
            yield from counted(value, path, seen)
    elif attrs.has(type(thing)) and type(thing).__module__.startswith(("trio_copy", "tests.engine")):
        for name in (one.name for one in attrs.fields(type(thing))):
            if name not in ("seams", "observer", "plan"):
                yield from counted(getattr(thing, name), f"{path.rpartition('.')[2]}.{name}", seen)


def tables(service: Service) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for path, length in counted(service):
        sizes[path] += length
    return sizes


def decided(market: int) -> DevTx:
    data = b"".join(word.to_bytes(32, "big") for word in (2, 64, 2, 1, 0))
    topics = (RESOLUTION_TOPIC, condition(market), "0x" + "0" * 64, fake_hash("question", market))
    return DevTx(
        tx_hash=fake_hash("resolution", market),
        logs=(DevLog(address=CONDITIONAL_TOKENS, topics=topics, data=data),),
    )


def condition(market: int) -> Hash32:
    return fake_hash("condition", market)


async def trade_and_close(world: World, markets: range) -> None:
    """Buy in each market, sell half of them again, and let all of them be decided."""
    for start in markets[::_AT_ONCE]:
        some = range(start, start + _AT_ONCE)
        for trades in (
            [world.buy(token=market) for market in some],
            [world.buy(token=market, side=Side.SELL) for market in some[::2]],
        ):
            wanted = len(world.recorder.finished) + len(trades)
            world.chain.mine(*trades)
            await world.recorder.wait_until(partial(has_finished, world, wanted))
        world.chain.mine(*map(decided, some))


def has_finished(world: World, count: int) -> bool:
    return len(world.recorder.finished) >= count


async def let_time_pass(world: World, seconds: int) -> None:
    for _ in range(seconds // 2):
        world.chain.mine()
        await trio.sleep(2)


@pytest.mark.no_cover  # three times faster
@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_markets_that_are_over_leave_nothing(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, store: str, tmp_path: Path
) -> None:
    """Hundreds of markets later no table of the engine, or of its store, is longer than after the first fifty."""
    monkeypatch.setattr("trio_copy.engine.shards.resolved._KEPT_BLOCKS", 5)
    make_smaller(_AT_ONCE, monkeypatch)
    options = {"facts_max": _AT_ONCE} if store == "memory" else {"path": str(tmp_path / "books.db")}
    plan = make_test_plan(
        followers=("alice",),
        engine={"dedup_ttl_s": 600.0},
        executor={"latency_ms": 0},
        store=PluginTable(name=store, plugin=store, options=options),
        decoders=[PluginTable(name=name, plugin=name, options={}) for name in ("order-filled", "resolutions")],
    )
    async with open_world() as world:
        world.catalog.put(
            TokenFacts(token_id=TokenId(market), condition_id=condition(market)) for market in range(1, MARKETS + 1)
        )
        async with running_engine(world, plan) as service:
            await trade_and_close(world, range(1, _AT_ONCE + 1))
            await let_time_pass(world, 1300)
            await trio.testing.wait_all_tasks_blocked()  # no write is under way
            before = tables(service)
            await trade_and_close(world, range(_AT_ONCE + 1, MARKETS + 1))
            during = tables(service)
            assert list(service.holder.shards[0].accounts) == [ALICE]
            await let_time_pass(world, 1300)
            await trio.testing.wait_all_tasks_blocked()  # no write is under way
            after = tables(service)
            assert len(world.recorder.copies) == MARKETS * 3 // 2
            assert list(service.holder.shards[0].accounts) == []
    grown = {
        path: (before[path], after[path]) for path in after if after[path] > max(before[path], _AT_MOST.get(path, 0))
    }
    assert {path: sizes for path, sizes in grown.items() if path not in _FIXED} == {}
    looked_at = ["resolved._resolutions", "accounts.holdings", "exposure._places", "met._known"]
    for path in (*looked_at, "shards.heads") if store == "memory" else looked_at:
        assert during[path] > MARKETS / 4, path  # it was looked at


def far(number: int) -> BlockRef:
    return BlockRef(number=number, hash=hash_of(number), parent=hash_of(number - 1), time=int(NOW))


def shown(rig: Rig, follower: FollowerId = ALICE) -> bool:
    return follower in rig.shard.accounts


async def test_an_account_that_nothing_happens_to_is_read_again_when_it_is_needed(clock: Clock) -> None:
    """It leaves memory once nothing is open of it, and comes back with all that it knew."""
    data = MemoryData()
    async with open_rig(open_store=on_memory(data)) as rig:
        await rig.end_of(buy(1))
        await trio.sleep(3600)
        assert shown(rig)  # it holds something
        await rig.end_of(sell(2, deadline=NOW + 10_000))
        for task in (buy(1), sell(2)):
            rig.shard.met.meet(task.signal, NOW, whole=True)
        seal(rig.shard, far(10**9))
        known = rig.account()
        await trio.sleep(500)
        assert shown(rig)  # a store may still have forgotten what happened last
        await trio.sleep(1500)
        assert not shown(rig)
        await rig.take_in(buy(3))
        assert rig.account() is not known
        assert rig.account().windows == known.windows
        assert known.windows


@pytest.mark.parametrize("what", ["in a lane", "waiting", "dead"])
async def test_an_account_of_which_a_task_is_left_stays(clock: Clock, what: str) -> None:
    """In a lane, in the account, or for a person to look at: whoever has it finds its account at hand."""
    async with open_rig(workers=0) as rig:
        task = buy(1, deadline=NOW + 10**6, aggregates=what == "waiting")
        await rig.take_in(task)
        if what != "in a lane":
            rig.shard.act(ALICE, c.Park(task=task, at=NOW))
        for _ in range(4 if what == "dead" else 0):
            rig.shard.act(ALICE, c.Try(task=task.task_id, most=3, at=NOW))
        await trio.sleep(3600)
        assert shown(rig)


async def test_a_decided_question_is_remembered_while_it_may_be_held(clock: Clock) -> None:
    """As long as something is held of it, and two days of blocks beyond: and all of them, while a token is unknown."""
    async with open_rig() as rig:
        held, over, news = (Resolution(condition_id=name, payouts=(1, 0), block_number=5) for name in "hon")
        for resolution in (held, over, evolve(news, block_number=150_000)):
            rig.shard.resolved.note(resolution)
        await rig.hold(token=7)
        seal(rig.shard, far(200_000))
        await trio.sleep(3600)
        assert [rig.shard.resolved.of(name) is None for name in "hon"] == [False, False, False]
        rig.holder.catalog.put([TokenFacts(token_id=TokenId(7), condition_id="h")])
        await trio.sleep(3600)
        assert [rig.shard.resolved.of(name) is None for name in "hon"] == [False, True, False]
