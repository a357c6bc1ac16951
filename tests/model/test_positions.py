"""The ledger: positions are folds over entries, and every figure equals a naive recomputation."""

from collections import deque
from fractions import Fraction
from math import ceil, floor

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ALICE, LEADER, NOW, TOKEN
from trio_copy.cli.positions import HeldPosition
from trio_copy.model.fills import Side
from trio_copy.model.ids import SignalId, TaskId
from trio_copy.model.positions import EMPTY, Booking, EntryKind, LedgerEntry, Mark, Position, fold, slippage_bps
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Shares, Usd

ENTRY = LedgerEntry(
    key="k",
    task_id=TaskId("t"),
    signal_id=SignalId("s"),
    follower=ALICE,
    leader=LEADER,
    token_id=TOKEN,
    side=Side.BUY,
    shares=Shares.parse(10),
    notional=Usd.parse(5),
    fee=Usd.parse("0.1"),
    booked_at=NOW,
)


def test_a_sale_realises_proceeds_less_its_cost() -> None:
    """Ten shares for 5.10 with fees; four of them sold for 3 cost 2.04 and earn 0.96."""
    held = EMPTY.after(ENTRY)
    after = held.after(evolve(ENTRY, side=Side.SELL, shares=Shares.parse(4), notional=Usd.parse(3), fee=NO_USD))

    assert (Shares.parse(6), Usd.parse("3.06"), Usd.parse("0.96")) == (after.shares, after.cost, after.realised)


def test_lots_are_sold_first_in_first_out() -> None:
    """The cheap lot goes first, whatever the dear one cost."""
    dear = evolve(ENTRY, key="dear", notional=Usd.parse(9), fee=NO_USD)
    sale = evolve(ENTRY, key="sale", side=Side.SELL, shares=Shares.parse(10), notional=Usd.parse(8), fee=NO_USD)
    after = fold([ENTRY, dear, sale])

    assert [lot.key for lot in after.lots] == ["dear"]
    assert Usd.parse("2.9") == after.realised


def test_what_is_not_settled_is_shown_apart() -> None:
    """A sale from a provisional lot earns provisionally; once both are confirmed it is firm; reversed, it never was."""
    bought = evolve(ENTRY, key="bought", firm=False, fee=NO_USD)
    sold = evolve(ENTRY, key="sold", side=Side.SELL, notional=Usd.parse(7), fee=NO_USD)
    confirm = evolve(ENTRY, key="c", kind=EntryKind.CONFIRM, of="bought", shares=NO_SHARES)
    reverse = evolve(ENTRY, key="r", kind=EntryKind.REVERSE, of="bought", shares=NO_SHARES)

    assert (NO_USD, Usd.parse(2)) == (fold([bought, sold]).realised, fold([bought, sold]).provisional)
    assert (Usd.parse(2), NO_USD) == (
        fold([bought, sold, confirm]).realised,
        fold([bought, sold, confirm]).provisional,
    )
    undone = fold([bought, sold, reverse])
    assert (Shares.parse(10), Usd.parse(7)) == (undone.oversold, undone.realised)


def test_an_exit_that_was_missed_changes_only_what_the_leader_holds() -> None:
    """He sold half of his without us: the next half of what is left is all of what he still has."""
    held = EMPTY.after(evolve(ENTRY, leader_shares=Shares.parse(100)))
    missed = evolve(
        ENTRY, key="m", kind=EntryKind.MISSED, side=Side.SELL, shares=NO_SHARES, leader_shares=Shares.parse(50)
    )
    after = held.after(missed)

    assert Shares.parse(50) == after.leader_shares
    assert evolve(after, leader_shares=held.leader_shares) == held


TRADES = st.lists(
    st.tuples(st.booleans(), st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 10**6), st.booleans()),
    max_size=25,
)


def entries_of(trades: list[tuple[bool, int, int, int, bool]]) -> list[LedgerEntry]:
    """Make a history that never sells what is not there."""
    held, entries = 0, []
    for number, (buying, shares, notional, fee, firm) in enumerate(trades):
        amount = shares if buying else min(shares, held)
        held += amount if buying else -amount
        entries.append(
            evolve(
                ENTRY,
                key=str(number),
                side=Side.BUY if buying else Side.SELL,
                shares=Shares(amount),
                notional=Usd(notional if amount else 0),
                fee=Usd(fee if amount else 0),
                firm=firm,
                booked_at=NOW + number,
            )
        )
    return entries


