"""Rows for people, for machines and for spreadsheets: a table, JSON lines, or CSV."""

import csv
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Generic, TextIO, TypeVar

from attrs import frozen
from cyclopts import Parameter

from trio_copy.cli.output import out, out_json
from trio_copy.errors import ConfigError
from trio_copy.model.units import Usd
from trio_copy.telemetry.visible import cut_inside, visible, with_short_ids

_Row = TypeVar("_Row")
_RICH_MOST = 2000
_TOGETHER = 500
_ELASTIC_LEAST = 16
_WORD_MOST = 32
_GAP = 2
# With any apostrophes before it, so that reading takes away exactly what writing has put there. Spreadsheets of some
# languages take the wide signs too.
_FORMULA = re.compile("'*[=+\\-@\t\r\n|%\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
Json = Annotated[bool, Parameter(name="--json", negative=(), help="One JSON object per line.")]
Csv = Annotated[bool, Parameter(name="--csv", negative=(), help="Comma-separated values with a header.")]


@frozen
class Styled:
    """A text, and how it stands out on a terminal."""

    text: str
    style: str

    def __str__(self) -> str:
        return self.text


@frozen
class Column(Generic[_Row]):
    """One column: its name for machines, what it holds, and how it looks to people."""

    name: str
    value: Callable[[_Row], Any]
    """Text, a number, or None where there is nothing."""
    right: bool = False
    shown: Callable[[Any], str | Styled] | None = None
    """How people see the value; as it is by default. Machines always get it whole."""
    missing: Callable[[_Row], str] | None = None
    """What people see instead where there is no value; a dash by default."""
    detail: bool = False
    """Left out on a terminal that is too narrow for all; machines and pipes always get it."""
    elastic: bool = False
    """Takes several lines on a narrow terminal, cut between words. What is not elastic never does: half a number is a wrong one."""
    tail: bool = False
    """Cut in the middle on a narrow terminal: its end tells it apart, as YES and NO of a question do. For what nobody types."""

    @property
    def yields(self) -> bool:
        return self.elastic or self.tail

    def least(self, cells: Iterable[str | Styled]) -> int:
        """Return how narrow it may become; no word is cut that somebody may want to look up or to type."""
        if not self.elastic:
            return _ELASTIC_LEAST
        longest = max((len(word) for cell in cells for word in str(cell).split()), default=0)
        return min(max(longest, _ELASTIC_LEAST), _WORD_MOST)


@contextmanager
def showing(
    columns: Sequence[Column[_Row]],
    *,
    json: bool,
    csv_: bool,
    empty: str,
    people: Sequence[Column[_Row]] | None = None,
) -> Iterator[Callable[[_Row], None]]:
    """Write rows in the form that was asked for, each as it is told; only a table for people waits for the last one.

    `people` are the columns of that table, where they are others than those for machines.

    Raises:
        ConfigError: both forms were asked for.
    """
    if json and csv_:
        raise ConfigError(["--json, --csv: expected one of them, got both"])
    if json:
        named = [(column.name, column.value) for column in columns]
        yield lambda row: out_json({name: value(row) for name, value in named})
    elif csv_:
        yield csv_rows(columns, sys.stdout)
    else:
        table = _Table(columns if people is None else people)
        yield table.add
        table.write(empty)


def csv_rows(columns: Sequence[Column[_Row]], stream: TextIO) -> Callable[[_Row], None]:
    """Write a header, and return what writes a row."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([column.name for column in columns])

    def write(row: _Row) -> None:
        writer.writerow([text_cell(visible(_cell(column.value(row)))) for column in columns])

    return write


def show(columns: Sequence[Column[_Row]], rows: Iterable[_Row], *, json: bool, csv_: bool, empty: str) -> None:
    """Write rows in the form that was asked for. Raises `ConfigError` when both forms were."""
    with showing(columns, json=json, csv_=csv_, empty=empty) as tell:
        for row in rows:
            tell(row)


_Cells = Mapping[str, Sequence[str | Styled]]
"""Columns by their names, as people see them."""


class _Table(Generic[_Row]):
    """Keeps of rows what people see of them: it is less than the rows themselves, and there may be a hundred thousand."""

    def __init__(self, columns: Sequence[Column[_Row]]) -> None:
        self._columns = columns
        self._cells: dict[str, list[str | Styled]] = {column.name: [] for column in columns}
        self._told: list[_Row] = []

    def add(self, row: _Row) -> None:
        self._told.append(row)
        if len(self._told) >= _TOGETHER:
            self._take()

    def write(self, empty: str) -> None:
        """Write all rows, or what is said where there is none."""
        self._take()
        count = len(self._cells[self._columns[0].name])
        if not count:
            out(empty)
        elif (sys.stdout.isatty() or os.environ.get("FORCE_COLOR")) and count <= _RICH_MOST:
            _print_rich(self._columns, self._cells)
        else:
            _print_plain(self._columns, self._cells)

    def _take(self) -> None:
        for column in self._columns:
            self._cells[column.name] += _shown(column, self._told)
        self._told.clear()


def _print_rich(columns: Sequence[Column[_Row]], cells: _Cells) -> None:
    # Not above: it takes longer to import than most books to read, and a pipe needs none of it.
    from rich.table import Table
    from rich.text import Text

    from trio_copy.cli.printer import console

    terminal = console()
    widths = {
        column.name: max(len(column.name), *(len(str(cell)) for cell in cells[column.name])) for column in columns
    }
    least = {
        column.name: min(widths[column.name], column.least(cells[column.name]))
        if column.yields
        else widths[column.name]
        for column in columns
    }
    fitting = _fitting(columns, least, terminal.width)
    elastic = [column for column in fitting if column.yields]
    left = terminal.width - _GAP * len(fitting) - sum(least[one.name] for one in fitting)
    for taken, column in enumerate(sorted(elastic, key=lambda one: widths[one.name] - least[one.name])):
        more = min(widths[column.name] - least[column.name], left // (len(elastic) - taken))
        widths[column.name] = max(1, least[column.name] + more)
        left -= more
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for column in fitting:
        table.add_column(
            column.name.replace("_", " "),
            justify="right" if column.right else "left",
            no_wrap=not column.elastic,
            overflow="fold" if column.elastic else "ellipsis",
            width=widths[column.name],
        )
    shown = [
        [cut_inside(str(cell), widths[column.name]) for cell in cells[column.name]]
        if column.tail
        else cells[column.name]
        for column in fitting
    ]
    for row in zip(*shown, strict=True):
        table.add_row(*(Text(cell.text, cell.style) if isinstance(cell, Styled) else cell for cell in row))
    terminal.print(table)
    if missing := [column.name.replace("_", " ") for column in columns if column not in fitting]:
        terminal.print(
            Text(f"no room for: {', '.join(missing)} (a wider terminal, a pipe or --json shows them)", "dim")
        )


def _fitting(columns: Sequence[Column[_Row]], least: Mapping[str, int], most: int) -> list[Column[_Row]]:
    """Leave columns out until the rest fits with its elastic ones as narrow as they may be: details first, the last of them
    before the others; then whatever stands last. What were squeezed instead would be cut without a word.
    """
    kept = list(columns)
    others = columns[:0:-1]
    for column in (*(one for one in others if one.detail), *(one for one in others if not one.detail)):
        if sum(least[one.name] for one in kept) + _GAP * len(kept) <= most:
            break
        kept.remove(column)
    return kept


def _print_plain(columns: Sequence[Column[_Row]], cells: _Cells) -> None:
    """Print an aligned table without colours, fast enough for a hundred thousand rows."""
    aligned = []
    for column in columns:
        width = max(len(column.name), *map(len, map(str, cells[column.name])))
        aligned.append(f"%{'' if column.right else '-'}{width}s")
    row = (" " * _GAP).join(aligned)
    out((row % tuple(column.name.replace("_", " ") for column in columns)).rstrip())
    for line in zip(*(cells[column.name] for column in columns), strict=True):
        out((row % line).rstrip())


def _shown(column: Column[_Row], rows: Iterable[_Row]) -> list[str | Styled]:
    """Return a part of a column as people see it."""
    shown, missing = column.shown or str, column.missing or (lambda _: "-")
    values = ((row, column.value(row)) for row in rows)
    return [
        missing(row) if value is None else shown(visible(value) if isinstance(value, str) else value)
        for row, value in values
    ]


def _cell(value: Any) -> str:  # noqa: ANN401  whatever a column holds
    return "" if value is None else str(value)


def text_cell(text: str) -> str:
    """Write a cell so that a spreadsheet does not calculate it: what begins like a formula, and is no number, gets an apostrophe."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def cell_text(cell: str) -> str:
    """Read a cell back that `text_cell` wrote."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def text_or_none(value: object) -> str | None:
    """Write an exact amount, where there is one."""
    return None if value is None else str(value)


def short(name: str) -> str:
    """Shorten what is an address, a hash or a long number; words and names stay as they are."""
    return with_short_ids(name) if name.isalnum() else name


def dollars(value: str) -> str:
    """Round an exact amount of dollars to cents, for people."""
    return Usd.parse(value).cents


def signed_dollars(value: str) -> Styled:
    """Round an exact amount to cents and colour it by its sign."""
    return signed(dollars(value))


def signed(figure: str) -> Styled:
    """Colour what people see by its sign; what is rounded to nothing has none."""
    return Styled(figure, "red" if figure.startswith("-") else "green" if figure.strip("0.%, ") else "")
