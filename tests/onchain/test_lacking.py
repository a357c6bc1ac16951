"""What a wallet lacks for a trade, by what its tokens say of it."""

import pytest

from tests.onchain.test_venues import BUY, HIGH, MAKER, POOL, SELL
from trio_copy_onchain.holdings.lacking import taken_by
from trio_copy_onchain.tx.reverts import Lacks
from trio_copy_onchain.venues.fpmm import Fpmm
from trio_copy_onchain.venues.pool import Pool
from trio_copy_onchain.venues.seam import Swap

LITTLE, ENOUGH = (BUY.cash - 1).to_bytes(32), BUY.cash.to_bytes(32)
YES, NO = (1).to_bytes(32), bytes(32)


def of_one(units: bytes) -> bytes:
    """Return an ERC-1155's answer about one token."""
    return (32).to_bytes(32) + (1).to_bytes(32) + units


@pytest.mark.parametrize(
    "venue, swap, held, allowed, lacks",
    [
        (POOL, BUY, ENOUGH, ENOUGH, Lacks.NOTHING),
        (POOL, BUY, LITTLE, ENOUGH, Lacks.BALANCE),
        (POOL, SELL, ENOUGH, LITTLE, Lacks.APPROVAL),
        (MAKER, BUY, LITTLE, LITTLE, Lacks.BOTH),
        (MAKER, SELL, of_one(ENOUGH), YES, Lacks.NOTHING),
        (MAKER, SELL, of_one(ENOUGH), NO, Lacks.APPROVAL),
        (MAKER, SELL, of_one(LITTLE), YES, Lacks.BALANCE),
        (MAKER, SELL, None, NO, Lacks.APPROVAL),
        (MAKER, SELL, None, None, Lacks.NOTHING),
    ],
)
def test_what_is_missing(
    venue: Fpmm | Pool, swap: Swap, held: bytes | None, allowed: bytes | None, lacks: Lacks
) -> None:
    taken = taken_by(venue, swap, HIGH, approves=False)
    assert len(taken.reads) == 2
    assert taken.lacks((held, allowed)) is lacks


def test_an_allowance_that_the_trade_brings_is_not_missing() -> None:
    """Shares of a market maker are allowed beforehand all the same."""
    assert taken_by(MAKER, BUY, HIGH, approves=True).lacks((ENOUGH,)) is Lacks.NOTHING
    assert taken_by(MAKER, SELL, HIGH, approves=True).lacks((of_one(ENOUGH), NO)) is Lacks.APPROVAL


def test_nonsense_is_no_answer() -> None:
    with pytest.raises(ValueError, match="expected"):
        taken_by(POOL, BUY, HIGH, approves=True).lacks((b"",))
