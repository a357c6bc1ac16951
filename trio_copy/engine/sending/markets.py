"""What a venue says about tokens, asked once for everybody who needs it at the same moment.

The followers of one leader want to know about the same token at the same time. An answer serves for a moment: it is as old
as one that has just come over a slow line. An exit never waits for what was asked for an entry, which may hang, nor ends
by what had hung for long when it came, or by an entry's answer that no orders are taken.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

import trio
from attrs import Factory, define, field

from trio_copy.clock import trio_clock
from trio_copy.errors import OrderNotSent
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import Market

_FRESH_S = 0.2
_KEPT = 256


@define(eq=False)
class _Answer:
    """What is asked, or was told; nothing of both where whoever asked was cancelled."""

    told: trio.Event = field(factory=trio.Event)
    market: Market | None = None
    error: OrderNotSent | None = None
    fresh_until: float = float("inf")
    """By Trio's clock."""


@define(eq=False)
class Markets:
    """Of one executor."""

    ask: Callable[[TokenId], Awaitable[Market]]
    """How the executor is asked."""
    ask_for_exit: Callable[[TokenId], Awaitable[Market]] = Factory(lambda self: self.ask, takes_self=True)
    """How it is asked for exits, which need less."""
    now: Callable[[], float] = field(factory=trio_clock)
    _answers: OrderedDict[tuple[TokenId, bool], _Answer] = field(factory=OrderedDict)
    """The last ones, and those that are waited for, apart for exits."""

    def __len__(self) -> int:
        return len(self._answers)

    async def of(self, token_id: TokenId, *, exits: bool = False) -> Market:
        """Return what the venue says about a token now, or said a moment ago.

        Raises:
            OrderNotSent: the executor says so, to whoever asked and to all who have waited with him; exits ask once more.
                It is not kept.
        """
        again = exits
        while True:
            answer = self._answers.get((token_id, exits))
            if answer is None or answer.market is None:
                told = self._told_others(token_id, exits=exits)
                if told is not None:
                    return told
            if answer is None or answer.fresh_until < self.now():
                return await self._ask((token_id, exits))
            if answer.market is not None:
                return answer.market
            await answer.told.wait()
            if answer.error is not None:
                if again:
                    again = False
                    continue
                raise type(answer.error)(str(answer.error)) from answer.error

    def forget(self, token_id: TokenId) -> None:
        """Ask anew about a token: more is known of it than when the last answer was made."""
        for exits in (True, False):
            self._answers.pop((token_id, exits), None)

    def _told_others(self, token_id: TokenId, *, exits: bool) -> Market | None:
        """Return what was told to the other side a moment ago, where that will do."""
        other = self._answers.get((token_id, not exits))
        if other is None or other.market is None or other.fresh_until < self.now():
            return None
        will_do = other.market.closed is None if exits else other.market.quote is not None
        return other.market if will_do else None

    async def _ask(self, which: tuple[TokenId, bool]) -> Market:
        answer = self._answers[which] = _Answer()
        try:
            token_id, exits = which
            answer.market = await (self.ask_for_exit if exits else self.ask)(token_id)
        except OrderNotSent as error:
            answer.error = error
            raise
        finally:
            answer.fresh_until = self.now() + (_FRESH_S if answer.market is not None else -1.0)
            answer.told.set()
            while len(self._answers) > _KEPT:
                self._answers.popitem(last=False)
        return answer.market
