"""The past as a person judges it: fetched from a node, played back, compared, drawn, ranked."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.builders import LEADER, NOW, OTHER_LEADER, POLYGON
from trio_copy.cli import main
from trio_copy.entropy import seeded_entropy
from trio_copy.model.ids import Address
from trio_copy.testing.devnet import Devnet, open_devnet
from trio_copy.testing.devnet.market import ScriptedMarket

Capture = pytest.CaptureFixture[str]
_BLOCK_S, _BLOCKS = 120, 720
"""A market day."""


@asynccontextmanager
async def market_day(leaders: list[Address]) -> AsyncGenerator[Devnet, None]:
    """Serve a chain on which leaders have traded for a day, and on which nothing happens any more."""
    now = NOW - _BLOCK_S * (_BLOCKS + 70)
    market = ScriptedMarket(leaders, seeded_entropy(7), 1.0, 2)
    async with open_devnet(POLYGON, lambda: now) as devnet:
        for number in range(_BLOCKS + 70):
            now += _BLOCK_S
            devnet.chain.mine(*(market.next_block() if number < _BLOCKS else ()))
        yield devnet


async def command(*words: str) -> int:
    """Run a command as a person does, beside what it talks to."""
    return await trio.to_thread.run_sync(partial(main, words))


async def test_the_past_is_fetched_by_hand(tmp_path: Path, capsys: Capture) -> None:
    """From one URL, or from a configuration; a second call says that there is nothing new."""
    file, conf = tmp_path / "past.rec", tmp_path / "conf.toml"
    async with market_day([LEADER, OTHER_LEADER]) as devnet:
        since = "2025-11-23T00:00"
        words = ("fetch", str(file), "--leader", LEADER, "--leader", OTHER_LEADER, "--url", devnet.url)
        assert await command(*words, "--since", since, "--until", "2025-11-24T12:00") == 0
        assert await command(*words, "--since", since) == 0
        assert await command("fetch", str(file), "--url", devnet.url) == 0
        told = capsys.readouterr().out.splitlines()
        assert "logs of blocks 1 to " in told[0]
        assert ": added " in told[1]
        assert ": nothing new: it reaches block " in told[2]
        conf.write_text(
            f"""
            [chain]
            chain_id = 137
            [[endpoint]]
            name = "node"
            url = "{devnet.url}"
            [store.memory]
            [decoder.order-filled]
            [executor.dry-run]
            [[follower]]
            id = "ann"
            executor = "dry-run"
            [[follow]]
            follower = "ann"
            leader = "{LEADER}"
            """
        )
        other = tmp_path / "other.rec"
        assert await command("fetch", str(other), "--conf", str(conf), "--since", since) == 0
        assert await command("replay", str(other), "--conf", str(conf), "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["signals"] > 100


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--leader", "0x12", "--url", "ws://127.0.0.1:1"), "--leader: expected an address"),
        (("--leader", LEADER, "--url", "http://127.0.0.1"), "--url: expected a URL with ws:// or wss://"),
        (("--url", "env:TRIO_COPY_NO_SUCH", "--leader", LEADER), "--url: expected environment variable"),
        (("--url", "ws://127.0.0.1:1", "--since", "3d"), "--leader: expected a wallet whose fills are to be read"),
        (("--url", "ws://127.0.0.1:1", "--leader", LEADER, "--since", "yesterday"), "--since: expected a time"),
        (
            ("--url", "ws://127.0.0.1:1", "--leader", LEADER, "--since", "1d", "--until", "2d"),
            "--until: expected a time after --since",
        ),
        (("--conf", "conf/demo.toml", "--since", "3d"), "expected an [[endpoint]]"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(tmp_path: Path, capsys: Capture, words: tuple[str, ...], says: str) -> None:
    """Where, what was expected, what was there instead; exit code 2 and no file."""
    assert main(["fetch", str(tmp_path / "past.rec"), *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "past.rec").exists()
