"""Trying again, within a budget, at random moments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_copy.engine.supervisor import Backoff, RestartBudget
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import RestartBudgetExhausted


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
