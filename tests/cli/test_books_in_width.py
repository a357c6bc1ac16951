"""What commands show of the books on narrow and wide terminals, and what words and names look like there."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tests.builders import LEADER, NOW, TOKEN, make_signal, make_task
from tests.cli.filled import Owner
from tests.cli.small_books import conf, own, rows, trade_a_little
from trio_copy.accounts.commands import Pass
from trio_copy.cli import main
from trio_copy.cli.positions import COLUMNS as POSITIONS
from trio_copy.cli.tables import Column, show
from trio_copy.cli.trades import COLUMNS as TRADES
from trio_copy.model.decisions import Code, Reason, Skip
from trio_copy.model.ids import FollowerId
from trio_copy.model.orders import Order

__all__ = ["conf"]
Capture = pytest.CaptureFixture[str]


def test_ids_are_shortened_and_words_are_not(conf: Path, capsys: Capture) -> None:
    """The limit that a copy met is read by people: half a sentence says nothing."""

    def gather(owner: Any) -> None:
        task = make_task(make_signal(1))
        reason = Reason(code=Code.GATHERED, control="aggregate", value="a" * 64, limit="an order of its own")
        skip = Skip(signal_id=task.signal.signal_id, follower=FollowerId("bob"), leader=LEADER, reason=reason)
        owner.do("bob", Pass(skip=skip, signal=task.signal, at=NOW))

    own(conf, gather)
    assert main(["skips"]) == 0
    shown = capsys.readouterr().out
    assert "aggregate: aaaaaa..aaaa, expected an order of its own" in shown


@pytest.mark.parametrize("width", [80, 120, 200])
def test_what_is_looked_up_or_typed_is_whole_on_every_terminal(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """The control that said no, its code, and as much of an order's id as a command needs; other columns make room."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    control, code = "filters.min_hours_to_end", Code.CONDITION_NOT_ALLOWED

    def refuse(owner: Owner) -> Order:
        signal = make_signal(1)
        reason = Reason(code=code, control=control, value="a question of many words, and of more than that", limit="2")
        skip = Skip(signal_id=signal.signal_id, follower=FollowerId("bob"), leader=LEADER, reason=reason)
        owner.do("bob", Pass(skip=skip, signal=signal, at=NOW))
        return owner.place(make_task(make_signal(2)))

    order = own(conf, refuse)
    assert main(["skips"]) == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert control in shown
    assert code.name in shown
    assert {"question", "words,", "more", "limit"} <= set(shown.split())
    assert main(["orders", "list"]) == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    named = next(word for word in shown.split() if word.startswith("0x"))
    assert order.order_id.startswith(named)
    assert main(["orders", "cancel", named]) == 2  # it is found, and does not rest
    assert "expected an order that rests" in capsys.readouterr().err


@pytest.mark.parametrize("width", [80, 110, 250])
@pytest.mark.parametrize("of", [POSITIONS, TRADES], ids=["positions", "trades"])
def test_the_answers_to_a_question_look_different(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, of: Sequence[Column[Any]], width: int
) -> None:
    """However narrow it is; and what found no room is named in a line, so that nobody takes it for missing."""
    question = "Will the Los Angeles Lakers win the championship in the season of 2026-2027?"

    def read(row: dict[str, str], name: str) -> str:
        return row.get(name, "12")

    told = [evolve(column, value=partial(read, name=column.name), missing=None) for column in of]
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    show(told, [{"label": f"{question} YES"}, {"label": f"{question} NO"}], json=False, csv_=False, empty="")
    header, yes, no, *note = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()

    assert yes != no
    assert ("YES" in yes, "NO" in no) == (True, True)
    missing = [
        name for column in of if (name := column.name.replace("_", " ")) not in re.split(" {2,}", header.strip())
    ]
    assert " ".join(" ".join(note).split()).startswith(f"no room for: {', '.join(missing)} (" if missing else "")
    assert bool(note) == bool(missing)


def test_settings_are_listed_as_they_are_typed(conf: Path, capsys: Capture) -> None:
    """What a list shows can be given to `follow set`: no Python's brackets, no Python's True."""
    typed = ["filters.sides=BUY,SELL", "leaving.redeem=false", "size.ratio=0.02"]
    assert main(["follow", "add", "bob", LEADER, *typed]) == 0
    capsys.readouterr()
    assert main(["follow", "list", "--follower", "bob", "--json"]) == 0
    (row,) = rows(capsys)
    assert row["settings"].split() == typed
    assert main(["follow", "set", f"bob:{LEADER}", *row["settings"].split()]) == 0
    assert "nothing changes" in capsys.readouterr().out


def test_a_market_without_a_name_is_called_by_its_number(conf: Path, capsys: Capture) -> None:
    """Rows that say nothing of what they are about are hardly worth reading; machines get null as ever."""
    own(conf, trade_a_little)
    for verb in ("positions", "trades"):
        assert main([verb]) == 0
        assert f"token {TOKEN}" in capsys.readouterr().out
        assert main([verb, "--json"]) == 0
        assert {row["label"] for row in rows(capsys)} == {None}


@pytest.mark.parametrize("width", [80, 110, 150, 250])
@pytest.mark.parametrize("verb", ["positions", "trades", "skips", "pnl"])
def test_no_terminal_is_too_narrow_for_a_number(
    conf: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int, verb: str
) -> None:
    """A narrow terminal loses whole columns of detail and the ends of labels, never a part of a figure."""
    own(conf, trade_a_little)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert main([verb]) == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    last = {"positions": "realised", "trades": "task id", "skips": "why", "pnl": "total"}[verb]
    assert last in shown.splitlines()[0]
    assert not re.search(r"[0-9]…", shown)
    assert max(map(len, (line.rstrip() for line in shown.splitlines()))) <= width
