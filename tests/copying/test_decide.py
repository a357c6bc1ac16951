"""What to copy: filters, sizing and fan-out are pure, and every skip says why."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import (
    LEADER,
    NOW,
    OTHER_LEADER,
    make_follow,
    make_settings,
    make_signal,
    make_terms,
    usd,
)
from trio_copy.copying.decide import decide
from trio_copy.copying.filters import check
from trio_copy.copying.follow_book import FollowBook
from trio_copy.copying.sizing import size
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import Code, OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Caps, FollowSettings, Sizing
from trio_copy.model.follow_settings import Execution as HowToSend
from trio_copy.model.follows import EVERYBODY, Follower, Followers, TermsOfFollows
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.units import NO_USD, Price, Ratio, Rounding, Shares, Usd


def sized(signal_changes: dict[str, object], **sizing: object) -> OrderIntent | Reason:
    return size(make_signal(**signal_changes), make_settings(**{"ratio": Ratio.parse("0.01"), **sizing}), None)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("sizing", "shares"),
    [
        ({"mode": "ratio", "ratio": Ratio.parse("0.1")}, "10"),
        ({"mode": "ratio", "ratio": Ratio.parse("2"), "max_order_usd": usd("1000")}, "200"),
        ({"mode": "fixed", "fixed_usd": usd("7")}, "14"),
        ({"mode": "range", "ratio": Ratio.parse("0.1"), "range_min_usd": usd("8")}, "16"),
        ({"mode": "range", "ratio": Ratio.parse("0.1"), "range_max_usd": usd("2")}, "4"),
        ({"mode": "range", "ratio": Ratio.parse("0.1"), "range_min_usd": usd("1")}, "10"),
        ({"minimum_usd": usd("6"), "minimum_policy": "raise", "ratio": Ratio.parse("0.1")}, "12"),
        ({"ratio": Ratio.parse(1), "max_order_usd": usd("10"), "slippage_bps": 0}, "20"),
        ({"mode": "fixed", "fixed_usd": usd("1"), "minimum_usd": usd("1")}, "2"),
    ],
)
def test_sizes(sizing: dict[str, object], shares: str) -> None:
    """A leader's 100 shares at 0.50 become this many under each mode."""
    intent = sized({}, **sizing)

    assert isinstance(intent, OrderIntent)
    assert Shares.parse(shares) == intent.shares


@pytest.mark.parametrize(
    ("signal", "sizing", "code", "control"),
    [
        ({}, {"ratio": Ratio.parse("0.01"), "minimum_usd": usd("1")}, Code.BELOW_MINIMUM, "size.minimum_usd"),
        (
            {},
            {"minimum_usd": usd("20"), "minimum_policy": "raise", "max_order_usd": usd("10")},
            Code.ABOVE_MAXIMUM,
            "caps.max_order_usd",
        ),
        (
            {},
            {"minimum_usd": usd("20"), "ratio": Ratio.parse(1), "max_order_usd": usd("10")},
            Code.BELOW_MINIMUM,
            "size.minimum_usd",
        ),
        ({"shares": "0.000001"}, {}, Code.NOTHING_TO_COPY, "size.ratio"),
        ({"price": "0"}, {}, Code.PRICE_UNKNOWN, "signal.price"),
    ],
)
def test_sizes_that_are_refused_say_why(
    signal: dict[str, object], sizing: dict[str, object], code: Code, control: str
) -> None:
    """A raise to the minimum still obeys the cap, and a cap still obeys the minimum."""
    reason = sized(signal, **sizing)

    assert isinstance(reason, Reason)
    assert (code, control) == (reason.code, reason.control)


def test_an_unpriced_signal_costs_a_dollar_a_share_at_most() -> None:
    """Without a price the cap assumes the worst that an outcome share can cost."""
    intent = sized({"price": None}, ratio=Ratio.parse(1), max_order_usd=usd("30"))

    assert isinstance(intent, OrderIntent)
    assert (Shares.parse(30), Price.parse(1), usd("30")) == (intent.shares, intent.limit_price, intent.max_cost)


