"""The simulated venue's memory on disk, one JSON object per line: what really happened, for whoever checks the books."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from attrs import frozen

from trio_copy.errors import ConfigError
from trio_copy.files import trouble_of_place
from trio_copy.model.orders import ExecutionReport, Order
from trio_copy.model.values import value
from trio_copy.records import decode, encode


class VenueLine(msgspec.Struct):
    """One order that reached the venue."""

    at: float
    """Unix seconds."""
    fails: bool
    """Whether its settlement will fail."""
    order: msgspec.Raw
    report: msgspec.Raw
    settles: msgspec.Raw = msgspec.Raw(b"null")
    """What of it will settle, where that is not all; else null."""

    @property
    def kept(self) -> "Kept":
        of_it = bytes(self.settles)
        settles = None if of_it == b"null" else decode(of_it, ExecutionReport)
        return Kept(decode(bytes(self.report), ExecutionReport), self.at, self.fails, settles)


@value
class Kept:
    """What the venue remembers of an order."""

    report: ExecutionReport
    """As it was told."""
    at: float
    """Unix seconds."""
    fails: bool
    """Whether its settlement will fail."""
    settles: ExecutionReport | None = None
    """What of it will settle, where that is not all."""


@frozen
class VenueFile:
    path: Path

    def append(self, order: Order, kept: Kept) -> None:
        """Add an order; a process that is killed afterwards does not take it back."""
        line = VenueLine(
            at=kept.at,
            fails=kept.fails,
            order=_raw(order),
            report=_raw(kept.report),
            settles=_raw(kept.settles),
        )
        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")

    def read(self) -> Iterator[Kept]:
        """Yield the orders of earlier processes.

        Raises:
            ConfigError: a line is not one of ours.
        """
        for line in self.lines():
            yield line.kept

    def lines(self) -> Iterator[VenueLine]:
        """Yield what the file holds, line by line. Raises `ConfigError` as `read` does."""
        # Nothing is kept in /dev/null, for whoever wants a venue that forgets.
        if str(self.path) != os.devnull and (trouble := trouble_of_place(self.path)) is not None:
            raise ConfigError([f"{self.path}: {trouble}"])
        try:
            with self.path.open("rb") as file:
                for number, text in enumerate(file, 1):
                    try:
                        yield msgspec.json.decode(text, type=VenueLine)
                    except msgspec.DecodeError as error:
                        raise ConfigError([f"{self.path}:{number}: not a line of a simulated venue: {error}"]) from None
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigError([f"{self.path}: cannot be read: {error.strerror}"]) from None


def _raw(value: Order | ExecutionReport | None) -> msgspec.Raw:
    return msgspec.Raw(encode(value).encode())
