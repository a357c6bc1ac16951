"""conf/markets.toml, the demonstration of a venue that is asked as the real one is."""

import json
from pathlib import Path

import pytest

from trio_copy.cli import main

CONF = Path(__file__).parents[2] / "conf" / "markets.toml"


def test_names_books_a_wallet_that_runs_empty_and_profits_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of it over real sockets, five times as fast as it is shown; copies are told, and what is held has a value."""
    conf = tmp_path / "markets.toml"
    conf.write_text(
        CONF.read_text()
        .replace("block_every_s = 1.0", "block_every_s = 0.2")
        .replace("exits_every_s = 1.0", "exits_every_s = 0.2")
        .replace("seed = 7", "seed = 7\nreorg_at_block = 0\ndrop_at_block = 0")
        .replace("take_profit_bps = 300", "take_profit_bps = 1")
    )
    assert main(["run", str(conf), "--for", "8s", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    steps = {event["step"] for event in events if event["event"] == "step"}
    reports = [event for event in events if event["event"] == "report"]
    (summary,) = [event for event in events if event["event"] == "summary"]

    assert {"markets", "exit"} <= steps
    assert not [event for event in events if event["event"] == "alert"]
    assert any(report["end"] == "filled" for report in reports)
    assert any(event.get("code") == "NO_BALANCE" for event in events)
    assert summary["lost"] == 0
    assert all(follower["unrealised"] is not None for follower in summary["followers"])