SIZINGS = st.builds(
    Sizing,
    mode=st.sampled_from(["fixed", "ratio", "range"]),
    fixed_usd=st.integers(0, 10**10).map(Usd),
    ratio=st.integers(0, 10**7).map(Ratio),
    range_min_usd=st.integers(0, 10**8).map(Usd),
    range_max_usd=st.integers(0, 10**10).map(Usd),
    minimum_usd=st.integers(0, 10**7).map(Usd),
    minimum_policy=st.sampled_from(["skip", "raise"]),
)
SETTINGS = st.builds(
    FollowSettings,
    size=SIZINGS,
    caps=st.builds(Caps, max_order_usd=st.integers(0, 10**10).map(Usd)),
    execution=st.builds(HowToSend, slippage_bps=st.integers(0, 10_000)),
)


@given(SETTINGS, st.sampled_from(Side), st.integers(1, 10**14), st.integers(1, 10**6))
def test_no_entry_costs_more_than_its_cap(settings: FollowSettings, side: Side, shares: int, price: int) -> None:
    """Whatever the settings: an entry's worst cost is inside the cap and not below the minimum, its limit not above a dollar."""
    exact = Price(price)
    signal = make_signal(side=side)
    signal = evolve(signal, shares=Shares(shares), price=exact, notional=Shares(shares).at(exact, Rounding.DOWN))
    intent = size(signal, settings, None)

    if isinstance(intent, Reason):
        assert intent.control
        return
    if side is Side.BUY:
        assert intent.shares > Shares(0)
        assert settings.caps.max_order_usd is not None
        assert intent.max_cost == intent.shares.at(intent.limit_price, Rounding.UP) <= settings.caps.max_order_usd
        assert intent.shares.at(exact, Rounding.UP) >= settings.size.minimum_usd
        assert exact <= intent.limit_price <= Price.parse(1)
    else:
        assert intent.limit_price <= exact
        assert intent.max_cost == NO_USD
    assert intent == size(signal, settings, None)


@pytest.mark.parametrize(
    ("changes", "signal", "code", "value", "limit"),
    [
        ({"sides": frozenset({Side.SELL})}, {}, Code.SIDE_NOT_WANTED, "BUY", "SELL"),
        ({"token_deny": frozenset({TokenId(777)})}, {}, Code.TOKEN_DENIED, "777", "not on the list"),
        ({"token_allow": frozenset({TokenId(1)})}, {}, Code.TOKEN_NOT_ALLOWED, "777", "1 token"),
        ({"price_min": Price.parse("0.6")}, {}, Code.PRICE_TOO_LOW, "0.5", "0.6"),
        ({"price_max": Price.parse("0.4")}, {}, Code.PRICE_TOO_HIGH, "0.5", "0.4"),
        ({"leader_min_usd": usd("51")}, {}, Code.LEADER_TOO_SMALL, "50", "51"),
        ({"max_age_s": 5.0}, {"block_time": int(NOW) - 6}, Code.TOO_OLD, "6.0", "5"),
        ({}, {"price": None}, Code.PRICE_UNKNOWN, "no price", "a price"),
    ],
)
def test_each_filter_says_what_it_met_and_what_it_wanted(
    changes: dict[str, object], signal: dict[str, object], code: Code, value: str, limit: str
) -> None:
    """A skip carries a stable code, the control, the value and the limit."""
    reason = check(make_signal(**signal), make_settings(**changes), Catalog(), NOW)  # type: ignore[arg-type]  # by name

    assert reason is not None
    assert (code, value, limit) == (reason.code, reason.value, reason.limit)
    assert reason.control.startswith("filters.")


def test_exits_pass_the_filters_of_entries() -> None:
    """What was bought while a filter said yes is sold when it says no."""
    settings = make_settings(
        token_deny=frozenset({TokenId(777)}), price_max=Price.parse("0.1"), leader_min_usd=usd("1000"), unpriced="copy"
    )

    assert check(make_signal(side=Side.SELL), settings, Catalog(), NOW) is None
    assert check(make_signal(side=Side.SELL, price=None), settings, Catalog(), NOW) is None


