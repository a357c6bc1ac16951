"""The past, read from a node into a recording: as wide as it answers, as often as it likes, and on where it ended."""

import zlib
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, evolve

from tests.builders import LEADER, NOW, OTHER_LEADER, POLYGON
from tests.harness import World, open_world
from trio_copy.chain.decoders.order_filled import OrderFilledDecoder, OrderFilledSettings
from trio_copy.chain.feed import Armed, Sealed, SeenLog
from trio_copy.config import ChainSettings
from trio_copy.engine.recordings.fetching import FetchWorld, History, Read, fetch_history
from trio_copy.engine.recordings.recorded_lines import Moment, header_line
from trio_copy.engine.recordings.recording import read_recording
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import ChainError, ConfigError, RestartBudgetExhausted, WrongChain, leaves_of
from trio_copy.model.logs import BlockRef
from trio_copy.testing.devnet.manners import HeaderTime, LogTime
from trio_copy.testing.devnet.shown import ShownChain

Clock = trio.testing.MockClock
BLOCK_S, BLOCKS, WINDOW = 2.0, 240, 8
SINCE = NOW + 40 * BLOCK_S
"""The time of block 40."""
TRADED = [number for number in range(1, BLOCKS + 1) if number % 3 == 0]
"""Blocks in which the leader trades; in every fifth of them twice."""
WANTED = [number for number in TRADED if 40 <= number <= BLOCKS - WINDOW for _ in range(2 if number % 5 == 0 else 1)]


async def mine_history(world: World) -> None:
    for number in range(1, BLOCKS + 1):
        await trio.sleep(BLOCK_S)
        trades = [world.buy(shares=number)] if number in TRADED else []
        if number in TRADED and number % 5 == 0:
            trades.append(world.buy(shares=number, token=2))
        world.chain.mine(*trades, world.buy(OTHER_LEADER))


def history(world: World, path: Path, **changes: Any) -> History:
    chain = ChainSettings(chain_id=POLYGON, window_blocks=WINDOW, **changes.pop("chain", {}))
    wanted = History(
        path=path,
        leaders=[LEADER],
        since=SINCE,
        until=None,
        endpoints=world.endpoints,
        chain=chain,
        decoders=[OrderFilledDecoder(frozenset(OrderFilledSettings().exchanges))],
    )
    return evolve(wanted, **changes)


async def fetched(world: World, path: Path, **changes: Any) -> Read:
    seams = FetchWorld(
        dial=world.dial,
        wall=world.wall,
        entropy=seeded_entropy(1),
        on_trouble=lambda kind, detail: world.recorder.on_alert(kind, detail),
    )
    return await fetch_history(history(world, path, **changes), seams)


def moments(path: Path) -> list[Moment]:
    chain, found = read_recording(path)
    assert chain == POLYGON
    return list(found)


def logs_of(path: Path) -> list[SeenLog]:
    return [moment.seen for moment in moments(path) if isinstance(moment.seen, SeenLog)]


@pytest.mark.parametrize(
    "manners",
    [
        {},
        {"max_range": 7},
        {"hang_range": 60},
        {"close_range": 60},
        {"cut_logs": 12},
        {"rate_limited": 3, "rate_limited_method": "all", "retry_after_s": 2},
        {"max_per_s": 2, "rate_limited_method": "all", "rate_limit_code": 429},
        {"without_time": True},
        {"log_time": LogTime.FUTURE},
        {"log_time": LogTime.ZERO, "json_numbers": True},
        {"upper_case": True, "extra_fields": True, "null_removed": True},
    ],
    ids=lambda manners: ", ".join(manners) or "none",
)
async def test_every_fill_is_read_whatever_the_nodes_manners(
    clock: Clock, tmp_path: Path, manners: dict[str, Any]
) -> None:
    """Every fill of the leader once, at the time of its block, between the beginning and the last seal."""
    path = tmp_path / "past.rec"
    async with open_world() as world:
        await mine_history(world)
        for name, value in manners.items():
            setattr(world.nodes[0].faults, name, value)
        read = await fetched(world, path)
    assert [seen.log.block_number for seen in logs_of(path)] == WANTED
    assert all(seen.seen_at == seen.log.block_time == NOW + seen.log.block_number * BLOCK_S for seen in logs_of(path))
    first, *_, last = (moment.seen for moment in moments(path))
    assert isinstance(first, Armed)
    assert isinstance(last, Sealed)
    assert (first.block.number, last.block.number) == (39, BLOCKS - WINDOW)
    assert (read.start, read.end.number, read.logs) == (40, BLOCKS - WINDOW, len(WANTED))
    at = [moment.at for moment in moments(path)]
    assert at == sorted(at)


