"""What a spreadsheet would calculate reaches it as text, and our own import reads back what our export wrote."""

import csv
import io
import re
from pathlib import Path

import pytest

from trio_copy.cli.follow_files import read_follows, write_csv
from trio_copy.cli.tables import Column, cell_text, short, show, text_cell
from trio_copy.errors import ConfigError
from trio_copy.model.follows import Follow, Follower, Followers, TermsOfFollows
from trio_copy.model.ids import Address, FollowerId
from trio_copy.model.layers import layer
from trio_copy.model.units import Ratio

FORMULAS = ["=1+1", "+SUM(A1)", "-2+3", "@cmd", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "-", "--1", "+a", "\uff1d1"]
NUMBERS = ["-12.5", "+3", "0", "-1", "1e-6", "-0.000001"]
PLAIN = ["", "alice", "'quoted'", "Will it rain? YES", "a=b", "1-2", "0xabc"]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_begins_like_a_formula_becomes_text(text: str) -> None:
    """An apostrophe in front says so to every spreadsheet."""
    assert text_cell(text) == "'" + text


@pytest.mark.parametrize("text", [*NUMBERS, *PLAIN])
def test_numbers_and_other_text_stay_as_they_are(text: str) -> None:
    """A loss of 12.5 dollars is a number, and can be summed up."""
    assert text_cell(text) == text


@pytest.mark.parametrize("text", [*FORMULAS, *NUMBERS, *PLAIN, "'=1", "''=1", "'", "''", "'-1"])
def test_reading_takes_away_what_writing_has_put_there(text: str) -> None:
    """Also where the text has apostrophes of its own."""
    assert cell_text(text_cell(text)) == text


def test_tables_write_cells_that_stay_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A market's title goes through the same cell as everything else; amounts stay amounts."""
    columns = (Column[str]("label", lambda row: row), Column[str]("profit", lambda row: "-12.5"), Column[str]("n", len))
    show(columns, ["=HYPERLINK(1)", "@x"], json=False, csv_=True, empty="")
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [["label", "profit", "n"], ["'=HYPERLINK(1)", "-12.5", "13"], ["'@x", "-12.5", "2"]]


def test_an_export_is_imported_as_it_was(tmp_path: Path) -> None:
    """Names and words that begin like formulas come back unchanged."""
    leader = Address("0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d")
    own = layer({"filters.keyword_deny": frozenset({"=cmd", "-x"}), "size.mode": "fixed", "execution.slippage_bps": 5})
    followers = [FollowerId(name) for name in ("-1-a", "--x", "-5", "alice")]
    follows = [Follow(follower=name, leader=leader, own=own) for name in followers]
    text = write_csv(follows)
    assert all(
        not cell.startswith(("=", "+", "-1-", "--", "@")) for row in csv.reader(io.StringIO(text)) for cell in row
    )
    file = tmp_path / "follows.csv"
    file.write_text(text)
    named = {name: Follower(follower=name, executor="dry-run") for name in followers}
    terms = TermsOfFollows(followers=Followers(named=named))
    assert sorted(read_follows(file, terms, (), lambda done: None), key=lambda one: one.key) == sorted(
        follows, key=lambda one: one.key
    )


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d", "0x6031..f96d"),
        ("45272168124286924281351801112598111791427", "452721..1427"),
        ("594bd88b23ab20ccda1a5694f90dec2e", "594bd8..ec2e"),
        ("0.0000000000001", "0.0000000000001"),
        ("entertainment-awards", "entertainment-awards"),
        ("a-follower-with-a-long-name", "a-follower-with-a-long-name"),
        ("not in: Will it rain?", "not in: Will it rain?"),
    ],
)
def test_only_ids_are_shortened(text: str, seen: str) -> None:
    """A person can still tell an id by its ends; a word or a sentence without its middle says nothing."""
    assert short(text) == seen


LEADER = "0x6031b6eed1c97e853c6e0f03ad3ce3529351f96d"
TERMS = TermsOfFollows(
    followers=Followers(named={FollowerId("alice"): Follower(follower=FollowerId("alice"), executor="dry-run")})
)


@pytest.mark.parametrize(
    "text",
    [
        f"follower,leader,size.ratio\nalice,{LEADER},0.1\n\n\n",
        f"follower,leader,size.ratio\r\n\r\nalice,{LEADER},0.1\r\n,,\r\n,,\r\n",
        f"follower,leader,size.ratio,,\nalice,{LEADER},0.1,,\n,,,,\n",
        f"Follower, Leader ,SIZE.ratio\n alice , {LEADER}\u00a0,\t0.1\n",
    ],
)
def test_what_spreadsheets_leave_behind_is_read_over(tmp_path: Path, text: str) -> None:
    """Empty rows and columns, spaces and no-break spaces, capitals in the header."""
    file = tmp_path / "follows.csv"
    file.write_bytes(text.encode())
    (follow,) = read_follows(file, TERMS, (), lambda done: None)
    assert (follow.follower, follow.leader) == ("alice", LEADER)
    assert follow.own == layer({"size.ratio": Ratio.parse("0.1")})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (f"follower,leader,,\nalice,{LEADER},5,\n".encode(), ":2: : no such setting"),
        (f"follower,leader\nalice,{LEADER}\n".encode("utf-16"), "expected UTF-8, got UTF-16: save it as UTF-8"),
        (f"follower,leader\nalic\xe9,{LEADER}\n".encode("latin-1"), "expected UTF-8, got the byte 0xe9"),
    ],
)
def test_what_a_table_cannot_mean_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    """A value in a column without a name, and letters as other systems write them."""
    file = tmp_path / "follows.csv"
    file.write_bytes(data)
    with pytest.raises(ConfigError, match=re.escape(says)):
        read_follows(file, TERMS, (), lambda done: None)
