"""Questions to the market source: each has a deadline, and an answer is judged before it is believed."""

from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Sequence
from math import inf
from typing import TypeVar

import trio
from attrs import define, field

from trio_copy.engine.borders.calls import TOLD_AT, Call, Calls, NoAnswer, Whose
from trio_copy.errors import MarketsUnavailable, is_ctrl_c
from trio_copy.model.books import Book
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.resolutions import Decided
from trio_copy.model.units import MICRO
from trio_copy.model.watches import Light, Watch
from trio_copy.ports import Markets

_ANSWER_S = 30.0
_BOOK_S = 5.0
"""A copy waits for it."""
_REST_S = 10.0
"""How long nobody is asked for a book after one that did not come: each copy would wait for it, and end too late."""
_LONGEST = 300
_KINDS_MOST = 64
_K = TypeVar("_K", bound=Hashable)
_T = TypeVar("_T")


@define(eq=False)
class LeftOut:
    """Counts what a source wrote and nobody uses, because it cannot be read or believed."""

    name: str
    """Of the source."""
    counts: Counter[str] = field(factory=Counter)

    def note(self, what: str) -> None:
        known = what in self.counts or len(self.counts) < _KINDS_MOST
        self.counts[what if known else "something else"] += 1

    @property
    def watch(self) -> Watch:
        """Tell it as watchdogs tell what they see: nothing halts for it, and none is good."""
        total = self.counts.total()
        light = Light.RED if total else Light.GREEN
        return Watch(name="left_out", endpoint=self.name, light=light, value=float(total), limit=0.0)


@define(eq=False, kw_only=True)
class MarketAsks:
    """None is the answer to what nobody answers, or not so that it can be believed. A person is told of the second, once."""

    source: Markets
    whose: Whose
    calls: Calls
    left_out: LeftOut
    _facts: Call = field(init=False)
    _books: Call = field(init=False)
    _resolutions: Call = field(init=False)
    _failures: dict[str, int] = field(factory=dict)
    _rests_until: float = -inf
    """By Trio's clock; copies do not ask for books before."""
    _others_rest_until: float = -inf

    def __attrs_post_init__(self) -> None:
        self._facts, self._books, self._resolutions = (self.call(name) for name in ("facts", "books", "resolutions"))

    def call(self, name: str) -> Call:
        """Return a method of the source whose calls are to be known."""
        return self.calls.of(self.whose, name)

    async def facts(self, tokens: Sequence[TokenId]) -> Sequence[TokenFacts] | None:
        return await self._ask(
            self._facts, _ANSWER_S, self.source.facts, tokens, TokenFacts, lambda facts: facts.token_id
        )

    async def resolutions(self, conditions: Sequence[str]) -> Sequence[Decided] | None:
        return await self._ask(
            self._resolutions, _ANSWER_S, self.source.resolutions, conditions, Decided, lambda one: one.condition_id
        )

    async def book(self, token_id: TokenId) -> Book | None:
        """Return a token's book as it is now, to a copy; None where nobody can tell."""
        if trio.current_time() < self._rests_until:
            return None
        found = await self._ask_books([token_id])
        if found is None:
            self._rests_until = trio.current_time() + _REST_S
        return found[0] if found else None

    async def books(self, tokens: Sequence[TokenId]) -> Sequence[Book]:
        """Return the books of tokens as they are now, to whoever can do without; none where nobody can tell.

        A failure keeps no copy from asking, but nobody else; while copies do not ask, nobody is asked here either.
        """
        if trio.current_time() < max(self._rests_until, self._others_rest_until):
            return ()
        found = await self._ask_books(tokens)
        if found is not None and not all(map(_is_sound, found)):
            self.tell_failure(self._books, "expected levels of shares at prices from 0 to 1")
            found = None
        if found is None:
            self._others_rest_until = trio.current_time() + _REST_S
        return found or ()

    async def _ask_books(self, tokens: Sequence[TokenId]) -> Sequence[Book] | None:
        return await self._ask(self._books, _BOOK_S, self.source.books, tokens, Book, lambda book: book.token_id)

    async def _ask(
        self,
        call: Call,
        timeout_s: float,
        method: Callable[[Sequence[_K]], Awaitable[Sequence[_T]]],
        asked: Sequence[_K],
        kind: type[_T],
        key: Callable[[_T], _K],
    ) -> Sequence[_T] | None:
        try:
            found = list(await self.calls.watch(call, timeout_s, method, asked))
        except MarketsUnavailable:
            return None  # the source tells people itself, and when it is over
        except NoAnswer as slow:
            self.tell_failure(call, str(slow))
            return None
        except (Exception, BaseExceptionGroup, SystemExit, KeyboardInterrupt) as error:
            self.take_failure(call, error)
            return None
        known = frozenset(asked)
        if all(isinstance(one, kind) and key(one) in known for one in found):
            return found
        self.tell_failure(call, "expected answers of what was asked about")
        return None

    def take_failure(self, call: Call, error: BaseException) -> None:
        """Tell what a call raised; a cancellation of ours, and Ctrl-C, go on."""
        if is_ctrl_c(error) or (isinstance(error, BaseExceptionGroup) and error.split(trio.Cancelled)[1] is None):
            raise error
        self.tell_failure(call, f"raised {error!r}"[:_LONGEST])

    def tell_failure(self, call: Call, what: str) -> None:
        """Tell a person, not each time about the same call."""
        times = self._failures[call.name] = self._failures.get(call.name, 0) + 1
        if times in TOLD_AT:
            self.calls.on_alert("markets-failed", f"{call}: {what}" + (f" ({times} times)" if times > 1 else ""))


def _is_sound(book: Book) -> bool:
    """Tell whether a book is one: a source is somebody else's code, and what it says is worked with far from here."""
    try:
        return all(
            0 <= level.price.micro <= MICRO and level.shares.micro >= 0
            for side in (book.bids, book.asks)
            for level in side
        )
    except (TypeError, AttributeError):
        return False