@given(TRADES)
def test_money_is_conserved(trades: list[tuple[bool, int, int, int, bool]]) -> None:
    """Whatever is traded: what was paid equals what is still tied up plus what was taken out less what was earned."""
    entries = entries_of(trades)
    position = fold(entries)
    paid = sum(entry.notional.micro + entry.fee.micro for entry in entries if entry.side is Side.BUY)
    received = sum(entry.notional.micro - entry.fee.micro for entry in entries if entry.side is Side.SELL)

    assert position.cost.micro - position.realised.micro - position.provisional.micro == paid - received
    assert position.fees.micro == sum(entry.fee.micro for entry in entries)
    assert position.cost == sum((lot.cost for lot in position.lots), NO_USD) >= NO_USD
    assert position.shares == sum((lot.shares for lot in position.lots), NO_SHARES)
    assert position.shares or not position.cost
    assert position.oversold == NO_SHARES


@given(TRADES)
def test_profits_equal_a_naive_recomputation(trades: list[tuple[bool, int, int, int, bool]]) -> None:
    """Queues of single lots with exact fractions come to the same, up to a millionth per lot that was cut, against us."""
    entries = entries_of(trades)
    lots: deque[list[Fraction]] = deque()
    realised, cuts = Fraction(0), 0
    for entry in entries:
        if not entry.shares:
            continue
        if entry.side is Side.BUY:
            lots.append([Fraction(entry.shares.micro), Fraction(entry.notional.micro + entry.fee.micro)])
            continue
        left = Fraction(entry.shares.micro)
        cost = Fraction(0)
        while left:
            lot = lots[0]
            taken = min(left, lot[0])
            part = lot[1] * taken / lot[0]
            lot[0], lot[1], left, cost = lot[0] - taken, lot[1] - part, left - taken, cost + part
            cuts += 1
            if not lot[0]:
                lots.popleft()
        realised += entry.notional.micro - entry.fee.micro - cost
    position = fold(entries)
    exact = realised - position.realised.micro - position.provisional.micro

    assert position.shares.micro == sum(lot[0] for lot in lots)
    assert abs(exact) <= cuts


@given(TRADES, st.sets(st.integers(0, 24)), st.sets(st.integers(0, 24)))
def test_booking_step_by_step_equals_the_fold(
    trades: list[tuple[bool, int, int, int, bool]], confirmed: set[int], reversed_: set[int]
) -> None:
    """What each booking said it realised adds up to what the whole history realised, reversals and all."""
    entries = entries_of(trades)
    history: list[LedgerEntry] = []
    position, realised, released = EMPTY, 0, 0
    for entry in [
        *entries,
        *_later(entries, EntryKind.CONFIRM, confirmed - reversed_),
        *_later(entries, EntryKind.REVERSE, reversed_),
    ]:
        history.append(entry)
        after = fold(history) if entry.of else position.after(entry)
        booking = Booking.of(position, after)
        realised, released, position = realised + booking.realised.micro, released + booking.released.micro, after

    assert position == fold(history)
    assert realised == position.realised.micro + position.provisional.micro
    assert -released == position.cost.micro


def _later(entries: list[LedgerEntry], kind: EntryKind, numbers: set[int]) -> list[LedgerEntry]:
    return [
        evolve(ENTRY, key=f"{kind.value}{number}", kind=kind, of=str(number), shares=NO_SHARES)
        for number in sorted(numbers)
        if number < len(entries)
    ]


@pytest.mark.parametrize(
    ("side", "price", "expected"),
    [(Side.BUY, "0.51", 200), (Side.BUY, "0.49", -200), (Side.SELL, "0.49", 200), (Side.SELL, "0.500001", 0)],
)
def test_slippage_is_worse_when_positive(side: Side, price: str, expected: int) -> None:
    """A dearer purchase and a cheaper sale are both worse, rounded against us."""
    assert expected == slippage_bps(side, Price.parse("0.5"), Price.parse(price))


@given(st.sampled_from(Side), st.integers(1, 10**7), st.integers(0, 10**7))
def test_slippage_equals_a_naive_recomputation(side: Side, reference: int, price: int) -> None:
    """The exact difference in basis points of the reference, rounded against us."""
    worse = price - reference if side is Side.BUY else reference - price
    assert slippage_bps(side, Price(reference), Price(price)) == ceil(Fraction(worse * 10_000, reference))


@given(TRADES, st.integers(0, 10**6))
def test_unrealised_profit_equals_a_naive_recomputation(
    trades: list[tuple[bool, int, int, int, bool]], bid: int
) -> None:
    """What is held at the bid, rounded down, less what every lot of it cost."""
    position = fold(entries_of(trades))
    key = (ALICE, LEADER, TOKEN)
    held = HeldPosition(key, position, Mark(price=Price(bid), peak=Price(bid), at=NOW), None)
    value = floor(Fraction(sum(lot.shares.micro for lot in position.lots) * bid, 10**6))

    assert held.unrealised is not None
    assert held.unrealised.micro == value - sum(lot.cost.micro for lot in position.lots)


def test_slippage_against_nothing_is_unknown() -> None:
    """A reference of zero cannot be compared with."""
    assert slippage_bps(Side.BUY, Price(0), Price(1)) is None
    assert isinstance(EMPTY, Position)
