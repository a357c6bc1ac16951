"""The first copy of a signal counts; a trade that a reorg took back is the same one when it comes again, and once."""

import random
from typing import Any

import pytest
from attrs import evolve

from tests.builders import NOW, hash_of, make_signal
from trio_copy.accounts.plain import PlainError
from trio_copy.engine.shards.met import CREDIT_S, Adopted, Copy, Met, New, Unsure
from trio_copy.model.ids import SignalId, second_signal_id
from trio_copy.model.signals import Signal
from trio_copy.records import read_plain, write_plain

SIGNAL = make_signal()
OTHER_BLOCK = evolve(SIGNAL, block_hash=hash_of(11), block_number=11)
OTHER_TX = evolve(
    SIGNAL, signal_id=SignalId("sent again"), tx_hash=hash_of(5000), block_hash=hash_of(12), block_number=12
)
"""The same trade under another hash."""
TTL_S = 3600.0


def met(*signals: Signal) -> Met:
    made = Met(TTL_S)
    for signal in signals:
        assert made.meet(signal, NOW, whole=True) == New(signal.signal_id)
    return made


def again(before: Met) -> Met:
    """The next owner's, from what is stored."""
    after = Met(TTL_S)
    after.load({(kind, name): read_plain(write_plain(body)) for kind, name, body in before.documents()})
    return after


def test_the_first_copy_counts() -> None:
    """Whatever node, scan or block brings it again, nothing changes."""
    made = met(SIGNAL)
    for copy in (SIGNAL, evolve(SIGNAL, seen_at=NOW + 5), OTHER_BLOCK):
        assert made.meet(copy, NOW, whole=True) == Copy()
    assert made.meet(make_signal(2), NOW, whole=True) == New(make_signal(2).signal_id)


def test_what_lives_on_in_another_block_is_not_taken_back() -> None:
    """Two nodes on two branches: it is retracted when the last of its blocks is gone, and once."""
    made = met(SIGNAL)
    made.meet(OTHER_BLOCK, NOW, whole=True)
    assert made.retract(SIGNAL, NOW) is None
    assert not made.is_retracted(SIGNAL.signal_id)
    assert made.retract(OTHER_BLOCK, NOW) == SIGNAL.signal_id
    assert made.is_retracted(SIGNAL.signal_id)
    assert made.retract(OTHER_BLOCK, NOW) is None
    assert Met(TTL_S).retract(SIGNAL, NOW) is None


def test_a_trade_that_comes_again_is_the_same_one() -> None:
    """Under its own name, or in another transaction: under the identity that it was met under first."""
    for signal in (OTHER_BLOCK, OTHER_TX):
        made = met(SIGNAL)
        made.retract(SIGNAL, NOW)
        assert made.meet(signal, NOW + 1, whole=True) == Adopted(SIGNAL.signal_id)
        assert not made.is_retracted(SIGNAL.signal_id)
        assert made.meet(signal, NOW + 2, whole=True) == Copy()
        assert made.first_of(signal.signal_id) == SIGNAL.signal_id
        assert made.retract(signal, NOW + 3) == SIGNAL.signal_id


@pytest.mark.parametrize(
    ("signal", "after_s"),
    [
        (OTHER_TX, CREDIT_S),
        (evolve(OTHER_TX, tx_hash=SIGNAL.tx_hash), 1),
        (evolve(OTHER_TX, order_hash=hash_of(77)), 1),
        (evolve(OTHER_TX, order_hash=None), 1),
    ],
    ids=["after ten minutes", "another fill of its transaction", "another order", "no order"],
)
def test_what_is_another_trade_stays_another_one(signal: Signal, after_s: float) -> None:
    """A credit is for ten minutes, and for what can be nothing else."""
    made = met(SIGNAL)
    made.retract(SIGNAL, NOW)
    assert made.meet(signal, NOW + after_s, whole=True) == New(signal.signal_id)
    assert made.is_retracted(SIGNAL.signal_id)


