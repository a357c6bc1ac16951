"""The log as a file: JSON lines, ended and begun anew each UTC day and at a size, the oldest files dropped.

Lines are collected at once and written from a thread, so that a slow disk holds nothing up; one that is full or gone ends the
file, not the engine.
"""

import io
import os
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path

import trio
from attrs import define, field

from trio_copy.clock import WallClock, utc_date
from trio_copy.errors import ConfigError
from trio_copy.files import open_promptly
from trio_copy.ports import InThread, to_thread_run_sync

_WRITE_EVERY_S = 1.0
_LINES_MOST = 100_000
"""Lines that may wait for a slow disk; beyond it they are dropped and counted."""
_MIB = 1 << 20


@define(eq=False, kw_only=True)
class LogFile:
    path: Path
    max_mib: int
    """A file that has become larger is ended."""
    keep: int
    """Ended files that stay beside it, as FILE.1 (the newest), FILE.2 and so on."""
    wall: WallClock
    on_trouble: Callable[[str], None]
    """Hears once why nothing is written any more."""
    in_thread: InThread = to_thread_run_sync
    dropped: int = 0
    _waiting: deque[str] = field(factory=deque)
    _file: io.FileIO | None = None
    _is_file: bool = True
    """Else it keeps its name: a pipe, or a device, is nobody's to put aside."""
    _day: str = ""
    _ended: bool = False
    _trouble: str = ""
    _told: int = 0
    """How many dropped lines the file tells of."""

    def open(self) -> None:
        """Begin writing, behind what an earlier run wrote.

        Raises:
            ConfigError: the file cannot be written.
        """
        try:
            self._open()
        except OSError as error:
            raise ConfigError([f"log.file: {self.path} cannot be written: {error.strerror or error}"]) from None

    def write(self, text: str) -> int:
        """Take a text, to be written within a second. Never waits."""
        if not self._ended:
            if len(self._waiting) < _LINES_MOST:
                self._waiting.append(text)
            else:
                self.dropped += 1
        return len(text)

    def flush(self) -> None:
        """Do nothing: what was taken is written by `run`."""

    async def run(self) -> None:
        """Write until cancelled; what was taken until then is written before it ends."""
        try:
            while True:
                await trio.sleep(_WRITE_EVERY_S)
                await self.in_thread(self._write_waiting)
                self._tell_trouble()
        finally:
            self._write_waiting()
            self._tell_trouble()
            if self._file is not None:
                self._file.close()

    def _tell_trouble(self) -> None:
        """Tell once, and not from the thread that writes: whoever hears it may wake tasks."""
        trouble, self._trouble = self._trouble, ""
        if trouble:
            self.on_trouble(trouble)

    def _write_waiting(self) -> None:
        texts, self._waiting = self._waiting, deque()
        if self._file is None or self._ended or not texts:
            return
        if self.dropped > self._told:
            texts.append(f'{{"event": "dropped", "lines": {self.dropped - self._told}}}\n')
            self._told = self.dropped
        try:
            if self._is_file and (self._day != utc_date(self.wall()) or self._file.tell() >= self.max_mib * _MIB):
                self._begin_anew()
            text = memoryview("".join(texts).encode(errors="replace"))
            while text:  # a disk may take a part of it
                text = text[self._file.write(text) :]
        except OSError as error:
            self._ended = True
            self._trouble = f"{self.path}: nothing is logged any more: {error.strerror or error}"

    def _begin_anew(self) -> None:
        """End the file and begin another, with what came before beside it."""
        assert self._file is not None
        self._file.close()
        names = [self.path, *(Path(f"{self.path}.{number}") for number in range(1, self.keep + 1))]
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            if newer.exists():
                newer.replace(older)
        if not self.keep:
            self.path.unlink(missing_ok=True)
        self._open()

    def _open(self) -> None:
        # Readable by its owner alone: it tells what was traded.
        descriptor = open_promptly(str(self.path), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        # Without a buffer: what a full disk has refused must not be tried again by whoever closes the file.
        self._file = io.FileIO(descriptor, "ab")
        size = self._file.seek(0, os.SEEK_END) if self._file.seekable() else 0
        self._day = utc_date(self.path.stat().st_mtime if size else self.wall())
