"""When waits for answers end, by one timer for all of a connection's: a cancel scope for each costs more than the question."""

import heapq
from collections.abc import Callable, Container
from math import inf
from typing import NoReturn

import trio
from attrs import define, field

_OVER_MOST = 100
"""So many waits that are over may be kept among those that are not: looking for them is shared by as many."""


@define(eq=False)
class Timeouts:
    waiting: Container[int]
    """The waits that are not over, by their numbers."""
    end: Callable[[int], None]
    """Ends a wait whose time is over; called in that very moment, of one that is over already as well."""
    _due: list[tuple[float, int]] = field(factory=list)
    """A heap of when, by Trio's clock, and which."""
    _most: int = _OVER_MOST
    """When it is looked for waits that are over."""
    _timer: trio.CancelScope = field(factory=trio.CancelScope)

    def add(self, deadline: float, number: int) -> None:
        """Let a wait end at a time, if it is not over before."""
        heapq.heappush(self._due, (deadline, number))
        if len(self._due) > self._most:
            self._due = [due for due in self._due if due[1] in self.waiting]
            heapq.heapify(self._due)
            self._most = len(self._due) + _OVER_MOST
        if deadline < self._timer.deadline:
            self._timer.deadline = deadline

    async def run(self) -> NoReturn:
        """End waits until cancelled."""

        def at_once(_: object) -> trio.lowlevel.Abort:
            # What an asker gave up must not leave any more: a turn of this task's could come after the one in which it does.
            self._end_due()
            return trio.lowlevel.Abort.SUCCEEDED

        while True:
            with trio.CancelScope(deadline=self._due[0][0] if self._due else inf) as self._timer:
                await trio.lowlevel.wait_task_rescheduled(at_once)

    def _end_due(self) -> None:
        now = trio.current_time()
        while self._due and self._due[0][0] <= now:
            _, number = heapq.heappop(self._due)
            self.end(number)
