"""What a backtest says, in the form in which it is printed, written and handed from one process to another."""

import csv
from collections.abc import Sequence
from pathlib import Path

import msgspec

from trio_copy.cli.tables import Column, Styled, dollars, short, signed, signed_dollars, text_cell
from trio_copy.engine.recordings.forgone import Forgone
from trio_copy.engine.recordings.standing import Standing
from trio_copy.errors import ConfigError
from trio_copy.files import open_promptly
from trio_copy.model.units import Rounding, Usd, divide


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one leader, all together, or all together with one setting, came to. Dollars are exact decimals."""

    name: str
    signals: int
    tasks: int
    orders: int
    copies: int
    fill_bps: int | None
    invested: str
    realised: str
    unrealised: str
    total: str
    at_risk: str
    return_bps: int | None
    drawdown: str
    closed: int
    won: int
    win_bps: int | None
    slippage_bps: int | None
    slippage: str
    fees: str

    @classmethod
    def of(cls, name: str, standing: Standing) -> "Figures":
        return cls(
            name=name,
            signals=standing.signals,
            tasks=standing.tasks,
            orders=standing.orders,
            copies=standing.copies,
            fill_bps=standing.fill_bps,
            invested=_usd(standing.invested),
            realised=_usd(standing.realised),
            unrealised=_usd(standing.unrealised),
            total=_usd(standing.equity),
            at_risk=_usd(standing.at_risk),
            return_bps=standing.return_bps,
            drawdown=_usd(standing.drawdown),
            closed=standing.closed,
            won=standing.won,
            win_bps=standing.win_bps,
            slippage_bps=standing.slippage_bps,
            slippage=_usd(standing.worse),
            fees=_usd(standing.fees),
        )


class NotMade(msgspec.Struct, frozen=True, kw_only=True):
    """What one control said no to, and what it would have come to."""

    code: str
    control: str
    entries: int
    exits: int
    valued: int
    cost: str
    """In USD: above 0 the control has cost so much, below 0 it has saved it."""

    @classmethod
    def of(cls, forgone: Forgone) -> "NotMade":
        return cls(
            code=forgone.code,
            control=forgone.control,
            entries=forgone.entries,
            exits=forgone.exits,
            valued=forgone.valued,
            cost=_usd(forgone.would),
        )


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    begins: str
    ends: str
    settings: dict[str, str]
    """What was set by hand, by path."""
    total: Figures
    leaders: list[Figures]
    not_copied: list[NotMade]
    notes: list[str]
    """What a reader has to know before he believes it."""


def percent(bps: int) -> str:
    """Write basis points as a percentage, for people; nothing has no sign."""
    tenths = divide(abs(bps), 10, Rounding.NEAREST)
    return f"{'-' if bps < 0 and tenths else ''}{tenths // 10}.{tenths % 10} %"


def signed_percent(bps: int) -> Styled:
    """The same, coloured by its sign."""
    return signed(percent(bps))


def _cost_or_saved(usd: str) -> Styled:
    saved = usd.startswith("-")
    if dollars(usd).strip("-") == "0.00":
        return Styled("0.00", "")
    return Styled(f"{'saved' if saved else 'cost'} {dollars(usd.removeprefix('-'))}", "green" if saved else "red")


FIGURES: tuple[Column[Figures], ...] = (
    Column("name", lambda row: row.name, shown=short),
    Column("signals", lambda row: row.signals, right=True, detail=True),
    Column("copies", lambda row: row.copies, right=True),
    Column("filled", lambda row: row.fill_bps, right=True, shown=percent, detail=True),
    Column("invested", lambda row: row.invested, right=True, shown=dollars, detail=True),
    Column("realised", lambda row: row.realised, right=True, shown=signed_dollars),
    Column("unrealised", lambda row: row.unrealised, right=True, shown=signed_dollars),
    Column("at_risk", lambda row: row.at_risk, right=True, shown=dollars),
    Column("return", lambda row: row.return_bps, right=True, shown=signed_percent),
    Column("drawdown", lambda row: row.drawdown, right=True, shown=dollars),
    Column("won", lambda row: row.win_bps, right=True, shown=percent, detail=True),
    Column("slip_bps", lambda row: row.slippage_bps, right=True, detail=True),
    Column("fees", lambda row: row.fees, right=True, shown=dollars, detail=True),
)
COMPARED: tuple[Column[Figures], ...] = (Column("settings", lambda row: row.name), *FIGURES[1:])
NOT_MADE: tuple[Column[NotMade], ...] = (
    Column("not_copied", lambda row: row.code),
    Column("by", lambda row: row.control),
    Column("entries", lambda row: row.entries, right=True),
    Column("exits", lambda row: row.exits, right=True),
    Column("valued", lambda row: row.valued, right=True, detail=True),
    Column("cost", lambda row: row.cost if row.valued else None, right=True, shown=_cost_or_saved),
)


def write_figures(path: Path, rows: Sequence[Figures]) -> None:
    """Write rows as comma-separated values with a header, every figure whole. Raises `ConfigError` when it cannot be."""
    names = Figures.__struct_fields__
    try:
        with open(path, "w", newline="", encoding="utf-8", opener=open_promptly) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(names)
            for row in rows:
                cells = (getattr(row, name) for name in names)
                writer.writerow(["" if cell is None else text_cell(str(cell)) for cell in cells])
    except OSError as error:
        raise ConfigError([f"--csv: {path} cannot be written: {error.strerror}"]) from None


def _usd(micro: int) -> str:
    return str(Usd(micro))
