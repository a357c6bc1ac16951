"""Whose turn it is, what time the venue has, and what is stopped."""

from functools import partial

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOW
from tests.clob.sent_orders import OURS
from trio_copy.model.ids import TokenId
from trio_copy.model.units import Shares, Usd
from trio_copy_clob.pacing import Bucket
from trio_copy_clob.sending.limits import STANDARD, TIERS, Turns, limits_of_address, limits_of_signer, tier_of
from trio_copy_clob.sending.sent import Sendings
from trio_copy_clob.sending.skew import VenueClock
from trio_copy_clob.sending.stops import PAUSED_S, SHORT_S, Stop, Stops

Clock = trio.testing.MockClock


async def _times(turns: Turns, exits: list[bool]) -> list[tuple[float, bool]]:
    """Let them wait in this order, and return when each had its turn."""
    had: list[tuple[float, bool]] = []

    async def want(is_exit: bool) -> None:
        await turns.wait(is_exit=is_exit)
        had.append((trio.current_time(), is_exit))

    async with trio.open_nursery() as nursery:
        for is_exit in exits:
            nursery.start_soon(want, is_exit)
            await trio.testing.wait_all_tasks_blocked()
    return had


async def test_a_signer_sends_as_fast_as_its_tier_allows(clock: Clock) -> None:
    """After a start from nothing; after a rest, a burst of one and a half seconds' worth."""
    limits = limits_of_signer()
    had = await _times(limits.orders, [False] * 41)
    assert had[-1][0] - had[0][0] == pytest.approx(1.0)
    assert len(await _times(limits.cancels, [True] * 80)) == 80
    await trio.sleep(10)
    began = trio.current_time()
    had = await _times(limits.orders, [False] * 100)
    assert sum(at - began < 1e-6 for at, _ in had) == 60
    assert had[-1][0] - began == pytest.approx(1.0)


async def test_a_tier_is_kept_to_from_when_it_is_known(clock: Clock) -> None:
    """The venue tells it; one that nobody knows gets what everybody has."""
    limits = limits_of_signer()
    limits.set_tier(tier_of(" Gold "))
    had = await _times(limits.orders, [False] * 41)
    assert had[-1][0] - had[0][0] == pytest.approx(0.1)
    assert limits.cancels.bucket.per_s == 800
    assert tier_of("unobtainium") is STANDARD
    assert [TIERS[name].orders_per_s for name in ("standard", "diamond", "elite")] == [40, 525, 600]


async def test_exits_go_before_entries(clock: Clock) -> None:
    """Also those that come later."""
    had = await _times(Turns(Bucket(10)), [False] * 30 + [True] * 20)
    waited = [is_exit for at, is_exit in had if at > 0.01]
    assert waited[:20] == [True] * 20
    assert waited[20:] == [False] * (len(waited) - 20)
    assert had[-1][0] == pytest.approx(4.0)


async def test_whoever_gives_up_takes_no_turn(clock: Clock) -> None:
    """And those behind it go on, whether it was the first in line or not."""
    turns = Turns(Bucket(1))
    await turns.wait(is_exit=False)
    async with trio.open_nursery() as nursery:
        for deadline in (0.5, 99.0, 0.7):
            scope = trio.CancelScope(deadline=trio.current_time() + deadline)

            async def give_up(scope: trio.CancelScope = scope) -> None:
                with scope:
                    await turns.wait(is_exit=False)

            nursery.start_soon(give_up)
    assert trio.current_time() == pytest.approx(1.0)
    await turns.wait(is_exit=True)
    assert trio.current_time() == pytest.approx(2.0)


async def test_nobody_goes_while_the_venue_wants_to_be_left_alone(clock: Clock) -> None:
    """Neither those that wait already nor those that come."""
    turns = Turns(Bucket(10))
    turns.rest(7.0)
    turns.rest(3.0)
    had = await _times(turns, [False, True])
    assert [round(at, 3) for at, _ in had] == [7.0, 7.0]


async def test_all_that_leave_from_here_keep_to_the_limits_of_an_address(clock: Clock) -> None:
    """5,000 orders in ten seconds and 120,000 in ten minutes, wherever they begin."""
    bucket = limits_of_address(1.0).bucket
    await trio.sleep(1000)
    at, times = trio.current_time(), []
    while at < 1030:
        times.append(at)
        at += bucket.take(at)
    assert max(sum(start <= one < start + 10 for one in times) for start in (1000, 1001, 1005, 1015)) <= 5_000
    assert bucket.per_s * (bucket.burst_s + 600) <= 120_000
    assert limits_of_address(0.25).bucket.per_s == pytest.approx(47.5)


@pytest.mark.parametrize("off_s", [0, 100, -100, 3000])
def test_the_venues_time_is_known(off_s: int) -> None:
    """To a second, however wrong our own clock is."""
    clock = VenueClock(lambda: NOW + off_s)
    assert clock.now() == int(NOW + off_s)
    clock.learn(str(int(NOW)).encode(), NOW + off_s, NOW + off_s + 0.5)
    assert abs(clock.now() - NOW) <= 1
    assert clock.skew_s == pytest.approx(off_s, abs=0.6)


@pytest.mark.parametrize("body", [b"", b"now", b"-5", b"1" * 12, b"12", b"\xff", b"{}", b"1e9", b"1000000000"])
def test_what_is_no_time_is_not_believed(body: bytes) -> None:
    """Nor one that is a day away."""
    clock = VenueClock(lambda: NOW)
    with pytest.raises(ValueError, match=r"."):
        clock.learn(body, NOW, NOW)
    with pytest.raises(ValueError, match="tells no time"):
        clock.learn(str(int(NOW)).encode(), NOW, NOW + 11)
    assert (clock.skew_s, clock.measured_at) == (0.0, None)


