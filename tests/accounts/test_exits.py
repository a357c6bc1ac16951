"""How an exit is divided between what is held and what still waits."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOW, make_intent, make_settings, make_signal, usd
from trio_copy.accounts.exits import call_off, portion
from trio_copy.copying.sizing import size
from trio_copy.model.decisions import OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.positions import EMPTY, Lot, Position
from trio_copy.model.units import NO_SHARES, Rounding, Shares

AMOUNTS = st.integers(1, 10**12).map(Shares)


@given(
    held=st.integers(0, 10**12).map(Shares),
    waiting=st.lists(AMOUNTS, max_size=5),
    sold=AMOUNTS,
    sell=st.sampled_from(["proportional", "all", "sized"]),
)
def test_nothing_is_called_off_twice_and_nothing_more_than_he_sold(
    held: Shares, waiting: list[Shares], sold: Shares, sell: str
) -> None:
    """His shares are used once; no entry grows or turns negative; who sells all leaves nothing; evenly means evenly."""
    entries = [_entry(shares) for shares in waiting]
    wanted = sold.part(Shares(1), Shares(10), Rounding.DOWN) if sell == "sized" else NO_SHARES
    leaves = evolve(_entry(sold), side=Side.SELL, sell=sell, shares=wanted)
    position = evolve(EMPTY, shares=_tenth(held), leader_shares=held)
    exit_, rests = call_off(leaves, position, entries)
    whole = held + sum(waiting, NO_SHARES)
    assert abs(exit_.leader_shares.micro + exit_.called_off.micro - sold.micro) <= len(entries)
    for entry, rest in zip(entries, rests, strict=True):
        assert NO_SHARES <= rest.shares <= entry.shares
        assert NO_SHARES <= rest.leader_shares <= entry.leader_shares
        assert rest.max_cost == rest.shares.at(rest.limit_price, Rounding.UP)
        if sell == "all" or (sell == "proportional" and sold >= whole):
            assert not rest.shares
        if sell == "proportional" and sold < whole:
            exact = entry.shares.micro * (whole.micro - sold.micro) / whole.micro
            assert abs(rest.shares.micro - exact) <= 2
    if sell == "sized":
        off = sum((entry.shares for entry in entries), NO_SHARES) - sum((rest.shares for rest in rests), NO_SHARES)
        assert off + exit_.shares == wanted
    if position.shares and sell == "proportional" and sold >= whole:
        what = portion(exit_, position, position.shares)
        assert isinstance(what, OrderIntent)
        assert what.shares == position.shares


def _tenth(shares: Shares) -> Shares:
    return Shares(-(-shares.micro // 10))


def _entry(leader_shares: Shares) -> OrderIntent:
    return evolve(make_intent(make_signal()), shares=_tenth(leader_shares), leader_shares=leader_shares)


POSITION = Position(
    lots=(Lot("k", Shares.parse(10), usd("5"), NOW - 100, firm=True),),
    shares=Shares.parse(10),
    cost=usd("5"),
    leader_shares=Shares.parse(100),
)


@pytest.mark.parametrize(
    ("sell", "leader_sold", "free", "shares"),
    [
        ("proportional", "50", "10", "5"),
        ("proportional", "100", "10", "10"),
        ("proportional", "900", "10", "10"),
        ("proportional", "50", "3", "3"),
        ("proportional", "0.000001", "10", "0.000001"),
        ("all", "1", "10", "10"),
        ("all", "1", "0", None),
    ],
)
def test_an_exit_sells_the_leaders_part(sell: str, leader_sold: str, free: str, shares: str | None) -> None:
    """The same part of the copied lots, never more than is held and not in doubt."""
    signal = make_signal(side=Side.SELL, shares=leader_sold)
    intent = size(signal, make_settings(sell=sell), None)
    assert isinstance(intent, OrderIntent)
    sold = portion(intent, POSITION, Shares.parse(free))
    if shares is None:
        assert isinstance(sold, Reason)
    else:
        assert isinstance(sold, OrderIntent)
        assert Shares.parse(shares) == sold.shares
