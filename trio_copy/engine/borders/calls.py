"""Calls into plugins, watched step by step: how long one keeps the loop, and whether it lets itself be cancelled.

A plugin shares our thread. While one of its steps computes, nothing else runs: no frame is read, no other order is
sent. So each step between two suspensions is measured, and what takes too long is told, with who it was.

A call that takes no cancellation is told as well, and then closed with another exception. What does not even
obey that one is let on, one step a second: it keeps its worker for good, but not the processor. It cannot be left behind
by force, because what it has opened (nurseries, cancel scopes) would be torn out of the tree.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from inspect import isawaitable
from math import inf
from types import CoroutineType, coroutine
from typing import Any, TypeVar

import trio
from attrs import define, field, frozen

from trio_copy.clock import trio_clock

_BLOCKS_S = 1.0
"""A step of a plugin that keeps the loop longer is told: copies wait that long, and pings of nodes."""
_CANCELLATIONS = 3
"""So often a call may take a cancellation and go on after its time is over; one that cleans up needs one, or two."""
_AT_ONCE = 100
"""So many in a row, with nothing between them, are one that is swallowed again and again."""
_AT_ONCE_S = 0.001
_HELD_BACK_S = 1.0
TOLD_AT = (1, 100, 10_000)
"""The breaches of one kind that are told: what happens with every order, or every look, must not fill a log."""
_KINDS = 256
_T = TypeVar("_T")
Method = Callable[[Any], Awaitable[Any]]
"""Of a plugin, as far as it can be trusted to be one."""


@frozen(kw_only=True)
class Whose:
    """Which plugin it is, for whoever has to mend it."""

    kind: str
    name: str
    """Its name in the configuration."""
    distribution: str
    """Name and version, as pip knows it."""

    def __str__(self) -> str:
        return f'{self.kind} "{self.name}" ({self.distribution})'


class NoAnswer(Exception):
    """The call took too long, and was cancelled."""


class NotAwaitable(Exception):
    """What should have been an async method is none; it has run all the same."""


@define(eq=False)
class Call:
    """One method of one plugin."""

    whose: Whose
    name: str
    under_way: int = 0
    """How many of its calls are."""

    def __str__(self) -> str:
        return f"{self.whose}, {self.name}"


@define(eq=False)
class Calls:
    """Every call into a plugin that is under way."""

    on_alert: Callable[[str, str], None]
    now: Callable[[], float] = field(factory=trio_clock)
    _known: list[Call] = field(factory=list)
    _blocked: Counter[str] = field(factory=Counter)

    def of(self, whose: Whose, name: str) -> Call:
        """Return a method of a plugin whose calls are to be known."""
        call = Call(whose, name)
        self._known.append(call)
        return call

    async def watch(self, call: Call, timeout_s: float, method: Method, argument: object) -> Any:  # noqa: ANN401
        """Make a call and return its answer.

        Raises:
            NoAnswer: it took too long.
            NotAwaitable: it is no async method.
            BaseException: whatever the plugin raises.
        """
        with trio.CancelScope() as limit:
            return await self.watch_within(limit, call, timeout_s, method, argument)
        raise NoAnswer(f"no answer in {timeout_s:g} s")

    async def watch_within(
        self, limit: trio.CancelScope, call: Call, timeout_s: float, method: Method, argument: object
    ) -> Any:  # noqa: ANN401  whatever it returns
        """Make a call inside a scope that serves for many, one after the other: to open one for each is dear.

        Raises what `watch` does. Once `limit.cancel_called`, it serves no more: whatever waits in it is cancelled.
        """
        began = self.now()
        call.under_way += 1
        limit.deadline = began + timeout_s
        try:
            answer = method(argument)  # a part of the call as well: it may block, raise, or be no async method
            steps = answer if type(answer) is CoroutineType else _awaited(answer)
            return await self._drive(call, steps, limit, began)
        except (trio.Cancelled, BaseExceptionGroup) as ended:
            # A nursery of the plugin groups what its tasks have met. The caller may have brought a deadline of the same
            # length: whose it was does not matter.
            only = isinstance(ended, trio.Cancelled) or ended.split(trio.Cancelled)[1] is None
            if only and self.now() - began >= 0.99 * timeout_s:
                raise NoAnswer(f"no answer in {timeout_s:g} s") from None  # noqa: ASYNC104  theirs comes again
            raise
        finally:
            limit.deadline = inf
            call.under_way -= 1

    def opening(self, whose: Whose, opened: AbstractAsyncContextManager[_T]) -> AbstractAsyncContextManager[_T]:
        """Let it be known while a plugin is being opened or closed: its own tasks may hold up the end as well."""
        return _Opening(self.of(whose, "open"), self.of(whose, "close"), opened)

    def measure(self, call: Call, began: float) -> None:
        """Tell when a step that began at a time of Trio's clock has kept the loop too long."""
        took = self.now() - began
        if took <= _BLOCKS_S:
            return
        if len(self._blocked) > _KINDS:
            self._blocked.clear()
        self._blocked[str(call)] += 1
        if self._blocked[str(call)] in TOLD_AT:
            self.on_alert("plugin-blocks", f"{call}: kept everything else waiting for {took:.1f} s")

    def under_way(self) -> list[str]:
        """Name the calls that are under way. May be called from another thread."""
        return sorted({str(call) for call in tuple(self._known) if call.under_way})

    @coroutine
    def _drive(
        self, call: Call, steps: Coroutine[Any, Any, Any], limit: trio.CancelScope, began: float
    ) -> Generator[Any, Any, Any]:
        resume: Callable[[Any], Any] = steps.send
        value: Any = None
        taken: _Taken | None = None  # made for the few calls that need it: this is walked with every order
        while True:
            try:
                trap = resume(value)
            except StopIteration as done:
                return done.value
            except (_Closed, BaseExceptionGroup) as ended:
                if isinstance(ended, BaseExceptionGroup) and ended.split((_Closed, trio.Cancelled))[1] is not None:
                    raise  # something else went wrong on the way out
                raise (taken and taken.last) or ended from None
            finally:
                self.measure(call, began)
            try:
                value = yield trap
                resume = steps.send
            except BaseException as error:  # noqa: ASYNC103  passed on: Trio throws at what waits for another loop
                resume, value = steps.throw, error
            began = self.now()
            met = getattr(value, "error", None)  # Trio resumes with an outcome, which its own frames unwrap
            if met is None and taken is None:
                continue
            taken = taken or _Taken(limit)
            if not taken.note(met):
                continue
            if taken.closed:
                yield from _hold_back().__await__()
            else:
                taken.closed = True
                self.on_alert("contract-broken", f"{call}: does not let itself be cancelled")
                resume, value = steps.throw, _Closed()


