"""The conformance suite fails where a store fails."""

import pytest
import trio
import trio.testing

from tests.plugins.wrong_stores import MUTANTS, open_early, wrong_store
from trio_copy.errors import StoreError
from trio_copy.testing.conformance import StoreCheck, StoreForTest, checks_of
from trio_copy.testing.conformance.durability import what_was_answered_survives_a_kill


def _passes(check: StoreCheck, backend: StoreForTest) -> bool:
    passes = True
    try:
        trio.run(check, backend, clock=trio.testing.MockClock(autojump_threshold=0))
    except* (AssertionError, StoreError):
        passes = False
    return passes


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_wrong_store_is_caught(mutant: type) -> None:
    """Every store that breaks one promise fails at least one check, and passes others: it is wrong in one thing."""
    backend = wrong_store(mutant)
    passed = [_passes(check, backend) for check in checks_of(backend)]
    assert not all(passed)
    assert passed.count(True) > len(passed) / 2


def test_a_store_that_answers_early_is_caught() -> None:
    """Killed, it has lost what it had answered: nothing but a kill shows that."""
    early = StoreForTest(open=open_early, durable=True)
    assert not _passes(what_was_answered_survives_a_kill, early)
