"""How long the simulated venue takes: who waits for the same millisecond waits together. Virtual time."""

import pytest
import trio
import trio.testing

from trio_copy_dry_run.moments import Moments

Clock = trio.testing.MockClock


@pytest.mark.parametrize("seconds", [0.0, 0.0001, 0.03, 0.0304, 1.0])
async def test_nobody_is_answered_early_nor_a_millisecond_late(clock: Clock, seconds: float) -> None:
    """However often, and whenever it is asked for."""
    moments = Moments()
    for _ in range(20):
        began = trio.current_time()
        await moments.wait(seconds)
        took = trio.current_time() - began
        assert seconds - 1e-9 <= took <= (seconds + 0.001 if seconds else 0.0)
        await trio.sleep(0.00037)


async def test_one_after_the_other_adds_up_to_no_more(clock: Clock) -> None:
    """Whoever begins when he was answered begins at a whole millisecond, and is not put off until the next."""
    moments, began = Moments(), trio.current_time()
    await trio.sleep(0.00037)
    for _ in range(1000):
        await moments.wait(0.1)
    assert 100.0 <= trio.current_time() - began <= 100.0014


async def test_a_hundred_that_wait_for_one_moment_set_one_timer(clock: Clock) -> None:
    """And all are answered in it."""
    moments, answered = Moments(), list[float]()

    async def wait() -> None:
        await moments.wait(0.03)
        answered.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        assert len(moments._ahead) == 1
    assert len(answered) == 100
    assert len(set(answered)) == 1
    assert not moments._ahead


async def test_who_is_cancelled_wakes_nobody_early_and_leaves_nobody_asleep(clock: Clock) -> None:
    """Whoever has the timer may be given up; the others are answered at their moment all the same."""
    moments, began, took = Moments(), trio.current_time(), list[float]()

    async def wait(patience_s: float) -> None:
        with trio.move_on_after(patience_s):
            await moments.wait(1.0)
            took.append(trio.current_time() - began)

    async with trio.open_nursery() as nursery:
        for patience_s in (0.2, 5.0, 0.4, 5.0, 0.9, 5.0):
            nursery.start_soon(wait, patience_s)
            await trio.testing.wait_all_tasks_blocked()
    assert took == [pytest.approx(1.0)] * 3
    assert not moments._ahead
