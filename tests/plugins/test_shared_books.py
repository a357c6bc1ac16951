"""Orders of the dry run that take out of a real book: level by level, fairly, and nothing twice."""

from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOW, TOKEN, make_signal, make_task
from trio_copy.model.books import Book, Level
from trio_copy.model.breaches import breach_of_report
from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import Order, Status
from trio_copy.model.units import NO_SHARES, Price, Shares, Usd
from trio_copy.testing.samples import sample_order
from trio_copy_dry_run.depth import Depth, cost_of
from trio_copy_dry_run.settings import DryRunSettings
from trio_copy_dry_run.shared_books import SharedBooks
from trio_copy_dry_run.venue import SimulatedVenue

Clock = trio.testing.MockClock


def levels(*offers: tuple[str, str]) -> tuple[Level, ...]:
    return tuple(Level(Price.parse(price), Shares.parse(shares)) for price, shares in offers)


def book(asks: Sequence[tuple[str, str]] = (), bids: Sequence[tuple[str, str]] = (), at: float = NOW) -> Book:
    return Book(token_id=TOKEN, bids=levels(*bids), asks=levels(*asks), at=at)


def order(
    number: int, shares: str, limit: str = "0.5", side: Side = Side.BUY, kind: str = "FAK", *, ruled: bool = False
) -> Order:
    task = make_task(make_signal(number, side=side, token_id=TOKEN))
    made: dict[str, Any] = {"side": side, "shares": Shares.parse(shares), "limit_price": Price.parse(limit)}
    body = f"{task.key}|alice|{side.name}|{kind}|{TOKEN}".encode()
    if ruled:
        body += b"|0|0|10000|0"
    sample = sample_order(task)
    return Order(
        key=task.key,
        order_id=sample.order_id,
        executor="dry-run",
        wallet=sample.wallet,
        token_id=TOKEN,
        body=body,
        **made,
    )


def shares_of(taken: Any, one: Order) -> str:
    return str(Shares(sum(level.shares.micro for level in taken.get(one.order_id, ()))))


def test_each_level_is_shared_in_proportion_to_what_is_wanted() -> None:
    """Thirty are offered, and a hundred wanted: each gets three of ten, whoever came first."""
    one, two = order(1, "75"), order(2, "25")
    taken = Depth().take([two, one], book(asks=[("0.4", "20"), ("0.5", "10"), ("0.6", "100")]))
    assert (shares_of(taken, one), shares_of(taken, two)) == ("22.5", "7.5")
    assert [str(level.price) for level in taken[one.order_id]] == ["0.4", "0.5"]


def test_who_may_pay_more_gets_what_the_others_may_not() -> None:
    """A limit leaves the dearer levels to those who may have them."""
    one, two = order(1, "10", limit="0.4"), order(2, "10", limit="0.5")
    taken = Depth().take([one, two], book(asks=[("0.4", "10"), ("0.5", "10")]))
    assert (shares_of(taken, one), shares_of(taken, two)) == ("5", "10")


def test_what_was_taken_is_gone_until_another_book_is_seen() -> None:
    """The same book, seen again, does not offer it once more; a new one does."""
    depth, seen = Depth(), book(asks=[("0.4", "10")])
    first, second, third = order(1, "8"), order(2, "8"), order(3, "8")
    assert shares_of(depth.take([first], seen), first) == "8"
    assert shares_of(depth.take([second], seen), second) == "2"
    assert shares_of(depth.take([third], book(asks=[("0.4", "10")], at=NOW + 1)), third) == "8"


def test_under_the_venues_rules_everybody_gets_hundredths() -> None:
    """Whatever is left of a share stays in the book; nobody could sell it again."""
    depth, seen = Depth(), book(asks=[("0.4", "10"), ("0.5", "0.019")])
    three = [order(number, "5", ruled=True) for number in range(3)]
    taken = depth.take(three, seen)
    assert sorted(shares_of(taken, one) for one in three) == ["3.33", "3.33", "3.35"]
    plain = order(4, "5")
    assert shares_of(depth.take([plain], seen), plain) == "0.009"


def test_fok_takes_everything_or_leaves_it_to_the_others() -> None:
    """One that would be filled in part goes without, and another one gets what it needs; which, hangs not on who came first."""
    pair = [order(1, "10", kind="FOK"), order(2, "10", kind="FOK")]
    for one, two in (pair, reversed(pair)):
        taken = Depth().take([one, two], book(asks=[("0.4", "15")]))
        got = {each.order_id: shares_of(taken, each) for each in (one, two)}
        assert [got[name] for name in sorted(got)] == ["10", "0"]


def test_the_last_millionth_hangs_not_on_who_came_first() -> None:
    """Three who share ten shares get the same, in whatever order they arrive at one moment."""
    three = [order(number, "10") for number in (1, 2, 3)]
    shared = [Depth().take(orders, book(asks=[("0.4", "10")])) for orders in (three, three[::-1])]
    assert shared[0] == shared[1]


def test_exits_take_bids_from_the_best_down_to_their_limit() -> None:
    """Buying does not use up what sales may have."""
    depth, seen = Depth(), book(asks=[("0.5", "10")], bids=[("0.4", "5"), ("0.3", "5"), ("0.2", "5")])
    depth.take([order(1, "10")], seen)
    sale = order(2, "20", limit="0.3", side=Side.SELL)
    assert shares_of(depth.take([sale], seen), sale) == "10"


