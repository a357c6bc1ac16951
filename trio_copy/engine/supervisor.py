"""Restarts what may fail, within a budget: full jitter between tries, and an end to trying."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio
from attrs import define, field

from trio_copy.entropy import Entropy
from trio_copy.errors import ChainError, RestartBudgetExhausted, WrongChain


@define(eq=False)
class RestartBudget:
    """At most `restarts` within `window_s`."""

    restarts: int
    window_s: float
    _spent: deque[float] = field(factory=deque)

    def spend(self, now: float, why: str) -> None:
        """Take one restart. `now` is Trio time.

        Raises:
            RestartBudgetExhausted: none is left in this window.
        """
        while self._spent and self._spent[0] <= now - self.window_s:
            self._spent.popleft()
        if len(self._spent) >= self.restarts:
            raise RestartBudgetExhausted(
                f"{self.restarts} restarts in {self.window_s:g} s did not help; the last failure: {why}"
            )
        self._spent.append(now)


@define(eq=False)
class Backoff:
    """Random waits whose upper bound doubles; a healthy spell starts over."""

    base_s: float
    max_s: float
    entropy: Entropy
    _failures: int = 0

    def next_wait(self, healthy_for_s: float) -> float:
        """Return how long to wait after a failure that followed so many healthy seconds."""
        if healthy_for_s > self.max_s:
            self._failures = 0
        bound = min(self.max_s, self.base_s * 2 ** min(self._failures, 32))
        self._failures += 1
        return self.entropy.uniform(0, bound)


async def keep_running(
    run: Callable[[], Awaitable[object]],
    *,
    backoff: Backoff,
    budget: RestartBudget,
    others_alive: Callable[[], bool],
    armed: Callable[[], bool],
    on_failure: Callable[[ChainError, float], None],
) -> NoReturn:
    """Run something that only ends by failing, again and again.

    While another one of its kind is alive, a failure costs no budget: nothing is missed. Errors that are no
    `ChainError` are bugs and pass through. `WrongChain` passes through until the engine is armed, because waiting does
    not mend a configuration; later it is one more lie of a node. A node that asks to be left alone for a time is.

    Raises:
        RestartBudgetExhausted: too many failures with nobody else alive.
    """
    while True:
        started = trio.current_time()
        try:
            await run()
        except ChainError as error:
            if isinstance(error, WrongChain) and not armed():
                raise
            failure = error
        else:
            failure = ChainError("ended without an error")
        now = trio.current_time()
        if not others_alive():
            budget.spend(now, str(failure))
        # Later than the node asks for, never earlier, and not all instances at the same moment.
        wait = failure.retry_after_s + backoff.next_wait(now - started)
        on_failure(failure, wait)
        await trio.sleep(wait)
