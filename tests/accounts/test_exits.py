"""How an exit is divided between what is held and what still waits."""

from collections.abc import Sequence

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from tests.accounts.played import SPOT, Played, entry, leave, reason_of
from tests.builders import NOW, make_intent, make_settings, make_signal, usd
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.aggregate import aggregate_exits, leave_together
from trio_copy.accounts.exits import call_off, portion
from trio_copy.copying.sizing import size
from trio_copy.model.decisions import Aggregate, CopyTask, End, OrderIntent, Reason
from trio_copy.model.fills import Kind, Side
from trio_copy.model.ids import TaskId, TokenId
from trio_copy.model.orders import Order
from trio_copy.model.positions import EMPTY, Lot, Position
from trio_copy.model.units import NO_SHARES, Price, Rounding, Shares

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
    for waits, rest in zip(entries, rests, strict=True):
        assert NO_SHARES <= rest.shares <= waits.shares
        assert NO_SHARES <= rest.leader_shares <= waits.leader_shares
        assert rest.max_cost == rest.shares.at(rest.limit_price, Rounding.UP)
        if sell == "all" or (sell == "proportional" and sold >= whole):
            assert not rest.shares
        if sell == "proportional" and sold < whole:
            exact = waits.shares.micro * (whole.micro - sold.micro) / whole.micro
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


