"""What is worth keeping of a file that an earlier version made: who copied whom, what a person had halted, and what was booked."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Protocol

import msgspec

from trio_copy.errors import ConfigError
from trio_copy_sqlite.files import file_of
from trio_copy_sqlite.schema import OLD_VERSIONS, version_of


class _Settings(Protocol):
    @property
    def path(self) -> str: ...


class _Follow(msgspec.Struct):
    follower: str
    leader: str
    own: msgspec.Raw
    source: str


class _Mode(msgspec.Struct):
    scope: str
    """"engine", or "follower:" and a name."""
    mode: str
    why: str
    at: float


class _Line(msgspec.Struct, omit_defaults=True):
    follow: _Follow | None = None
    mode: _Mode | None = None
    entry: msgspec.Raw | None = None
    """A ledger entry as it was stored, money as decimal text."""


def export_old(settings: _Settings, write_line: Callable[[str], None]) -> None:
    """Write every follow, every mode but run and every ledger entry, as {"follow": ...}, {"mode": ...} and {"entry": ...}.

    The file is opened for reading only.

    Raises:
        ConfigError: there is no file, or it is not one of an earlier version, or it cannot be read.
    """
    path = file_of(settings.path)
    name = f"store.sqlite.path: {path}"
    if not path.is_file():
        raise ConfigError([f"{name} does not exist"])
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            version = version_of(connection, name)
            if version not in OLD_VERSIONS:
                newest = OLD_VERSIONS[-1]
                raise ConfigError([f"{name}: expected a file of an earlier version, {newest} or older, got {version}"])
            for row in connection.execute(
                "SELECT follower, leader, own, source FROM follows WHERE removed = 0 ORDER BY version"
            ):
                follower, leader, own, source = row
                write_line(_encode(_Line(follow=_Follow(follower, leader, msgspec.Raw(own.encode()), source))))
            for row in connection.execute("SELECT scope, mode, why, at FROM modes WHERE mode != 'run' ORDER BY scope"):
                write_line(_encode(_Line(mode=_Mode(*row))))
            for (record,) in connection.execute("SELECT record FROM entries ORDER BY seq"):
                write_line(_encode(_Line(entry=msgspec.Raw(record.encode()))))
    except sqlite3.Error as error:
        raise ConfigError([f"{name} cannot be read: {error}"]) from None


def _encode(line: _Line) -> str:
    return msgspec.json.encode(line).decode()
