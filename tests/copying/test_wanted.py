"""What a follower may wish for: each size, each filter, gathering, exits. Pure, so each wish is one line of a table."""

from typing import Any

import pytest
from attrs import evolve

from tests.builders import LEADER, NOW, TOKEN, make_intent, make_settings, make_signal, make_terms, usd
from trio_copy.copying.decide import decide
from trio_copy.copying.exits import exit_signal, wants_out
from trio_copy.copying.filters import check, check_book
from trio_copy.copying.sizing import size
from trio_copy.model.books import Quote
from trio_copy.model.catalog import Catalog, TokenFacts
from trio_copy.model.decisions import Code, OrderIntent, Reason
from trio_copy.model.fills import Kind, Role, Side
from trio_copy.model.follow_settings import Tier
from trio_copy.model.follows import Follower
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.orders import Market
from trio_copy.model.positions import Lot, Mark, Position
from trio_copy.model.signals import OWN_EXIT_TURN_S
from trio_copy.model.units import Price, Ratio, Shares

OPPOSITE = TokenId(778)
FACTS = TokenFacts(
    token_id=TOKEN,
    condition_id="0xc0",
    outcome="Yes",
    question="Fed cuts rates in December?",
    event="fed",
    category="Economy",
    opposite=OPPOSITE,
    ends_at=NOW + 10 * 3600,
)


def catalog() -> Catalog:
    known = Catalog()
    known.put([FACTS])
    return known


def sized(signal: dict[str, Any], **settings: Any) -> OrderIntent | Reason:
    return size(make_signal(**signal), make_settings(**settings), FACTS)


@pytest.mark.parametrize(
    ("settings", "shares"),
    [
        ({"mode": "shares", "size.ratio": Ratio.parse("0.25")}, "25"),
        (
            {
                "mode": "equity",
                "equity_usd": usd("1000"),
                "leader_equity_usd": usd("10000"),
                "size.ratio": Ratio.parse(2),
            },
            "20",
        ),
        (
            {
                "mode": "tiers",
                "tiers": (Tier(ratio=Ratio.parse("0.5")), Tier(from_usd=usd("40"), ratio=Ratio.parse("0.2"))),
            },
            "20",
        ),
        (
            {
                "mode": "tiers",
                "tiers": (Tier(ratio=Ratio.parse("0.5")), Tier(from_usd=usd("60"), ratio=Ratio.parse("0.2"))),
            },
            "50",
        ),
    ],
)
def test_sizes_beyond_the_simple_ones(settings: dict[str, Any], shares: str) -> None:
    """A leader's 100 shares at 0.50, which are 50 dollars, become this many."""
    intent = sized({}, **settings)
    assert isinstance(intent, OrderIntent)
    assert Shares.parse(shares) == intent.shares


def test_a_reverse_copy_buys_the_other_side_with_the_same_dollars() -> None:
    """He buys YES at 0.80 for 80 dollars: a tenth of it buys NO at 0.20."""
    intent = sized({"price": "0.8"}, direction="reverse")
    assert isinstance(intent, OrderIntent)
    assert (OPPOSITE, Price.parse("0.2"), Shares.parse(40)) == (intent.token_id, intent.price, intent.shares)
    unknown = size(make_signal(), make_settings(direction="reverse"), None)
    assert isinstance(unknown, Reason)
    assert unknown.code is Code.MARKET_UNKNOWN


@pytest.mark.parametrize("kind", [Kind.TRADE, Kind.EXIT])
def test_an_exit_needs_no_size(kind: Kind) -> None:
    """However entries are sized: what is held can be sold when the leader sells a little, or a rule wants out."""
    for settings in (
        {"mode": "tiers", "tiers": (Tier(from_usd=usd("60")),)},
        {"mode": "equity", "leader_equity_usd": usd("0")},
    ):
        assert isinstance(sized({"side": Side.SELL, "kind": kind}, **settings), OrderIntent)


def test_a_leader_below_every_tier_is_not_copied() -> None:
    """Nothing is guessed for sizes nobody spoke about."""
    reason = sized({}, mode="tiers", tiers=(Tier(from_usd=usd("60")),))
    assert isinstance(reason, Reason)
    assert (reason.code, reason.control, reason.limit) == (Code.NOTHING_TO_COPY, "size.tiers", "from 60")


