"""What a follower may still spend: each cap at the millionth, with fees, and what gives its room back."""

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.accounts.played import FAILED, MINED, PENDING, SPOT, Played, entry, freeze, leave, reason_of
from tests.builders import ALICE, NOW, OTHER_LEADER, TOKEN, make_settings, usd
from trio_copy.accounts import Account
from trio_copy.accounts import commands as c
from trio_copy.accounts.budgets import breach, day_of
from trio_copy.accounts.costs import with_fees, worst_cost
from trio_copy.model.budgets import Performance
from trio_copy.model.catalog import Catalog, TokenFacts
from trio_copy.model.control import Mode
from trio_copy.model.decisions import End, OrderIntent, Outcome
from trio_copy.model.fees import Fee
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Caps
from trio_copy.model.ids import IntentKey, TokenId
from trio_copy.model.orders import Order, Status
from trio_copy.model.units import NO_SHARES, Price, Ratio, Rounding, Shares, Usd

DAY = 86_400
EACH = usd("5.1051")
"""What an entry of ten shares may cost: 5.1 at its limit, and 0.0051 of fees."""
FEE_BPS = 10
CATALOG = [
    TokenFacts(token_id=TOKEN, condition_id="question", event="event"),
    TokenFacts(token_id=TokenId(1), condition_id="question", event="event"),
    TokenFacts(token_id=TokenId(2), condition_id="other question", event="event"),
]


def played(**caps: Any) -> Played:
    """An account under some caps, at a venue that takes fees, with a catalog of one event."""
    catalog = Catalog()
    catalog.put(CATALOG)
    known = Played(account=Account(ALICE, catalog), settings=make_settings(**{"max_order_usd": None, **caps}))
    known.market = evolve(known.market, fee_bps=FEE_BPS)
    return known


CAPS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # A cap: an entry that counts in it besides the one before, and one that does not.
    "max_day_usd": ({"token_id": 5, "leader": OTHER_LEADER}, {"block_time": int(NOW) + DAY}),
    "max_leader_day_usd": ({"token_id": 5}, {"leader": OTHER_LEADER}),
    "max_token_usd": ({"leader": OTHER_LEADER}, {"token_id": TokenId(1)}),
    "max_market_usd": ({"token_id": TokenId(1)}, {"token_id": TokenId(2)}),
    "max_event_usd": ({"token_id": TokenId(2)}, {"token_id": TokenId(3)}),
    "max_leader_usd": ({"token_id": TokenId(3)}, {"leader": OTHER_LEADER}),
}


@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize("state", ["open", "unproven", "filled", "matched"])
def test_each_cap_holds_to_the_millionth(cap: str, state: str) -> None:
    """Two entries fit exactly, with their fees; a millionth less and the second is refused by that cap and no other."""
    inside, outside = CAPS[cap]
    for missing, fits in ((0, True), (1, False)):
        book = played(**{cap: Usd(2 * EACH.micro - missing)})
        order = book.place(entry())
        if state == "unproven":
            book.answer(order, Status.UNKNOWN)
        elif state in ("filled", "matched"):
            book.answer(order, fee=usd("0.0051"), **(PENDING if state == "matched" else {}))
        second = entry(2, **inside)
        book.offer(second)
        assert book.open(second) == fits
        if not fits:
            assert reason_of(book.end_of(second)) == (End.DENIED, "CAP_REACHED", f"caps.{cap}")
            reason = book.end_of(second).reason
            assert reason is not None
            assert (reason.value, reason.limit) == (str(Usd(2 * EACH.micro)), str(Usd(2 * EACH.micro - 1)))
        book.place(entry(3, **outside))


def test_the_exposure_of_a_follower_is_capped_over_everything() -> None:
    """Whatever leader and token: the sum of all that is open stays inside."""
    book = played(max_exposure_usd=Usd(2 * EACH.micro))
    book.place(entry())
    book.place(entry(2, leader=OTHER_LEADER, token_id=TokenId(3)))
    task = entry(3, shares="0.1")
    book.offer(task)
    assert reason_of(book.end_of(task)) == (End.DENIED, "CAP_REACHED", "caps.max_exposure_usd")


def test_a_token_that_nobody_knows_is_its_own_question_and_event() -> None:
    """Its tightest cap is named, whichever of the three it is."""
    for cap in ("max_token_usd", "max_market_usd", "max_event_usd"):
        book = played(**{"max_token_usd": usd("900"), "max_market_usd": usd("900"), cap: EACH})
        book.place(entry(token_id=TokenId(9)))
        task = entry(2, token_id=TokenId(9))
        book.offer(task)
        assert reason_of(book.end_of(task)) == (End.DENIED, "CAP_REACHED", f"caps.{cap}")


