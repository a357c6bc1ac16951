"""A shard's part of the budget of a day that all accounts share: drawn before it is spent, and never more than was drawn."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import trio
from attrs import define, field

from trio_copy.accounts.budgets import day_of
from trio_copy.accounts.commands import EngineDay
from trio_copy.accounts.events import Learned
from trio_copy.accounts.orders import OpenOrder, OrderState, spent_by
from trio_copy.accounts.plain import Plain, PlainError, number_of
from trio_copy.engine.shards.forgetting import Forgetting
from trio_copy.model.decisions import CopyTask
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey
from trio_copy.model.units import Usd
from trio_copy.ports import Control, nowhere

_SELL, _RESTING = Side.SELL, OrderState.RESTING
_PARTS = 20
"""A shard draws a part of what is left: small near the limit, so that no shard keeps what another one needs."""
_DAYS_KEPT = 4
_NO_LIMIT = 2**52
"""Millionths: more than all money, and every store counts exactly so far."""


@define(eq=False)
class _Day:
    name: str
    granted: int = 0
    spent: int = 0
    held: int = 0

    @property
    def left(self) -> int:
        return max(0, self.granted - self.spent - self.held)


@define(eq=False, kw_only=True)
class Grants:
    control: Control
    shard: int
    alone: bool
    """Whether no other shard can want any: then all of it is drawn at once."""
    limit: Usd | None
    """None where there is no such budget: then nothing is drawn, but what is spent is counted."""
    forgetting: Forgetting | None = None
    """Knows whether the others' parts are forgotten; None where there are no others."""
    at: Callable[[str], None] = nowhere
    """Called at each point where a crash would matter."""
    _days: dict[str, _Day] = field(factory=dict)
    _held: dict[IntentKey, tuple[_Day, int, int]] = field(factory=dict)
    """What each open order may still cost, of which day, and what it has cost so far."""
    _changed: set[str] = field(factory=set)
    _drawing: trio.Lock = field(factory=trio.Lock)

    def day(self, task: CopyTask) -> EngineDay | None:
        """Return what an account may draw on for a task; None where there is no such budget."""
        if self.limit is None:
            return None
        return EngineDay(limit=self.limit, left=Usd(self._of(task).left))

    def covers(self, task: CopyTask, cost: Usd) -> bool:
        """Tell whether what is drawn already is enough for an entry that may cost so much."""
        return self.limit is None or task.intent.side is _SELL or self._of(task).left >= cost.micro

    async def draw(self, task: CopyTask, cost: Usd) -> bool:
        """Draw enough for an entry; False when there is no more. The grant is durable when this returns."""
        assert self.limit is not None
        # One at a time: two at once would each believe what it drew itself.
        async with self._drawing:
            if self.covers(task, cost):
                return True
            if self.forgetting is not None and not self.forgetting.seems_steady:
                return False  # what is drawn now is kept from the others, and could not be spent here either
            day = self._of(task)
            used = day.spent + day.held
            least = used + cost.micro
            more = self.limit.micro if self.alone else least + max(0, self.limit.micro - used) // _PARTS
            granted = await self.control.draw(f"day {day.name}", self.shard, more, self.limit.micro)
            if granted > day.granted and self.forgetting is not None and not await self.forgetting.is_steady():
                return False  # others may have spent what this looks free
            day.granted = granted
            self.at("grant: drawn")
            return self.covers(task, cost)

    async def draw_again(self) -> None:
        """Tell a store that may have forgotten it what this shard has."""
        if self.limit is None:
            return
        async with self._drawing:
            for name, day in tuple(self._days.items()):
                # What an owner before drew is not known here, but what was spent of it is.
                has = max(day.granted, day.spent + day.held)
                if has:
                    # Without a limit: it is ours, whatever others have been given meanwhile. Those find it missing.
                    await self.control.draw(f"day {name}", self.shard, has, _NO_LIMIT)

    def hold(self, key: IntentKey, task: CopyTask, cost: Usd, used: int = 0) -> None:
        """Set aside what an entry may cost; one that rests may have used some of it, which is spent."""
        if cost.micro and key not in self._held:
            day, left = self._of(task), cost.micro - used
            day.held += left
            self._held[key] = (day, left, used)

    def spend(self, key: IntentKey, learned: Learned) -> None:
        """Turn what an entry held into what it has cost; one that rests holds what is left."""
        held = self._held.pop(key, None)
        if held is None:
            return
        day, left, before = held
        spent = spent_by(learned.report)
        more = spent - before
        day.held -= left
        if learned.state is _RESTING:
            day.held += left - more
            self._held[key] = (day, left - more, spent)
        if more:
            day.spent += more
            self._changed.add(day.name)

    def correct(self, task: CopyTask, more: Usd) -> None:
        """Count what an order has cost on top of what was told; of a day that nobody asks about any more, nothing counts."""
        name = day_of(task.signal.block_time)
        if more.micro and name in self._days:
            self._days[name].spent += more.micro
            self._changed.add(name)

    def restore(self, orders: Sequence[OpenOrder]) -> None:
        """Set aside again what the open orders of an earlier owner may cost."""
        for open_order in orders:
            if open_order.held:
                self.hold(open_order.order.key, open_order.task, open_order.cost, open_order.used)

    def take_changes(self) -> Iterator[tuple[str, Plain | None]]:
        """Return the documents that changed since the last call, by name; None for those to be deleted."""
        for name in sorted(self._changed):
            yield name, [1, self._days[name].spent]
        self._changed.clear()
        while len(self._days) > _DAYS_KEPT:
            oldest = min(self._days)
            if self._days[oldest].held:
                break
            del self._days[oldest]
            yield oldest, None

    def documents(self) -> Iterator[tuple[str, Plain]]:
        """Return all documents, by name."""
        for name, day in self._days.items():
            yield name, [1, day.spent]

    def load(self, documents: Mapping[tuple[str, str], Plain]) -> None:
        """Read what an earlier owner had spent. Raises `PlainError` for what is no such document."""
        try:
            for (kind, name), body in documents.items():
                if kind == "spent":
                    self._days[name] = _Day(name, spent=number_of(body[1]))
        except (ValueError, TypeError, IndexError) as error:
            raise PlainError(f"expected what a shard has spent: {error}") from error

    def _of(self, task: CopyTask) -> _Day:
        name = day_of(task.signal.block_time)
        day = self._days.get(name)
        if day is None:
            day = self._days[name] = _Day(name)
        return day
