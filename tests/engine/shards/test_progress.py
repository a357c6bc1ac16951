"""How far a checkpoint may go: never past a block of which something has no effect yet."""

import random

import pytest

from tests.builders import hash_of, make_signal
from trio_copy.engine.shards.progress import Progress
from trio_copy.model.ids import SignalId, TaskId
from trio_copy.model.logs import BlockRef


def block(number: int) -> BlockRef:
    return BlockRef(number=number, hash=hash_of(number), parent=hash_of(number - 1), time=0)


def reached(progress: Progress) -> int | None:
    found = progress.next_checkpoint()
    return None if found is None else found[0].number


def test_a_block_is_passed_once_everything_of_it_has_its_effect() -> None:
    """Blocks are sealed in any case; the checkpoint waits for the oldest task, and then goes as far as it may."""
    progress = Progress(armed_at=3)
    progress.begin(TaskId("a"), 11)
    progress.begin(TaskId("b"), 13)
    for number in range(10, 15):
        progress.seal(block(number))
    found = progress.next_checkpoint()
    assert found is not None
    assert (found[0].number, found[0].hash, found[0].armed_at) == (10, hash_of(10), 3)
    assert reached(progress) is None
    progress.finish(TaskId("a"))
    assert reached(progress) == 12
    progress.finish(TaskId("b"))
    assert progress.waiting == 0
    assert reached(progress) == 14
    assert reached(progress) is None


def test_nothing_is_passed_before_a_block_is_sealed() -> None:
    """What was read of a block may not be all of it."""
    progress = Progress()
    assert reached(progress) is None
    progress.meet(make_signal(1).signal_id, 10)
    assert reached(progress) is None
    progress.seal(block(9))
    assert progress.next_checkpoint() is not None


def test_what_is_passed_is_said_once() -> None:
    """From then on, only what was met remembers it."""
    progress = Progress()
    signals = [make_signal(number).signal_id for number in range(3)]
    for number, signal in enumerate(signals):
        progress.meet(signal, 10 + number)
    progress.seal(block(11))
    found = progress.next_checkpoint()
    assert found is not None
    assert found[1] == signals[:2]
    progress.seal(block(12))
    found = progress.next_checkpoint()
    assert found is not None
    assert found[1] == signals[2:]


def test_below_what_an_earlier_owner_had_read_the_checkpoint_stays() -> None:
    """It is read again, and nothing of it is forgotten: it is passed with the first block above."""
    progress = Progress(floor=20)
    signal = make_signal().signal_id
    progress.meet(signal, 15)
    progress.seal(block(16))
    assert reached(progress) is None
    progress.seal(block(20))
    found = progress.next_checkpoint()
    assert found is not None
    assert (found[0].number, found[1]) == (20, [signal])


def test_what_is_begun_twice_or_never_changes_nothing() -> None:
    """The first block of a task counts, and an end without a beginning is nobody's."""
    progress = Progress()
    progress.begin(TaskId("a"), 10)
    progress.begin(TaskId("a"), 12)
    progress.finish(TaskId("b"))
    progress.seal(block(12))
    assert reached(progress) is None
    progress.finish(TaskId("a"))
    progress.finish(TaskId("a"))
    assert reached(progress) == 12


@pytest.mark.parametrize("seed", range(20))
def test_no_order_of_events_lets_a_checkpoint_pass_an_open_task(seed: int) -> None:
    """Against a model that is one list; and once everything is over, everything is passed, and nothing is left over."""
    dice, progress = random.Random(seed), Progress()
    open_ones: dict[TaskId, int] = {}
    met: dict[SignalId, int] = {}
    passed: set[SignalId] = set()
    last = sealed = 0
    for number in range(300):
        match dice.randrange(3):
            case 0:
                signal, task = make_signal(number).signal_id, TaskId(str(number))
                met[signal] = open_ones[task] = sealed + dice.randrange(1, 4)
                progress.meet(signal, met[signal])
                progress.begin(task, open_ones[task])
            case 1 if open_ones:
                task = dice.choice(list(open_ones))
                del open_ones[task]
                progress.finish(task)
            case 2:
                sealed += 1
                progress.seal(block(sealed))
        found = progress.next_checkpoint()
        if found is not None:
            assert last < found[0].number <= sealed
            assert all(found[0].number < of for of in open_ones.values())
            last = found[0].number
            passed.update(found[1])
            assert passed == {signal for signal, of in met.items() if of <= last}
    for task in open_ones:
        progress.finish(task)
    progress.seal(block(sealed + 9))
    assert reached(progress) == sealed + 9
    left = (progress._open, progress._blocks, progress._signals, progress._seals)
    assert [len(table) for table in left] == [0] * 4
