"""What copying a leader has brought, worked out from the newest booking back."""

from random import Random

import pytest

from trio_copy.engine.books.brought import Brought
from trio_copy.engine.books.fidelity import in_bps
from trio_copy.model.facts import Amounts


def traded(dice: Random) -> tuple[list[Amounts], int]:
    """Draw bookings in the order of time, and return them with what is held at the end."""
    bookings: list[Amounts] = []
    held = 0
    for _ in range(dice.randrange(12)):
        fee = dice.randrange(5)
        if held and dice.random() < 0.5:
            cost, sold = dice.randint(1, held), dice.randrange(5, 100)
            held -= cost
            gained = sold - fee - cost
            firm = dice.random() < 0.5
            bookings.append((1, 0, sold, fee, gained if firm else 0, 0 if firm else gained))
            if not firm:
                bookings.append((0, 0, 0, 0, gained, -gained))
        else:
            bought = dice.randrange(1, 100)
            held += bought + fee
            bookings.append((1, bought, 0, fee, 0, 0))
    return bookings, held


def forwards(bookings: list[Amounts], value: int | None, held: int) -> tuple[int, int]:
    """Work out what was at risk, and the drawdown, as one would who was there."""
    cost = made = peak = at_risk = drawdown = 0
    for _, bought, sold, fees, realised, provisional in bookings:
        cost += realised + provisional - (sold - bought - fees)
        made += realised + provisional
        peak, at_risk = max(peak, made), max(at_risk, cost)
        drawdown = max(drawdown, peak - made)
    at_the_end = made if value is None else made + value - held
    return at_risk, max(drawdown, max(peak, at_the_end) - at_the_end)


@pytest.mark.parametrize("seed", range(40))
def test_going_back_tells_the_same_as_having_been_there(seed: int) -> None:
    """At risk and drawdown need no history to be held, whatever is held at the end and whether it has a bid."""
    dice = Random(seed)
    bookings, held = traded(dice)
    value = None if dice.random() < 0.3 else dice.randrange(200) if held else 0
    brought = Brought()
    if held:
        brought.hold(held, value)
    for amounts in reversed(bookings):
        brought.go_back(amounts)
    assert (brought.at_risk, brought.drawdown) == forwards(bookings, value, held)
    assert (brought.without_bid == 1) == (value is None and held > 0)


@pytest.mark.parametrize(
    ("part", "whole", "bps"), [(1, 3, 3333), (-1, 3, -3333), (0, 5, 0), (5, 0, None), (2, 1, 20_000)]
)
def test_a_part_is_told_in_basis_points(part: int, whole: int, bps: int | None) -> None:
    """To the nearest, on both sides of zero; a part of nothing is none."""
    assert in_bps(part, whole) == bps