async def test_a_node_is_asked_no_more_often_than_it_may_be(clock: Clock, tmp_path: Path) -> None:
    """`chain.requests_per_s` holds for the past as well, and a node that says how long it rests is left alone so long."""
    path = tmp_path / "past.rec"
    async with open_world() as world:
        await mine_history(world)
        node = world.nodes[0]
        before, began = sum(node.requests.values()), trio.current_time()
        await fetched(world, path, chain={"requests_per_s": 2.0, "max_range_blocks": 10})
        asked, took = sum(node.requests.values()) - before, trio.current_time() - began
        assert asked > 30
        assert took >= (asked - 4 - 2) / 2.0

        path.unlink()
        node.faults.rate_limited, node.faults.retry_after_s = 4, 30
        began = trio.current_time()
        await fetched(world, path, chain={"max_range_blocks": 10})
        assert trio.current_time() - began >= 5 * 30
    assert [seen.log.block_number for seen in logs_of(path)] == WANTED


async def test_what_two_nodes_know_together_is_read(clock: Clock, tmp_path: Path) -> None:
    """One that answers nothing where there is something is not the last word; one that is away holds nothing up."""
    path = tmp_path / "past.rec"
    async with open_world(nodes=3) as world:
        await mine_history(world)
        world.nodes[0].faults.empty_logs = 1000
        world.down = {2}
        await fetched(world, path, chain={"max_range_blocks": 20})
    assert [seen.log.block_number for seen in logs_of(path)] == WANTED


@define
class Cut:
    """How a file is left behind."""

    bytes: int
    """Taken off its end."""


@pytest.mark.parametrize("cut", [0, 1, 40, 400, 10**6], ids=str)
async def test_a_second_call_goes_on_where_the_first_one_ended(clock: Clock, tmp_path: Path, cut: int) -> None:
    """In two calls, with a tail torn off in between, the same is read as in one; nothing is read twice."""
    path, whole = tmp_path / "past.rec", tmp_path / "whole.rec"
    async with open_world() as world:
        await mine_history(world)
        await fetched(world, whole)
        await fetched(world, path, until=NOW + 100 * BLOCK_S)
        middle = len(logs_of(path))
        assert 0 < middle < len(WANTED)
        content = path.read_bytes()
        path.write_bytes(content[: max(0, len(content) - cut)])
        world.nodes[0].ranges.clear()
        read = await fetched(world, path)
        again = await fetched(world, path, since=None)
    assert logs_of(path) == logs_of(whole)
    assert sum(isinstance(moment.seen, Armed) for moment in moments(path)) == 1
    assert world.nodes[0].ranges[0][0] == read.start == (40 if cut else 100)
    assert (read.logs, read.resumed) == (len(WANTED) - (0 if cut else middle), not cut)
    assert again.end.number == read.end.number
    assert again.logs == 0


async def test_a_call_that_is_cancelled_keeps_what_it_has_read(clock: Clock, tmp_path: Path) -> None:
    """A Ctrl-C in the middle costs the piece under way; the next call reads only what is missing."""
    path = tmp_path / "past.rec"
    async with open_world() as world:
        await mine_history(world)
        chain = {"max_range_blocks": 10, "requests_per_s": 2.0}
        with trio.move_on_after(12):
            await fetched(world, path, chain=chain)
        some = len(logs_of(path))
        assert 0 < some < len(WANTED)
        read = await fetched(world, path, chain=chain)
    assert [seen.log.block_number for seen in logs_of(path)] == WANTED
    assert read.logs == len(WANTED) - some


HOSTILE: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"chain_id": 1}, WrongChain, "expected chain id 137"),
    ({"refuse_handshake": 403}, RestartBudgetExhausted, "403"),
    ({"error": "missing trie node"}, RestartBudgetExhausted, "missing trie node"),
    ({"deaf": True}, ChainError, "no node answers"),
    ({"header_time": HeaderTime.FUTURE}, ChainError, "still to come"),
    ({"header_time": HeaderTime.TEXT}, RestartBudgetExhausted, "cannot be read"),
    ({"rate_limited": 1, "rate_limited_method": "all"}, RestartBudgetExhausted, "Too Many Requests"),
]


