"""A file of an earlier version is refused, and what is worth keeping of it can be told."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.plugins.test_sqlite import open_at, refusal
from trio_copy.errors import ConfigError, MadeEarlier
from trio_copy.ports import StorePlugin
from trio_copy_sqlite import trio_copy_register_stores
from trio_copy_sqlite.schema import APPLICATION_ID

_OLD = """
CREATE TABLE entries (
    seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, task_id TEXT NOT NULL,
    follower TEXT NOT NULL, leader TEXT NOT NULL, token TEXT NOT NULL, booked_at REAL NOT NULL,
    record TEXT NOT NULL, booking TEXT NOT NULL
);
CREATE TABLE follows (
    follower TEXT NOT NULL, leader TEXT NOT NULL, own TEXT NOT NULL, source TEXT NOT NULL, version INTEGER NOT NULL,
    removed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (leader, follower)
) WITHOUT ROWID;
CREATE TABLE modes (scope TEXT PRIMARY KEY, mode TEXT NOT NULL, why TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
INSERT INTO modes VALUES ('follower:bob', 'run', 'set by hand', 5.0), ('follower:alice', 'halt-all', 'she asked', 4.0);
INSERT INTO modes VALUES ('engine', 'halt-new', 'the venue moves', 3.0);
INSERT INTO entries VALUES (2, 'k2', 'fill', 't', 'alice', '0xbb', '7', 2.0, '{"key":"k2","fee":"0.01"}', '{}');
INSERT INTO entries VALUES (1, 'k1', 'fill', 't', 'alice', '0xbb', '7', 1.0, '{"key":"k1","shares":"1.5"}', '{}');
INSERT INTO follows VALUES ('alice', '0xbb', '{"size.ratio":"0.5"}', 'command', 1, 0), ('bob', '0xbb', '{}', 'file', 2, 1);
"""


def old_file(path: Path, version: int) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_OLD)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    return path


def export(path: Path) -> list[str]:
    registered: list[StorePlugin] = []
    trio_copy_register_stores(registered.append)
    (plugin,) = registered
    lines: list[str] = []
    assert plugin.export_old is not None
    plugin.export_old(plugin.settings(path=str(path)), lines.append)
    return lines


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_an_old_file_is_refused_with_a_way_out(tmp_path: Path, version: int) -> None:
    """By an engine and by a command, in one line that says what comes first; not a byte of it is changed."""
    path = old_file(tmp_path / "old.db", version)
    before = path.read_bytes()
    for guest in (False, True):
        line = await refusal(path, MadeEarlier, guest=guest)
        assert f"expected version 5, got {version}" in line
        assert line.endswith("export its follows and ledger first, then use another file")
    assert path.read_bytes() == before


def test_its_follows_its_modes_and_its_ledger_are_told(tmp_path: Path) -> None:
    """As one JSON object a line: what is followed, what is halted, then every entry in the order of booking."""
    lines = [msgspec.json.decode(line) for line in export(old_file(tmp_path / "old.db", 3))]
    assert lines == [
        {"follow": {"follower": "alice", "leader": "0xbb", "own": {"size.ratio": "0.5"}, "source": "command"}},
        {"mode": {"scope": "engine", "mode": "halt-new", "why": "the venue moves", "at": 3.0}},
        {"mode": {"scope": "follower:alice", "mode": "halt-all", "why": "she asked", "at": 4.0}},
        {"entry": {"key": "k1", "shares": "1.5"}},
        {"entry": {"key": "k2", "fee": "0.01"}},
    ]


async def test_what_cannot_be_told_is_refused(tmp_path: Path) -> None:
    """No file, a file of this version, of another program, or no database: one line each."""
    async with open_at(tmp_path / "new.db"):
        pass
    (tmp_path / "garbage.db").write_bytes(b"not a database" * 1000)
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE recipes (name)")
    for name, words in (
        ("missing.db", "does not exist"),
        ("new.db", "expected a file of an earlier version, 3 or older, got 5"),
        ("garbage.db", "cannot be read: file is not a database"),
        ("other.db", "another program"),
    ):
        with pytest.raises(ConfigError, match=words):
            export(tmp_path / name)