def test_the_common_budget_of_a_day_is_spent_as_far_as_it_was_granted() -> None:
    """What the shard has left decides; nothing is left to guess."""
    for missing, fits in ((0, True), (1, False)):
        book, task = played(), entry()
        book.offer(task, day=c.EngineDay(limit=usd("100"), left=Usd(EACH.micro - missing)))
        assert book.open(task) == fits
        if not fits:
            assert reason_of(book.end_of(task)) == (End.DENIED, "CAP_REACHED", "engine.max_day_usd")
            # What was spent of it, and what this would have made of that.
            told = book.end_of(task).reason
            assert told is not None
            assert (told.value, told.limit) == (str(Usd(usd("100").micro + missing)), str(usd("100")))
    exit_ = leave()
    book = Played()
    book.hold()
    book.place(exit_, day=c.EngineDay(limit=usd("100"), left=Usd(0)))


def test_positions_are_counted_by_leader_and_token_once() -> None:
    """An open entry counts like a position; more of the same does not count again; an exit makes room."""
    book = played(max_positions=1)
    bought = book.place(entry())
    refused = entry(2, leader=OTHER_LEADER)
    book.offer(refused)
    assert reason_of(book.end_of(refused)) == (End.DENIED, "CAP_REACHED", "caps.max_positions")
    book.fill(entry(3))
    book.answer(bought)
    book.fill(leave(4, sell="all"))
    book.place(entry(5, leader=OTHER_LEADER))


def test_only_the_first_entry_of_a_question_where_one_is_wanted() -> None:
    """The other token of the question is the same question; another leader's is not; an exit makes room."""
    book = played(entry="first")
    book.fill(entry())
    for number, token in ((2, TOKEN), (3, TokenId(1))):
        task = entry(number, token_id=token)
        book.offer(task)
        assert reason_of(book.end_of(task)) == (End.DENIED, "ALREADY_IN", "filters.entry")
    book.fill(entry(4, leader=OTHER_LEADER))
    book.fill(leave(5, sell="all"))
    book.place(entry(6, token_id=TokenId(1)))


def test_orders_of_a_minute_count_once_they_were_sent() -> None:
    """Filled or killed they count; what never reached the venue does not; the next minute is another."""
    book = played(max_orders_per_minute=2)
    book.answer(book.place(entry()), Status.KILLED)
    book.answer(book.place(entry(2)), Status.ABSENT)
    book.do(c.NotSent(key=book.place(entry(3)).key, outcome=Outcome(end=End.EXPIRED), at=NOW))
    book.place(entry(4))
    task = entry(5)
    book.offer(task)
    assert reason_of(book.end_of(task)) == (End.DENIED, "CAP_REACHED", "caps.max_orders_per_minute")
    book.place(entry(6, block_time=int(NOW) + 60))


GIVES_BACK: dict[str, tuple[Status, dict[str, Any], str, str]] = {
    # What comes of an order: what stays open, and what stays spent of the day.
    "filled": (Status.FILLED, {}, "5.1", "5.1"),
    "filled for less": (Status.FILLED, {"notional": usd("4")}, "4", "4"),
    "killed": (Status.KILLED, {}, "0", "0"),
    "absent": (Status.ABSENT, {}, "0", "0"),
    "undone at once": (Status.FILLED, FAILED, "0", "5.1"),
    "unproven": (Status.UNKNOWN, {}, "5.1", "5.1"),
}


@pytest.mark.parametrize("how", GIVES_BACK)
def test_what_an_order_held_becomes_what_it_spent(how: str) -> None:
    """Cost turns into what was paid; a day's spending is kept also when the chain undoes it, and given back by nothing."""
    status, changes, left_open, spent = GIVES_BACK[how]
    book, task = Played(), entry()
    book.answer(book.place(task), status, **changes)
    assert (book.cost, Usd(book.day(task))) == (usd(left_open), usd(spent))
    if how == "filled":
        book.fill(leave(shares="50"))
        assert (book.cost, Usd(book.day(task))) == (usd("2.55"), usd("5.1"))


def test_a_reversed_purchase_frees_what_is_open_once() -> None:
    """Matched, sold in part and then taken back: nothing of it is open any more, and nothing is given back twice."""
    book, task = Played(), entry()
    bought = book.fill(task, **MINED)
    book.fill(leave(shares="50"))
    book.answer(bought, **FAILED)
    assert (book.cost, Usd(book.day(task))) == (usd("0"), usd("5.1"))
    assert book.account.exposure.spots == 0


