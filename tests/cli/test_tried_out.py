"""What a person tries first: the self test, whether promises hold, and what is installed."""

import json
from pathlib import Path

import pytest

from tests.cli.processes import DEMO, last_json
from trio_copy.cli import main

Capture = pytest.CaptureFixture[str]


def test_selftest_passes_and_shows_each_step(capsys: Capture) -> None:
    """The real nursery tree boots, narrows its subscription, copies one fill and ends by itself."""
    code, found = last_json(capsys, "selftest", DEMO)

    assert (code, found["ok"]) == (0, True)
    steps = [step["step"] for step in found["steps"]]
    assert {"accounts", "follows", "positions", "subscribed", "narrowed", "copied", "drained"} <= set(steps)
    assert found["seconds"] < 15


def only_tables(text: str, *, decoder: str = "order-filled", size: str = "", follow: bool = True) -> str:
    """A configuration with one follow and one decoder."""
    follows = f"""[[follow]]
follower = "alice"
leader = "0x6031B6eed1C97e853c6e0F03Ad3ce3529351F96d"
[follow.size]
{size}"""
    return f"""[chain]
chain_id = 137
[devnet]
[store.memory]
[executor.dry-run]
[decoder.{decoder}]
[[follower]]
id = "alice"
executor = "dry-run"
{follows if follow else text}"""


@pytest.mark.parametrize(
    ("conf", "says"),
    [
        (only_tables("", follow=False), "no follows: add a [[follow]]"),
        (only_tables("", decoder="fpmm"), "no decoder that the devnet can trade for"),
        (
            only_tables("", size="[follow.filters]\nleader_min_usd = 1000000000"),
            "nobody copied any of 6 trades: LEADER_TOO_SMALL x6; loosen",
        ),
    ],
)
def test_a_failing_selftest_says_what_to_do(tmp_path: Path, capsys: Capture, conf: str, says: str) -> None:
    """The failing step names the mistake; the exit code is not 0."""
    path = tmp_path / "conf.toml"
    path.write_text(conf)
    code, found = last_json(capsys, "selftest", str(path))

    assert (code, found["ok"]) == (1, False)
    assert says in found["steps"][-1]["detail"]


def test_verify_dedup(capsys: Capture) -> None:
    """First OK, second DUPLICATE, OK again after the time to live."""
    code, found = last_json(capsys, "verify", "dedup", "--ttl", "50ms", "--wait", "80ms")
    assert (code, found["first"], found["second"], found["after_ttl"]) == (0, "OK", "DUPLICATE", "OK")
    code, found = last_json(capsys, "verify", "dedup", "--ttl", "5s", "--wait", "10ms")
    assert (code, found["after_ttl"]) == (0, "DUPLICATE")


def test_verify_backpressure(capsys: Capture) -> None:
    """Of 5,200 tasks a queue of 5,000 keeps 5,000 and sheds 200, each with a reason."""
    code, found = last_json(capsys, "verify", "backpressure", "--count", "5200")
    assert code == 0
    assert {key: found[key] for key in ("attempted", "kept", "shed", "reasons", "left_after_cleanup")} == {
        "attempted": 5200,
        "kept": 5000,
        "shed": 200,
        "reasons": {"QUEUE_FULL": 200},
        "left_after_cleanup": 0,
    }
    assert main(["verify", "backpressure", "--count", "12", "--capacity", "10"]) == 0
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["reasons", "2", "QUEUE_FULL"] in told
    assert ["left", "after", "cleanup", "0"] in told


def test_plugins_lists_what_is_installed(capsys: Capture) -> None:
    """Name, distribution, version, active or not."""
    assert main(["plugins", DEMO, "--json"]) == 0
    rows = {row["name"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}

    assert tuple(rows["dry-run"][key] for key in ("kind", "distribution", "active")) == ("executor", "trio-copy", "yes")
    assert rows["fpmm"]["active"] == "no"
    assert main(["plugins"]) == 0
    shown = capsys.readouterr().out
    assert "order-filled" in shown
    assert not [line for line in shown.splitlines() if line != line.rstrip()]
