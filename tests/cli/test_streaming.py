"""Files that somebody else wrote are read a little at a time: memory does not grow with them, and no line is endless."""

import gzip
import io
import json
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.builders import NOW, hash_of
from trio_copy.cli.follow_files import read_follows
from trio_copy.cli.quoted import values_in
from trio_copy.config.catalog import read_catalog
from trio_copy.config.lines import count_lines
from trio_copy.engine.recordings.recorded_runs import lines_of, was_cut_off
from trio_copy.engine.recordings.recording import RecordedQuotes, read_recording
from trio_copy.errors import ConfigError
from trio_copy.model.books import Quote
from trio_copy.model.follows import TermsOfFollows
from trio_copy.model.ids import TokenId
from trio_copy.model.logs import BlockRef
from trio_copy.model.units import Price
from trio_copy.records import encode

MANY = 10_000
HEADER = b'{"recording":1,"chain_id":137,"at":0.0}\n'
QUOTE = Quote(bid=Price(500_000), ask=Price(600_000))
FLAT = 1 << 20
"""Bytes; each file below would be several times as large in memory."""


def peak_of(read: Callable[[], Any]) -> int:
    """Return how many bytes were in use at most while something was read."""
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def recording(path: Path, *lines: bytes, times: int = 1) -> Path:
    packer = zlib.compressobj(wbits=31)
    with path.open("wb") as file:
        file.write(packer.compress(HEADER))
        for _ in range(times):
            file.write(packer.compress(b"".join(lines)))
        file.write(packer.flush())
    return path


def quote_line(at: float, token: int = 7) -> bytes:
    return b'{"at":%f,"quote":%b,"token":"%d"}\n' % (at, encode(QUOTE).encode(), token)


