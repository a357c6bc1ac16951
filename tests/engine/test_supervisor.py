"""Trying again, within a budget, at random moments."""

from itertools import pairwise

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trio_copy.engine.supervisor import Backoff, RestartBudget, keep_running
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import ChainError, ConnectionLost, HandshakeRefused, RestartBudgetExhausted


def test_a_budget_counts_inside_its_window_only() -> None:
    """Failures that lie behind are forgiven; too many at once are not, and the last one is named."""
    budget = RestartBudget(restarts=2, window_s=10)
    for at in (0, 5, 11, 16):
        budget.spend(at, "timeout")
    with pytest.raises(RestartBudgetExhausted, match="2 restarts in 10 s did not help; the last failure: refused"):
        budget.spend(17, "refused")


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_waits_are_jittered_and_bounded(seed: int, failures: int) -> None:
    """Every wait lies between nothing and a bound that doubles up to the maximum."""
    backoff = Backoff(0.25, 30.0, seeded_entropy(seed))
    waits = [backoff.next_wait(0.0) for _ in range(failures)]

    assert all(0 <= wait <= min(30.0, 0.25 * 2**number) for number, wait in enumerate(waits))


def test_a_healthy_spell_starts_over() -> None:
    """After a connection that held, the next failure is retried quickly again."""
    backoff = Backoff(0.25, 30.0, seeded_entropy(1))
    for _ in range(10):
        backoff.next_wait(0.0)

    assert backoff.next_wait(31.0) <= 0.25


@pytest.mark.parametrize(("failure", "least"), [(HandshakeRefused(429, 60.0), 60.0), (ConnectionLost("gone"), 0.0)])
async def test_a_node_that_asks_to_be_left_alone_is(
    autojump_clock: trio.testing.MockClock, failure: ChainError, least: float
) -> None:
    """The next try comes later than it asked for, by a random time, and never earlier."""
    tried: list[float] = []
    told: list[float] = []

    async def run() -> None:
        await trio.lowlevel.checkpoint()
        tried.append(trio.current_time())
        raise failure

    with trio.move_on_after(300):
        await keep_running(
            run,
            backoff=Backoff(0.25, 1.0, seeded_entropy(1)),
            budget=RestartBudget(1000, 900.0),
            others_alive=lambda: False,
            armed=lambda: True,
            on_failure=lambda failed, wait_s: told.append(wait_s),
        )
    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert waits == pytest.approx(told[: len(waits)])
    assert all(least <= wait <= least + 1.0 for wait in waits)
    assert len(waits) >= 4
