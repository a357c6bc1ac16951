"""A recording: every raw log that an engine saw and all that markets told it, with the moment; compressed, and only ever added to.

One file holds any number of runs, each a gzip member of its own, so that a run that was killed costs its last second and
never what came before.
"""

import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import trio
from attrs import define, field, frozen

from trio_copy.chain.feed import FeedItem
from trio_copy.clock import WallClock
from trio_copy.config.lines import beginning_of
from trio_copy.engine.market_source.told_lines import SeenBook
from trio_copy.engine.recordings.recorded_lines import (
    FORMAT,
    Moment,
    SeenQuote,
    Told,
    header_line,
    header_of,
    line_of,
    moment_of,
    tells_of_a_book,
)
from trio_copy.engine.recordings.recorded_runs import begins_as_one, lines_of
from trio_copy.errors import ConfigError
from trio_copy.files import trouble_of_place
from trio_copy.model.books import PricesLost, Quote, SeenPrice
from trio_copy.model.ids import ChainId, TokenId
from trio_copy.ports import Quotes

_FLUSH_EVERY_S = 1.0
_THINKING_S = 0.1
"""What the machine itself took between a log and the question about its book; virtual time takes none."""
_LINES_MOST = 100_000
"""Lines that may wait for a slow disk; beyond it the recording ends, and says so, instead of having holes."""
_LOST_TOGETHER = 1000
"""Tokens in one line."""
_LONGEST = 300
_BOOKS_MOST = 100_000
"""Books that a replay remembers."""


@define(eq=False)
class Recorder:
    """Writes what an engine sees. `note` never waits; `run` writes to the disk from a thread."""

    path: Path
    chain_id: ChainId
    wall: WallClock
    on_trouble: Callable[[str], None] = lambda detail: None
    """Told once when the recording had to end: a slow or full disk must not stop a trade."""
    lines: int = 0
    ended: bool = False
    _waiting: list[bytes] = field(factory=list)
    _quotes: dict[TokenId, Quote] = field(factory=dict)
    _left_out: bool = False

    def note(self, item: FeedItem | Told) -> None:
        """Remember an item of the feed, or what a market source told."""
        self._add(item)

    def note_price(self, told: SeenPrice | PricesLost) -> None:
        """Remember that the best prices of a token are others now, or that nobody knows them any more."""
        if isinstance(told, SeenPrice):
            self._add(told)
            return
        lost = sorted(told.tokens)
        for start in range(0, len(lost), _LOST_TOGETHER):
            self._add(PricesLost(frozenset(lost[start : start + _LOST_TOGETHER])))

    def note_quote(self, token_id: TokenId, quote: Quote) -> None:
        """Remember the top of a book, if it changed."""
        if self._quotes.get(token_id) != quote:
            self._quotes[token_id] = quote
            self._add(SeenQuote(token_id, quote))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until cancelled, and then the rest.

        Raises:
            ConfigError: the file cannot be opened, or something else has written it; nothing was recorded.
        """
        if (trouble := trouble_of_place(self.path)) is not None:
            raise ConfigError([f"{self.path}: {trouble}"])
        await trio.to_thread.run_sync(expect_room, self.path)
        try:
            file = await trio.to_thread.run_sync(lambda: self.path.open("ab", buffering=0))
        except OSError as error:
            raise ConfigError([f"{self.path}: cannot be written: {error.strerror}"]) from None
        packer = zlib.compressobj(wbits=31)
        self._waiting.insert(0, header_line(self.chain_id, self.wall()))
        with file:
            task_status.started()
            try:
                while True:
                    await trio.to_thread.run_sync(self._write, file, packer, zlib.Z_SYNC_FLUSH)
                    await trio.sleep(_FLUSH_EVERY_S)
            finally:
                self._write(file, packer, zlib.Z_FINISH)

    def _add(self, seen: FeedItem | Told) -> None:
        try:
            line = None if self.ended else line_of(seen, self.wall())
        except (TypeError, ValueError, OverflowError) as error:
            # A source may tell numbers that no JSON holds. What cannot be written down must not stop a trade.
            if not self._left_out:
                self.on_trouble(f"{self.path}: left out what cannot be written down: {error}"[:_LONGEST])
            self._left_out = True
            return
        if line is None:
            return
        if len(self._waiting) >= _LINES_MOST:
            self._end(f"the disk is {_LINES_MOST} lines behind")
            return
        self.lines += 1
        self._waiting.append(line)

    def _write(self, file: io.FileIO, packer: Any, how: int) -> None:  # noqa: ANN401  zlib names no type
        lines, self._waiting = self._waiting, []
        if self.ended or not (lines or how == zlib.Z_FINISH):
            return
        try:
            file.write(packer.compress(b"".join(line + b"\n" for line in lines)) + packer.flush(how))
        except OSError as error:
            self._end(error.strerror or str(error))

    def _end(self, why: str) -> None:
        self.ended = True
        self._waiting.clear()
        self.on_trouble(f"{self.path}: nothing is recorded any more: {why}")


@frozen
class RecordingQuotes:
    """Passes quotes on and writes them down."""

    quotes: Quotes
    recorder: Recorder

    def quote(self, token_id: TokenId) -> Quote | None:
        quote = self.quotes.quote(token_id)
        if quote is not None:
            self.recorder.note_quote(token_id, quote)
        return quote


@define(eq=False)
class RecordedQuotes:
    """Quotes as they were when an engine asked for them, read along as time goes on: of each book only the last is kept."""

    wall: WallClock
    moments: Iterator[Moment]
    """A reading of the recording of its own."""
    _latest: dict[TokenId, Quote] = field(factory=dict)
    _next: Moment | None = None

    def __attrs_post_init__(self) -> None:
        self._next = next(self.moments, None)

    def quote(self, token_id: TokenId) -> Quote | None:
        """Return what a token's book showed now. A replay asks a little earlier than the engine could back then."""
        now = self.wall() + _THINKING_S
        while self._next is not None and self._next.at <= now:
            if isinstance(self._next.seen, SeenQuote):
                self._keep(self._next.seen)
            self._next = next(self.moments, None)
        return self._latest.get(token_id)

    def _keep(self, seen: SeenQuote) -> None:
        self._latest.pop(seen.token_id, None)  # the newest last, so that the first is the one to forget
        self._latest[seen.token_id] = seen.quote
        if len(self._latest) > _BOOKS_MOST:
            del self._latest[next(iter(self._latest))]