def test_each_retracted_trade_is_given_once_and_the_oldest_first() -> None:
    """Two equal fills of one order, both taken back: two come again, the third is one of its own."""
    second = evolve(SIGNAL, signal_id=SignalId("second"), tx_hash=hash_of(6000))
    made = met(SIGNAL, second)
    made.retract(SIGNAL, NOW)
    made.retract(second, NOW)
    back = [
        evolve(OTHER_TX, signal_id=SignalId(f"back {number}"), tx_hash=hash_of(7000 + number)) for number in range(3)
    ]
    answers = [made.meet(signal, NOW + 1, whole=True) for signal in back]
    assert answers == [Adopted(SIGNAL.signal_id), Adopted(second.signal_id), New(back[2].signal_id)]


def test_nobody_is_sure_before_all_of_the_block_is_known() -> None:
    """What was retracted may stand in it itself; asked again, it is answered, and nothing was remembered meanwhile."""
    made = met(SIGNAL)
    made.retract(SIGNAL, NOW)
    assert made.meet(OTHER_TX, NOW + 1, whole=False) == Unsure()
    assert made.meet(OTHER_BLOCK, NOW + 1, whole=False) == Adopted(SIGNAL.signal_id)
    assert made.meet(OTHER_TX, NOW + 2, whole=True) == New(OTHER_TX.signal_id)


def test_what_is_old_is_forgotten_in_two_steps() -> None:
    """First its details, which only a reorg needs; after `dedup_ttl_s` that it was met at all, and its document goes."""
    made = met(SIGNAL)
    made.passed([SIGNAL.signal_id])
    assert [name for _, name, body in made.take_changes() if body is not None] == [SIGNAL.signal_id]
    made.forget(NOW + 1800, settled_before=NOW)
    assert made.meet(SIGNAL, NOW + 1800, whole=True) == Copy()
    assert made.retract(SIGNAL, NOW + 1800) is None
    assert list(made.take_changes()) == []
    made.forget(NOW + TTL_S, settled_before=NOW + 1800)
    assert list(made.take_changes()) == [("met", SIGNAL.signal_id, None)]
    assert list(made.documents()) == []


def test_a_retracted_trade_is_remembered_as_long_as_it_may_come_again() -> None:
    """Its details are not forgotten before its ten minutes are over, nor its document kept after that."""
    made = met(SIGNAL)
    made.retract(SIGNAL, NOW + 1000)
    made.take_changes()
    made.forget(NOW + 1000 + CREDIT_S - 1, settled_before=NOW + 900)
    assert made.is_retracted(SIGNAL.signal_id)
    made.forget(NOW + 1000 + CREDIT_S, settled_before=NOW + 900)
    assert ("retracted", SIGNAL.signal_id, None) in made.take_changes()
    assert made.meet(OTHER_TX, NOW + 1000 + CREDIT_S, whole=True) == New(OTHER_TX.signal_id)


def test_what_a_checkpoint_has_passed_is_a_copy_for_the_next_owner() -> None:
    """And one that it has not passed is decided anew: its task may have died with the owner before."""
    made = met(SIGNAL, make_signal(2))
    made.passed([SIGNAL.signal_id])
    after = again(made)
    assert after.meet(SIGNAL, NOW, whole=True) == Copy()
    assert after.meet(make_signal(2), NOW, whole=True) == New(make_signal(2).signal_id)
    assert after.meet(make_signal(2), NOW, whole=True) == Copy()


@pytest.mark.parametrize("passed", [True, False])
@pytest.mark.parametrize("signal", [OTHER_BLOCK, OTHER_TX], ids=["its name", "another transaction"])
def test_a_retracted_trade_that_comes_to_the_next_owner(passed: bool, signal: Signal) -> None:
    """It is the same one; where no checkpoint has passed it, it is decided anew, under its first name, and once."""
    made = met(SIGNAL)
    if passed:
        made.passed([SIGNAL.signal_id])
    made.retract(SIGNAL, NOW)
    after = again(made)
    assert after.is_retracted(SIGNAL.signal_id)
    first = SIGNAL.signal_id
    assert after.meet(signal, NOW + 1, whole=True) == (Adopted(first) if passed else New(first))
    for copy in (signal, SIGNAL):
        assert after.meet(copy, NOW + 2, whole=True) == Copy()


