"""Positions are folds over entries."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ALICE, LEADER, NOW, TOKEN
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, SignalId
from trio_copy.model.positions import LedgerEntry, Position, slippage_bps
from trio_copy.model.units import NO_SHARES, NO_USD, Price, Shares, Usd

ENTRY = LedgerEntry(
    key=IntentKey("k"),
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


def test_a_sale_realises_proceeds_less_average_cost() -> None:
    """Ten shares for 5.10 with fees; four of them sold for 3 cost 2.04 and earn 0.96."""
    held = Position().after(ENTRY)
    after = held.after(evolve(ENTRY, side=Side.SELL, shares=Shares.parse(4), notional=Usd.parse(3), fee=NO_USD))

    assert Position(shares=Shares.parse(6), cost=Usd.parse("3.06"), realised=Usd.parse("0.96")) == after


def test_more_than_is_held_cannot_be_sold() -> None:
    """A ledger never goes short; the error carries the facts."""
    with pytest.raises(ValueError, match="expected to sell at most 10 shares, was 11"):
        Position().after(ENTRY).after(evolve(ENTRY, side=Side.SELL, shares=Shares.parse(11)))


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 10**12), st.integers(0, 10**12)), max_size=30))
def test_money_is_conserved(trades: list[tuple[bool, int, int]]) -> None:
    """Whatever is traded: what was paid equals what is still tied up plus what was taken out less what was earned."""
    position, paid, received = Position(), 0, 0
    for buying, shares, notional in trades:
        side = Side.BUY if buying else Side.SELL
        amount = Shares(shares) if buying else min(Shares(shares), position.shares)
        entry = evolve(ENTRY, side=side, shares=amount, notional=Usd(notional), fee=NO_USD)
        position = position.after(entry)
        if buying:
            paid += notional
        elif amount:
            received += notional
    assert position.cost.micro - position.realised.micro == paid - received
    assert position.cost >= NO_USD
    assert position.shares >= NO_SHARES
    assert position.shares or not position.cost


@pytest.mark.parametrize(
    ("side", "price", "expected"),
    [(Side.BUY, "0.51", 200), (Side.BUY, "0.49", -200), (Side.SELL, "0.49", 200), (Side.SELL, "0.500001", 0)],
)
def test_slippage_is_worse_when_positive(side: Side, price: str, expected: int) -> None:
    """A dearer purchase and a cheaper sale are both worse, rounded against us."""
    assert expected == slippage_bps(side, Price.parse("0.5"), Price.parse(price))


def test_slippage_against_nothing_is_unknown() -> None:
    """A reference of zero cannot be compared with."""
    assert slippage_bps(Side.BUY, Price(0), Price(1)) is None
