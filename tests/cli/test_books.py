"""Commands show what is in the books, on a real file, as a person at a terminal meets them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from tests.builders import LEADER, NOW, make_signal, make_task
from tests.cli.filled import Owner
from tests.cli.small_books import CONF, conf, own, rows, trade_a_little
from trio_copy.cli import main
from trio_copy.cli.opened import ask_store
from trio_copy.cli.standing import read_standings, standing_lines
from trio_copy.engine.plan import load_plan
from trio_copy.model.fills import Side
from trio_copy.model.orders import Settlement
from trio_copy.ports import NOBODY, Document
from trio_copy.records import write_plain

__all__ = ["conf"]
Capture = pytest.CaptureFixture[str]


def test_positions_trades_and_skips_show_what_is_in_the_file(conf: Path, capsys: Capture) -> None:
    """Every figure with all its digits for machines, and for people a table that says the same."""
    own(conf, trade_a_little)
    assert main(["positions", "--json"]) == 0
    (held,) = rows(capsys)
    assert (held["shares"], held["cost"], held["realised"], held["bid"]) == ("5", "3.55", "3.25", "0.9")
    assert (held["value"], held["unrealised"], held["fees"]) == ("4.5", "0.95", "0.3")

    assert main(["trades", "--json"]) == 0
    sale, dear, cheap = rows(capsys)
    assert (sale["side"], sale["slippage_bps"], dear["slippage_bps"], cheap["slippage_bps"]) == ("SELL", -6000, 4000, 0)
    assert {"firm"} == {row["settlement"] for row in (sale, dear, cheap)}

    assert main(["skips", "--csv"]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert "PRICE_TOO_HIGH,filters.price_max,0.99,0.9" in line
    assert header.startswith("at,follower,leader")
    assert ",label,code," in header

    for verb in ("positions", "trades", "skips", "pnl"):
        assert main([verb]) == 0
        assert main([verb, "--follower", "nobody"]) == 0
    shown = capsys.readouterr().out
    assert "nothing is held" in shown
    assert "nothing was traded" in shown


_OF_ALISE = [
    *(([verb, "--follower", "alise"], 0) for verb in ("positions", "trades", "skips", "pnl", "fidelity")),
    (["follow", "list", "--follower", "alise"], 0),
    (["wallet", "show", "--follower", "alise"], 0),
    (["wallet", "show", "--by-day", "--follower", "alise"], 0),
    (["export", "trades", "trades.csv", "--follower", "alise"], 0),
    (["export", "ledger", "ledger.csv", "--follower", "alise"], 0),
    (["wallet", "deposit", "alise", "5"], 2),
    (["wallet", "withdraw", "alise", "5"], 2),
    (["pause", "--follower", "alise"], 2),
    (["resume", "--follower", "alise"], 2),
    (["exit", "--follower", "alise"], 2),
    (["mode", "halt-new", "--follower", "alise"], 2),
    (["follow", "set", "--follower", "alise", "size.ratio=0.02"], 2),
]


@pytest.mark.parametrize("words, code", _OF_ALISE, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_a_follower_that_is_misspelled_is_told(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int
) -> None:
    """That nothing is found of him says nothing about the one who was meant; where anybody may follow, he may exist."""
    monkeypatch.chdir(conf.parent)
    assert main(words) == code
    said = "".join(capsys.readouterr())
    assert '; did you mean "alice"?' in said
    assert "the configuration has no" not in said
    conf.write_text(conf.read_text().replace('id = "*"', 'id = "bob"'))
    assert main(words) == code
    said = "".join(capsys.readouterr())
    assert '; the configuration has no follower "alise"; did you mean "alice"?' in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("verb", ["positions", "trades", "skips", "pnl", "fidelity"])
def test_one_who_is_known_is_no_stranger(conf: Path, capsys: Capture, verb: str) -> None:
    """Of bob there is nothing yet, and that is all."""
    conf.write_text(conf.read_text().replace('id = "*"', 'id = "bob"'))
    assert main([verb, "--follower", "bob"]) == 0
    assert "follower" not in capsys.readouterr().out


def test_profits_add_up_by_anything_and_for_any_time(conf: Path, capsys: Capture) -> None:
    """Realised, unrealised and their sum; a time leaves the unrealised part out."""
    own(conf, trade_a_little)
    assert main(["pnl", "--json"]) == 0
    (row,) = rows(capsys)
    assert row == {
        "name": "alice",
        "trades": 3,
        "bought": "12",
        "sold": "12",
        "fees": "0.3",
        "realised": "3.25",
        "provisional": "0",
        "unrealised": "0.95",
        "total": "4.2",
    }
    for by in ("leader", "token", "day"):
        assert main(["pnl", "--by", by, "--json"]) == 0
        assert [row["realised"] for row in rows(capsys)] == ["3.25"]
    assert main(["pnl", "--until", "2025-11-24T16:00:01", "--json"]) == 0
    (early,) = rows(capsys)
    assert (early["trades"], early["realised"], early["unrealised"]) == (1, "0", None)


def test_a_reversed_trade_earns_nothing(conf: Path, capsys: Capture) -> None:
    """What never settled is in no sum, and says so where it is listed."""

    def trade(owner: Owner) -> None:
        gone, bought = make_task(make_signal(1)), make_task(make_signal(2))
        order = owner.fill(gone, shares="10", dollars="5", settlement=Settlement.PENDING)
        owner.fill(bought, shares="10", dollars="5", at=NOW + 1, settlement=Settlement.PENDING)
        owner.answer(order, "10", "5", "", NOW + 2, Settlement.FAILED)

    own(conf, trade)
    assert main(["pnl", "--json"]) == 0
    assert [(row["trades"], row["bought"]) for row in rows(capsys)] == [(1, "5")]
    assert main(["trades", "--json"]) == 0
    assert [row["settlement"] for row in rows(capsys)] == ["provisional", "reversed"]
    assert main(["trades", "--json", "--until", "2025-11-24T16:00:01"]) == 0
    assert [row["settlement"] for row in rows(capsys)] == ["reversed"]


def test_one_copy_is_told_from_the_log_to_the_booking(conf: Path, capsys: Capture) -> None:
    """Each moment has its time and its words; a name that leads nowhere is one clear line."""
    task = own(conf, trade_a_little)
    assert main(["explain", "trade", task[:10]]) == 0
    story = capsys.readouterr().out
    for step in ("leader", "seen", "decided", "taken up", "frozen", "sent", "booked", "ended"):
        assert step in story
    assert not [line for line in story.splitlines() if line != line.rstrip()]
    assert main(["explain", "trade", task, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["record"]["task"]["task_id"] == task
    assert main(["explain", "trade", "nothing"]) == 2
    assert "expected the beginning of a task" in capsys.readouterr().err


def test_closed_positions_are_listed_when_asked_for(conf: Path, capsys: Capture) -> None:
    """With what they earned; nothing is held of them."""

    def in_and_out(owner: Owner) -> None:
        owner.fill(make_task(make_signal(1)), dollars="5")
        sell = make_task(make_signal(2, side=Side.SELL))
        owner.fill(evolve(sell, intent=evolve(sell.intent, sell="all")), dollars="7", at=NOW + 1)

    own(conf, in_and_out)
    assert main(["positions"]) == 0
    assert "nothing is held" in capsys.readouterr().out
    assert main(["positions", "--all", "--json"]) == 0
    assert [(row["shares"], row["realised"]) for row in rows(capsys)] == [("0", "2")]


def test_the_books_of_an_earlier_version_are_a_way_out(conf: Path, tmp_path: Path, capsys: Capture) -> None:
    """As lines of JSON, with how modes are set again; a file of this version is refused, and a store without a past."""
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as file:
        file.executescript(
            """
            PRAGMA application_id = 1953655151; PRAGMA user_version = 3;
            CREATE TABLE follows (follower TEXT, leader TEXT, own TEXT, source TEXT, version INTEGER, removed INTEGER);
            INSERT INTO follows VALUES ('alice', '0xaa', '{"size.ratio":"0.5"}', 'command', 1, 0);
            CREATE TABLE modes (scope TEXT, mode TEXT, why TEXT, at REAL);
            INSERT INTO modes VALUES ('follower:alice', 'halt-all', 'she asked', 4.0);
            CREATE TABLE entries (seq INTEGER, record TEXT);
            INSERT INTO entries VALUES (1, '{"key":"a\u2028","shares":"1"}');
            """
        )
    assert main(["export-books"]) == 2
    assert "expected a file of an earlier version" in capsys.readouterr().err
    conf.write_text(conf.read_text().replace("books.db", "old.db"))
    assert main(["positions"]) == 2
    assert "export-books" in capsys.readouterr().err
    assert main(["export-books"]) == 0
    told = capsys.readouterr()
    assert told.err.startswith("the old store has halt-all for follower alice; in the new one, before it runs, ")
    assert f"trio-copy mode halt-all --follower alice --why 'she asked' --conf {conf}\n" in told.err
    assert [json.loads(line) for line in told.out.splitlines()] == [
        {"follow": {"follower": "alice", "leader": "0xaa", "own": {"size.ratio": "0.5"}, "source": "command"}},
        {"mode": {"scope": "follower:alice", "mode": "halt-all", "why": "she asked", "at": 4.0}},
        {"entry": {"key": "a\u2028", "shares": "1"}},
    ]
    conf.write_text(conf.read_text().replace("[store.sqlite]", "[store.memory]").replace("path =", "# path ="))
    assert main(["export-books"]) == 2
    assert "no earlier version can have left anything there" in capsys.readouterr().err


def test_a_store_inside_a_process_is_not_there_for_commands(tmp_path: Path, capsys: Capture) -> None:
    """A command says what it needs instead of showing an empty table."""
    path = tmp_path / "memory.toml"
    path.write_text(CONF.format(path="", leader=LEADER).replace('[store.sqlite]\npath = ""', "[store.memory]"))
    assert main(["positions", "--conf", str(path)]) == 2
    assert "needs a durable one" in capsys.readouterr().err
    assert main(["positions", "--conf", str(tmp_path / "none.toml")]) == 2


def test_what_gas_has_cost_is_shown_by_wallet_and_operator(conf: Path, capsys: Capture) -> None:
    """In the chain's coin, to the last digit; what is kept of an operator besides, and what nobody can read, is no row.

    What an operator paid for no wallet that is a contract, or before that was counted, stands with itself.
    """
    operator, safe = "0x" + "ab" * 20, "0x" + "5a" * 20

    def pay(owner: Owner) -> None:
        for name, body in (
            (f"onchain/137/{operator}/gas", [1, 3, 12_345_678_900_000_001]),
            (f"onchain/137/gas/{safe}/{operator}", [1, 2, 2_000_000_000_000_000]),
            (f"onchain/137/{operator}/began", [1, NOW]),
            (f"onchain/100/{operator}/gas", ["nonsense"]),
        ):
            owner.documents.append(Document(NOBODY, "sending", name, write_plain(body)))

    assert main(["gas"]) == 0
    assert "no transaction is final yet" in capsys.readouterr().out
    own(conf, pay)
    standings = ask_store(load_plan(conf), read_standings)
    assert "gas        0.012345678900000001 coins for 3 transactions of 1 operator" in [
        str(line) for line in standing_lines(standings)
    ]
    assert main(["gas", "--json"]) == 0
    who, coins = {"executor": "onchain", "chain": "137", "operator": operator}, "0.010345678900000001"
    assert rows(capsys) == [
        {**who, "wallet": safe, "transactions": 2, "coins": "0.002"},
        {**who, "wallet": operator, "transactions": 1, "coins": coins},
    ]
    assert main(["gas"]) == 0
    header, for_safe, rest = capsys.readouterr().out.splitlines()
    assert len(header) <= 80
    assert for_safe.split() == ["onchain", "137", "0x5a5a..5a5a", "0xabab..abab", "2", "0.002"]
    assert rest.split() == ["onchain", "137", "0xabab..abab", "0xabab..abab", "1", coins]
    assert main(["pnl"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"gas, not counted above: 0.012345678900000001 coins for 3 transactions; by wallet: trio-copy gas --conf {conf}"
    )
    assert main(["pnl", "--json"]) == 0
    assert "gas" not in capsys.readouterr().out
