"""The contracts of `trio_copy.ports`, executable: every backend, ours or yours, passes the same checks.

Each check is an async function with one guarantee in its docstring. With pytest-trio:

    MINE = StoreForTest(open=open_my_store, durable=True)

    @pytest.mark.parametrize("check", checks_of(MINE), ids=name_of)
    async def test_store(autojump_clock, check): await check(MINE)
"""

from collections.abc import Callable

from trio_copy.testing.conformance.accounts import ACCOUNT_CHECKS
from trio_copy.testing.conformance.control import CONTROL_CHECKS
from trio_copy.testing.conformance.durability import RESTART_CHECKS
from trio_copy.testing.conformance.executor import EXECUTOR_CHECKS, OpenExecutorForTest
from trio_copy.testing.conformance.follows import FOLLOW_CHECKS
from trio_copy.testing.conformance.history import HISTORY_CHECKS
from trio_copy.testing.conformance.interruptions import INTERRUPTION_CHECKS
from trio_copy.testing.conformance.markets import MARKETS_CHECKS, MarketsForTest, OpenMarketsForTest, VenueForTest
from trio_copy.testing.conformance.terms import OpenStoreForTest, StoreCheck, StoreForTest, StoreTerms

__all__ = [
    "EXECUTOR_CHECKS",
    "MARKETS_CHECKS",
    "RESTART_CHECKS",
    "STORE_CHECKS",
    "MarketsForTest",
    "OpenExecutorForTest",
    "OpenMarketsForTest",
    "OpenStoreForTest",
    "StoreCheck",
    "StoreForTest",
    "StoreTerms",
    "VenueForTest",
    "checks_of",
    "name_of",
]

STORE_CHECKS = (*ACCOUNT_CHECKS, *INTERRUPTION_CHECKS, *CONTROL_CHECKS, *FOLLOW_CHECKS, *HISTORY_CHECKS)
"""Every check of any store. They need a clock that `trio.sleep` moves: a mock clock, or patience."""


def checks_of(backend: StoreForTest) -> tuple[StoreCheck, ...]:
    """Return the checks that a backend has to pass: those of restarts only where it is durable."""
    return (*STORE_CHECKS, *RESTART_CHECKS) if backend.durable else STORE_CHECKS


def name_of(check: Callable[..., object]) -> str:
    """Return a check's name, for the ids of a parametrised test."""
    return check.__name__
