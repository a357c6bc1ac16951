"""The file itself: who may use it, whether it can be trusted, and whether it is still the one that has the name."""

import errno
import fcntl
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import define, field

from trio_copy.errors import ConfigError, NotMadeYet, StoreUnavailable
from trio_copy_sqlite.schema import prepare

_BUSY_MS = 10_000
_CACHE_KIB = 16_384
_LOG_PAGES = 4_000
"""The log is folded back when it has so many, 16 MB: seldom, and soon read after a crash."""
CHECKED_BYTES = 64 * 2**20
"""A file of at most this size is looked through at a start, which takes a fraction of a second."""
_WAL_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_UNWRITTEN = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)
_BESIDE = ("", "-wal", "-shm")


def file_of(place: str) -> Path:
    """Return the one name of a file: two names of it must meet at one lock."""
    return Path(place).expanduser().resolve()


def why_failed(error: OSError | sqlite3.Error) -> str:
    """Say why a file failed, and what to do where the process itself may not have more: the system calls that a broken disk."""
    if isinstance(error, OSError):
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return "too many open files: raise the limit of the process (ulimit -n, LimitNOFILE= of systemd)"
        return error.strerror or str(error)
    largest, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if largest != resource.RLIM_INFINITY and getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNWRITTEN:
        return f"{error}; a file of this process has at most {largest} bytes (ulimit -f, LimitFSIZE= of systemd)"
    return str(error)


@define(eq=False)
class Files:
    """What SQLite has open. On Unix it goes on writing into files that were removed: nobody would find that again."""

    path: Path
    _known: dict[str, tuple[int, int]] = field(factory=dict)
    """Device and inode of each."""
    _size: int = 0

    def check(self) -> None:
        """Make sure that what was written is in the files that have the names.

        Raises:
            StoreUnavailable: one of them was removed, replaced or cut short.
        """
        for ending in _BESIDE:
            name = f"{self.path}{ending}"
            try:
                status = os.stat(name)
            except OSError as error:
                raise StoreUnavailable(f"{name} cannot be found any more: {error.strerror}") from None
            identity = (status.st_dev, status.st_ino)
            if self._known.setdefault(ending, identity) != identity:
                raise StoreUnavailable(f"{name} was replaced by another file")
            if not ending:
                # It only ever grows: what is deleted leaves free pages.
                if status.st_size < self._size:
                    raise StoreUnavailable(f"{name} was cut short, from {self._size} bytes to {status.st_size}")
                self._size = status.st_size
        self._check_log()

    def _check_log(self) -> None:
        # Cut to nothing, the log would go on behind a hole, and be taken for empty after a crash.
        with open(f"{self.path}-wal", "rb", buffering=0) as log:
            start = log.read(4)
        if start not in (b"", *_WAL_MAGIC):
            raise StoreUnavailable(f"{self.path}-wal was overwritten")


@contextmanager
def open_file(place: str, name: str, *, guest: bool, make: bool) -> Iterator[tuple[sqlite3.Connection, Files]]:
    """Open the file, lock it for this engine, and check it; closed and unlocked at the end.

    A guest takes no lock: it may look, ask, and change follows and modes, while an engine runs.

    Raises:
        ConfigError: in use by another engine, not ours, not writable, corrupt, or missing for a guest.
    """
    path = file_of(place)
    _check_owner(path, name)
    if guest:
        if not make and not path.exists():
            raise NotMadeYet([f"{name}: {path} does not exist yet; the first run makes it"])
        with _connection(path, name) as connection:
            yield connection, Files(path)
        return
    with _locks(path, name), _connection(path, name) as connection:
        _check_whole(connection, path, name)
        files = Files(path)
        files.check()
        yield connection, files


@contextmanager
def locked(path: Path, name: str) -> Iterator[None]:
    """Keep engines away from a file. Raises `ConfigError`, as `open_file` does, where one runs on it."""
    _check_owner(path, name)
    with _locks(path, name):
        yield


@contextmanager
def _locks(path: Path, name: str) -> Iterator[None]:
    # Two locks: the one beside it holds against a second engine after the file was moved away, the one on the file itself
    # after the lock file was, and under whatever other name the file is opened. Whoever removes both is found out by `check`.
    with _lock(path, f"{path}.lock", name, tell_who=True), _lock(path, str(path), name, tell_who=False):
        yield


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
def _lock(path: Path, locked: str, name: str, *, tell_who: bool) -> Iterator[None]:
    """Hold an exclusive lock on a file, which the kernel gives up with the process."""
    try:
        lock = os.open(locked, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError([f"{name}: {path} cannot be locked: {why_failed(error)}"]) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise ConfigError([f"{name}: {path} cannot be locked: {why_failed(error)}"]) from None
            told = os.read(lock, 32).decode(errors="replace").strip() if tell_who else ""
            raise ConfigError(
                [
                    f"{name}: {path} is in use by {f'process {told}' if told else 'another process'}: one engine at a time;"
                    " stop it, or use another file"
                ]
            ) from None
        if tell_who:
            # On a full disk nobody is told who it is; the file itself says whether it can be used.
            with suppress(OSError):
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
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        _use_wal(connection, path, name)
        prepare(connection, f"{name}: {path}")
    except (OSError, sqlite3.Error) as error:
        if connection is not None:
            connection.close()
        raise ConfigError([f"{name}: {path} cannot be used: {why_failed(error)}"]) from None
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
    # SQLite itself looks at the header, the size and the log. A large file is not looked through: a start must not take
    # longer each month, and a page that cannot be read stops the engine when it is met.
    if path.stat().st_size > CHECKED_BYTES:
        return
    try:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict != "ok":
        raise ConfigError([f"{name}: {path} is corrupt: {verdict}; restore a copy, the engine does not guess"])
