"""How figures look in tables, wherever they stand."""

import re

import pytest

from trio_copy.cli.tables import Column, show, signed_dollars
from trio_copy.cli.verdicts import percent, signed_percent


@pytest.mark.parametrize(
    "exact, shown, style",
    [
        ("-0.004", "0.00", ""),
        ("0.004", "0.00", ""),
        ("0", "0.00", ""),
        ("-0.0051", "-0.01", "red"),
        ("0.99375", "0.99", "green"),
        ("-1234.5", "-1,234.50", "red"),
    ],
)
def test_what_is_rounded_to_nothing_has_neither_sign_nor_colour(exact: str, shown: str, style: str) -> None:
    cell = signed_dollars(exact)
    assert (cell.text, cell.style) == (shown, style)


@pytest.mark.parametrize(
    "bps, shown, style", [(-4, "0.0 %", ""), (-6, "-0.1 %", "red"), (0, "0.0 %", ""), (12_346, "123.5 %", "green")]
)
def test_percentages_neither(bps: int, shown: str, style: str) -> None:
    assert percent(bps) == shown
    cell = signed_percent(bps)
    assert (cell.text, cell.style) == (shown, style)


def test_what_has_no_room_is_left_out_and_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Details first, then whatever stands last; a row is always known by its first column."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    columns = [
        Column[str]("first", lambda row: f"first-{row}"),
        Column[str]("second", lambda row: f"second-{row}"),
        Column[str]("extra", lambda row: f"extra-{row}", detail=True),
        Column[str]("third", lambda row: f"third-{row}"),
    ]
    show(columns, ["x" * 12], json=False, csv_=False, empty="")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert ("first-" + "x" * 12 in shown, "second-" + "x" * 12 in shown) == (True, False)
    assert "no room for: second, extra, third" in " ".join(shown.split())
