"""A recording that is fetched from nodes, piece by piece: where it ended the last time, and how it goes on.

What was read together is written together, as a run of its own that ends with the block up to which everything is known.
So a call that was killed costs what it had not written yet, and leaves nothing half written that the next one cannot see.
"""

import fcntl
import io
import os
import zlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from heapq import merge
from pathlib import Path

from attrs import define, field, frozen

from trio_copy.chain.feed import SCAN, Armed, Sealed, SeenLog
from trio_copy.engine.market_source.told_lines import MarketsOpened
from trio_copy.engine.recordings.recorded_lines import (
    FORMAT,
    Fetched,
    Header,
    Told,
    header_line,
    header_of,
    line_of,
    moment_of,
)
from trio_copy.engine.recordings.recorded_runs import lines_and_ends_of
from trio_copy.errors import ConfigError
from trio_copy.files import trouble_of_place
from trio_copy.model.ids import ChainId
from trio_copy.model.logs import BlockRef, RawLog

_TOGETHER = 1 << 18
"""Bytes of lines that become one run: fewer pack badly, more is lost when the process is killed."""


@frozen(kw_only=True)
class Kept:
    """What an earlier call has left."""

    chain_id: ChainId
    fetched: Fetched
    first: BlockRef
    """The block before the first one that was read."""
    last: BlockRef
    """The last block of which everything is there."""
    size: int
    """Bytes up to there; what follows was cut off in the middle."""


def read_kept(path: Path) -> Kept | None:
    """Read where a file that `fetch` has written ends; None where there is none yet, or nothing whole in it.

    Raises:
        ConfigError: it cannot be read, or something else has written it.
    """
    if not path.exists() or not path.stat().st_size:
        return None
    ours, first, last, kept = None, None, None, None
    for number, one in enumerate(lines_and_ends_of(path), 1):
        if isinstance(one, int):
            if ours is None or first is None or last is None:
                raise _not_ours(path)
            kept = Kept(
                chain_id=ChainId(ours.chain_id),
                fetched=_expect_fetched(path, ours),
                first=first,
                last=last,
                size=one,
            )
            last = None
            continue
        header = header_of(one)
        if header is not None:
            if header.recording != FORMAT or (ours is not None and header.fetched != ours.fetched):
                raise _not_ours(path)
            ours = header
            _expect_fetched(path, header)
            continue
        try:
            seen = moment_of(one).seen
        except ValueError as error:
            raise ConfigError([f"{path}:{number}: not a line of a recording: {error}"]) from None
        last = None  # a run has to end with a seal
        match seen:
            case Armed(block=block) if first is None:
                first = block
            case Sealed(block=block):
                last = block
    if ours is None:
        raise _not_ours(path)
    return kept


def _expect_fetched(path: Path, header: Header) -> Fetched:
    if header.fetched is None:
        raise _not_ours(path)
    return header.fetched


def _not_ours(path: Path) -> ConfigError:
    return ConfigError([f"{path}: expected a file that `trio-copy fetch` has written, or none, got another one"])


@define(eq=False)
class FetchedFile:
    """Adds to a file; `open_fetched` makes one."""

    path: Path
    chain_id: ChainId
    fetched: Fetched
    _file: io.FileIO
    logs: int = 0
    """Written or waiting to be, by this process."""
    _lines: list[bytes] = field(factory=list)
    _bytes: int = 0
    _sealed: bool = False
    """Whether what waits ends with a block of which everything is there."""
    _began_at: float = 0.0

    def begin(self, block: BlockRef) -> None:
        """Say after which block the story begins."""
        if self.fetched.markets:
            self._add(line_of(MarketsOpened(self.fetched.markets), block.time))
        self._add(line_of(Armed(block), block.time))
        self._began_at = block.time

    def add(self, logs: Sequence[RawLog], end: BlockRef, told: Sequence[tuple[float, Told]] = ()) -> None:
        """Add the logs up to a block, each as if it had been seen at the moment of its block.

        `told` is what markets said until then, in the order of its times, in Unix seconds; of the same time it comes first.

        Raises:
            ConfigError: the disk took nothing more; what was written before is whole.
        """
        seen = [(float(log.block_time or 0), SeenLog(log, SCAN, float(log.block_time or 0))) for log in logs]
        for at, one in merge(told, seen, key=lambda pair: pair[0]):
            self._add(line_of(one, at))
        self._add(line_of(Sealed(end), end.time))
        self._sealed = True
        self.logs += len(logs)
        if self._bytes >= _TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Write down what was added. Raises `ConfigError` as `add`."""
        if not self._sealed:
            return  # the beginning alone is nothing to go on with
        packer = zlib.compressobj(wbits=31)
        lines = (header_line(self.chain_id, self._began_at, self.fetched), *self._lines)
        packed = packer.compress(b"".join(line + b"\n" for line in lines)) + packer.flush()
        self._lines.clear()
        self._bytes, self._sealed = 0, False
        try:
            written = self._file.write(packed)
        except OSError as error:
            raise ConfigError([f"{self.path}: cannot be written: {error.strerror}"]) from None
        if written != len(packed):
            raise ConfigError([f"{self.path}: cannot be written: the disk is full"])

    def _add(self, line: bytes | None) -> None:
        assert line is not None  # all these kinds have a line
        self._lines.append(line)
        self._bytes += len(line)


@contextmanager
def open_fetched(path: Path, chain_id: ChainId, fetched: Fetched) -> Generator[tuple[FetchedFile, Kept | None]]:
    """Open a file to be added to, with what is whole in it; a torn tail is cut. What was added is written at the end.

    Raises:
        ConfigError: it cannot be read or written, somebody else writes it, or it is about something else.
    """
    if (trouble := trouble_of_place(path)) is not None:
        raise ConfigError([f"{path}: {trouble}"])
    try:
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be written: {error.strerror}"]) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError([f"{path}: another process is writing it"]) from None
        kept = read_kept(path)
        if kept is not None:
            problems = _differences(path, kept, chain_id, fetched)
            if problems:
                raise ConfigError(problems)
        os.ftruncate(file.fileno(), 0 if kept is None else kept.size)
        adding = FetchedFile(path, chain_id, fetched, file)
        if kept is not None:
            adding._began_at = kept.last.time
        try:
            yield adding, kept
        finally:
            adding.flush()  # whole pieces only, so also after a Ctrl-C
            if not path.stat().st_size:
                path.unlink()


def _differences(path: Path, kept: Kept, chain_id: ChainId, fetched: Fetched) -> list[str]:
    """Say in what a file differs from what is asked for: half of one and half of another would be neither."""
    if kept.chain_id != chain_id:
        return [f"{path}: expected a recording of chain {chain_id}, got one of chain {kept.chain_id}"]
    if kept.fetched.leaders != fetched.leaders:
        had, wanted = ", ".join(kept.fetched.leaders), ", ".join(fetched.leaders)
        return [f"{path}: was begun with the leaders {had}; expected these or another file, got {wanted}"]
    if kept.fetched.markets != fetched.markets:
        had, wanted = (one or "no market source" for one in (kept.fetched.markets, fetched.markets))
        return [f"{path}: was begun with {had}; expected the same or another file, got {wanted}"]
    if kept.fetched.filters != fetched.filters:
        return [f"{path}: was begun with other decoders; expected the same ones or another file"]
    return []
