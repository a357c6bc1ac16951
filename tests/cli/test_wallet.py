"""What followers have on paper, from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.builders import LEADER, NOW, make_signal, make_task
from tests.cli.filled import Owner, open_owner
from trio_copy.cli import main
from trio_copy.engine.plan import load_plan

Capture = pytest.CaptureFixture[str]
CONF = """
[chain]
chain_id = 137
[devnet]
[store.sqlite]
path = "{path}"
[executor.dry-run]
[decoder.order-filled]
[wallet.small]
paper_usd = 20
[[follower]]
id = "alice"
executor = "dry-run"
wallet = "small"
[[follower]]
id = "bob"
executor = "dry-run"
[[follow]]
follower = "alice"
leader = "{leader}"
"""


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "conf.toml"
    path.write_text(CONF.format(path=tmp_path / "books.db", leader=LEADER))
    monkeypatch.setenv("TRIO_COPY_CONF", str(path))
    return path


def trade(conf: Path) -> None:
    """Alice buys ten shares for five dollars, and places an order that may cost ten more."""

    async def run() -> None:
        async with open_owner(load_plan(conf)) as owner:
            _trade(owner)

    trio.run(run)


def _trade(owner: Owner) -> None:
    owner.fill(make_task(make_signal(1)), shares="10", dollars="5", fee="0.1", at=NOW)
    owner.place(make_task(make_signal(2)))


def rows(capsys: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_wallet_is_shown_with_what_is_open_and_gained(conf: Path, capsys: Capture) -> None:
    """Cash is what may be spent; what is held has no value while nobody bids. Who has no wallet is not listed."""
    trade(conf)
    assert main(["wallet", "show", "--json"]) == 0
    (row,) = rows(capsys)
    assert row == {
        "follower": "alice",
        "start": "20",
        "put_in": "0",
        "cash": "4.9",
        "reserved": "10",
        "held_cost": "5.1",
        "held_value": None,
        "gained": "0",
        "equity": None,
    }


def test_money_is_put_in_and_taken_out_as_far_as_it_is_there(conf: Path, capsys: Capture) -> None:
    """Each is one line of the wallet's days; a withdrawal of more than the cash is refused, and changes nothing."""
    trade(conf)
    assert main(["wallet", "deposit", "alice", "30", "--why", "a raise"]) == 0
    assert capsys.readouterr().out == "alice: 34.9 in the wallet\n"
    assert main(["wallet", "withdraw", "alice", "35"]) == 2
    assert "expected at most 34.9, which is what the wallet holds, got 35" in capsys.readouterr().err
    assert main(["wallet", "withdraw", "alice", "4.9"]) == 0
    capsys.readouterr()
    assert main(["wallet", "show", "--by-day", "--json"]) == 0
    last = rows(capsys)[-1]
    assert (last["put_in"], last["equity"]) == ("25.1", "45.1")
    assert main(["wallet", "show", "--json"]) == 0
    (row,) = rows(capsys)
    assert (row["cash"], row["put_in"]) == ("30", "25.1")


@pytest.mark.parametrize(
    "words, says",
    [
        (["deposit", "bob", "1"], 'FOLLOWER: expected a follower with a paper wallet, got "bob"'),
        (["deposit", "nobody", "1"], 'FOLLOWER: expected a follower with a paper wallet, got "nobody"'),
        (["deposit", "alice", "much"], "AMOUNT: expected a decimal number"),
        (["deposit", "alice", "0"], "AMOUNT: expected USD above zero"),
        (["withdraw", "alice", "0.0000001"], "AMOUNT: expected a decimal number with at most 6 places"),
    ],
)
def test_bad_input_is_one_clear_line(conf: Path, capsys: Capture, words: list[str], says: str) -> None:
    """Exit code 2, and nothing is asked of anybody."""
    assert main(["wallet", *words]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    "change, says",
    [
        (("paper_usd = 20", "paper_usd = 0"), "wallet.small.paper_usd: expected a value from 0.000001"),
        (("paper_usd = 20", 'paper_usd = "x"'), "wallet.small.paper_usd: expected a decimal number"),
        (("paper_usd = 20", "papers = 20"), "wallet.small.papers: unknown key"),
        (
            ('wallet = "small"', 'wallet = "smal"'),
            'follower[0].wallet: expected a configured wallet (small), got "smal"',
        ),
        (("[wallet.small]\npaper_usd = 20", "wallet = 3"), "wallet: expected tables with a name each, got 3"),
        (("[chain]", '[engine]\nmode = "live"\n[chain]'), "wallet.small.paper_usd: expected none in mode live"),
    ],
)
def test_a_wallet_that_cannot_be_is_named(conf: Path, capsys: Capture, change: tuple[str, str], says: str) -> None:
    """Where, what was expected, what was there."""
    text = conf.read_text()
    if change[1] == "wallet = 3":
        text = "wallet = 3\n" + text.replace(change[0], "")
    conf.write_text(text.replace(*change))
    assert main(["check", str(conf)]) == 2
    assert says in capsys.readouterr().err
