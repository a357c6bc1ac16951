"""However often a token was bought, a copy of it writes as much as the first ones did, and what is written is the position."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st

from tests.accounts.played import FAILED, MINED, SPOT, Played, entry, leave
from tests.accounts.states import Documents, documents, kept
from tests.builders import ALICE, NOW
from trio_copy.accounts import Account
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.documents import PlainDocument, account_of, document_of
from trio_copy.accounts.holdings import BUNDLE
from trio_copy.accounts.names import bundle_name, position_name
from trio_copy.accounts.plain import PlainError, plain_position
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import CopyTask
from trio_copy.model.orders import Order, Settlement
from trio_copy.model.units import Price
from trio_copy.records import read_plain, write_plain

FIRM: dict[str, Any] = {"settlement": Settlement.FIRM}
POSITION = ("position", position_name(SPOT))


def bundle(number: int) -> tuple[str, str]:
    return ("position", bundle_name(SPOT, number))


def read(written: Documents) -> Account:
    return account_of(ALICE, Catalog(), [PlainDocument(*part, body) for part, body in written.items()])


def positions(written: Documents) -> Documents:
    return {part: body for part, body in written.items() if part[0] == "position"}


@define
class Written:
    """An account of one position, and what a store has of it: only what each command changed was written."""

    played: Played = field(factory=Played)
    stored: Documents = field(factory=dict)
    pending: list[Order] = field(factory=list)
    most_lots: int = 0
    """In any document that was written."""
    _numbers: Iterator[int] = field(factory=lambda: count(1))

    def write(self) -> None:
        for part in self.played.changed:
            body = document_of(self.played.account, part)
            if body is None:
                self.stored.pop(part, None)
                continue
            self.stored[part] = read_plain(write_plain(body))
            if part[0] == "position":
                self.most_lots = max(self.most_lots, len(body[1][0] if part == POSITION else body[1]))

    def buy(self, times: int = 1, shares: int = 1, **settlement: Any) -> None:
        for _ in range(times):
            self._trade(entry(next(self._numbers), str(shares * 10)), settlement)

    def sell(self, shares: int, **settlement: Any) -> None:
        self._trade(leave(next(self._numbers), str(shares * 10)), settlement)

    def _trade(self, task: CopyTask, settlement: dict[str, Any]) -> None:
        placed = [event.order for event in self.played.offer(task) if isinstance(event, e.Placed)]
        self.write()
        for order in placed:  # none where a fill that was undone has left nothing to be sold
            self.played.answer(order, **settlement)
            self.write()
            if settlement == MINED:
                self.pending.append(order)

    def settle(self, which: int, settlement: dict[str, Any]) -> None:
        self.played.answer(self.pending.pop(which % len(self.pending)), **settlement)
        self.write()

    @property
    def lots(self) -> int:
        return len(self.played.account.position(SPOT).lots)

    def check(self) -> None:
        """What was written is the account, and nothing besides; and it is read so."""
        again = read(self.stored)
        assert positions(self.stored) == positions(documents(self.played.account)) == positions(documents(again))
        assert kept(again) == kept(self.played.account)
        assert self.most_lots < 2 * BUNDLE


STEPS = st.lists(
    st.tuples(st.sampled_from(["buy", "buy", "sell", "settle", "fail"]), st.integers(1, 3 * BUNDLE), st.booleans()),
    min_size=1,
    max_size=12,
)


@given(STEPS)
def test_what_each_command_writes_is_the_position(steps: list[tuple[str, int, bool]]) -> None:
    """Whatever is bought and sold, in whichever order it settles or is undone."""
    written = Written()
    for what, number, firm in steps:
        match what:
            case "buy":
                written.buy(number if firm else 1, **(FIRM if firm else MINED))
            case "sell" if written.played.shares.micro > number * 10**6:
                written.sell(number, **(FIRM if firm else MINED))
            case "settle" | "fail" if written.pending:
                written.settle(number, FIRM if what == "settle" else FAILED)
        written.check()


def test_what_is_apart_is_written_once() -> None:
    """After a thousand purchases, one writes what the thirtieth wrote, and a sale takes the oldest bundle in."""
    written = Written()
    written.buy(1000)
    written.check()
    for _ in range(BUNDLE):
        written.buy()
        assert len(written.stored[POSITION][1][0]) < 2 * BUNDLE
        assert len([part for part in written.played.changed if part[0] == "position"]) <= 2
    assert list(positions(written.stored))[:3] == [POSITION, bundle(1), bundle(2)]
    written.sell(BUNDLE + 1)
    assert bundle(1) not in written.stored
    assert bundle(2) in written.stored
    written.check()
    written.sell(written.lots)
    assert not positions(written.stored)


def test_a_position_that_is_sold_and_bought_again_while_something_is_unsettled() -> None:
    """All of it is folded at once when that settles: no bundle of before stays for one of afterwards."""
    written = Written()
    written.buy(5 * BUNDLE)
    written.buy(1, **MINED)
    written.sell(5 * BUNDLE + 1)
    written.buy(5 * BUNDLE)
    written.check()
    before = positions(written.stored).keys()
    written.settle(0, FIRM)
    written.check()
    after = positions(written.stored).keys()
    assert before & after == {POSITION}
    assert len(before) == len(after) == 5


def test_a_resolution_leaves_no_bundle() -> None:
    written = Written()
    written.buy(5 * BUNDLE)
    written.played.do(c.Resolve(position=(ALICE, *SPOT), condition_id="0xc0", payout=Price(1_000_000), at=NOW))
    written.write()
    assert not written.lots
    written.check()


def test_a_position_that_was_written_whole_is_divided_when_its_account_is_written() -> None:
    """As the versions before wrote it; until then it is read as it is."""
    written = Written()
    written.buy(5 * BUNDLE)
    base = written.played.account.holdings[SPOT].base
    whole = {part: body for part, body in written.stored.items() if part[0] != "position"}
    whole[POSITION] = [1, read_plain(write_plain(plain_position(base, base.lots))), []]
    again = Written(played=evolve(written.played, account=read(whole)), stored=dict(whole))
    assert kept(again.played.account) == kept(written.played.account)
    again.played.do(c.Tick(passed=0, at=NOW))
    again.write()
    again.check()
    assert set(again.stored) == set(written.stored)


@pytest.mark.parametrize("many", [1, BUNDLE])
def test_few_lots_are_written_as_they_always_were(many: int) -> None:
    """So that an earlier version reads the position, also of a follower who has sold."""
    written = Written()
    written.buy(many + 3)
    written.sell(3)
    assert [(name, body[0]) for (kind, name), body in written.stored.items() if kind == "position"] == [
        (POSITION[1], 1)
    ]
    written.check()


TORN: dict[str, Callable[[Documents], Documents]] = {
    "one is missing": lambda stored: {part: body for part, body in stored.items() if part != bundle(2)},
    "one is too many": lambda stored: {**stored, bundle(9): stored[bundle(1)]},
    "one is another": lambda stored: {**stored, bundle(1): stored[bundle(2)]},
    "one is cut off": lambda stored: {**stored, bundle(1): [1, stored[bundle(1)][1][:-1]]},
    "one is of another version": lambda stored: {**stored, bundle(1): [2, stored[bundle(1)][1]]},
    "the position is missing": lambda stored: {part: body for part, body in stored.items() if part != POSITION},
    "the position is of another version": lambda stored: {**stored, POSITION: [3, *stored[POSITION][1:]]},
    "the position is said to be whole": lambda stored: {**stored, POSITION: [1, *stored[POSITION][1:3]]},
    "the position counts others": lambda stored: {**stored, POSITION: [*stored[POSITION][:4], 10**30, 1, 1]},
}


@pytest.mark.parametrize("torn", TORN)
def test_documents_that_do_not_belong_together_are_refused(torn: str) -> None:
    """Never taken for less, or for more, than is held: an error names the position."""
    written = Written()
    for shares in range(1, 5 * BUNDLE + 1):
        written.buy(shares=shares)
    with pytest.raises(PlainError, match=f"expected a stored position {POSITION[1]}"):
        read(TORN[torn](written.stored))
