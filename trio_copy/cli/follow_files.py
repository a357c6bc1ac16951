"""Follows as CSV and as JSON lines. A bad row is named by its line, and then nothing is imported at all."""

import csv
import io
import sys
import tomllib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from trio_copy.cli.tables import cell_text, text_cell
from trio_copy.config import checked_address
from trio_copy.config.lines import bounded_lines, no_utf8
from trio_copy.config.strict import structure_follower_id, structure_layer
from trio_copy.errors import ConfigError
from trio_copy.files import open_promptly
from trio_copy.model.counts import counted
from trio_copy.model.follow_settings import FollowSettings, contradictions
from trio_copy.model.follows import EVERYBODY, Follow, TermsOfFollows
from trio_copy.model.layers import Layer, leaves
from trio_copy.records import plain_layer
from trio_copy.telemetry.visible import escaped_json

STANDARD_INPUT = Path("-")
_PROBLEMS_MOST = 20
_TELL_EVERY = 1000
_FOLLOWS_MOST = 1_000_000
_KNOWN_MOST = 1_000
_WHO = ("follower", "leader")


def parse_value(path: str, text: str) -> Any:  # noqa: ANN401  a plain value
    """Read a setting as a person types it: a number, true, a word, or several separated by commas."""
    leaf = leaves(FollowSettings).get(path)
    listed = leaf is not None and isinstance(leaf.default, (frozenset, tuple))
    listed = listed or (leaf is not None and "frozenset" in str(leaf.type))
    if listed and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if leaf is not None and leaf.type in (str, str | None) and not text.lstrip().startswith('"'):
        return text
    try:
        read = tomllib.loads(f"value = {text}", parse_float=Decimal)
    except (ValueError, RecursionError):
        return text
    return read["value"] if len(read) == 1 else text


def as_typed(value: object) -> str:
    """Write a plain value so that `parse_value` reads it."""
    if isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value):
        return ",".join(value)
    return _cell(value)


def read_follows(
    path: Path, terms: TermsOfFollows, of_file: Iterable[Follow], tell: Callable[[int], None]
) -> tuple[Follow, ...]:
    """Read and check every follow of a file; `tell` hears how many lines are done.

    Follows of the configuration (`of_file`) may stand there as they are, and are left out; they are not changed here.

    The name decides: .csv has a header with follower, leader and settings by path; .jsonl has one object per line with
    the same names. An empty cell sets nothing. On standard input, the first letter decides.

    Raises:
        ConfigError: with one line for every bad row, up to twenty.
    """
    piped = path == STANDARD_INPUT
    if piped:
        path = Path("standard input")
    elif path.suffix not in (".csv", ".jsonl"):
        raise ConfigError([f"{path}: expected a name that ends in .csv or .jsonl"])
    reader = _Reader(path, terms, {follow.key: follow.own for follow in of_file})
    try:
        with _open_piped() if piped else open(path, encoding="utf-8-sig", opener=open_promptly) as file:
            lines = bounded_lines(file.readline, path)
            first = next(lines, (1, ""))
            lines = chain([first], lines)
            objects = first[1].lstrip().startswith("{") if piped else path.suffix == ".jsonl"
            rows = _json_rows(lines) if objects else _csv_rows(path, (line for _, line in lines))
            for count, (number, row) in enumerate(rows, 1):
                reader.take(number, row)
                if count % _TELL_EVERY == 0:
                    tell(number)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: cannot be read: {no_utf8(error)}"]) from None
    return reader.done()


@contextmanager
def _open_piped() -> Generator[io.TextIOWrapper, None, None]:
    """Read standard input as a file is read, whatever the terminal's own encoding; it stays open."""
    file = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig")
    try:
        yield file
    finally:
        file.detach()


def write_csv(follows: Iterable[Follow]) -> str:
    """Write follows with a column for every setting that any of them has."""
    follows = list(follows)
    paths = sorted({path for follow in follows for path, _ in follow.own})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_WHO, *paths])
    for follow in follows:
        plain = plain_layer(follow.own)
        cells = (follow.follower, follow.leader, *(_cell(plain.get(path)) for path in paths))
        writer.writerow(map(text_cell, cells))
    return out.getvalue()


def write_json_lines(follows: Iterable[Follow]) -> Iterator[str]:
    """Write each follow as one JSON object."""
    for follow in follows:
        row = {"follower": follow.follower, "leader": follow.leader, **plain_layer(follow.own)}
        yield escaped_json(msgspec.json.encode(row).decode())


