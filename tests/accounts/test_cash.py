"""What a paper wallet may spend: never more than there is, to the millionth."""

import pytest

from tests.accounts.played import FAILED, PENDING, Played, entry, leave, reason_of
from tests.accounts.states import documents
from tests.builders import ALICE, NOW, usd
from trio_copy.accounts import Account
from trio_copy.accounts import commands as c
from trio_copy.accounts.cash import cash
from trio_copy.accounts.documents import PlainDocument, account_of
from trio_copy.accounts.names import MONEY
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import End
from trio_copy.model.orders import Status
from trio_copy.model.units import NO_USD, ONE_USD_PER_SHARE, Usd

EACH = usd("5.1")
"""What an entry of ten shares may cost."""
DENIED = (End.DENIED, "NO_BALANCE", "wallet.paper_usd")


def fund(played: Played, amount: str, start: Usd = NO_USD) -> bool:
    return bool(played.do(c.Fund(amount=usd(amount), start=start, why="why", at=NOW)))


@pytest.mark.parametrize("state", ["open", "unproven", "filled", "matched"])
def test_an_entry_fits_exactly_and_not_by_a_millionth_more(state: str) -> None:
    """Whatever became of the entry before: what it holds or has paid is gone."""
    for missing, fits in ((0, True), (1, False)):
        played, start = Played(), Usd(2 * EACH.micro - missing)
        order = played.place(entry(), paper=start)
        if state == "unproven":
            played.answer(order, Status.UNKNOWN)
        elif state != "open":
            played.answer(order, **(PENDING if state == "matched" else {}))
        second = entry(2)
        played.offer(second, paper=start)
        assert played.open(second) is fits
        if not fits:
            assert reason_of(played.end_of(second)) == DENIED
            assert played.end_of(second).reason.limit == "5.099999"  # type: ignore[union-attr]  # just compared


def test_what_was_held_for_nothing_is_there_again() -> None:
    """A killed order gives back all that it held, a better price the rest."""
    played = Played()
    played.answer(played.place(entry(), paper=EACH), Status.KILLED)
    order = played.place(entry(2), paper=EACH)
    assert cash(played.account, EACH) == NO_USD
    played.answer(order, notional=usd("5"))
    assert cash(played.account, EACH) == usd("0.1")


def test_sales_fill_it_fees_included_until_they_are_undone() -> None:
    """An exit is never denied for want of money; what never settled was not earned, and what was spent stays spent."""
    played, start = Played(), usd("6")
    played.fill(entry(1), notional=usd("4.9"), fee=usd("0.2"))
    assert cash(played.account, start) == usd("0.9")
    order = played.place(leave(2), paper=NO_USD)
    played.answer(order, notional=usd("9"), fee=usd("0.1"), **PENDING)
    assert cash(played.account, start) == usd("9.8")
    played.answer(order, notional=usd("9"), fee=usd("0.1"), **FAILED)
    assert cash(played.account, start) == usd("0.9")


def test_a_redemption_fills_it() -> None:
    """Winners are paid a dollar a share."""
    played = Played()
    order = played.fill(entry(1))
    position = (ALICE, entry(1).signal.leader, order.token_id)
    played.do(c.Resolve(position=position, condition_id="0xc0", payout=ONE_USD_PER_SHARE, at=NOW))
    assert cash(played.account, usd("5.1")) == usd("10")


def test_no_more_is_taken_out_than_there_is() -> None:
    """A withdrawal of all of it is carried out, of a millionth more it is not."""
    played, start = Played(), usd("10")
    assert fund(played, "2.5", start)
    played.place(entry(), paper=start)
    assert not fund(played, "-7.400001", start)
    assert fund(played, "-7.4", start)
    assert cash(played.account, start) == NO_USD


def test_deposits_are_written_down_and_old_ones_as_one() -> None:
    """Whoever reads the account has the same sum and at most a hundred lines; one without deposits is as it was."""
    played = Played()
    assert len(documents(Account(ALICE, Catalog()))[MONEY]) == 5
    for number in range(150):
        fund(played, str(number + 1))
    again = account_of(
        ALICE, Catalog(), [PlainDocument(*part, body) for part, body in documents(played.account).items()]
    )
    assert again.fundings == played.account.fundings
    assert len(again.fundings) == 100
    assert cash(again, NO_USD) == usd(str(sum(range(151))))
    assert (again.fundings[0].why, again.fundings[-1].amount) == ("earlier", usd("150"))
