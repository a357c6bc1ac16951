"""A block is heard of soon after it came, for a handful of questions, and a chain that has stopped is not pestered."""

from itertools import pairwise

import pytest

from trio_copy_onchain.asking.cadence import Cadence


def looks(cadence: Cadence, heads: list[float], until: float) -> list[tuple[float, int]]:
    """Ask as often as the cadence says; returns when it was asked, and the number of the newest block then."""
    now, asked = 0.0, []
    while now < until:
        number = sum(head <= now for head in heads)
        cadence.note(number, now)
        asked.append((now, number))
        now += cadence.pause_s(now)
    return asked


@pytest.mark.parametrize(("apart", "questions"), [(2.0, 8), (1.0, 6), (12.0, 30)])
def test_a_block_is_seen_when_it_is_due(apart: float, questions: int) -> None:
    heads = [0.3 + apart * number for number in range(40)]
    asked = looks(Cadence(0.5), heads, heads[-1] + apart)
    seen = [next(at for at, number in asked if number > place) for place in range(len(heads))]
    # Of the first ones it is not known how far they are apart.
    late = [at - head for at, head in zip(seen, heads, strict=True)][10:]
    assert max(late) <= 0.25
    assert sum(late) / len(late) < 0.12
    assert len(asked) / len(heads) <= questions


def test_a_block_that_was_seen_late_does_not_make_the_next_ones_late() -> None:
    cadence = Cadence(0.5)
    heads = [float(number) for number in range(1, 40)]
    looks(cadence, heads, 20.05)
    held_up, now = 20.45, 20.45  # somebody else had the processor
    seen: list[tuple[float, int]] = []
    while now < 23.5:
        number = sum(head <= now for head in heads)
        cadence.note(number, now)
        seen.append((now, number))
        now += cadence.pause_s(now)
    first = {number: at for at, number in reversed(seen)}
    assert first[20] == held_up
    assert [first[number] - number <= 0.11 for number in (21, 22, 23)] == [True, True, True]


def test_a_chain_that_stops_is_asked_as_rarely_as_an_unknown_one() -> None:
    heads = [2.0 * number for number in range(10)]
    asked = looks(Cadence(0.5), heads, 60.0)
    assert len([at for at, _ in asked if at > 22.0]) <= 2 * 38 + 1


def test_blocks_that_come_at_once_are_not_asked_for_faster_than_that() -> None:
    asked = looks(Cadence(0.5), [number / 50 for number in range(1_000)], 20.0)
    assert min(later - at for (at, _), (later, _) in pairwise(asked)) > 0.0999


def test_after_a_reorg_its_pace_is_learned_anew() -> None:
    cadence = Cadence(0.5)
    for number, now in ((7, 0.0), (8, 0.4), (9, 0.8)):
        cadence.note(number, now)
    assert cadence.pause_s(0.8) < 0.5
    cadence.note(8, 1.0)
    assert cadence.pause_s(1.0) == 0.5
