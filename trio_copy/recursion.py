"""Keeps Python's recursion limit, which some libraries raise for everybody when they are imported.

Below the usual limit, JSON that is nested without end is refused as any other nonsense. Above it the C stack is used up
first, and the process is gone. eth-account is one of those libraries, and plugins may bring it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def same_recursion_limit() -> Iterator[None]:
    """Put the limit back at the end, whatever was imported or opened meanwhile."""
    limit = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
