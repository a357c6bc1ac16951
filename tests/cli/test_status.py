"""`trio-copy status` shows what the watchdogs of a running engine say, by way of the store."""

import json
from pathlib import Path

import pytest

from tests.cli.test_books import conf, fill
from trio_copy.cli import main
from trio_copy.model.control import Instance
from trio_copy.model.watches import Light, Watch
from trio_copy.ports import Store
from trio_copy.records import decode

__all__ = ["conf"]
WATCHES = (
    Watch(name="clock_skew_s", light=Light.GREEN, value=0.4, limit=2.0),
    Watch(name="head_age_s", endpoint="node-0", light=Light.RED, value=12.5, limit=10.0),
    Watch(name="finality_s", endpoint="node-0", light=Light.UNKNOWN, limit=60.0),
)


async def beat(store: Store) -> None:
    await store.control.beat(
        Instance(instance="here-1", shards=(0,), watches=WATCHES, halted="watchdog.nodes: all are red, limit one")
    )


def test_status_shows_each_watchdog_with_its_light_and_figure(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For people a table, and a line in capitals when entries are halted."""
    fill(conf, beat)
    assert main(["status"]) == 0
    text = capsys.readouterr().out.splitlines()

    assert "here-1 LETS NO ENTRY OUT: watchdog.nodes: all are red, limit one" in text
    start = next(number for number, line in enumerate(text) if "watchdog " in line)
    assert [line.split() for line in text[start : start + 4]] == [
        ["instance", "watchdog", "of", "light", "value", "limit"],
        ["here-1", "clock_skew_s", "our", "clock", "green", "0.4", "2.0"],
        ["here-1", "head_age_s", "node-0", "red", "12.5", "10.0"],
        ["here-1", "finality_s", "node-0", "unknown", "-", "60.0"],
    ]
    assert ["here-1", "alive", "no"] in [line.split()[:3] for line in text]


def test_status_tells_machines_the_same(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Readiness, what halts, and every figure."""
    fill(conf, beat)
    assert main(["status", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["instances"]

    assert (one["ready"], one["halted"]) == (False, "watchdog.nodes: all are red, limit one")
    assert one["watches"] == [
        {"name": "clock_skew_s", "endpoint": "", "light": "green", "value": 0.4, "limit": 2.0},
        {"name": "head_age_s", "endpoint": "node-0", "light": "red", "value": 12.5, "limit": 10.0},
        {"name": "finality_s", "endpoint": "node-0", "light": "unknown", "value": None, "limit": 60.0},
    ]


def test_a_heartbeat_of_an_older_version_can_be_read() -> None:
    """What it does not tell is not ready and not halted."""
    old = decode('{"instance": "old", "seen_at": 5.0, "shards": [1, 2]}', Instance)
    assert (old.shards, old.ready, old.halted, old.watches) == ((1, 2), False, "", ())
