"""Two engines as two processes: whatever is done to the files, never do both of them go on."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.plugins.test_sqlite import open_at, put, refusal

_ENGINE = """
import sys, trio
from trio_copy.errors import StoreError
from trio_copy.ports import Changes, Document, StoreContext
from trio_copy_sqlite import SqliteSettings, open_sqlite_store

async def main():
    context = StoreContext(settings=SqliteSettings(path=sys.argv[1]), wall=lambda: 1.0)
    async with open_sqlite_store(context) as store:
        await store.accounts.take(0, 1)
        print("open", flush=True)
        for number, _ in enumerate(sys.stdin, start=1):
            try:
                await store.accounts.write(0, 1, number, Changes(puts=[Document("alice", "order", str(number), b"")]))
            except StoreError as error:
                print(type(error).__name__, flush=True)
            else:
                print("written", flush=True)

trio.run(main)
"""


@contextmanager
def engine(path: Path) -> Iterator[subprocess.Popen[str]]:
    """An engine in a process of its own, which writes once for each line that it is sent."""
    command = [sys.executable, "-c", _ENGINE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()


def writes(process: subprocess.Popen[str]) -> str:
    """Let an engine write once; returns what it says of that."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("write\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def files_of(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}*"))


def _remove_lock(path: Path) -> Path:
    Path(f"{path}.lock").unlink()
    return path


def _remove_file(path: Path) -> Path:
    path.unlink()
    return path


def _name_anew(path: Path) -> Path:
    return path.rename(path.with_name("other.db"))


def _link(path: Path) -> Path:
    other = path.with_name("other.db")
    other.hardlink_to(path)
    return other


def _leave(path: Path) -> Path:
    return path


@pytest.mark.parametrize("harm", [_leave, _remove_lock, _remove_file, _name_anew, _link])
async def test_a_second_engine_is_refused(tmp_path: Path, harm: Callable[[Path], Path]) -> None:
    """Under whatever name the file is opened, and when the file or its lock was removed apart."""
    with ExitStack() as stack:
        process = stack.enter_context(engine(tmp_path / "books.db"))
        assert writes(process) == "written"
        path = harm(tmp_path / "books.db")
        line = await refusal(path)
        holder = str(process.pid) if harm in (_leave, _remove_file) else "another process"
        assert "is in use by" in line
        assert holder in line


async def test_the_first_engine_stops_where_all_was_removed(tmp_path: Path) -> None:
    """Then a second one can start on a new file; the first one's next write fails, and every one after it."""
    path = tmp_path / "books.db"
    with ExitStack() as stack:
        process = stack.enter_context(engine(path))
        assert writes(process) == "written"
        for file in files_of(path):
            file.unlink()
        async with open_at(path) as store:
            await put(store, 1, "second")
            assert [writes(process), writes(process)] == ["StoreUnavailable", "StoreUnavailable"]
            await put(store, 2, "goes on")


async def test_a_killed_engine_leaves_the_file_free(tmp_path: Path) -> None:
    """The kernel gives the locks up with the process, and what it wrote is there."""
    path = tmp_path / "books.db"
    with ExitStack() as stack:
        process = stack.enter_context(engine(path))
        assert writes(process) == "written"
        process.kill()
        process.wait()
        async with open_at(path) as store:
            assert [one.name for one in await store.history.documents("order")] == ["1"]