@pytest.mark.parametrize("passed", [True, False])
def test_an_adopted_trade_is_known_to_the_next_owner_by_both_names(passed: bool) -> None:
    """Met again after a crash, it is neither one more trade nor lost: it is decided under its first name, if at all."""
    made = met(SIGNAL)
    if passed:
        made.passed([SIGNAL.signal_id])
    made.retract(SIGNAL, NOW)
    made.meet(OTHER_TX, NOW + 1, whole=True)
    after = again(made)
    first = SIGNAL.signal_id
    assert after.meet(OTHER_TX, NOW + 2, whole=True) == (Copy() if passed else New(first))
    assert after.meet(OTHER_TX, NOW + 2, whole=True) == Copy()
    assert after.meet(SIGNAL, NOW + 2, whole=True) == Copy()
    # A reorg takes the second one back as well: whichever name comes then, it is still the same trade.
    after.retract(SIGNAL, NOW + 3)
    assert after.retract(OTHER_TX, NOW + 3) == first
    assert again(after).meet(OTHER_TX, NOW + 4, whole=True) == (Adopted(first) if passed else New(first))


@pytest.mark.parametrize("passed", [True, False])
@pytest.mark.parametrize("restarts", [True, False])
def test_a_trade_whose_name_was_given_away_has_one_of_its_own(*, restarts: bool, passed: bool) -> None:
    """Mined after an equal one that was taken for it: another trade, met once, whoever owns the shard by then."""
    made = met(SIGNAL)
    made.retract(SIGNAL, NOW)
    made.meet(OTHER_TX, NOW + 1, whole=True)
    if passed:
        made.passed([SIGNAL.signal_id, OTHER_TX.signal_id])
    for turn in (New, Copy):
        made = again(made) if restarts else made
        own = made.own_name(OTHER_BLOCK)
        assert own.signal_id == second_signal_id(SIGNAL.signal_id)
        assert isinstance(made.meet(own, NOW + 2, whole=True), turn)
        made.passed([own.signal_id])
        assert made.own_name(OTHER_TX) == OTHER_TX
    # Both are taken back, and both come back: each under its own name.
    for signal in (OTHER_BLOCK, OTHER_TX):
        assert made.retract(made.own_name(signal), NOW + 3) is not None
    made = again(made) if restarts else made
    for signal in (OTHER_BLOCK, OTHER_TX):
        assert made.meet(made.own_name(signal), NOW + 4, whole=True) != Copy()
        assert made.meet(made.own_name(signal), NOW + 4, whole=True) == Copy()
    assert not made.is_retracted(SIGNAL.signal_id)
    assert not made.is_retracted(own.signal_id)


def test_what_was_met_by_an_earlier_owner_can_be_taken_back_by_the_next() -> None:
    """In the block that he had met it in; and in another transaction it is the same one."""
    made = met(SIGNAL)
    made.meet(OTHER_BLOCK, NOW, whole=True)
    made.passed([SIGNAL.signal_id])
    after = again(made)
    assert after.retract(SIGNAL, NOW) is None
    assert after.retract(OTHER_BLOCK, NOW) == SIGNAL.signal_id
    assert after.meet(OTHER_TX, NOW + 1, whole=True) == Adopted(SIGNAL.signal_id)


@pytest.mark.parametrize("passed", [True, False])
def test_what_is_read_again_without_a_trade_may_have_it_elsewhere(passed: bool) -> None:
    """As if it had been retracted, where all of a block is known; and only while it has not been seen, and for ten minutes."""
    made = met(SIGNAL)
    if passed:
        made.passed([SIGNAL.signal_id])
    first = SIGNAL.signal_id
    for begins, back, at_s, expected in (
        (SIGNAL.block_number - 1, OTHER_TX, 1, Adopted(first) if passed else New(first)),
        (SIGNAL.block_number - 1, SIGNAL, 1, Copy() if passed else New(first)),
        (SIGNAL.block_number - 1, OTHER_TX, CREDIT_S, New(OTHER_TX.signal_id)),
        (SIGNAL.block_number, OTHER_TX, 1, New(OTHER_TX.signal_id)),
    ):
        after = again(made)
        after.read_from(begins, NOW)
        assert not after.is_retracted(first)
        assert after.meet(back, NOW + at_s, whole=True) == expected
        for signal in (back, SIGNAL):
            after.meet(signal, NOW + at_s, whole=True)
            assert after.meet(signal, NOW + at_s, whole=True) == Copy()
        third = evolve(OTHER_TX, signal_id=SignalId("a third"), tx_hash=hash_of(5001))
        assert after.meet(third, NOW + at_s, whole=True) == New(third.signal_id)