def test_followers_take_turns_at_being_first() -> None:
    """Over many signals everybody is served first about equally often; for one signal the order never changes."""
    follows = [make_terms(f"f{number}") for number in range(5)]
    followers = {f.follower: Follower(follower=f.follower, executor="sim") for f in follows}
    firsts = [
        decide(make_signal(number), follows, followers, now=NOW, deadline_s=5, catalog=Catalog())[0][0].follower
        for number in range(500)
    ]
    again, _ = decide(make_signal(1), follows, followers, now=NOW, deadline_s=5, catalog=Catalog())

    assert all(60 <= firsts.count(FollowerId(f"f{number}")) <= 140 for number in range(5))
    assert firsts[1] == again[0].follower
    assert len({task.task_id for task in again}) == 5


def test_each_follow_decides_for_itself() -> None:
    """One signal becomes tasks for those who want it and skips for those who do not."""
    wants, small = make_terms("wants"), make_terms("small", minimum_usd=usd("100"))
    followers = {f.follower: Follower(follower=f.follower, executor="sim") for f in (wants, small)}
    tasks, skips = decide(make_signal(), [wants, small], followers, now=NOW, deadline_s=5, catalog=Catalog())

    assert [task.follower for task in tasks] == ["wants"]
    assert [(skip.follower, skip.reason.code) for skip in skips] == [("small", Code.BELOW_MINIMUM)]
    assert tasks[0].deadline == NOW + 5


def test_an_age_is_the_larger_of_what_our_clock_and_the_chain_say() -> None:
    """A clock that is three seconds behind makes every signal three seconds older, and its deadline that much nearer."""
    follow = make_terms("alice")
    short = make_terms("short", **{"execution.deadline_s": 4.0})
    followers = {f.follower: Follower(follower=f.follower, executor="sim") for f in (follow, short)}

    def at(age_s: float) -> tuple[list[float], list[Code]]:
        tasks, skips = decide(
            make_signal(),
            [follow, short],
            followers,
            now=NOW + age_s,
            deadline_s=5,
            catalog=Catalog(),
            behind_s=3,
        )
        return sorted(task.deadline - NOW for task in tasks), [skip.reason.code for skip in skips]

    assert at(0) == ([1.0, 2.0], [])
    assert at(2.5) == ([], [Code.TOO_OLD, Code.TOO_OLD])


@pytest.mark.parametrize(("side", "copied"), [(Side.BUY, False), (Side.SELL, True)])
def test_a_halt_stops_entries_with_its_reason_and_lets_exits_pass(side: Side, copied: bool) -> None:
    """Even one that would be too old: what is wrong is the clock, not the signal."""
    follow = make_terms("alice")
    reason = Reason(code=Code.ENTRIES_HALTED, control="watchdog.clock", value="8.1 s ahead", limit="5 s")
    followers = {follow.follower: Follower(follower=follow.follower, executor="sim")}
    now = NOW if copied else NOW + 8.1
    tasks, skips = decide(
        make_signal(side=side), [follow], followers, now=now, deadline_s=5, catalog=Catalog(), halted=reason
    )

    assert len(tasks) == copied
    assert [skip.reason for skip in skips] == ([] if copied else [reason])


def test_the_book_answers_by_leader() -> None:
    """Putting, replacing and removing follows keeps the index whole."""
    everybody = Followers({EVERYBODY: Follower(follower=EVERYBODY, executor="sim")})
    book = FollowBook(TermsOfFollows(followers=everybody))
    book.replace_all([make_follow("alice"), make_follow("bob"), make_follow("bob", OTHER_LEADER)])
    book.put(make_follow("alice", ratio=Ratio.parse("0.5")))
    book.remove(make_follow("bob", OTHER_LEADER))
    book.remove(make_follow("nobody", OTHER_LEADER))

    assert list(book.leaders) == [LEADER]
    assert [follow.follower for follow in book.of(LEADER)] == ["alice", "bob"]
    assert Ratio.parse("0.5") == book.of(LEADER)[0].settings.size.ratio
    assert OTHER_LEADER not in book
    assert len(book) == 2