@pytest.mark.parametrize(
    ("settings", "signal", "code"),
    [
        ({"leader_max_usd": usd("49")}, {}, Code.LEADER_TOO_BIG),
        ({"roles": frozenset({Role.MAKER})}, {}, Code.ROLE_NOT_WANTED),
        ({}, {"kind": Kind.TRANSFER}, Code.KIND_NOT_WANTED),
        ({"condition_allow": frozenset({"0xd0"})}, {}, Code.CONDITION_NOT_ALLOWED),
        ({"condition_deny": frozenset({"0xC0"})}, {}, Code.CONDITION_DENIED),
        ({"keyword_allow": frozenset({"bitcoin"})}, {}, Code.KEYWORD_NOT_ALLOWED),
        ({"keyword_deny": frozenset({"fed"})}, {}, Code.KEYWORD_DENIED),
        ({"category_allow": frozenset({"sports"})}, {}, Code.CATEGORY_NOT_ALLOWED),
        ({"category_deny": frozenset({"economy"})}, {}, Code.CATEGORY_DENIED),
        ({"min_hours_to_end": 11.0}, {}, Code.ENDS_TOO_SOON),
        ({"max_days_to_end": 0.4}, {}, Code.ENDS_TOO_LATE),
        ({"keyword_deny": frozenset({"fed"})}, {"token_id": TokenId(1)}, Code.MARKET_UNKNOWN),
        ({"status": "paused"}, {}, Code.FOLLOW_PAUSED),
        ({"status": "leaving"}, {}, Code.FOLLOW_PAUSED),
        ({"status": "paused", "when_paused": "hold"}, {"side": Side.SELL}, Code.FOLLOW_PAUSED),
        ({"sell": "never"}, {"side": Side.SELL}, Code.EXIT_NOT_WANTED),
        ({"status": "paused"}, {"side": Side.SELL}, None),
        ({"category_deny": frozenset({"economy"}), "roles": frozenset()}, {"side": Side.SELL}, None),
        ({"kinds": frozenset({Kind.TRANSFER})}, {"kind": Kind.TRANSFER}, None),
        ({"category_allow": frozenset({"economy"}), "keyword_allow": frozenset({"RATES"})}, {}, None),
    ],
)
def test_each_filter_finds_its_reason(settings: dict[str, Any], signal: dict[str, Any], code: Code | None) -> None:
    """Every refusal has its own code, and the control that the code names is a setting of the follow."""
    reason = check(make_signal(**signal), make_settings(**settings), catalog(), NOW)
    assert (None if reason is None else reason.code) == code


def market(**quote: Any) -> Market:
    shown = Quote(**{"bid": Price.parse("0.49"), "ask": Price.parse("0.5"), "ask_shares": Shares.parse(100), **quote})
    return Market(token_id=TOKEN, tick=Price(1), minimum=Shares(0), fee_bps=0, quote=shown)


@pytest.mark.parametrize(
    ("settings", "quote", "code"),
    [
        ({"min_depth_usd": usd("51")}, {}, Code.BOOK_TOO_THIN),
        ({"min_depth_usd": usd("50")}, {}, None),
        ({"min_depth_usd": usd("1")}, {"ask_shares": None}, Code.BOOK_TOO_THIN),
        ({"max_spread_bps": 199}, {}, Code.SPREAD_TOO_WIDE),
        ({"max_spread_bps": 200}, {}, None),
        ({"max_spread_bps": 200}, {"bid": None}, Code.SPREAD_TOO_WIDE),
        ({"too_good_bps": 2500}, {"ask": Price.parse("0.37")}, Code.PRICE_TOO_GOOD),
        ({"too_good_bps": 2500}, {"ask": Price.parse("0.38")}, None),
    ],
)
def test_the_book_is_looked_at_right_before_the_order(
    settings: dict[str, Any], quote: dict[str, Any], code: Code | None
) -> None:
    """Depth, spread and a price that is too good to be true; an exit never minds."""
    intent = sized({}, **settings)
    assert isinstance(intent, OrderIntent)
    reason = check_book(intent, make_settings(**settings), market(**quote))
    assert (None if reason is None else reason.code) == code
    assert check_book(evolve(intent, side=Side.SELL), make_settings(**settings), market(**quote)) is None