def _leaving(number: int, sell: str, sold: int) -> CopyTask:
    task = leave(number, "1", sell, decided_at=NOW + number)
    wanted = Shares(-(-sold // 10)) if sell == "sized" else NO_SHARES
    signal = evolve(task.signal, shares=Shares(sold))
    return evolve(task, signal=signal, intent=evolve(task.intent, leader_shares=Shares(sold), shares=wanted))


@given(
    held=st.integers(1000, 10**9),
    sales=st.lists(st.integers(1000, 10**9), min_size=2, max_size=6),
    waits=st.lists(st.integers(1000, 10**9), max_size=2),
    sell=st.sampled_from(["proportional", "all", "sized"]),
)
@example(held=1000, sales=[1000, 1000], waits=[1999001], sell="all")
@example(held=1000, sales=[64108880, 1000], waits=[39089, 64099329], sell="proportional")
def test_exits_in_one_order_sell_what_they_sell_one_after_the_other(
    held: int, sales: list[int], waits: list[int], sell: str
) -> None:
    """Whatever they say of their size, and whatever still waits to be bought before them: the same is left in the end."""
    left = []
    for crowded in (False, True):
        played = Played()
        played.fill(_bought(1, held))
        exits = [_leaving(number, sell, sold) for number, sold in enumerate(sales, 10)]
        entries = [_bought(number, shares) for number, shares in enumerate(waits, 2)]
        for task in entries:
            played.do(c.Park(task=task, at=NOW))
        for task in exits:
            if played.open(task):
                for order in _placed(played.offer(task, crowded=crowded, resting=tuple(exits))):
                    played.answer(order)
        for task in entries:
            if played.open(task):
                for order in _placed(played.offer(task)):
                    played.answer(order)
        position = played.account.position(SPOT)
        left.append((position.shares.micro, position.leader_shares.micro))
        ends = [played.end_of(task).end for task in exits]
        assert (End.GATHERED in ends) is crowded
        assert not played.account.orders
    (shares, leaders), (together, leaders_together) = left
    # Each order rounds what it sells up, and each entry what is called off. An entry is over with its last millionth, which
    # stands for ten of the leader's.
    rounding = 3 * len(sales) * (1 + len(waits))
    assert abs(shares - together) <= rounding
    assert not (shares and together) or abs(leaders - leaders_together) <= 10 * rounding


def _bought(number: int, shares: int) -> CopyTask:
    task = entry(number, "1", decided_at=NOW + number)
    intent = evolve(task.intent, shares=Shares(-(-shares // 10)), leader_shares=Shares(shares), max_cost=usd("900"))
    return evolve(task, signal=evolve(task.signal, shares=Shares(shares)), intent=intent)


def _placed(events: Sequence[e.Event]) -> list[Order]:
    return [event.order for event in events if isinstance(event, e.Placed)]


def test_an_order_of_several_exits_asks_for_the_price_of_the_last() -> None:
    """The leader sold on while the price fell: what he sold first is worth no more by now."""
    first, last = leave(2, sell="all"), leave(3, sell="all")
    first = evolve(first, intent=evolve(first.intent, price=Price.parse("0.5"), limit_price=Price.parse("0.48")))
    last = evolve(last, intent=evolve(last.intent, price=Price.parse("0.3"), limit_price=Price.parse("0.29")))
    played = Played()
    played.hold()
    order = played.place(first, crowded=True, resting=(last,))
    assert (order.limit_price, order.shares) == (Price.parse("0.29"), Shares.parse(10))
    assert played.account.orders[order.key].task.intent.price == Price.parse("0.4")
    assert reason_of(played.end_of(last)) == (End.GATHERED, "GATHERED", "engine.queue_capacity")
    for task in (first, last):
        assert played.account.placed_of(task.signal.signal_id) == 1
        assert played.offer(task) == ()


def test_only_what_may_leave_now_leaves_with_others() -> None:
    """Not what is too late, what a reorg took back, what another position sells, or what is said in another way."""
    played = Played()
    played.hold()
    late, suspended = leave(3, "10", deadline=NOW), leave(4, "10")
    stay = [late, suspended, leave(5, "10", "all"), leave(6, "10", token_id=TokenId(9)), entry(7, decided_at=NOW + 5)]
    played.do(c.Park(task=suspended, at=NOW))
    played.do(c.Retract(signal=suspended.signal.signal_id, at=NOW))
    goes = leave(8, "10")
    order = played.place(leave(2, "10"), crowded=True, resting=(*stay, goes))
    assert played.account.orders[order.key].members == (goes.task_id,)
    assert order.shares == Shares.parse(2)


def test_exits_leave_together_only_where_they_say_alike_what_they_sell() -> None:
    """Both begin, both are of one kind: a rule of one's own is no sale of the leader's; and what one of them has called off, or
    has tried to sell already, is its own affair.
    """
    task = leave(2, "10")
    off, own = evolve(task.intent, called_off=Shares(1)), evolve(leave(3, "10", kind=Kind.EXIT), intent=task.intent)
    alone = [
        entry(3),
        leave(3, "10", "all"),
        own,
        leave(3, "10", executor="another"),
        evolve(leave(3, "10"), attempt=1),
        evolve(leave(3, "10"), intent=off),
        evolve(leave(3, "10"), intent=evolve(task.intent, order_type="FOK")),
    ]
    assert leave_together(task, leave(3, "20"))
    for other in alone:
        assert not leave_together(task, other)
        assert not leave_together(other, task)
    assert leave_together(own, evolve(own, task_id=TaskId("another")))


def test_rests_that_are_none_of_the_leaders_sale_go_one_by_one() -> None:
    """Divided down to nothing, they have no weight: there is no average of their prices."""
    first, last = (evolve(one, intent=evolve(one.intent, leader_shares=NO_SHARES)) for one in (leave(2), leave(3)))
    assert aggregate_exits(first, [last]) == Aggregate(first)
    # Nor has the price of one of them any part in the other's.
    gift = leave(4, "10", price=None)
    assert aggregate_exits(first, [gift]).members == (gift.task_id,)
    assert aggregate_exits(first, [gift]).task.intent.price == gift.intent.price


def test_an_exit_whose_size_comes_to_nothing_ends_at_once() -> None:
    """A leader sells a millionth of a share, of which a tenth is none: it waits for nothing, and holds up no entry behind it."""
    played = Played()
    played.hold()
    task = leave(2, sell="sized")
    task = evolve(task, intent=evolve(task.intent, shares=NO_SHARES, leader_shares=Shares(1)))
    played.offer(task)
    assert reason_of(played.end_of(task)) == (End.DENIED, "NOTHING_TO_SELL", "leaving.sell")
    assert not played.account.waiting


@pytest.mark.parametrize(
    ("sell", "sold", "left"), [("sized", 1, [6]), ("proportional", 1, [9, 4]), ("proportional", 4, [7, 3])]
)
def test_what_is_called_off_counts_against_the_leaders_shares_rounded_up(sell: str, sold: int, left: list[int]) -> None:
    """So nothing is left over of them that nobody can sell: of ten that stand for three of ours, and of five beside them."""
    entries = [evolve(make_intent(make_signal(1)), shares=Shares(3), leader_shares=Shares(of)) for of in (10, 5)]
    leaves = evolve(
        make_intent(make_signal(2, side=Side.SELL), sell=sell), shares=Shares(sold), leader_shares=Shares(sold)
    )
    _, rests = call_off(leaves, EMPTY, entries[: len(left)])
    assert [rest.leader_shares.micro for rest in rests] == left
