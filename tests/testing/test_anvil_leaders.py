"""What leaders do on a real node is a script: it can be played again, and nobody sells what he does not have."""

from itertools import islice

from trio_copy.entropy import seeded_entropy
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address
from trio_copy.testing.anvil.leaders import Place, Trade, trades

LEADERS = [Address(f"0x{number:040x}") for number in (1, 2)]


def script(seed: int) -> list[Trade]:
    return list(islice(trades(LEADERS, seeded_entropy(seed)), 200))


def test_the_same_seed_has_the_same_trades() -> None:
    assert script(7) == script(7) != script(8)
    assert {(trade.leader, trade.place, trade.side) for trade in script(7)} == {
        (leader, place, side) for leader in LEADERS for place in Place for side in Side
    }


def test_nobody_sells_more_than_he_paid_for() -> None:
    spent: dict[tuple[Address, Place], int] = {}
    for trade in script(7):
        sign = 1 if trade.side is Side.BUY else -1
        spent[trade.leader, trade.place] = spent.get((trade.leader, trade.place), 0) + sign * trade.dollars
        assert spent[trade.leader, trade.place] > 0


def test_without_leaders_nothing_happens() -> None:
    assert list(trades([], seeded_entropy(1))) == []
