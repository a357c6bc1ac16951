"""What is remembered of decided questions, through reorgs and restarts."""

import pytest
from attrs import evolve

from tests.builders import hash_of
from tests.chain.test_resolutions import CANARY, of_event
from trio_copy.engine.shards.resolved import Resolved
from trio_copy.model.resolutions import Resolution

YES, NO = (1_000_000, 0), (0, 1_000_000)


def said(condition: str, payouts: tuple[int, ...] = YES, block: int = 5, fork: int = 0) -> Resolution:
    return Resolution(
        condition_id=condition, payouts=payouts, block_number=block, block_hash=hash_of(100 * fork + block)
    )


def payouts_of(resolved: Resolved, condition: str) -> tuple[int, ...] | None:
    told = resolved.of(condition)
    return None if told is None else told.payouts


def restarted(resolved: Resolved) -> Resolved:
    again = Resolved()
    again.load({("resolution", name): body for name, body in resolved.documents()})
    return again


@pytest.mark.parametrize("first", ["kept", "gone"])
def test_what_stands_stays_whichever_of_two_forks_was_read_first(first: str) -> None:
    """One node may tell what it took back only after another has told what stands there now."""
    kept, gone = said(CANARY, YES, 5), said(CANARY, NO, 5, fork=1)
    resolved = Resolved()
    for one in (kept, gone) if first == "kept" else (gone, kept):
        resolved.note(one)
    resolved.take_back(gone)
    assert payouts_of(resolved, CANARY) == YES
    resolved.take_back(kept)
    assert resolved.of(CANARY) is None
    assert not len(resolved)
    assert not resolved.has_become_final(10)


def test_a_block_that_is_read_again_is_one() -> None:
    """As after leaders have come whose logs were not looked at: taken back once, it is gone."""
    resolved = Resolved()
    resolved.note(said(CANARY))
    resolved.note(said(CANARY))
    resolved.take_back(said(CANARY))
    assert resolved.of(CANARY) is None


def test_what_was_learned_without_its_block_gives_way_to_the_chain() -> None:
    resolved = Resolved()
    resolved.note(Resolution(condition_id=CANARY, payouts=NO, block_number=0))
    resolved.note(said(CANARY, YES))
    assert payouts_of(resolved, CANARY) == YES
    resolved.take_back(said(CANARY, YES))
    assert resolved.of(CANARY) is None


def test_a_restart_forgets_nothing_and_a_reorg_after_it_is_heard() -> None:
    resolved = Resolved()
    resolved.note(said(of_event(1)))
    again = restarted(resolved)
    assert (payouts_of(again, of_event(1)), payouts_of(again, of_event(2))) == (YES, NO)
    assert list(again.take_changes()) == []
    assert again.has_become_final(5)
    again.take_back(said(of_event(1)))
    assert again.of(of_event(1)) is again.of(of_event(2)) is None
    assert dict(again.take_changes()) == {of_event(1): None}


def test_of_an_event_whatever_is_said_of_a_question_itself_comes_first() -> None:
    """Before the one that came true, or after it; and taken back, nothing of the event is decided by it."""
    resolved = Resolved()
    resolved.note(said(of_event(0), NO, 3))
    resolved.note(said(of_event(1), YES, 5))
    told = [resolved.of(of_event(index)) for index in (0, 1, 2)]
    assert [one and (one.payouts, one.block_number) for one in told] == [(NO, 3), (YES, 5), (NO, 5)]
    assert [resolved.decided_by(of_event(index)) for index in (0, 2)] == [of_event(0), of_event(1)]
    assert resolved.of(of_event(0, "cd")) is None
    resolved.take_back(said(of_event(1), YES, 5))
    assert [resolved.of(of_event(index)) is None for index in (0, 1, 2)] == [False, True, True]


def test_a_reorg_may_let_another_question_of_an_event_come_true() -> None:
    """What was is taken back only after what is was read."""
    resolved = Resolved()
    resolved.note(said(of_event(1), YES, 5))
    resolved.note(said(of_event(2), YES, 5, fork=1))
    resolved.take_back(said(of_event(1), YES, 5))
    assert [payouts_of(resolved, of_event(index)) for index in (0, 1, 2)] == [NO, NO, YES]


def test_what_decides_something_that_is_held_is_not_forgotten() -> None:
    resolved = Resolved()
    for one in (said(of_event(1)), said(of_event(1, "cd")), said(CANARY)):
        resolved.note(one)
    resolved.forget(200_000, {of_event(2)})
    assert payouts_of(resolved, of_event(2)) == NO
    assert resolved.of(of_event(2, "cd")) is resolved.of(CANARY) is None


def test_forks_without_end_take_no_memory() -> None:
    resolved = Resolved()
    forks = [said(CANARY, YES, 5, fork=number) for number in range(50)]
    for one in forks:
        resolved.note(one)
    resolved.note(evolve(forks[0], payouts=NO))
    for one in forks[1:]:
        resolved.take_back(one)
    assert payouts_of(resolved, CANARY) == NO


def test_what_a_dead_fork_said_late_of_an_event_hides_nothing_that_stands() -> None:
    """A node tells what another block let come true, and takes it back, after what stands there was read."""
    resolved = Resolved()
    resolved.note(said(of_event(2), YES, 5, fork=1))
    resolved.note(said(of_event(1), YES, 5))
    resolved.take_back(said(of_event(1), YES, 5))
    assert [payouts_of(resolved, of_event(index)) for index in (0, 1, 2)] == [NO, NO, YES]
    resolved.take_back(said(of_event(2), YES, 5, fork=1))
    assert [resolved.of(of_event(index)) for index in (0, 1, 2)] == [None] * 3


def test_what_a_higher_block_says_counts_though_a_lower_one_is_read_late() -> None:
    """As where a node hid a block at first. Taken back, the lower one counts."""
    resolved = Resolved()
    resolved.note(said(CANARY, NO, 9))
    resolved.note(said(CANARY, YES, 5))
    assert payouts_of(resolved, CANARY) == NO
    resolved.take_back(said(CANARY, NO, 9))
    assert payouts_of(resolved, CANARY) == YES


def test_blocks_that_are_read_again_have_said_nothing_before() -> None:
    """What lies below stays, and so does what was learned without a block."""
    resolved = Resolved()
    resolved.note(said(of_event(1), YES, 6))
    for one in (said(CANARY, NO, 5), said(CANARY, YES, 6)):
        resolved.note(one)
    resolved.note(Resolution(condition_id=of_event(0, "cd"), payouts=YES, block_number=0))
    resolved.read_again(5)
    assert resolved.of(of_event(1)) is resolved.of(of_event(2)) is None
    assert payouts_of(resolved, CANARY) == NO
    assert payouts_of(resolved, of_event(0, "cd")) == YES
    stored = restarted(resolved)
    stored.read_again(4)
    assert stored.of(CANARY) is None
    assert payouts_of(stored, of_event(0, "cd")) == YES
