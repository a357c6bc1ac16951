"""Two instances that carry out every task at the same moment, each with a body of its own: what a lost lease leads to."""

from contextlib import suppress
from typing import Any

import trio
from attrs import evolve

from trio_copy.engine.company import Company
from trio_copy.engine.execution import Execution
from trio_copy.errors import LeaseLost
from trio_copy.model.decisions import CopyTask
from trio_copy.model.orders import Account, Order


class _OtherHand:
    """The same executor, whose orders are sized by another instance's view of the world."""

    def __init__(self, executor: Any) -> None:
        self._executor = executor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def prepare(self, key: Any, intent: Any, account: Account, market: Any) -> Order:
        order: Order = self._executor.prepare(key, evolve(intent, price=intent.limit_price), account, market)
        return order


class _Late(Company):
    """The company of an instance that notices only after its exits that it has lost their leases."""

    async def withdraw(self, task: CopyTask) -> tuple[list[CopyTask], list[CopyTask]]:
        await trio.lowlevel.checkpoint()
        return [], []


def let_twins_work() -> None:
    """From now on, every task is carried out by two instances at once; what the first of them learns is recorded."""
    run = Execution.run

    async def both(self: Execution, task: CopyTask) -> Any:
        twin = Execution(
            name=self.name,
            owner="the twin",
            executor=_OtherHand(self.executor),
            store=self.store,
            book=self.book,
            catalog=self.catalog,
            settings=self.settings,
            mode=self.mode,
            wall=self.wall,
            entropy=self.entropy,
        )
        twin.company = _Late(
            store=self.store, leases=twin.leases, lanes=twin.lanes, book=self.book, wall=self.wall, at=twin.at
        )
        found: list[Any] = []

        async def first() -> None:
            found.append(await run(self, task))

        async def second(twin: Execution) -> None:
            with suppress(LeaseLost):  # only one of them holds the lease
                await run(twin, task)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            nursery.start_soon(second, twin)
        return found[0]

    Execution.run = both  # type: ignore[method-assign]
