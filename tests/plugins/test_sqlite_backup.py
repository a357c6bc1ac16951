"""A copy of a file that is in use, and back again."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.builders import LEADER
from tests.plugins.test_sqlite import open_at
from trio_copy.errors import ConfigError
from trio_copy.model.follows import Follow
from trio_copy.model.ids import FollowerId
from trio_copy_sqlite import SqliteSettings
from trio_copy_sqlite.backup import back_up, restore
from trio_copy_sqlite.files import locked

_MANY = 300
"""Follows that take more than one step of a copy."""


def nobody(part: float) -> None:
    """Hear how far it is, and do nothing."""


def names_in(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def follow(number: int) -> Follow:
    return Follow(follower=FollowerId(f"{'x' * 3000}-{number:06d}"), leader=LEADER)


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM follows").fetchone()[0])


async def made(path: Path, follows: int = 2) -> SqliteSettings:
    """Make a store with some follows."""
    async with open_at(path) as store:
        await store.follows.put([follow(number) for number in range(follows)])
    return SqliteSettings(path=str(path))


async def test_a_copy_is_one_moment_of_a_file_that_is_written_to(tmp_path: Path) -> None:
    """Each step lets the engine write; the copy does not start anew for that, and has none of it."""
    path, copy, steps = tmp_path / "books.db", tmp_path / "copy.db", 0
    async with open_at(path) as store:
        await store.follows.put([follow(number) for number in range(_MANY)])

        def write(part: float) -> None:
            nonlocal steps
            steps += 1
            assert not copy.exists()
            trio.from_thread.run(store.follows.put, [follow(_MANY + steps)])

        told = await trio.to_thread.run_sync(partial(back_up, SqliteSettings(path=str(path)), copy, write))
        assert "whole" in told
        assert 1 < steps < 20
        assert count(path) == _MANY + steps
    assert count(copy) == _MANY
    assert copy.stat().st_mode & 0o777 == 0o600
    assert names_in(tmp_path) == {"books.db", "books.db.lock", "copy.db"}


async def test_a_restore_keeps_what_was_there(tmp_path: Path) -> None:
    """The store is what the copy was, whatever stands in the log of the file before; that one can still be opened."""
    path, copy = tmp_path / "books.db", tmp_path / "copy.db"
    settings = await made(path)
    back_up(settings, copy, nobody)
    with closing(sqlite3.connect(path)) as killed:  # as after a kill: what is newest stands in the log alone
        killed.execute("DELETE FROM follows")
        killed.commit()
        with closing(sqlite3.connect(path)) as other:
            other.execute("SELECT count(*) FROM follows").fetchone()
            assert path.with_name("books.db-wal").stat().st_size
            told = restore(settings, copy, nobody)
    kept = tmp_path / "books.db.before-restore-1"
    assert str(kept) in told
    assert (count(path), count(kept), count(copy)) == (2, 0, 2)
    async with open_at(path) as store:
        assert len((await store.follows.load())[1]) == 2
    restore(settings, copy, nobody)
    assert (tmp_path / "books.db.before-restore-2").exists()


async def test_a_restore_makes_a_file_where_there_is_none(tmp_path: Path) -> None:
    """On another machine, say."""
    copy = tmp_path / "copy.db"
    back_up(await made(tmp_path / "books.db"), copy, nobody)
    restore(SqliteSettings(path=str(tmp_path / "new.db")), copy, nobody)
    assert count(tmp_path / "new.db") == 2
    assert not [name for name in names_in(tmp_path) if "before-restore" in name]


@contextmanager
def ended(path: Path) -> Iterator[None]:
    """Let nothing hold the file."""
    yield


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("missing", "expected a file, got none"),
        ("foreign", "got a database of another program"),
        ("newer", "expected a file of version 5, got 9"),
        ("text", "cannot be copied: file is not a database"),
        ("cut", "cannot be copied|is corrupt"),
        ("itself", "expected a copy, got the store's own file"),
        ("in use", "is in use by process"),
    ],
)
async def test_what_is_no_good_copy_changes_nothing(tmp_path: Path, spoil: str, says: str) -> None:
    """Nor does a restore under a running engine; one line says why."""
    path, copy = tmp_path / "books.db", tmp_path / "copy.db"
    settings = await made(path, _MANY)
    back_up(settings, copy, nobody)
    match spoil:
        case "missing":
            copy.unlink()
        case "foreign" | "newer":
            with closing(sqlite3.connect(copy)) as connection:
                connection.execute(f"PRAGMA {'application_id' if spoil == 'foreign' else 'user_version'} = 9")
        case "text":
            copy.write_text("nonsense " * 1000)
        case "cut":
            copy.write_bytes(copy.read_bytes()[:8192] + bytes(copy.stat().st_size - 8192))
        case "itself":
            copy = path
    before = path.read_bytes()
    with locked(path, "test") if spoil == "in use" else ended(path), pytest.raises(ConfigError, match=says):
        restore(settings, copy, nobody)
    assert path.read_bytes() == before
    assert not [name for name in names_in(tmp_path) if "part" in name or "restore" in name]


async def test_a_backup_takes_no_name_that_is_in_use(tmp_path: Path) -> None:
    """Nor one in a folder that does not exist; and nothing is made of a store that does not exist."""
    settings = await made(tmp_path / "books.db")
    taken = tmp_path / "taken"
    taken.write_text("mine")
    for target, says in ((taken, "does not exist yet"), (tmp_path / "no" / "copy", "cannot be written")):
        with pytest.raises(ConfigError, match=says):
            back_up(settings, target, nobody)
    assert taken.read_text() == "mine"
    with pytest.raises(ConfigError, match="does not exist yet"):
        back_up(SqliteSettings(path=str(tmp_path / "none.db")), tmp_path / "copy", nobody)


async def test_a_backup_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    """A person presses Ctrl-C in the middle."""
    settings = await made(tmp_path / "books.db", _MANY)

    def interrupt(part: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(settings, tmp_path / "copy.db", interrupt)
    assert names_in(tmp_path) == {"books.db", "books.db.lock"}
