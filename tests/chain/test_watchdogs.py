"""Clocks, skew and sleeping subscriptions, judged without a node."""

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from trio_copy.chain.feed import SCAN
from trio_copy.chain.shown import ShownBlocks
from trio_copy.chain.skew import BlockAges, agreed_skew, arming_refusal, describe_skew
from trio_copy.clock import AnchoredClock, anchored_wall_clock


@define
class Hands:
    """A clock that a test turns."""

    shows: float

    def __call__(self) -> float:
        return self.shows


def test_the_wall_clock_counts_sleep_and_ignores_steps_until_it_follows_one() -> None:
    """It is anchored once, advances with the steady clock, and steps only when it is told to."""
    steady, system = Hands(50.0), Hands(1000.0)
    clock = AnchoredClock(steady, system)
    assert clock() == 1000.0
    steady.shows += 3600
    system.shows += 3600
    assert (clock(), clock.stepped_s) == (4600.0, 0.0)
    system.shows -= 8
    assert (clock(), clock.stepped_s) == (4600.0, -8.0)
    clock.follow()
    assert (clock(), clock.stepped_s) == (4592.0, 0.0)


def test_the_real_wall_clock_shows_unix_seconds() -> None:
    """It agrees with itself, and with the system that it was anchored to."""
    clock = anchored_wall_clock()
    assert clock() > 1_700_000_000
    assert abs(clock.stepped_s) < 1.0


@pytest.mark.parametrize(
    ("found", "fresh", "skew", "at_most"),
    [
        ((), (), None, None),
        ((9.0,), (), None, 9.0),  # an old block: a clock that is ahead, or a chain that stands still
        ((-9.0,), (), -9.0, -9.0),  # a block from the future is never old
        ((9.0,), (0.4,), 0.4, 0.4),
        ((0.1,), (8.4, 8.9, 8.1, 8.6, 9.7), 8.1, 8.1),
        ((), (0.3, 8.1, 8.2, 8.3, 8.4, 8.5), 8.1, 8.1),  # what is long ago does not hide it
        ((), (0.9, 3.0, 4.0), 0.9, 0.9),  # a stalled reader makes blocks old, never young
    ],
)
def test_the_youngest_of_the_recent_blocks_tells_the_skew(
    found: tuple[float, ...], fresh: tuple[float, ...], skew: float | None, at_most: float | None
) -> None:
    """Everything that is late makes blocks look older; only a wrong clock makes all of them so."""
    ages = BlockAges()
    for age in found:
        ages.note(age, fresh=False)
    for age in fresh:
        ages.note(age, fresh=True)
    assert (ages.skew, ages.at_most) == (skew, at_most)
    ages.shift(-8.0)
    assert ages.at_most == (None if at_most is None else at_most - 8.0)


@pytest.mark.parametrize(
    ("skews", "agreed"),
    [
        ([], None),
        ([None], None),
        ([0.4, None], None),  # half of them is not most of them
        ([8.0], 8.0),
        ([0.4, 8.0], 0.4),  # one of two lags
        ([0.4, -900.0], 0.0),  # one of two lies
        ([-8.0, -7.5], -7.5),
        ([0.5, 0.7, 900.0], 0.7),
        ([0.5, -900.0, 0.7], 0.5),
        ([8.0, 8.4, None], 8.0),
        ([8.0, 8.4, 0.2], 8.0),
    ],
)
def test_most_nodes_have_to_agree_about_our_clock(skews: list[float | None], agreed: float | None) -> None:
    """A node that lags or lies alone neither stops the engine nor makes a fill old."""
    assert agreed_skew(skews) == agreed


@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=9), st.data())
def test_a_minority_never_moves_the_skew_beyond_what_the_others_say(honest: list[float], data: st.DataObject) -> None:
    """Whatever fewer than half of the nodes claim, the verdict stays between zero and the honest extremes."""
    liars = data.draw(st.lists(st.floats(-1e12, 1e12), max_size=max(0, (len(honest) - 1) // 1)))
    skew = agreed_skew([*honest, *liars[: max(0, len(honest) - 1)]])
    assert skew is not None
    assert min(0.0, *honest) <= skew <= max(0.0, *honest)


@pytest.mark.parametrize(
    ("skew", "at_most", "patient", "refusal"),
    [
        (None, None, True, None),
        (None, 3.0, True, None),
        (None, 60.0, True, "the newest block is 60.0 s old; waiting for a fresh one, or for another node"),
        (None, -60.0, True, "the newest block is 60.0 s early; waiting for a fresh one, or for another node"),
        (None, 60.0, False, None),
        (4.9, 4.9, True, None),
        (-4.9, -4.9, True, None),
        (8.1, 8.1, False, "our clock is 8.1 s ahead, at most 5 s are allowed"),
        (-8.1, -8.1, True, "our clock is 8.1 s behind, at most 5 s are allowed"),
    ],
)
def test_nothing_is_armed_by_a_clock_that_is_wrong(
    skew: float | None, at_most: float | None, patient: bool, refusal: str | None
) -> None:
    """Both directions are refused; an old block alone is waited for, but a chain may stand still for long."""
    assert arming_refusal(skew, at_most, 5.0, patient=patient) == refusal


def test_a_person_is_told_which_way_the_clock_is_wrong_and_what_to_do() -> None:
    """Direction, figure, who says so, and the way out."""
    assert "8.1 s ahead of the block times of 1 node; set it by NTP" in describe_skew(8.09, 1)
    assert "others" in describe_skew(8.09, 1)
    assert "7.9 s behind the block times of the median of 3 nodes; set it by NTP" in describe_skew(-7.9, 3)


def test_a_subscription_that_misses_blocks_which_others_show_is_found() -> None:
    """Blocks in a row count, once the scanner and another node have shown them long enough ago."""
    shown = ShownBlocks()

    def missed(source: str, now: float, above: int = 0) -> int:
        return shown.missed(source, above, patience_s=10.0, now=now)

    for number in (1, 2, 3):
        for source in ("one", "two", SCAN):
            shown.note(number, source, float(number))
    assert missed("two", 20.0) == 0
    for number in (4, 5, 6):
        shown.note(number, "one", float(number))
    assert missed("two", 20.0) == 0, "what one node tells alone counts against nobody"
    for number in (4, 5, 6):
        shown.note(number, SCAN, float(number))
    assert missed("two", 15.0) == 1, "what is young may still come"
    assert missed("two", 20.0) == 3
    assert missed("one", 20.0) == 0
    assert missed("two", 20.0, above=5) == 1, "what is older than the subscription is not owed"
    assert missed("two", 1000.0) == 0, "a quiet market proves nothing"
    shown.note(7, "two", 21.0)
    assert missed("two", 40.0) == 0


def test_made_up_blocks_do_not_fill_the_memory() -> None:
    """However many block numbers a node invents, little is kept."""
    shown = ShownBlocks()
    for number in range(10_000):
        shown.note(number, "liar", 0.0)
    assert len(shown._blocks) <= 256
    assert shown.missed("honest", 0, patience_s=10.0, now=60.0) == 0