OFFERS = st.lists(st.tuples(st.integers(1, 99), st.integers(1, 10**9)), max_size=5, unique_by=lambda offer: offer[0])


WANTS = st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 99), st.booleans()), max_size=6)


@given(offers=OFFERS, wants=WANTS, ruled=st.booleans())
def test_nobody_takes_what_is_not_there_nor_more_than_he_wants_nor_beyond_his_limit(
    offers: list[tuple[int, int]], wants: list[tuple[int, int, bool]], ruled: bool
) -> None:
    """Twice over the same book; FOK is whole or nothing, and what a report says lies inside its order."""
    asks = tuple(Level(Price(cents * 10_000), Shares(micro)) for cents, micro in sorted(offers))
    seen, depth = Book(token_id=TOKEN, bids=(), asks=asks, at=NOW), Depth()
    venue = SimulatedVenue(DryRunSettings(fee_bps=100), None, lambda: NOW)
    used = dict.fromkeys((level.price for level in asks), 0)
    step = 10_000 if ruled else 1
    wants = [(micro * step, cents, fok) for micro, cents, fok in wants]
    for turn in range(2):
        orders = [
            order(
                turn * 10 + number,
                str(Shares(micro)),
                str(Price(cents * 10_000)),
                kind="FOK" if fok else "FAK",
                ruled=ruled,
            )
            for number, (micro, cents, fok) in enumerate(wants)
        ]
        taken = depth.take(orders, seen)
        for one, (micro, _, fok) in zip(orders, wants, strict=True):
            mine = taken.get(one.order_id, ())
            total = sum(level.shares.micro for level in mine)
            paid = cost_of(mine).micro
            # What it still could buy at its limit: of shares what it named, by the venue's rules what its cash is enough for.
            left = one.max_cost.micro - paid if ruled else (micro - total) * one.limit_price.micro // 10**6
            assert left >= 0
            whole = left < step * one.limit_price.micro // 10**6 if ruled else total == micro
            assert whole or not (fok and total)
            assert ruled or total <= micro
            assert total % step == 0
            assert all(level.price <= one.limit_price for level in mine)
            for level in mine:
                used[level.price] += level.shares.micro
            report = venue.place(one, taken=mine)
            assert report.shares.micro == total
            assert report.status is (Status.FILLED if total >= micro else Status.PARTIAL if total else Status.KILLED)
            assert total >= micro or not whole
            assert breach_of_report(report, evolve(one, fee_bps=100)) is None
            # Each level is rounded up by itself.
            assert report.notional.micro < -(-total * one.limit_price.micro // 10**6) + max(len(mine), 1)
    assert all(used[level.price] <= level.shares.micro for level in asks)


@define(eq=False)
class Asked:
    """Tells one book, a second after it was asked for."""

    standing: Book | None
    asked: int = 0
    asking: list[trio.CancelScope] = field(factory=list)

    async def book(self, token_id: TokenId) -> Book | None:
        self.asked += 1
        with trio.CancelScope() as scope:
            self.asking.append(scope)
            await trio.sleep(1)
        return self.standing


async def test_orders_that_arrive_together_ask_once_and_share(autojump_clock: Clock) -> None:
    """Three of one signal are one question; each gets its part, and the next one what is left."""
    source = Asked(book(asks=[("0.4", "12")]))
    books = SharedBooks(source)
    got: dict[str, Any] = {}

    async def send(one: Order, after: float) -> None:
        await trio.sleep(after)
        got[one.order_id] = await books.take(one)

    orders = [order(number, "6") for number in range(4)]
    async with trio.open_nursery() as nursery:
        for one, after in zip(orders, (0.0, 0.1, 0.2, 1.5), strict=True):
            nursery.start_soon(send, one, after)
    assert [shares_of(got, one) for one in orders] == ["4", "4", "4", "0"]
    assert source.asked == 2


async def test_who_is_cancelled_takes_nothing_and_holds_nobody_up(autojump_clock: Clock) -> None:
    """Whether it asked for the book or waited for it: the others share all of it."""
    for cancelled in (0, 1):
        got: dict[str, Any] = {}
        books, scopes = SharedBooks(Asked(book(asks=[("0.4", "12")]))), [trio.CancelScope() for _ in range(3)]

        async def send(number: int, one: Order, books: SharedBooks, scopes: Any, got: Any) -> None:
            await trio.sleep(number / 10)
            with scopes[number]:
                got[one.order_id] = await books.take(one)

        orders = [order(number, "12") for number in range(3)]
        async with trio.open_nursery() as nursery:
            for number, one in enumerate(orders):
                nursery.start_soon(send, number, one, books, scopes, got)
            await trio.sleep(0.5)
            scopes[cancelled].cancel()
        assert sorted(shares_of(got, one) for one in orders) == ["0", "6", "6"]
        assert orders[cancelled].order_id not in got


@pytest.mark.parametrize("known", [True, False])
async def test_a_book_that_nobody_knows_is_no_empty_one(autojump_clock: Clock, known: bool) -> None:
    """Without one, arithmetic fills the order; an empty one kills it."""
    taken = await SharedBooks(Asked(book() if known else None)).take(order(1, "10"))
    venue = SimulatedVenue(DryRunSettings(), None, lambda: NOW)
    if known:
        report = venue.place(order(1, "10"), taken=taken)
        assert (report.status, report.shares, report.notional) == (Status.KILLED, NO_SHARES, Usd(0))
    else:
        assert taken is None
