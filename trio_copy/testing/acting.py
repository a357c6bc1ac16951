"""An executor whose wallets act as a test tells it to: a chain that carries out what a journal has durably, once a key."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256

import trio
from attrs import define, field

from trio_copy.errors import OrderNotSent
from trio_copy.model.ids import Hash32, IntentKey
from trio_copy.model.orders import Wallet
from trio_copy.ports import (
    Act,
    ActReport,
    Deed,
    Done,
    Executor,
    ExecutorContext,
    ExecutorPlugin,
    Journal,
    PlannedAct,
    Wanted,
)
from trio_copy.testing.scripted import ScriptedExecutor

GAS_WEI = 21_000


@define(eq=False)
class ScriptedActor(ScriptedExecutor):
    """Lets every act land at once, unless its script, one step per call of `act`, says otherwise.

    Steps: a report is what comes of that call; an exception is raised; `None` waits for the end of the call.
    """

    plans: Mapping[Deed, Sequence[PlannedAct]] = field(factory=dict)
    planned: list[tuple[Wallet, Deed, Wanted]] = field(factory=list)
    """Every question what would be done."""
    cannot: OrderNotSent | None = None
    """Why nothing can be planned, if so."""
    becomes: list[ActReport | Exception | None] = field(factory=list)
    asked: list[Act] = field(factory=list)
    """Every call of `act`."""
    landed: dict[IntentKey, Hash32] = field(factory=dict)
    """What has happened: by key, so that nothing does twice."""
    journals: list[Journal] = field(factory=list)
    """Those that are open."""
    context: ExecutorContext | None = None

    def open_journal(self, journal: Journal) -> None:
        self.journals.append(journal)

    def close_journal(self, journal: Journal) -> None:
        self.journals.remove(journal)

    async def plan(self, wallet: Wallet, deed: Deed, wanted: Wanted) -> Sequence[PlannedAct]:
        await trio.lowlevel.checkpoint()
        self.planned.append((wallet, deed, wanted))
        if self.cannot is not None:
            raise self.cannot
        return self.plans.get(deed, ())

    async def act(self, act: Act) -> ActReport:
        self.asked.append(act)
        if act.key in self.landed:
            return ActReport(done=Done.LANDED, transaction=self.landed[act.key], gas_wei=GAS_WEI)
        journal = next((one for one in self.journals if one.covers(act.wallet.follower)), None)
        if journal is None:
            raise OrderNotSent("no journal of this wallet is open")
        journal.put(act.key, b"[1]")
        await journal.wait_durable()
        step = self.becomes.pop(0) if self.becomes else self.report(act)
        if isinstance(step, Exception):
            raise step
        if step is None:
            await trio.sleep_forever()
        if step.done is Done.LANDED and step.transaction is not None:
            self.landed[act.key] = step.transaction
        return step

    def report(self, act: Act, done: Done = Done.LANDED) -> ActReport:
        """Return how an act stands once something carries it."""
        sent = Hash32("0x" + sha256(act.key.encode()).hexdigest())
        return ActReport(done=done, transaction=sent, gas_wei=GAS_WEI if done is Done.LANDED else 0)


def acting_plugin(executor: ScriptedActor) -> ExecutorPlugin:
    """Wrap one executor as a plugin that hands it out each time."""

    @asynccontextmanager
    async def open_actor(context: ExecutorContext) -> AsyncGenerator[Executor, None]:
        executor.name, executor.context = context.name, context
        yield executor

    return ExecutorPlugin(name="actor", open=open_actor, moves_money=True, keeps_journal=True, acts=True)