def test_nobody_is_sure_of_the_like_of_what_was_not_seen_again() -> None:
    """Before all of its block is known, it is no trade of its own, and none that was moved."""
    after = again(met(SIGNAL))
    after.read_from(SIGNAL.block_number - 1, NOW)
    assert after.meet(OTHER_TX, NOW, whole=False) == Unsure()
    assert after.meet(SIGNAL, NOW, whole=False) == New(SIGNAL.signal_id)
    assert after.meet(OTHER_TX, NOW, whole=True) == New(OTHER_TX.signal_id)


def test_what_was_not_seen_again_is_kept_as_long_as_it_may_come_back() -> None:
    """However long the owner before is gone; then nothing of it is left."""
    after = again(met(SIGNAL))
    now = NOW + TTL_S - 1
    after.read_from(SIGNAL.block_number - 1, now)
    after.forget(now, settled_before=now - 1800)
    assert after.meet(OTHER_TX, now + 1, whole=False) == Unsure()
    after.forget(now + CREDIT_S, settled_before=now - 1800)
    assert after.meet(OTHER_TX, now + CREDIT_S, whole=False) == New(OTHER_TX.signal_id)


@pytest.mark.parametrize("seed", range(30))
def test_the_next_owner_answers_as_the_one_before(seed: int) -> None:
    """After whatever was met, retracted and passed: of everything that was passed, from all documents or from each change."""
    dice, made, stored = random.Random(seed), Met(TTL_S), dict[tuple[str, str], Any]()
    signals = [
        evolve(
            make_signal(1 + number % 3),
            signal_id=SignalId(f"signal {number}"),
            tx_hash=hash_of(9000 + number),
            block_hash=hash_of(100 + number % 5),
        )
        for number in range(12)
    ]
    for step in range(60):
        signal, now = dice.choice(signals), NOW + step
        match dice.randrange(3):
            case 0 | 1:
                made.meet(signal, now, whole=True)
            case 2:
                made.retract(signal, now)
        for kind, name, body in made.take_changes():
            stored[kind, name] = body
    made.passed(signal.signal_id for signal in signals)
    for kind, name, body in made.take_changes():
        stored[kind, name] = body
    rest = {key: read_plain(write_plain(body)) for key, body in stored.items() if body is not None}
    from_changes, from_all = Met(TTL_S), again(made)
    from_changes.load(rest)
    now = NOW + 100
    for signal in dice.sample(signals, len(signals)):
        answers = [one.meet(signal, now, whole=True) for one in (made, from_all, from_changes)]
        assert answers == [answers[0]] * 3
        firsts = [one.first_of(signal.signal_id) for one in (made, from_all, from_changes)]
        assert firsts == [firsts[0]] * 3
        names = [one.own_name(signal).signal_id for one in (made, from_all, from_changes)]
        assert names == [names[0]] * 3


@pytest.mark.parametrize(
    ("kind", "body"),
    [("met", []), ("met", [1, "soon", "x"]), ("met", [1, 1.0, "x", True, 5]), ("retracted", [1, 2.0])],
)
def test_what_is_no_such_document_is_refused(kind: str, body: Any) -> None:
    """A store that gives back something else is not believed."""
    with pytest.raises(PlainError, match="expected stored signals"):
        Met(TTL_S).load({(kind, "x"): body, ("met", "y"): [1, 1.0, "y", True, None]})
