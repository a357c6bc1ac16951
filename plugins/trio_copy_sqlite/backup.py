"""A copy of the file while an engine runs on it, and back again while none does."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from trio_copy.errors import ConfigError
from trio_copy_sqlite.files import file_of, locked
from trio_copy_sqlite.schema import GOOD_VERSIONS, VERSION, version_of

_STEP_PAGES = 256
"""Copied at once, 1 MiB; between two steps a person may stop it."""
_BUSY_S = 10.0
_OLD = ".before-restore"
Tell = Callable[[float], None]
"""Hears which part is done, from 0 to 1."""


class _Settings(Protocol):
    @property
    def path(self) -> str: ...


def back_up(settings: _Settings, target: Path, tell: Tell) -> str:
    """Copy the file as it is at this moment, by a connection of its own, and look through the copy; returns what came of it.

    What is written meanwhile is not in the copy and is not held up. Interrupted, nothing of the copy is left.

    Raises:
        ConfigError: there is no such file, or the copy's name is taken, or the copy is not whole.
    """
    source = file_of(settings.path)
    name = f"store.sqlite.path: {source}"
    if not source.is_file():
        raise ConfigError([f"{name} does not exist yet; the first run makes it"])
    if target.exists():
        raise ConfigError([f"{target}: expected a file that does not exist yet"])
    _copy(source, name, target, tell)
    return f"{target}: {target.stat().st_size:,} bytes, looked through and whole"


def restore(settings: _Settings, source: Path, tell: Tell) -> str:
    """Put a copy in the place of the file, which is kept beside it; returns what came of it.

    Raises:
        ConfigError: an engine runs on the file, or the copy is not whole, or not of this version; nothing was changed.
    """
    target = file_of(settings.path)
    if not source.is_file():
        raise ConfigError([f"{source}: expected a file, got none"])
    if source.resolve() == target:
        raise ConfigError([f"{source}: expected a copy, got the store's own file"])
    with locked(target, "store.sqlite.path"):
        fresh = target.with_name(f"{target.name}.restored")
        fresh.unlink(missing_ok=True)  # of a restore that did not come to its end
        _copy(source, str(source), fresh, tell)
        kept = _put_aside(target)
        os.rename(fresh, target)
        _sync(target.parent)
    told = f"; what was there before is kept as {kept}" if kept is not None else ""
    return f"{target} is what {source} was{told}"


def _copy(source: Path, name: str, target: Path, tell: Tell) -> None:
    """Make a checked copy of a database under another name; it has that name only once it is whole and on the disk."""
    part = target.with_name(f".{target.name}.part")
    try:
        with _new_file(part):
            with closing(
                sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_S)
            ) as original:
                # Held open, this moment stays what is copied. Otherwise each write of the engine would start the copy anew.
                original.isolation_level = None
                original.execute("BEGIN")
                if version_of(original, name) not in GOOD_VERSIONS:
                    raise ConfigError(
                        [f"{name}: expected a file of version {VERSION}, got {version_of(original, name)}"]
                    )
                with closing(sqlite3.connect(part)) as copy:
                    original.backup(copy, pages=_STEP_PAGES, progress=_progress(tell))
                    copy.execute("PRAGMA journal_mode = DELETE")  # one file, without others beside it
                    (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise ConfigError([f"{name} is corrupt: {verdict}"])
            with part.open("rb") as written:
                os.fsync(written.fileno())
            os.rename(part, target)
            _sync(target.parent)
    except sqlite3.Error as error:
        raise ConfigError([f"{name} cannot be copied: {error}"]) from None
    except OSError as error:
        raise ConfigError([f"{target}: cannot be written: {error.strerror}"]) from None


@contextmanager
def _new_file(part: Path) -> Iterator[None]:
    """Make a file for its owner only, and remove what is still there under its name at the end."""
    part.unlink(missing_ok=True)  # of a process that was killed
    os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield
    finally:
        for ending in ("", "-journal", "-wal", "-shm"):
            part.with_name(part.name + ending).unlink(missing_ok=True)


def _put_aside(path: Path) -> Path | None:
    """Give the file another name, and those beside it; the log first: another file must never find it under its name."""
    if not path.stat().st_size:
        return None  # locking has made it
    number = 1
    while (kept := path.with_name(f"{path.name}{_OLD}-{number}")).exists():
        number += 1
    for ending in ("-wal", "-shm", ""):
        beside = path.with_name(path.name + ending)
        if beside.exists():
            os.rename(beside, kept.with_name(kept.name + ending))
    return kept


def _progress(tell: Tell) -> Callable[[int, int, int], None]:
    return lambda _status, remaining, total: tell(1 - remaining / total if total else 1.0)


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
