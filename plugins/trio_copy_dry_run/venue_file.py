"""The simulated venue's memory on disk, one JSON object per line: what really happened, for whoever checks the books."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from attrs import frozen

from trio_copy.errors import ConfigError
from trio_copy.model.orders import ExecutionReport, Order
from trio_copy.records import decode, encode


class VenueLine(msgspec.Struct):
    """One order that reached the venue."""

    at: float
    """Unix seconds."""
    fails: bool
    """Whether its settlement will fail."""
    order: msgspec.Raw
    report: msgspec.Raw


@frozen
class VenueFile:
    path: Path

    def append(self, order: Order, report: ExecutionReport, at: float, *, fails: bool) -> None:
        """Add an order; a process that is killed afterwards does not take it back."""
        line = VenueLine(
            at=at, fails=fails, order=msgspec.Raw(encode(order).encode()), report=msgspec.Raw(encode(report).encode())
        )
        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")

    def read(self) -> Iterator[tuple[ExecutionReport, float, bool]]:
        """Yield the orders of earlier processes.

        Raises:
            ConfigError: a line is not one of ours.
        """
        for line in self.lines():
            yield decode(bytes(line.report), ExecutionReport), line.at, line.fails

    def lines(self) -> Iterator[VenueLine]:
        """Yield what the file holds, line by line. Raises `ConfigError` as `read` does."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, text in enumerate(file, 1):
                try:
                    yield msgspec.json.decode(text, type=VenueLine)
                except msgspec.DecodeError as error:
                    raise ConfigError([f"{self.path}:{number}: not a line of a simulated venue: {error}"]) from None
