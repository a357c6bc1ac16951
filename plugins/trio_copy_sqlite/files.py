"""The file itself: who may use it, and whether it can be trusted."""

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trio_copy.errors import ConfigError
from trio_copy_sqlite.schema import migrate

_BUSY_MS = 10_000


def file_of(place: str) -> Path:
    """Return the one name of a file: two names of it must meet at one lock."""
    return Path(place).expanduser().resolve()


@contextmanager
def open_file(place: str, name: str, *, guest: bool, make: bool) -> Iterator[sqlite3.Connection]:
    """Open the file, lock it for this engine, and check it; closed and unlocked at the end.

    A guest takes no lock: it may look, and change follows and modes, while an engine runs.

    Raises:
        ConfigError: in use by another engine, not ours, not writable, corrupt, or missing for a guest.
    """
    path = file_of(place)
    _check_owner(path, name)
    if guest:
        if not make and not path.exists():
            raise ConfigError([f"{name}: {path} does not exist yet; the first run makes it"])
        with _connection(path, name) as connection:
            yield connection
        return
    with _lock(path, name), _connection(path, name) as connection:
        _check_whole(connection, path, name)
        yield connection


def _check_owner(path: Path, name: str) -> None:
    if not path.parent.is_dir():
        raise ConfigError([f"{name}: the directory {path.parent} does not exist"])
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError([f"{name}: {path} cannot be looked at: {error.strerror}"]) from None
    if not path.is_file():
        raise ConfigError([f"{name}: expected a file, got {path}"])
    if status.st_uid != os.geteuid():
        raise ConfigError([f"{name}: {path} belongs to user {status.st_uid}, this process runs as user {os.geteuid()}"])


@contextmanager
def _lock(path: Path, name: str) -> Iterator[None]:
    """Hold an exclusive lock on a file beside it, which the kernel gives up with the process."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError([f"{name}: {path} cannot be locked: {error.strerror}"]) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise ConfigError([f"{name}: {path} cannot be locked: {error.strerror}"]) from None
            holder = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
            raise ConfigError(
                [f"{name}: {path} is in use by process {holder}: one engine at a time; stop it, or use another file"]
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


@contextmanager
def _connection(path: Path, name: str) -> Iterator[sqlite3.Connection]:
    connection = None
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        # Every commit reaches the disk before anybody hears of it: NORMAL would survive a kill, not a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        _use_wal(connection, path, name)
        migrate(connection, f"{name}: {path}")
    except (OSError, sqlite3.Error) as error:
        if connection is not None:
            connection.close()
        raise ConfigError([f"{name}: {path} cannot be used: {error}"]) from None
    except ConfigError:
        if connection is not None:
            connection.close()
        raise
    try:
        yield connection
    finally:
        connection.close()


def _use_wal(connection: sqlite3.Connection, path: Path, name: str) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise ConfigError([f"{name}: {path} lies on a file system without shared memory, which WAL needs"])


def _check_whole(connection: sqlite3.Connection, path: Path, name: str) -> None:
    try:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict != "ok":
        raise ConfigError([f"{name}: {path} is corrupt: {verdict}; restore a copy, the engine does not guess"])
