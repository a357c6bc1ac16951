"""What several ask at about the same time, asked once for all of them.

When a block comes, each operator of a fleet asks about the same blocks.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio
from attrs import define, field

_K = TypeVar("_K")
_T = TypeVar("_T")


@define(eq=False)
class _Round(Generic[_T]):
    """Those who came before a question left."""

    answer: list[_T] = field(factory=list)
    """None yet, or one."""


@define(eq=False)
class _Line(Generic[_T]):
    """Those who ask the same."""

    coming: _Round[_T] = field(factory=_Round)
    """Whoever comes now is answered with it."""
    asking: trio.Lock = field(factory=trio.Lock)
    users: int = 0


@define(eq=False)
class InOne(Generic[_K, _T]):
    _lines: dict[_K, _Line[_T]] = field(factory=dict)

    async def ask(self, key: _K, question: Callable[[], Awaitable[_T]]) -> _T:
        """Return what a question is answered; of those with one key, one at a time is under way.

        Whoever comes meanwhile waits for the next one, and shares it: no answer is of a question that left before he asked, for
        it might tell of a block that what he has seen since has replaced. Raises what the question does. Where who asks for
        several is cancelled, or fails, the next of them asks for the others.
        """
        line = self._lines.setdefault(key, _Line())
        line.users += 1
        mine = line.coming
        try:
            async with line.asking:
                if not mine.answer:
                    if line.coming is mine:
                        line.coming = _Round()
                    mine.answer.append(await question())
                return mine.answer[0]
        finally:
            line.users -= 1
            if not line.users:
                del self._lines[key]