@pytest.mark.parametrize(
    ("facts", "anew"),
    [
        ([evolve(CATALOG[0], token_id=TokenId(77))], False),
        ([evolve(CATALOG[0], ends_at=NOW)], False),
        ([evolve(CATALOG[0], condition_id="renamed")], True),
        ([evolve(CATALOG[0], event="renamed")], True),
        ([evolve(CATALOG[0], token_id=TokenId(number)) for number in range(1000, 11_001)], True),
    ],
)
def test_only_what_moves_something_open_is_added_up_anew(facts: list[TokenFacts], anew: bool) -> None:
    """A token of nobody here, and a question that ends later, move nothing; of too many moves nobody knows which they were."""
    book = played()
    book.fill(entry(shares="10"))
    before = book.account.exposure
    book.account.catalog.put(facts)
    book.offer(entry(2, shares="10"))
    assert (book.account.exposure is not before) is anew
    assert book.account.exposure.version == book.account.catalog.version


def test_the_catalog_may_change_while_an_order_is_open() -> None:
    """A token becomes known between an order and its answer: its cost moves to its question whole, and leaves it whole."""
    book = Played(settings=make_settings(max_order_usd=None, max_market_usd=usd("6")))
    first = book.place(entry())
    book.account.catalog.put(CATALOG)
    task = entry(2, token_id=TokenId(1))
    book.offer(task)
    assert reason_of(book.end_of(task)) == (End.DENIED, "CAP_REACHED", "caps.max_market_usd")
    book.answer(first, Status.KILLED)
    exposure = book.account.exposure
    assert (exposure.cost("market question"), exposure.cost(f"token {TOKEN}"), exposure.spots) == (0, 0, 0)
    book.fill(entry(3))
    book.account.catalog.put([evolve(CATALOG[0], condition_id="renamed")])
    book.fill(leave(4, sell="all"))
    assert {book.account.exposure.cost(name) for name in ("all", "market question", "market renamed")} == {0}


