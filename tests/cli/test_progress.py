"""What a long command says of itself where nobody sees a bar: in a pipe, a log, a build."""

import ast
import io
import sys
from pathlib import Path
from threading import Event

import pytest
import trio

from tests.builders import LEADER, NOW, POLYGON
from tests.harness import make_test_plan
from trio_copy.cli import main
from trio_copy.cli import progress as told
from trio_copy.cli.opened import ask_store
from trio_copy.cli.progress import progress
from trio_copy.config import PluginTable
from trio_copy.ports import Store
from trio_copy.testing.devnet import open_devnet


class Pipe(io.StringIO):
    """Standard error that lets a test wait for what is written."""

    def __init__(self) -> None:
        super().__init__()
        self._written = Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        self._written.set()
        return count

    def wait_for(self, begins: str) -> None:
        """Wait for a line that begins so."""
        while not self._has(begins):
            self._written.clear()
            if not self._has(begins):
                assert self._written.wait(10), f"no {begins!r} in {self.getvalue()!r}"

    def _has(self, begins: str) -> bool:
        return any(line.startswith(begins) for line in self.getvalue().splitlines())


def open_pipe(monkeypatch: pytest.MonkeyPatch, every_s: float = 0.005) -> Pipe:
    """Let standard error be a pipe, and a line of it due so often. Called by the test: pytest sets it after the fixtures."""
    pipe = Pipe()
    monkeypatch.setattr(sys, "stderr", pipe)
    monkeypatch.setattr(told, "_EVERY_S", every_s)
    return pipe


def test_what_takes_long_says_how_far_it_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it waits for something, and has told nothing yet; nothing is said once it is over."""
    pipe = open_pipe(monkeypatch)
    with progress("fetching", None) as tell:
        pipe.wait_for("fetching, for ")
        tell(0, 12_345)
        pipe.wait_for("fetching: 0 of 12,345, for ")
        tell(1_200)
        pipe.wait_for("fetching: 1,200 of 12,345, for ")
    lines = pipe.getvalue()
    with progress("ranking", None) as tell:
        tell(7)
        pipe.wait_for("ranking: 7, for ")
    assert pipe.getvalue().startswith(lines + "ranking")


def test_what_is_over_soon_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = open_pipe(monkeypatch, every_s=60.0)
    with pytest.raises(ValueError, match="whatever"), progress("fetching", 3):
        raise ValueError("whatever")
    assert pipe.getvalue() == ""


def test_what_takes_minutes_speaks_less_often() -> None:
    """A line every four seconds for a minute, then every thirty: hours shall fit into a log."""
    pauses = list[float]()

    class Over(Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            pauses.append(timeout)
            return len(pauses) == 20

    told._Lines("fetching", None).tell_until(Over())
    assert pauses == [4.0] * 15 + [30.0] * 5


def test_a_pipe_that_nobody_reads_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = Event()

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            tries.set()
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    monkeypatch.setattr(told, "_EVERY_S", 0.001)
    with progress("fetching", 3) as tell:
        assert tries.wait(60)
        tell(3)


async def test_a_fetch_in_a_pipe_says_that_it_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = open_pipe(monkeypatch, every_s=0.001)
    async with open_devnet(POLYGON, lambda: NOW) as devnet:
        for _ in range(200):
            devnet.chain.mine()
        words = ("fetch", str(tmp_path / "past.rec"), "--leader", LEADER, "--since", "2025-01-01", "--url", devnet.url)
        assert await trio.to_thread.run_sync(main, words) == 0, pipe.getvalue()
    pipe.wait_for("fetching")


def test_what_asks_a_store_says_that_it_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner that has just died is waited for as long as its lease lasts."""
    pipe = open_pipe(monkeypatch)

    async def ask(store: Store) -> int:
        await trio.to_thread.run_sync(pipe.wait_for, "asking the store, for ")
        return 7

    plan = make_test_plan(
        store=PluginTable(name="sqlite", plugin="sqlite", options={"path": str(tmp_path / "books.db")})
    )
    assert ask_store(plan, ask, make=True) == 7


_SOON = {
    "devnet": "says what it does",
    "run": "has a status line",
    "selftest": "writes each step, and has a limit",
    "verify": "one waits for as long as it is told, the other has a progress of its own",
    "live": "opens keys, for each of which a person may be asked",
    "recorded": "within the progress of who plays",
    "compared": "within the progress of who compares",
    "load": "has a progress of its own within",
}


@pytest.mark.parametrize("path", sorted(Path(told.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_whatever_waits_tells_that_it_does(path: Path) -> None:
    """Each verb that runs something which may take long does it within `progress` or `telling`."""
    tree = ast.parse(path.read_text())
    told_in = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        and any(ast.unparse(item.context_expr).startswith(("telling(", "progress(")) for item in node.items)
    ]
    covered = {id(inner) for outer in told_in for inner in ast.walk(outer)}
    silent = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "trio.run" and id(node) not in covered
    ]
    assert bool(silent) == (path.stem in _SOON), f"{path}, lines {silent}: within `telling`, or say above why not"
