"""A first configuration: asked for, or told by options; good as it is."""

import io
import stat
from pathlib import Path

import pytest

from tests.builders import LEADER, OTHER_LEADER
from trio_copy.cli import main
from trio_copy.config import to_checksum
from trio_copy.engine.plan import load_plan
from trio_copy.model.units import Ratio, Usd

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


class Terminal(io.StringIO):
    """A standard input at which a person sits."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A user without anything, in a folder of his own; nobody sits at the terminal."""
    monkeypatch.delenv("TRIO_COPY_CONF", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_options_alone_make_a_file_whose_books_can_be_looked_at(home: Path, capsys: Capture) -> None:
    """Nothing is asked; the file is good, its books are in the data folder, and a command finds both without a word."""
    assert main(["init", "--leader", LEADER, "--leader", f"Fish={OTHER_LEADER}", "--max-day-usd", "50"]) == 0
    shown = capsys.readouterr().out
    assert "trio-copy.toml written; try it, on paper: trio-copy run trio-copy.toml" in shown
    assert main(["check", "trio-copy.toml"]) == 0
    plan = load_plan(Path("trio-copy.toml"))
    terms = [plan.settings.terms().of(follow).settings for follow in plan.settings.follows()]
    assert [(one.name, one.size.ratio, one.caps.max_order_usd) for one in terms] == [
        (None, Ratio.parse("0.01"), Usd.parse(20)),
        ("Fish", Ratio.parse("0.01"), Usd.parse(20)),
    ]
    assert {one.caps.max_day_usd for one in terms} == {Usd.parse(50)}
    folder = home / "data" / "trio-copy"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert f'path = "{folder}/trio-copy.db"' in Path("trio-copy.toml").read_text()
    assert main(["follow", "add", "paper", "0x" + "9" * 40]) == 0  # which makes the books
    assert main(["pnl"]) == 0

    assert main(["init", "other.toml", "--leader", LEADER]) == 0
    Path("trio-copy.toml").unlink()
    assert main(["init", "--leader", LEADER]) == 0
    assert f'path = "{folder}/trio-copy-2.db"' in Path("trio-copy.toml").read_text()


def test_what_no_option_says_is_asked_until_it_can_be_read(home: Path, capsys: Capture, monkeypatch: Patch) -> None:
    """An empty answer takes what stands in brackets."""
    answers = ["0x12", f"a={LEADER}, {OTHER_LEADER}", "much", "$5", "", "0", "300", "~/my books.db"]
    monkeypatch.setattr("sys.stdin", Terminal("".join(f"{answer}\n" for answer in answers)))
    assert main(["init", "mine.toml"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("Whom to copy?") == shown.count("How big is a copy?") == shown.count("of a day may cost") == 2
    assert "[20]: " in shown
    text = Path("mine.toml").read_text()
    for line in (
        "fixed_usd = 5",
        "max_order_usd = 20",
        "max_day_usd = 300",
        f'path = "{home}/my books.db"',
        'name = "a"',
    ):
        assert line in text
    assert text.count(f'leader = "{to_checksum(LEADER)}"') == 1
    assert main(["check", "mine.toml"]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--leader: expected at least one"),
        (["--leader", "0x12"], "--leader: expected an address"),
        (["--leader", f"0xfish={LEADER}"], "--leader: expected up to 32 letters"),
        (["--leader", LEADER, "--size", "lots"], "--size: expected"),
        (["--leader", LEADER, "--size", "0%"], "--size: expected a share above"),
        (["--leader", LEADER, "--size", "30"], "--size: expected at most --max-order-usd, 20, got 30"),
        (["--leader", LEADER, "--max-order-usd", "-1"], "--max-order-usd: expected dollars above 0"),
        (["--leader", LEADER, "--max-order-usd", "0.5"], "caps.max_order_usd: expected at least"),
        (["--leader", LEADER, "--store", "redis://u:secret@h"], "store.redis.url"),
        (["--leader", LEADER, "--store", ""], "--store: expected a file"),
        (["no/such/folder.toml", "--leader", LEADER], "no/such/folder.toml: cannot be written"),
        (["here.txt", "--leader", LEADER], "here.txt: expected a file that does not exist yet"),
    ],
)
def test_nothing_is_written_where_something_is_wrong(home: Path, capsys: Capture, words: list[str], says: str) -> None:
    """One clear line, exit code 2, and no file, also where the file alone shows what is wrong."""
    Path("here.txt").write_text("mine")
    assert main(["init", *words]) == 2
    assert says in capsys.readouterr().err
    assert {path.name for path in home.rglob("*") if path.is_file()} == {"here.txt"}
    assert Path("here.txt").read_text() == "mine"


def test_answers_that_end_too_soon_write_nothing(home: Path, capsys: Capture, monkeypatch: Patch) -> None:
    """Ctrl-D in the middle."""
    monkeypatch.setattr("sys.stdin", Terminal(f"{LEADER}\n1%\n"))
    assert main(["init"]) == 2
    assert "--max-order-usd: expected an answer; nothing was done" in capsys.readouterr().err
    assert not list(home.iterdir())