POSITION = Position(
    lots=(Lot("k", Shares.parse(10), usd("5"), NOW - 100, firm=True),),
    shares=Shares.parse(10),
    cost=usd("5"),
    leader_shares=Shares.parse(100),
)


@pytest.mark.parametrize(
    ("settings", "bid", "peak", "rule"),
    [
        ({"take_profit_bps": 1000}, "0.55", "0.55", "leaving.take_profit_bps"),
        ({"take_profit_bps": 1000}, "0.549999", "0.55", None),
        ({"stop_loss_bps": 1000}, "0.45", "0.5", "leaving.stop_loss_bps"),
        ({"stop_loss_bps": 1000}, "0.450001", "0.5", None),
        ({"trailing_bps": 1000}, "0.72", "0.8", "leaving.trailing_bps"),
        ({"trailing_bps": 1000}, "0.73", "0.8", None),
        ({"max_hold_s": 99.0}, "0.5", "0.5", "leaving.max_hold_s"),
        ({"max_hold_s": 101.0}, "0.5", "0.5", None),
        ({"status": "paused", "when_paused": "close"}, "0.5", "0.5", "leaving.when_paused"),
        ({"status": "leaving", "when_unfollowed": "close"}, "0.5", "0.5", "leaving.when_unfollowed"),
        ({"status": "leaving", "when_unfollowed": "exits"}, "0.5", "0.5", None),
        ({}, "0.000001", "1", None),
    ],
)
def test_own_rules_for_leaving(settings: dict[str, Any], bid: str, peak: str, rule: str | None) -> None:
    """Ten shares at an average cost of 0.50: each rule fires at its mark and not before."""
    mark = Mark(price=Price.parse(bid), peak=Price.parse(peak), at=NOW)
    assert rule == wants_out(make_settings(**settings), POSITION, mark, NOW)


def test_an_own_exit_is_the_same_for_everybody_who_sees_it() -> None:
    """Two instances make one signal in one half-minute, and another one in the next; other lots are another exit."""
    key = (FollowerId("alice"), LEADER, TOKEN)

    def name(now: float, position: Position = POSITION) -> str:
        return exit_signal(make_signal().chain_id, key, position, "r", Price.parse("0.4"), 5, now).signal_id

    def times(now: float) -> tuple[int, int]:
        signal = exit_signal(make_signal().chain_id, key, POSITION, "r", Price.parse("0.4"), 5, now)
        return signal.leader_time, make_intent(signal).leader_time

    start = NOW - NOW % OWN_EXIT_TURN_S
    # What names it is the source of its order's timestamp as well, or two instances would sign two orders.
    assert times(start + 1) == times(start + 29) == (start, start)
    assert name(start + 1) == name(start + 29)
    assert name(start + 1) != name(start + 31)
    other = evolve(POSITION, lots=(evolve(POSITION.lots[0], key="other"),))
    assert name(start) != name(start, other)


def test_an_entry_waits_for_its_delay_and_its_company_and_an_exit_does_not() -> None:
    """Delay and window add up; a large entry does not wait to be gathered; an exit never waits."""
    wishes: dict[str, Any] = {"delay_s": 2.0, "aggregate_s": 1.0, "aggregate_bypass_usd": usd("50")}
    followers = {FollowerId("alice"): Follower(follower=FollowerId("alice"), executor="sim")}

    def not_before(**signal: Any) -> float:
        ((task,), _) = decide(
            make_signal(**signal), [make_terms(**wishes)], followers, now=NOW, deadline_s=5, catalog=Catalog()
        )
        return task.not_before

    assert not_before() == NOW + 3
    assert not_before(shares="1000") == NOW + 2
    assert not_before(side=Side.SELL) == 0.0


def test_a_follow_may_shorten_the_deadline_and_not_lengthen_it() -> None:
    """The engine's deadline holds where it is shorter."""
    followers = {FollowerId("alice"): Follower(follower=FollowerId("alice"), executor="sim")}
    for wish, deadline in ((3.0, NOW + 3), (60.0, NOW + 5)):
        changes: dict[str, Any] = {"execution.deadline_s": wish}
        terms = make_terms(**changes)
        ((task,), _) = decide(make_signal(), [terms], followers, now=NOW, deadline_s=5, catalog=Catalog())
        assert task.deadline == deadline