def test_a_recording_is_unpacked_a_little_at_a_time(tmp_path: Path) -> None:
    """A few kilobytes that stand for many megabytes, as many lines or as one, cost what one line costs."""
    sealed = (
        b'{"at":1.0,"sealed":%b}\n' % encode(BlockRef(number=1, hash=hash_of(1), parent=hash_of(0), time=1)).encode()
    )
    path = recording(tmp_path / "many", sealed * 100, times=MANY // 100)
    assert path.stat().st_size < 200_000
    assert len(gzip.decompress(path.read_bytes())) > FLAT
    seen = 0

    def read() -> None:
        nonlocal seen
        seen = sum(1 for _ in read_recording(path)[1])

    assert peak_of(read) < FLAT
    assert seen == MANY
    assert peak_of(lambda: was_cut_off(path)) < FLAT
    assert not was_cut_off(path)


def test_an_endless_line_of_a_recording_is_refused(tmp_path: Path) -> None:
    """The line that is too long is named, and was never held whole."""
    path = recording(tmp_path / "long", b"x" * (1 << 20), times=64)
    assert path.stat().st_size < 200_000

    def read() -> None:
        with pytest.raises(ConfigError, match=r"long:2: expected a line of at most 4,194,304 bytes, got a longer one"):
            list(read_recording(path)[1])

    assert peak_of(read) < 16 << 20


def test_what_follows_the_end_of_a_run_costs_nothing(tmp_path: Path) -> None:
    """Rubbish behind a run is passed over, and a run that begins behind it is found."""
    path = recording(tmp_path / "rubbish", quote_line(1.0))
    begins = path.read_bytes()
    path.write_bytes(begins + b"\x00" * (8 << 20) + begins)
    assert peak_of(lambda: list(lines_of(path))) < FLAT
    assert len(list(lines_of(path))) == 4


def test_a_replay_keeps_the_last_quote_of_a_book(tmp_path: Path) -> None:
    """Quotes are read along as time goes on, whatever their number, and none is known before its time."""
    lines = b"".join(quote_line(NOW + number, token=7 + number % 2) for number in range(MANY))
    path, now = recording(tmp_path / "quotes", lines), NOW

    def follow_along() -> None:
        nonlocal now
        now = NOW - 1
        quotes = RecordedQuotes(lambda: now, read_recording(path)[1])
        assert quotes.quote(TokenId(7)) is None
        now = NOW
        assert (quotes.quote(TokenId(7)), quotes.quote(TokenId(8))) == (QUOTE, None)
        now = NOW + MANY
        assert quotes.quote(TokenId(8)) == QUOTE

    assert peak_of(follow_along) < FLAT


def read(path: Path) -> Any:
    return read_follows(path, TermsOfFollows(), [], lambda _: None)


@pytest.mark.parametrize(
    ("name", "head", "row"),
    [
        ("bad.csv", "follower,leader,size.ratio\n", "alice,0x12,{}.5\n"),
        (
            "bad.jsonl",
            "",
            '{{"follower": "alice", "leader": "0x12", "size.ratio": {}.5, "note": "' + "x" * 200 + '"}}\n',
        ),
    ],
)
def test_an_import_of_rubbish_costs_what_its_report_costs(tmp_path: Path, name: str, head: str, row: str) -> None:
    """Twenty problems are told, the others are counted, and nothing else is kept."""
    path = tmp_path / name
    path.write_text(head + "".join(map(row.format, range(MANY))))
    assert count_lines(path) == MANY + len(head.splitlines())
    problems: tuple[str, ...] = ()

    def take() -> None:
        nonlocal problems
        with pytest.raises(ConfigError) as caught:
            read(path)
        problems = caught.value.problems

    # What was read once for all equal cells is kept up to a limit of its own.
    assert peak_of(take) < 3 * FLAT
    assert len(problems) == 22
    assert problems[-2].endswith(" more")
    assert problems[-1] == "nothing was imported"


@pytest.mark.parametrize("name", ["long.csv", "long.jsonl"])
def test_an_endless_row_is_refused(tmp_path: Path, name: str) -> None:
    """It is named by its line."""
    path = tmp_path / name
    path.write_text("follower,leader\n" + "x" * (1 << 21))
    with pytest.raises(ConfigError, match=rf"{name}:2: expected a line of at most 1,048,576 bytes, got a longer one"):
        read(path)


def test_a_catalog_is_bounded_too(tmp_path: Path) -> None:
    """An endless line is refused; of many bad ones twenty are told."""
    path = tmp_path / "catalog"
    path.write_text("x" * (1 << 21))
    with pytest.raises(ConfigError, match="catalog:1: expected a line of at most 1,048,576 bytes"):
        read_catalog(path)
    path.write_text(("y" * 200 + "\n") * MANY)
    with pytest.raises(ConfigError) as caught:
        read_catalog(path)
    assert len(caught.value.problems) == 21
    assert caught.value.problems[-1].endswith(f"and {MANY - 20} more")


def test_a_catalog_may_hold_the_venues_rules(tmp_path: Path) -> None:
    """Exactly, however they are written; what is no amount is named by its line."""
    path, least = tmp_path / "catalog", {"token_id": "1", "condition_id": "0x1"}
    rules = '"tick":0.0025,"minimum":"5","fee_rate":0.07,"fee_exponent":1,"exchange":2,"neg_risk":true,"slug":"rain"'
    path.write_text(json.dumps(least)[:-1] + "," + rules + "}\n")
    (facts,) = read_catalog(path)
    path.write_text("\ufeff" + path.read_text())  # as programs of Windows write it
    assert (facts,) == read_catalog(path)
    assert [str(one) for one in (facts.tick, facts.minimum, facts.fee_rate)] == ["0.0025", "5", "0.07"]
    assert (facts.fee_exponent, facts.exchange, facts.neg_risk, facts.slug) == (1, 2, True, "rain")
    for wrong in (-1, 1e12, 0.0000001, "a", True, [1]):
        path.write_text(json.dumps({**least, "tick": wrong}) + "\n")
        with pytest.raises(ConfigError, match="catalog:1: not a token of the catalog: "):
            read_catalog(path)


def test_logs_are_decoded_one_by_one() -> None:
    """Lines have no end; an array is held as text, never as objects."""
    log = json.dumps({"address": "0x1", "topics": ["0x" + "0" * 64] * 4, "data": "0x" + "00" * 200}).encode()
    lines = io.BytesIO((log + b"\n") * MANY)
    assert peak_of(lambda: [1 for _ in values_in(lines, "lines") if _ is None]) < FLAT
    array = b"[" + b",".join([log] * MANY) + b"]"
    assert peak_of(lambda: [1 for _ in values_in(io.BytesIO(array), "array") if _ is None]) < 2 * len(array) + FLAT
