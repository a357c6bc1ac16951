"""How far paper was from what the book allowed, as it is added up."""

from collections.abc import Sequence

import pytest

from trio_copy.accounts.copied import Copied
from trio_copy.engine.books.fidelity import Fidelity, Group
from trio_copy.model.books import Quote
from trio_copy.model.fills import Side
from trio_copy.model.ids import TaskId
from trio_copy.model.sightings import Look, Looks, Sighting
from trio_copy.model.units import Price, Shares, Usd


def quote(bid: str | None, ask: str | None) -> Quote:
    bid_price, ask_price = (None if price is None else Price.parse(price) for price in (bid, ask))
    return Quote(bid=bid_price, ask=ask_price)


def sighting(*quotes: tuple[str | None, str | None] | None) -> Sighting:
    seen, decided, answered = (None if one is None else quote(*one) for one in quotes)
    return Sighting(seen, decided, answered)


def copied(
    side: Side = Side.BUY,
    *,
    shares: str = "100",
    usd: str = "50",
    reference: str | None = "0.4",
    seen: Sighting | None = None,
) -> Copied:
    limit = Price.parse("0.6" if side is Side.BUY else "0.3")
    price = None if reference is None else Price.parse(reference)
    return Copied(0, side, Shares.parse("100"), limit, Shares.parse(shares), Usd.parse(usd), price, seen)


def looks(*after: Look | None) -> Looks:
    return Looks(task_id=TaskId("t"), attempt=0, shares=Shares.parse("100"), after=after)


def look(usd: str, shares: str = "100", *, by_book: bool = True) -> Look:
    return Look(Shares.parse(shares), Usd.parse(usd), by_book)


def steps_of(group: Group) -> list[int | None]:
    return [*(step.bps for step in group.steps), group.whole.bps, group.answer.bps]


@pytest.mark.parametrize(
    ("what", "steps"),
    [
        # 40 at the leader's price, 44 when seen, 45 when decided, 50 paid, 52 at the answer: in parts of the 50 that were paid.
        (copied(seen=sighting(("0", "0.44"), ("0", "0.45"), ("0", "0.52"))), [800, 200, 1000, 2000, 400]),
        # Sold: what falls is against us.
        (
            copied(Side.SELL, reference="0.6", seen=sighting(("0.55", "1"), ("0.56", "1"), ("0.49", "1"))),
            [1000, -200, 1200, 2000, 200],
        ),
        # A side of the book that is empty has no price; what it lies between is not known either.
        (copied(seen=sighting(("0.1", None), ("0.1", "0.45"), None)), [None, None, 1000, 2000, None]),
        (copied(reference=None, seen=sighting(("0", "0.44"), None, None)), [None, None, None, None, None]),
        (copied(), [None, None, None, 2000, None]),
    ],
)
def test_prices_move_from_moment_to_moment(what: Copied, steps: Sequence[int | None]) -> None:
    """In basis points of what was traded, above zero against us; where one end is not known, nothing is."""
    group = Group()
    group.add(what, None)
    assert steps_of(group) == steps
    assert group.known == (what.sighting is not None)


def test_steps_are_weighed_by_money() -> None:
    """A large copy counts for more than a small one, in its own direction."""
    group = Group()
    group.add(copied(usd="50"), None)
    group.add(copied(shares="1", usd="0.3"), None)
    assert (group.whole.worse, group.whole.traded, group.whole.bps) == (9_900_000, 50_300_000, 1968)


@pytest.mark.parametrize(
    ("what", "seen", "expected"),
    [
        (copied(), look("51"), (200, 1, 1, 0, 0, 0)),
        (copied(), look("49"), (-200, 1, 1, 0, 0, 0)),
        (copied(Side.SELL), look("49"), (200, 1, 1, 0, 0, 0)),
        (copied(), look("51", by_book=False), (200, 1, 1, 0, 1, 0)),
        (copied(), look("26", "50"), (400, 1, 1, 1, 0, 0)),  # compared with what half of them cost
        (copied(), look("0", "0"), (None, 0, 1, 1, 0, 0)),
        (copied(), None, (None, 0, 0, 0, 0, 0)),
        # Killed: it might have been filled whole, within its limit of 60, or 30 for a sale.
        (copied(shares="0", usd="0"), look("60"), (None, 0, 1, 0, 0, 1)),
        (copied(shares="0", usd="0"), look("61"), (None, 0, 1, 0, 0, 0)),
        (copied(shares="0", usd="0"), look("30", "50"), (None, 0, 1, 1, 0, 0)),
        (copied(Side.SELL, shares="0", usd="0"), look("30"), (None, 0, 1, 0, 0, 1)),
        (copied(Side.SELL, shares="0", usd="0"), look("29"), (None, 0, 1, 0, 0, 0)),
    ],
)
def test_paper_is_compared_with_the_book_later(
    what: Copied, seen: Look | None, expected: tuple[int | None, int, int, int, int, int]
) -> None:
    """Above zero paper was better than what was to be had; what the book did not hold is counted and not compared."""
    group = Group()
    group.add(what, looks(None, seen, None))
    after = group.after[1]
    assert (after.bps, after.copies, after.looked, after.short, after.by_price, after.would_fill) == expected
    assert [group.after[0].looked, group.after[2].looked] == [0, 0]
    assert (group.copies, group.killed) == ((1, 0) if what.shares else (0, 1))


def test_nothing_is_known_of_nothing() -> None:
    """No figure is made up where there is no fact."""
    found = Fidelity()
    found.take(())
    assert steps_of(found.total) == [None] * 5
    assert [after.bps for after in found.total.after] == [None] * 3
