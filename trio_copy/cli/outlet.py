"""The way out of the process: standard output and error pass here, so that no writer has to remember the redaction."""

import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TextIO

from attrs import define

from trio_copy.telemetry.redaction import Redactor


class Unwritable(OSError):
    """What was written did not get out, though somebody may read: the disk is full, or gone."""


@define(eq=False)
class Outlet:
    """A text stream that redacts whole lines, however they are cut into writes.

    Writing and flushing raise `BrokenPipeError` where nobody reads any more, and `Unwritable` where the disk fails.
    """

    stream: TextIO
    redactor: Redactor
    _begun: str = ""

    def write(self, text: str) -> int:
        """Write the lines that are complete; the rest waits for its end, or for `flush`."""
        lines, newline, self._begun = (self._begun + text).rpartition("\n")
        if newline:
            with _told_apart():
                self.stream.write("".join(map(self.redactor.redact_line, (lines + newline).splitlines(keepends=True))))
        return len(text)

    def write_bare(self, text: str) -> None:
        """Write past the redactor: secrets that whoever asked for them has handed in himself, and wants back in another form."""
        self.flush()
        with _told_apart():
            self.stream.write(text)

    def flush(self) -> None:
        """Write what has no end yet as well."""
        begun, self._begun = self._begun, ""
        with _told_apart():
            if begun:
                self.stream.write(self.redactor.redact_line(begun))
            self.stream.flush()

    def give_up(self) -> None:
        """Let what could not be written go: Python would complain of it again when it flushes at exit."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.stream.fileno())
        os.close(null)

    def __getattr__(self, name: str) -> object:
        """Be the stream in everything else: whether it is a terminal, how wide, in which encoding."""
        return getattr(self.stream, name)


@contextmanager
def _told_apart() -> Generator[None, None, None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unwritable(error.errno, error.strerror) from error


def prepare_streams() -> None:
    """Let nothing that is written fail for want of a stream, or of a letter in its encoding.

    A process may be started without standard streams, as daemons are, and what is opened next would take their numbers: a
    database, say, into which somebody's last words would then be written. Where the encoding has no letter for a name, the
    letter is escaped.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken, which is this one: those below it are open by now.
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115  as long as the process lives
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