class _Reader:
    """Checks rows one by one and remembers everything that is wrong. Equal settings are checked once."""

    def __init__(self, path: Path, terms: TermsOfFollows, of_file: Mapping[tuple[str, str], Layer]) -> None:
        self._path, self._terms, self._of_file = path, terms, of_file
        self._follows: dict[tuple[str, str], Follow] = {}
        self._problems: list[str] = []
        self._more = 0
        self._layers: dict[str, Layer] = {}

    def take(self, number: int, row: Mapping[str, Any] | str) -> None:
        try:
            if isinstance(row, str):
                raise ConfigError([row])  # noqa: TRY301  one way out for every problem of a row
            follow = self._follow(row)
            if follow.key in self._of_file:
                if follow.own != self._of_file[follow.key]:
                    raise ConfigError([f"{follow.name} stands in the configuration; change it there"])  # noqa: TRY301
                return
            if follow.key in self._follows:
                raise ConfigError([f"{follow.name} stands here twice"])  # noqa: TRY301  as above
            self._follows[follow.key] = follow
        except ConfigError as error:
            problems = [f"{self._path}:{number}: {problem}" for problem in error.problems]
            kept = problems[: _PROBLEMS_MOST - len(self._problems)]
            self._problems += kept
            self._more += len(problems) - len(kept)
        if len(self._follows) > _FOLLOWS_MOST:
            raise ConfigError([f"{self._path}:{number}: expected at most {_FOLLOWS_MOST:,} follows, got more"])

    def done(self) -> tuple[Follow, ...]:
        if self._problems:
            more = [f"{self._path}: and {self._more} more"] if self._more else []
            raise ConfigError([*self._problems, *more, "nothing was imported"])
        return tuple(self._follows.values())

    def _follow(self, row: Mapping[str, Any]) -> Follow:
        settings = {path: value for path, value in row.items() if path not in _WHO and value is not None}
        name = repr(sorted(settings.items()))
        if name not in self._layers:
            _make_room(self._layers)
            self._layers[name] = structure_layer(settings)
        return make_follow(row.get("follower"), row.get("leader"), self._layers[name], self._terms)


def make_follow(follower: object, leader: object, own: Layer, terms: TermsOfFollows) -> Follow:
    """Check who copies whom and whether the settings in force make sense together.

    Raises:
        ConfigError: with one line for every problem.
    """
    problems = []
    try:
        name = structure_follower_id(follower)
        if name == EVERYBODY:
            problems.append('follower: expected one follower; "*" only lends its settings to those who are not named')
        elif name not in terms.followers:
            problems.append(f'follower: expected the id of a [[follower]], or one with id = "*", got "{name}"')
    except ValueError as error:
        problems.append(f"follower: {error}")
    try:
        address = checked_address(str(leader or ""))
    except ValueError as error:
        problems.append(f"leader: {error}")
    if problems:
        raise ConfigError(problems)
    follow = Follow(follower=name, leader=address, own=own)
    impossible = [f"{path}: {problem}" for path, problem in contradictions(terms.of(follow).settings)]
    if impossible:
        raise ConfigError(impossible)
    return follow


def _make_room(known: MutableMapping[Any, Any]) -> None:
    """Forget what was read once for all equal ones, before it outgrows what it saves."""
    if len(known) >= _KNOWN_MOST:
        known.clear()


def _csv_rows(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    reader = csv.reader(lines, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
    except csv.Error as error:
        raise ConfigError([f"{path}:1: not CSV: {error}"]) from None
    named = [name for name in header if name]
    if not set(_WHO) <= set(named) or len(set(named)) < len(named):
        got = ",".join(header)[:80] or "nothing"
        raise ConfigError([f"{path}:1: expected a header with follower, leader and settings, each once, got {got}"])
    values: dict[tuple[str, str], Any] = {}
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]  # no-break spaces too, which come along when a table is copied
            if not any(cells):
                continue  # spreadsheets leave empty rows behind
            if len(cells) != len(header):
                yield reader.line_num, f"expected {counted(len(header), 'column')}, got {len(cells)}"
                continue
            row: dict[str, Any] = {}
            for name, cell in zip(header, map(cell_text, cells), strict=True):
                if name in _WHO:
                    row[name] = cell
                elif cell:
                    if (name, cell) not in values:
                        _make_room(values)
                        values[name, cell] = parse_value(name, cell)
                    row[name] = values[name, cell]
            yield reader.line_num, row
    except csv.Error as error:
        yield reader.line_num, f"not CSV: {error}"


def _json_rows(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
    for number, line in lines:
        if line.strip():
            try:
                yield number, decoder.decode(line)
            except (msgspec.DecodeError, RecursionError) as error:
                yield number, f"not a JSON object: {error}"


def _cell(value: Any) -> str:  # noqa: ANN401  a plain value
    if value is None:
        return ""
    return msgspec.json.encode(value).decode() if isinstance(value, (list, dict, bool)) else str(value)
