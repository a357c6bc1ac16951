"""The contracts of `trio_copy.ports`, executable: every backend, ours or yours, passes the same checks.

Each check is an async function with one guarantee in its docstring. With pytest-trio:

    @pytest.mark.parametrize("check", STORE_CHECKS, ids=name_of)
    async def test_store(check): await check(open_my_store)
"""

from collections.abc import Callable

from trio_copy.testing.conformance.books import BOOK_CHECKS
from trio_copy.testing.conformance.executor import EXECUTOR_CHECKS, OpenExecutorForTest
from trio_copy.testing.conformance.gate import GATE_CHECKS
from trio_copy.testing.conformance.terms import OpenStoreForTest, StoreTerms
from trio_copy.testing.conformance.waiting import WAITING_CHECKS

__all__ = [
    "EXECUTOR_CHECKS",
    "STORE_CHECKS",
    "OpenExecutorForTest",
    "OpenStoreForTest",
    "StoreTerms",
    "name_of",
]

STORE_CHECKS = (*GATE_CHECKS, *WAITING_CHECKS, *BOOK_CHECKS)
"""Every check of a store. They need a clock that `trio.sleep` moves: a mock clock, or patience."""


def name_of(check: Callable[..., object]) -> str:
    """Return a check's name, for the ids of a parametrised test."""
    return check.__name__