@pytest.mark.parametrize(
    ("manners", "error", "says"), HOSTILE, ids=lambda one: ", ".join(one) if isinstance(one, dict) else ""
)
async def test_a_node_that_gives_nothing_usable_ends_the_call(
    clock: Clock, tmp_path: Path, manners: dict[str, Any], error: type[Exception], says: str
) -> None:
    """In some minutes, with what it said; nothing is written, and nothing that cannot be true is believed."""
    path = tmp_path / "past.rec"
    async with open_world() as world:
        await mine_history(world)
        for name, value in manners.items():
            setattr(world.nodes[0].faults, name, value)
        with trio.fail_after(900), pytest.raises((error, ExceptionGroup)) as raised:
            await fetched(world, path)
    assert [type(leaf) for leaf in leaves_of(raised.value)] == [error]
    assert says in str(next(leaves_of(raised.value)))
    if error is RestartBudgetExhausted:
        assert str(next(leaves_of(raised.value))).startswith(f"{world.endpoints[0].name}: ")
    assert not path.exists() or not path.stat().st_size


@pytest.mark.parametrize("lie", ["numbers", "hashes", "times"])
async def test_headers_and_logs_that_do_not_fit_together_are_refused(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    """Another block's header, logs of a block that is not on the chain, blocks that go back in time: nothing is written."""
    path, honest = tmp_path / "past.rec", ShownChain.by_number

    def one_less(shown: ShownChain, which: str) -> BlockRef | None:
        return honest(shown, which if which == "latest" else hex(max(0, int(which, 16) - 1)))

    async with open_world() as world:
        await mine_history(world)
        chain = world.chain
        match lie:
            case "numbers":
                monkeypatch.setattr(ShownChain, "by_number", one_less)
            case "hashes":
                for number in range(41, 200):
                    block = chain.blocks[number]
                    logs = tuple(evolve(log, block_hash=chain.blocks[1].ref.hash) for log in block.logs)
                    chain.blocks[number] = evolve(block, logs=logs)
            case "times":
                for number in range(60, 70):
                    block = chain.blocks[number]
                    chain.blocks[number] = evolve(block, ref=evolve(block.ref, time=int(NOW) + 10_000))
        with trio.fail_after(900), pytest.raises((ChainError, ExceptionGroup)) as raised:
            await fetched(world, path, chain={"max_range_blocks": 5})
    assert "no usable answer" in str(next(leaves_of(raised.value)))
    assert not path.exists() or all(seen.log.block_number < 60 for seen in logs_of(path))


async def test_a_file_of_something_else_is_refused_and_left_as_it_is(clock: Clock, tmp_path: Path) -> None:
    """Other leaders, an earlier beginning, a recording of a run, garbage: one clear line, and not a byte is changed."""
    path = tmp_path / "past.rec"
    async with open_world() as world:
        await mine_history(world)
        await fetched(world, path)
        good = path.read_bytes()
        packer = zlib.compressobj(wbits=31)
        of_a_run = packer.compress(header_line(POLYGON, 1.0) + b"\n") + packer.flush()
        for content, changes, says in (
            (good, {"leaders": [OTHER_LEADER]}, "was begun with the leaders"),
            (good, {"since": NOW + 10}, "expected --since at or after that"),
            (good, {"decoders": [OrderFilledDecoder(frozenset())]}, "other decoders"),
            (of_a_run, {}, "has written, or none"),
            (good + of_a_run, {}, "has written, or none"),
            (b"no recording at all", {}, "has written, or none"),
        ):
            path.write_bytes(content)
            with pytest.raises((ConfigError, ExceptionGroup)) as raised:
                await fetched(world, path, **changes)
            assert says in str(next(leaves_of(raised.value)))
            assert path.read_bytes() == content


async def test_a_new_file_needs_a_beginning(clock: Clock, tmp_path: Path) -> None:
    """Nothing is guessed about how far back to read, and no empty file is left."""
    path = tmp_path / "past.rec"
    async with open_world() as world:
        await mine_history(world)
        with pytest.raises((ConfigError, ExceptionGroup)) as raised:
            await fetched(world, path, since=None)
    assert "--since: expected the time to begin with" in str(next(leaves_of(raised.value)))
    assert not path.exists()