@define(eq=False)
class _Taken:
    """The cancellations that one call has taken, and gone on."""

    limit: trio.CancelScope
    last: trio.Cancelled | None = None
    closed: bool = False
    late: int = 0
    at_once: int = 0
    _at: float = -1.0

    def note(self, met: object) -> bool:
        """Count a cancellation; returns whether it is one too many.

        A scope that the plugin has opened is its own affair, and one cannot tell whose a cancellation is. But ours comes
        again at the next await, and theirs takes its time.
        """
        if not isinstance(met, trio.Cancelled):
            self.at_once = 0
            return False
        self.last, now = met, trio.current_time()
        self.late += self.limit.cancel_called
        self.at_once = self.at_once + 1 if now - self._at < _AT_ONCE_S else 0
        self._at = now
        return self.closed or self.late >= _CANCELLATIONS or self.at_once >= _AT_ONCE


@frozen(eq=False)
class _Opening(AbstractAsyncContextManager[_T]):
    open: Call
    close: Call
    opened: AbstractAsyncContextManager[_T]

    async def __aenter__(self) -> _T:
        self.open.under_way += 1
        try:
            return await self.opened.__aenter__()
        finally:
            self.open.under_way -= 1

    async def __aexit__(self, *error: Any) -> bool | None:  # noqa: ANN401  as Python passes it
        self.close.under_way += 1
        try:
            return await self.opened.__aexit__(*error)  # noqa: ASYNC102  as Python would call it
        finally:
            self.close.under_way -= 1


class _Closed(BaseException):
    """Ends a call that took every cancellation: only what catches everything goes on.

    Not a GeneratorExit, which Python does not pass on to a coroutine that is awaited: it would be torn out.
    """


async def _hold_back() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(_HELD_BACK_S)


async def _awaited(answer: object) -> Any:  # noqa: ANN401  whatever it returns
    if not isawaitable(answer):
        raise NotAwaitable(type(answer).__name__)
    return await answer
