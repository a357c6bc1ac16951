"""`trio-copy status` shows what the watchdogs of a running engine say, by way of the store."""

import json
from pathlib import Path

import pytest

from tests.builders import NOW, make_signal, make_task
from tests.cli.filled import Owner
from tests.cli.live import write_conf
from tests.cli.small_books import conf, fill, own
from trio_copy.accounts.commands import Park, Retract, SetMode
from trio_copy.cli import main
from trio_copy.model.control import Instance, Mode
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


def test_status_counts_what_is_not_over(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What waits, what is open, what a reorg took back and what waits for a person, in the shard of its account."""

    def leave_open(owner: Owner) -> None:
        waiting, suspended, ordered, dead = (
            make_task(make_signal(number), decided_at=NOW + number) for number in range(1, 5)
        )
        owner.do("alice", Park(task=waiting, at=NOW), Park(task=suspended, at=NOW))
        owner.do("alice", Retract(signal=suspended.signal.signal_id, at=NOW))
        owner.place(ordered)
        owner.bury(dead, "killed three")
        owner.do("bob", SetMode(mode=Mode.REDUCE_ONLY, why="lunch", at=NOW))

    own(conf, leave_open)
    fill(conf, beat)
    assert main(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (shard,) = told["shards"]
    assert shard.pop("oldest_s") > 0
    assert shard == {
        "shard": 0,
        "owner": "here-1",
        "standby": [],
        "queued": 1,
        "open": 1,
        "suspended": 1,
        "dead": 1,
    }
    assert (told["dead"], told["orphans"], told["scopes"]) == (1, 0, {"follower:bob": "reduce-only"})
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert "mode of bob: reduce-only: lunch" in shown
    assert "dead letters wait for a person" in shown


def test_the_advice_to_start_an_instance_starts_one_where_money_is_traded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run` refuses a configuration of mode live without --live."""
    conf = write_conf(tmp_path)
    own(conf, lambda owner: None)
    assert main(["status", "--conf", str(conf)]) == 1
    assert f"start an instance: trio-copy run {conf} --live\n" in capsys.readouterr().out