def read_books(path: Path) -> Iterator[tuple[float, SeenBook]]:
    """Read what came of asking for books, each with the moment of the answer in Unix seconds, and nothing else.

    Raises:
        ConfigError: as `read_recording`.
    """
    lines = enumerate(lines_of(path), 1)
    moments = (_moment(path, number, text) for number, text in lines if tells_of_a_book(text))
    return ((moment.at, moment.seen) for moment in moments if isinstance(moment.seen, SeenBook))


def read_recording(path: Path) -> tuple[ChainId, Iterator[Moment]]:
    """Read the chain of a recording and, one by one, what was seen; a run that was cut off ends where it was cut.

    Raises:
        ConfigError: there is no such file, it is no recording, or a line of it is broken.
    """
    lines = lines_of(path)
    first = next(lines, None)
    if first is None:
        raise ConfigError([f"{path}: expected a recording, got a file without a line of one"])
    header = header_of(first)
    if header is None or header.recording != FORMAT:
        raise ConfigError([f"{path}: expected a recording of version {FORMAT}, got {beginning_of(first)}"])
    return ChainId(header.chain_id), _moments(path, lines)


def expect_room(path: Path) -> None:
    """Make sure that a recording may be added behind what is in a file: nothing, or runs.

    Raises:
        ConfigError: something else has written it, and would be spoiled; or it cannot be read.
    """
    if not path.exists() or not path.stat().st_size:
        return
    first = next(lines_of(path), None)
    if not begins_as_one(path) or (first is not None and header_of(first) is None):
        raise ConfigError([f"{path}: expected a recording, or no file yet, got another one; nothing was added to it"])


def _moments(path: Path, lines: Iterator[bytes]) -> Iterator[Moment]:
    for number, text in enumerate(lines, 2):
        if header_of(text) is not None:
            continue  # the next run of the same file
        yield _moment(path, number, text)


def _moment(path: Path, number: int, text: bytes) -> Moment:
    try:
        return moment_of(text)
    except ValueError as error:
        raise ConfigError([f"{path}:{number}: not a line of a recording: {error}"]) from None
