"""How figures look in tables, wherever they stand."""

import pytest

from trio_copy.cli.tables import signed_dollars
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
