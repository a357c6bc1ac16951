"""Puts a question to one node or to all of them: what cannot be read is no answer, and another node is asked."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import trio
from attrs import frozen

from trio_copy.errors import ChainError, MalformedFrame, RpcError
from trio_copy.ports import Nodes
from trio_copy_onchain.tx.wire import MISREAD

_T = TypeVar("_T")
_LONGEST_WORDS = 200
Said = bytes | RpcError
"""What a node said: a result, or an error about the question."""
Read = Callable[[Said], _T]
"""Reads it. Raises `ValueError`, or the `RpcError` itself, where it is no answer; an error that is one, it returns as `Refusal`."""


@frozen
class Refusal:
    """An error that answers a question: every other node would say the same."""

    error: RpcError


def result(read: Callable[[bytes], _T]) -> Read[_T]:
    """Return what reads results, and takes no error for an answer."""

    def read_said(said: Said) -> _T:
        if isinstance(said, RpcError):
            raise said
        return read(said)

    return read_said


@frozen
class Questions:
    nodes: Nodes

    async def first(self, method: str, params: Sequence[object], read: Read[_T], until: float) -> _T:
        """Return what one node answers; where that is no answer, what any other one does.

        Raises:
            ChainError: no node answers.
        """
        try:
            said: Said = await self.nodes.ask(method, params, until)
        except RpcError as error:
            said = error
        answer = _read(read, said, "a node", method)
        if not isinstance(answer, ChainError):
            return answer
        if len(self.nodes.names) > 1:
            for other in (await self.every(method, params, read, until)).values():
                if not isinstance(other, ChainError):
                    return other
        raise answer

    async def every(
        self, method: str, params: Sequence[object], read: Read[_T], until: float
    ) -> Mapping[str, _T | ChainError]:
        """Return what each node answers, by its name; an error where it does not. Raises nothing."""
        told = await self.nodes.ask_all(method, params, until)
        return {
            name: said
            if isinstance(said, ChainError) and not isinstance(said, RpcError)
            else _read(read, said, name, method)
            for name, said in told.items()
        }


def _read(read: Read[_T], said: Said, name: str, method: str) -> _T | ChainError:
    try:
        return read(said)
    except ChainError as error:
        return error
    except MISREAD as error:
        return MalformedFrame(f"{name}, asked {method}: {error}"[:_LONGEST_WORDS])


async def side_by_side(asks: Sequence[Callable[[], Awaitable[_T]]]) -> list[_T]:
    """Ask several things at once; returns their answers in order. Where one raises `ChainError`, so does this, at once."""
    if len(asks) == 1:
        return [await asks[0]()]
    answers: dict[int, _T] = {}
    failures: list[ChainError] = []

    async def answer(place: int, ask: Callable[[], Awaitable[_T]]) -> None:
        try:
            answers[place] = await ask()
        except ChainError as error:
            failures.append(error)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for place, ask in enumerate(asks):
            nursery.start_soon(answer, place, ask)
    if failures:
        raise failures[0]
    return [answers[place] for place in range(len(asks))]