def test_windows_are_forgotten_when_nobody_can_ask_any_more() -> None:
    """A minute goes soon, a day three days after it; what an unproven order may still count in stays."""
    book, task = Played(), entry()
    book.fill(task)
    stuck = book.place(entry(2))
    day = f"day {day_of(NOW)}"
    end_of_day = (NOW // DAY + 1) * DAY
    for after, left in ((3600, {day}), (end_of_day + 3 * DAY - NOW, {day}), (end_of_day + 3 * DAY + 1 - NOW, {day})):
        book.do(c.Tick(passed=0, at=NOW + after))
        assert left <= set(book.account.windows)
    book.answer(stuck, Status.KILLED)
    assert f"minute {int(NOW) // 60}" in book.account.windows
    book.do(c.Tick(passed=0, at=end_of_day + 3 * DAY + 1))
    assert not book.account.windows


def test_no_time_of_a_block_breaks_the_calendar() -> None:
    """A block may claim any time; its day has a name all the same."""
    for block_time in (0, 1 << 40, 1 << 64):
        Played().place(entry(block_time=block_time))


FEES = st.builds(Fee, st.integers(0, 2000), st.builds(Ratio, st.integers(0, 300_000)), st.integers(1, 3))


@given(st.integers(1, 10**9), st.integers(1, 10**6), FEES, st.integers(0, 10**8))
def test_fees_fit_into_the_cap_too(shares: int, price: int, fee: Fee, cap: int) -> None:
    """Whatever the fee: what an order may cost with it stays inside the cap, or there is no order."""
    settings = make_settings(max_order_usd=Usd(cap))
    intent = OrderIntent(
        side=Side.BUY,
        token_id=TOKEN,
        shares=Shares(shares),
        price=Price(price),
        limit_price=Price(price),
        max_cost=Shares(shares).at(Price(price), Rounding.UP),
    )
    fitted = with_fees(intent, settings, fee)
    if isinstance(fitted, OrderIntent):
        assert worst_cost(fitted.max_cost, fitted.limit_price, fee) <= Usd(cap)
        assert fitted.shares <= intent.shares


@pytest.mark.parametrize(
    ("realised", "caps", "control"),
    [
        ([-5, -6], {"max_day_loss_usd": usd("11")}, "caps.max_day_loss_usd"),
        ([-5, -5], {"max_day_loss_usd": usd("11")}, None),
        ([20, -8, -4], {"max_drawdown_usd": usd("12")}, "caps.max_drawdown_usd"),
        ([20, -8, -3], {"max_drawdown_usd": usd("12")}, None),
        ([20, -8, -4], {"max_day_loss_usd": usd("1")}, None),
        ([], {"max_day_loss_usd": usd("0"), "max_drawdown_usd": usd("0")}, None),
    ],
)
def test_loss_caps_count_what_was_realised(realised: list[int], caps: dict[str, Any], control: str | None) -> None:
    """A day's loss is the day's sum; a drawdown is the fall from the highest total."""
    performance = Performance()
    for dollars in realised:
        performance = performance.after(Usd(dollars * 1_000_000), "2026-11-22")
    reason = breach(Caps(**caps), performance, "2026-11-22")
    assert (None if reason is None else reason.control) == control
    assert breach(Caps(max_day_loss_usd=usd("1")), performance, "2026-11-23") is None


def test_a_clock_that_steps_back_over_midnight_forgets_no_loss() -> None:
    """Who booked today and then, by another clock, yesterday, has lost both today."""
    performance = Performance().after(usd("-4"), "2026-11-23").after(usd("-3"), "2026-11-22")
    for day in ("2026-11-22", "2026-11-23"):
        assert breach(Caps(max_day_loss_usd=usd("7")), performance, day) is not None


@pytest.mark.parametrize(
    ("on_breach", "mode", "exits"),
    [("stop-buying", None, True), ("close-only", Mode.REDUCE_ONLY, True), ("halt", Mode.HALT_ALL, False)],
)
def test_a_loss_stops_entries_and_what_it_stops_is_chosen(on_breach: str, mode: Mode | None, exits: bool) -> None:
    """A broken cap refuses entries and sets the follower's mode; a person lets the drawdown start over."""
    book = played(max_drawdown_usd=usd("1"), on_breach=on_breach)
    book.fill(entry())
    book.answer(book.place(leave(shares="50")), notional=usd("2.5"), fee=usd("1.6"))
    task = entry(3)
    book.offer(task)
    assert reason_of(book.end_of(task)) == (End.DENIED, "LOSS_LIMIT", "caps.max_drawdown_usd")
    assert (None if book.account.mode is None else book.account.mode.mode) is mode
    again = entry(4)
    book.offer(again)
    assert book.end_of(again).end is (End.DENIED if mode is None else End.HALTED)
    last = leave(5, shares="1")
    book.offer(last)
    assert book.open(last) == exits
    book.do(c.SetMode(mode=Mode.RUN, why="a person", at=NOW))
    book.do(c.ResetPeak(at=NOW))
    assert book.account.mode is None
    book.place(entry(6))


@pytest.mark.parametrize(
    ("mode", "entries", "exits"),
    [
        (Mode.RUN, True, True),
        (Mode.REDUCE_ONLY, False, True),
        (Mode.HALT_NEW, False, True),
        (Mode.HALT_ALL, False, False),
    ],
)
def test_a_mode_stops_entries_before_exits(mode: Mode, entries: bool, exits: bool) -> None:
    """Only what stops everything stops exits; what is stopped says by which mode, and why it is in force."""
    book = Played()
    book.hold()
    book.do(c.SetMode(mode=mode, why="lunch", at=NOW))
    for task, passes in ((entry(), entries), (leave(), exits)):
        book.offer(task)
        assert book.open(task) == passes
        if not passes:
            assert reason_of(book.end_of(task)) == (End.HALTED, "MODE_FORBIDS", "mode of alice")


def test_a_cap_per_order_holds_whatever_is_prepared() -> None:
    """Fees shrink an entry into its cap; too small then, it is refused."""
    book = played(max_order_usd=usd("3"))
    order = book.place(entry())
    assert worst_cost(order.max_cost, order.limit_price, Fee(FEE_BPS)) <= usd("3")
    small = played(max_order_usd=usd("3"), minimum_usd=usd("2.99"))
    task = entry()
    small.offer(task)
    assert reason_of(small.end_of(task)) == (End.DENIED, "ABOVE_MAXIMUM", "caps.max_order_usd")


def test_an_order_of_nothing_is_under_the_venues_minimum() -> None:
    """The venue's rules leave nothing over: the task ends, and an exit of it counts as missed."""
    book = Played()
    book.hold()

    def nothing(key: IntentKey, intent: OrderIntent) -> Order:
        return evolve(freeze(key, intent), shares=NO_SHARES)

    for task in (entry(), leave(shares="40")):
        book.offer(task, prepare=nothing)
        assert reason_of(book.end_of(task)) == (End.DENIED, "BELOW_MINIMUM", "venue.minimum")
    assert book.account.position(SPOT).leader_shares == Shares.parse(60)
