"""Buckets, rests, doubts, widths and alerts: what grows with each refusal and shrinks again. Pure."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import LEADER, hash_of
from trio_copy.chain.manners import Manners
from trio_copy.chain.pacing import Doubts, Growing, Pace
from trio_copy.chain.questions import Question
from trio_copy.chain.troubles import Troubles
from trio_copy.entropy import seeded_entropy
from trio_copy.model.ids import Address
from trio_copy.ports import LogFilter


@given(st.lists(st.floats(0, 5), max_size=200), st.sampled_from((1.0, 5.0, 50.0)))
def test_a_bucket_never_gives_more_than_its_rate(gaps: list[float], per_s: float) -> None:
    """However requests come, in no span of time are more sent than its seconds times the rate, and one burst."""
    pace, now, sent = Pace(), 0.0, list[float]()
    for gap in gaps:
        now += gap
        sent.append(now + pace.take(now, per_s))
        now = sent[-1]

    for first in range(0, len(sent), 7):
        for last in range(first, len(sent), 5):
            assert last - first + 1 <= (sent[last] - sent[first] + 2) * per_s + 1


def test_rests_grow_and_are_spread() -> None:
    """A node that goes on refusing is asked at 1, 2, 4 ... up to 60 s, somewhere in the later half of each."""
    pace, now, entropy = Pace(), 0.0, seeded_entropy(3)
    rests = []
    for _ in range(9):
        rests.append(pace.refused("eth_getLogs", now, entropy, told_s=None, clear=True))
        now += rests[-1]
        assert pace.rest_s(now) < 1e-6
        pace.answered("eth_getBlockByHash")  # says nothing about logs

    for rest, most in zip(rests, (1, 2, 4, 8, 16, 32, 60, 60, 60), strict=True):
        assert most / 2 <= rest <= most


def test_a_node_that_refuses_every_tenth_request_is_asked_on() -> None:
    """Good answers take refusals back: a limit that is met now and then does not end in minutes of silence."""
    pace, entropy = Pace(), seeded_entropy(3)
    for _ in range(50):
        assert pace.refused("eth_getLogs", 0.0, entropy, told_s=None, clear=True) <= 2.0
        for _ in range(9):
            pace.answered("eth_getLogs")

    assert not pace.refusing


def test_a_node_that_says_how_long_is_obeyed_within_reason() -> None:
    """Never earlier than told, a little later, and at most five minutes: it may be the only node."""
    for told, least, most in ((10.0, 10.0, 11.0), (0.1, 0.5, 1.2), (86_400.0, 300.0, 330.0)):
        rest = Pace().refused("eth_getLogs", 0.0, seeded_entropy(1), told_s=told, clear=True)

        assert least <= rest <= most


def test_an_unclear_refusal_is_a_short_rest() -> None:
    """Where it may not have been about the pace, nobody waits for a minute."""
    pace = Pace()

    assert max(pace.refused("m", 0.0, seeded_entropy(1), told_s=None, clear=False) for _ in range(9)) <= 2.0


def test_a_source_that_was_wrong_is_doubted_for_longer_each_time() -> None:
    """And a long time without a mistake is forgiven."""
    doubts = Doubts(first_s=30.0, most_s=3600.0)

    assert [doubts.wrong("a", now) for now in (0.0, 31.0, 92.0)] == [30.0, 60.0, 120.0]
    assert not doubts.believes("a", 211.0)
    assert doubts.believes("a", 212.0)
    assert doubts.believes("b", 0.0)
    assert doubts.wrong("a", 10_000.0) == 30.0


@given(st.integers(1, 2000), st.integers(1, 1000), st.lists(st.booleans(), max_size=200))
def test_widths_stay_within_bounds(most: int, accepted: int, lucky: list[bool]) -> None:
    """Whatever a node refuses and when, it is asked for one block at least and the setting at most."""
    manners, now = Manners(), 0.0
    for good in lucky:
        now += 20.0
        blocks = manners.range_blocks(most)
        assert 1 <= blocks <= most
        if good and blocks <= accepted:
            manners.range_answered(blocks, most, now)
        else:
            manners.range_refused(blocks, now)


def test_a_width_that_hangs_is_tried_ever_more_seldom() -> None:
    """A node that never answers more than 100 blocks costs few timeouts in a day, and is asked for nearly that many."""
    manners, hung = Manners(), 0
    for second in range(0, 86_400, 2):
        blocks = manners.range_blocks(1000)
        if blocks > 100:
            hung += 1
            manners.range_refused(blocks, float(second))
        else:
            manners.range_answered(blocks, 1000, float(second))

    assert hung < 40
    assert manners.range_blocks(1000) > 60


def test_a_node_that_recovers_is_asked_for_wide_ranges_again() -> None:
    """A width is no life sentence, not even one of a single block."""
    manners = Manners()
    manners.range_refused(2, 0.0)
    assert manners.range_blocks(1000) == 1
    for second in range(0, 120, 2):
        manners.range_answered(manners.range_blocks(1000), 1000, float(second))

    assert manners.range_blocks(1000) == 1000


_ADDRESSES = tuple(Address("0x" + f"{number:040x}") for number in range(3))
_FILTERS = st.builds(
    LogFilter,
    addresses=st.sampled_from((_ADDRESSES, _ADDRESSES[:1], ())),
    topics=st.sampled_from(((), (tuple(map(hash_of, range(7))), None, (hash_of(9), hash_of(8))))),
)


def _smallest(question: Question) -> Iterator[Question]:
    halves = question.halves()
    if halves is None:
        yield question
    else:
        for half in halves:
            yield from _smallest(half)


@given(_FILTERS, st.integers(0, 20), st.booleans())
def test_halves_ask_for_the_same_and_nothing_twice(log_filter: LogFilter, blocks: int, by_hash: bool) -> None:
    """Down to the smallest question, every place where a log can be is in exactly one of them."""
    question = Question(log_filter, 5, 5 if by_hash else 5 + blocks, hash_of(1) if by_hash else None)
    asked = [
        (block, address, topics)
        for part in _smallest(question)
        for block in range(part.start, part.stop + 1)
        for address in part.log_filter.addresses or (LEADER,)
        for topics in _combinations(part.log_filter.topics)
    ]
    wanted = [
        (block, address, topics)
        for block in range(question.start, question.stop + 1)
        for address in log_filter.addresses or (LEADER,)
        for topics in _combinations(log_filter.topics)
    ]

    assert sorted(asked, key=str) == sorted(wanted, key=str)


def _combinations(topics: tuple[tuple[str, ...] | None, ...]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for topic in topics:
        found = [(*head, value) for head in found for value in (topic or ("any",))]
    return found


def test_a_trouble_is_told_once_then_counted_then_over() -> None:
    """An hour of failures five times a second is a handful of lines, and one more when it has ended."""
    lines: list[str] = []
    troubles = Troubles(lambda kind, detail: lines.append(detail))
    for tick in range(5 * 3600):
        troubles.note("scan-failed", "", "no", tick / 5)
        troubles.over("scan-failed", "", tick / 5)  # it works every other time: that is not the end
    assert lines[0] == "no"
    assert lines[1] == "no (151 times in 30 s)"
    assert len(lines) < 10

    troubles.over("scan-failed", "", 3700.0)
    assert lines[-1] == "over, after 18000 times in 3600 s"
    troubles.over("scan-failed", "", 3800.0)
    assert len(lines) < 11


def test_troubles_of_two_nodes_are_two() -> None:
    """One node's trouble does not hide the other's."""
    lines: list[str] = []
    troubles = Troubles(lambda kind, detail: lines.append(detail))
    troubles.note("rate-limited", "one", "one: no", 0.0)
    troubles.note("rate-limited", "two", "two: no", 1.0)
    troubles.over("rate-limited", "one", 40.0)

    assert lines == ["one: no", "two: no", "one: over, after 1 time in 0 s"]


def test_a_growing_time_stays_finite() -> None:
    """After a thousand failures it is what it was after ten."""
    growing = Growing(0.2, 5.0)

    assert max(growing.next_s() for _ in range(2000)) == 5.0
