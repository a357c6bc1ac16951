"""Several tasks of one connection fail together when it ends; the caller wants to hear of it once."""

from collections.abc import Generator
from contextlib import contextmanager

import trio

from trio_copy.errors import ChainError


@contextmanager
def one_chain_error() -> Generator[None, None, None]:
    """Raise the first `ChainError` of a group that holds nothing else; let every other exception through.

    A cancellation in the same group wins: whoever cancelled does not care any more why the connection ended.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        chain, rest = group.split(ChainError)
        if chain is None:
            raise
        if rest is not None:
            cancelled, other = rest.split(trio.Cancelled)
            if cancelled is not None and other is None:
                raise cancelled from None
            raise
        error: BaseException = chain
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from error.__cause__  # noqa: ASYNC123  the cause and the traceback are kept