_WHY = partial(Stops.why, wallet="0xw", signer="0xs")


@pytest.mark.parametrize(
    ("stop", "who", "entry", "leaves"),
    [
        (Stop.WALLET, "0xw", False, False),
        (Stop.WALLET, "0xother", True, True),
        (Stop.ENTRIES_OF_WALLET, "0xw", False, True),
        (Stop.EXITS_OF_WALLET, "0xw", True, False),
        (Stop.SIGNER, "0xs", False, False),
        (Stop.SIGNER, "0xother", True, True),
        (Stop.EGRESS, "", False, False),
        (Stop.ENTRIES, "", False, True),
        (Stop.RESTARTING, "", True, True),
    ],
)
@pytest.mark.parametrize("until", [None, 60.0])
def test_what_a_stop_stops(stop: Stop, who: str, entry: bool, leaves: bool, until: float | None) -> None:
    """For good, or until a moment; told once, and once that it is over."""
    stops = Stops()
    told = stops.stop(stop, who, "closed only", until=until, now=0.0)

    assert told is not None
    assert str(told).startswith(stop.value)
    assert stops.stop(stop, who, "closed only", until=until, now=1.0) is None
    assert (_WHY(stops, is_exit=False, now=2.0) is None) is entry
    assert (_WHY(stops, is_exit=True, now=2.0) is None) is leaves
    assert len(stops.standing(2.0)) == 1
    assert len(stops.standing(61.0)) == (until is None)
    assert (stops.lift(stop, who) is not None) is (until is None)
    assert stops.lift(stop, who) is None
    assert _WHY(stops, is_exit=False, now=2.0) is None


def test_a_stop_for_good_outlasts_a_pause_and_is_told() -> None:
    """And a pause does not shorten it."""
    stops = Stops()
    assert stops.stop(Stop.WALLET, "0xw", "a while", until=5.0, now=0.0)
    assert stops.stop(Stop.WALLET, "0xw", "banned", now=1.0)
    assert stops.stop(Stop.WALLET, "0xw", "a while", until=9.0, now=2.0) is None
    assert str(_WHY(stops, is_exit=True, now=99.0)) == "wallet stopped (0xw): banned"


def test_an_order_that_goes_through_ends_what_was_said_of_all() -> None:
    """But nothing that is about one wallet."""
    stops = Stops()
    stops.stop(Stop.ENTRIES, "", "cancel-only", until=PAUSED_S, now=0.0)
    stops.stop(Stop.RESTARTING, "", "service not ready", until=PAUSED_S, now=0.0)
    stops.stop(Stop.WALLET, "0xw", "banned", now=0.0)
    assert [one.stop for one in stops.went_well()] == [Stop.ENTRIES, Stop.RESTARTING]
    assert [one.stop for one in stops.standing(0.0)] == [Stop.WALLET]
    assert stops.went_well() == []


def test_the_second_want_of_balance_stops_a_side_for_a_while() -> None:
    """The first one lets the venue read the balance again; the other side goes on, and each token has a balance of its own."""
    stops, token, other = Stops(), TokenId(7), TokenId(8)
    short = partial(stops.short, "0xw", why="not enough balance")
    assert not stops.was_short("0xw", token, sent_at=0.0, now=0.0)
    assert short(token, sent_at=0.0, now=0.5) is None
    assert short(token, sent_at=0.4, now=0.6) is None, "it was on its way"
    assert stops.was_short("0xw", token, sent_at=1.0, now=1.0)
    assert short(other, sent_at=1.0, now=1.0) is None
    stops.had_enough("0xw", other)
    assert short(other, sent_at=1.0, now=1.0) is None
    assert short(token, sent_at=1.0, now=1.0) is not None
    assert _WHY(stops, is_exit=True, now=2.0) is not None
    assert _WHY(stops, is_exit=False, now=2.0) is None
    assert _WHY(stops, is_exit=True, now=2.0 + SHORT_S) is None
    assert short(token, sent_at=999.0, now=999.0) is None


def test_what_somebody_else_has_sent_counts_as_sent_when_it_is_asked_about_first() -> None:
    """An instance that takes over knows nothing of the last send of the one before."""
    sendings = Sendings()
    assert sendings.of(OURS, 1000.0).at == 1000.0
    assert sendings.of(OURS, 1060.0).at == 1000.0
    sendings.leaves(OURS, 1070.0)
    sendings.is_there(OURS, 1071.0, (Shares(1), Usd(2)))
    sendings.is_there(OURS, 1072.0)
    known = sendings.of(OURS, 1100.0)
    assert (known.at, known.there, known.told) == (1070.0, True, (Shares(1), Usd(2)))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 3.0)), max_size=12))
def test_no_bucket_is_overdrawn(wants: list[tuple[bool, float]]) -> None:
    """Whoever waits, gives up or goes: never more in a second than there is."""
    had: list[float] = []

    async def want(turns: Turns, is_exit: bool, patience_s: float) -> None:
        with trio.move_on_after(patience_s):
            await turns.wait(is_exit=is_exit)
            had.append(trio.current_time())

    async def main() -> None:
        turns = Turns(Bucket(2, 0.5, free_at=0.0))
        async with trio.open_nursery() as nursery:
            for is_exit, patience_s in wants:
                nursery.start_soon(want, turns, is_exit, patience_s)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    for start in had:
        assert sum(start <= at < start + 0.99 for at in had) <= 3
