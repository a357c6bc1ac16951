"""What an operator does to a running copy: pauses, changes of many follows, exits, backups."""

import json
from pathlib import Path

import pytest

from tests.builders import LEADER, OTHER_LEADER
from tests.cli.test_books import CONF, fill
from trio_copy.cli import main
from trio_copy.engine.plan import load_plan

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose file of books exists already: alice follows by it, bob by a command."""
    path = tmp_path / "conf.toml"
    path.write_text(CONF.format(path=tmp_path / "books.db", leader=LEADER))
    monkeypatch.setenv("TRIO_COPY_CONF", str(path))
    fill(path, lambda store: store.follows.put(load_plan(path).settings.follows()), make=True)
    assert main(["follow", "add", "bob", OTHER_LEADER, "size.ratio=0.05"]) == 0
    return path


@pytest.mark.parametrize(
    ("words", "name", "scope"),
    [
        (["--leader", OTHER_LEADER], f"leader {OTHER_LEADER}", f"leader:{OTHER_LEADER}"),
        (["--follower", "alice"], "follower alice", "follower:alice"),
        ([f"alice:{LEADER}"], f"alice:{LEADER}", f"follow:alice:{LEADER}"),
        (["--follower", "bob", "--leader", OTHER_LEADER], f"bob:{OTHER_LEADER}", f"follow:bob:{OTHER_LEADER}"),
    ],
)
def test_what_is_paused_is_listed_until_it_is_resumed(
    conf: Path, capsys: Capture, words: list[str], name: str, scope: str
) -> None:
    """One that stands in the configuration as well; said twice, nothing changes."""
    capsys.readouterr()
    assert main(["pause", *words, "--why", "on holiday"]) == 0
    assert main(["pause", *words]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{name} is paused: no entries are copied, exits go on; it ends by: trio-copy resume ")
    assert second.startswith(f"{name} is paused already")
    assert main(["mode", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["scope"], row["mode"], row["why"]) for row in rows[1:]] == [
        (f"pause of {scope}", "reduce-only", "on holiday")
    ]
    assert main(["resume", *words]) == 0
    assert capsys.readouterr().out == f"{name} is resumed\n"
    assert main(["resume", *words]) == 2
    assert "expected what is paused" in capsys.readouterr().err


def test_a_resume_says_what_still_forbids_entries(conf: Path, capsys: Capture) -> None:
    """A mode, and a pause that is wider."""
    for words in (["pause", "--leader", LEADER], ["pause", f"alice:{LEADER}"], ["mode", "halt-new", "--why", "a test"]):
        assert main(words) == 0
    capsys.readouterr()
    assert main(["resume", f"alice:{LEADER}"]) == 0
    shown = capsys.readouterr().out
    assert "still, engine is halt-new: a test; still, pause of leader:0x" in shown


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--leader", "0x12"],
        ["--leader", "0x" + "9" * 40],
        ["--follower", "nobody"],
        ["alice"],
        [f"alice:{LEADER}", "--follower", "alice"],
        [f"alice:{OTHER_LEADER}"],
    ],
)
def test_a_pause_of_nobody_is_refused(conf: Path, capsys: Capture, words: list[str]) -> None:
    """A slip of the hand must not look as if something were paused."""
    assert main(["pause", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["mode", "--csv"]) == 0
    assert "pause" not in capsys.readouterr().out
