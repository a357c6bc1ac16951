"""What is to happen later, in the order of time."""

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from typing import NoReturn

import trio
from attrs import define, field


@define(eq=False)
class Agenda:
    _due: list[tuple[float, int, Callable[[], None]]] = field(factory=list)
    _count: int = 0
    """Of all that was ever entered: what falls due at one moment happens in the order in which it was entered."""
    _changed: trio.Event = field(factory=trio.Event)

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something in so many seconds; what is due at once is done at once."""
        if seconds <= 0:
            act()
            return
        self._count += 1
        heappush(self._due, (trio.current_time() + seconds, self._count, act))
        self._changed.set()

    async def run(self) -> NoReturn:
        """Do what falls due, until cancelled."""
        while True:
            while self._due and self._due[0][0] <= trio.current_time():
                heappop(self._due)[2]()
            self._changed = trio.Event()
            with trio.move_on_at(self._due[0][0] if self._due else inf):
                await self._changed.wait()
