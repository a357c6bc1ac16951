"""Lets a command have wallets act: by the owner of their shard, or by itself where nobody owns it.

ask_act     puts a request to the owner, and waits for its end
open_acting takes the shard's lease, opens the executor with signers, nodes and the journal, and is the owner meanwhile
open_planner opens the executor as far as it takes to say what would be done
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import trio
from attrs import define

from trio_copy.chain.nodes import open_nodes
from trio_copy.chain.pacing import Pace
from trio_copy.engine.borders.act_contract import ActContract
from trio_copy.engine.borders.calls import Whose
from trio_copy.engine.people.act_requests import KINDS, ask_steps, report_of
from trio_copy.engine.people.actors import actor_of
from trio_copy.engine.people.acts import Acts, end_of
from trio_copy.engine.people.fleets import fleets_of, funding_of
from trio_copy.engine.people.requests import REFUSED, follower_of
from trio_copy.engine.people.standing_in import StandIn, open_stand_in
from trio_copy.engine.plan import Plan, PlannedExecutor, read_facts
from trio_copy.engine.seams import Seams
from trio_copy.engine.supervisor import Backoff
from trio_copy.errors import ConfigError, LeaseLost, Refused, Unanswered
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import shard_lease
from trio_copy.model.follows import Follower
from trio_copy.model.ids import FollowerId
from trio_copy.ports import (
    Act,
    ActingExecutor,
    ActReport,
    ExecutorContext,
    Request,
    Store,
    StoreContext,
)
from trio_copy.signing.signers import OpenSigners, open_signers

_LOOK_EVERY_S = 0.2


async def owner_of(store: Store, shard: int) -> str | None:
    """Return who owns a shard now; None where nobody does."""
    lease = (await store.control.held([shard_lease(shard)])).get(shard_lease(shard))
    return None if lease is None else lease.owner


async def ask_act(
    store: Store,
    shard: int,
    asked: Request,
    follower: FollowerId,
    told: Callable[[ActReport], None],
    patience_s: float,
) -> ActReport:
    """Put an act to the owner of a shard, and return what became of it; `told` hears what carries it, and that it is mined.

    Cancelled, or unanswered, the request stays: whoever owns the shard carries it out, if it is still to be sent.

    Raises:
        Refused: the owner would not, and nothing was sent.
        Unanswered: its end is not known yet.
    """
    accounts, steps = store.accounts, list(ask_steps(asked, follower))
    for request in (asked, *steps):
        await accounts.ask(shard, request)
    with trio.move_on_after(patience_s):
        while (answer := await accounts.answer(shard, asked.name)) is None:
            if steps and (step := await accounts.answer(shard, steps[0].name)) is not None:
                steps.pop(0)
                if not step.startswith(REFUSED):  # else it has ended, and that is answered
                    told(report_of(step))
            else:
                await trio.sleep(_LOOK_EVERY_S)
        if answer.startswith(REFUSED):
            raise Refused([answer.removeprefix(REFUSED)])
        return report_of(answer)
    raise Unanswered(f"no end within {patience_s:g} s; what was asked for stays, and is done as soon as it can be")


@define(eq=False, kw_only=True)
class Acting:
    """A command that owns a shard for as long as its wallets act; see `open_acting`."""

    store: Store
    owner: StandIn
    executor: ActContract
    acts: Acts
    seams: Seams
    follower: FollowerId
    """Whose wallet it is: keys of others are not at hand."""

    async def act(self, act: Act, told: Callable[[ActReport], None] = lambda report: None) -> ActReport:
        """Do an act, and return what became of it; `told` hears what is known meanwhile.

        Raises:
            LeaseLost: somebody else owns the shard by now; it may happen.
        """
        report = await end_of(self.executor, act, self.seams.wall, lambda: self.owner.lost, told)
        if report is None:
            raise LeaseLost(f"shard {self.owner.number} has another owner by now; what was sent may happen")
        return report

    async def hear(self) -> None:
        """Carry out the acts that the follower's wallet is asked to do, until the shard is lost or this is cancelled."""
        while not self.owner.lost:
            try:
                requests = await self.store.accounts.requests(self.owner.number, self.owner.token)
                ours = [one for one in requests if one.kind in KINDS and follower_of(one) == self.follower]
                found = {one.name: self.acts.take(self.owner, one) for one in ours}
                answers = {name: answer for name, answer in found.items() if answer is not None}
                if answers:
                    await self.owner.answer(answers)
            except LeaseLost as error:
                self.owner.lose(error)
            await trio.sleep(_LOOK_EVERY_S)


@asynccontextmanager
async def open_acting(plan: Plan, seams: Seams, follower: Follower, name: str) -> AsyncGenerator[Acting, None]:
    """Own the shard of a follower's wallet while the block runs, under a name of its own, and have its executor at hand.

    `seams.keys` and `seams.fleets` are the keys that sign. The store is opened as an engine opens it. Acts that were asked for and not
    carried out are, meanwhile.

    Raises:
        ConfigError: the store does not outlive a process, or is in use; the executor's wallets do not act.
        Unanswered: somebody else owns the shard.
    """
    planned, shard = executor_of(plan, follower), plan.shard_of(follower.follower)
    if not plan.store.plugin.durable:
        raise ConfigError(
            [f"store.{plan.settings.store.name}: lives and ends inside a run; an act needs a durable one"]
        )
    async with AsyncExitStack() as stack:
        context = StoreContext(
            settings=plan.store.settings,
            wall=seams.wall,
            in_thread=seams.in_thread,
            on_trouble=seams.observer.on_alert,
            shards=plan.shard_count,
            live=plan.settings.engine.mode == "live",
        )
        store = await stack.enter_async_context(plan.store.plugin.open(context))
        signers = await stack.enter_async_context(
            open_signers(
                folder=plan.settings.signing.path,
                wallets={
                    name: one
                    for name, one in plan.settings.wallet.items()
                    if name in seams.keys or one.fleet in seams.fleets
                },
                keys=seams.keys,
                fleets=seams.fleets,
                chain_id=plan.settings.chain.chain_id,
                wall=seams.wall,
                in_thread=seams.in_thread,
                on_trouble=seams.observer.on_alert,
            )
        )
        inner = await stack.enter_async_context(_open_executor(plan, seams, planned, signers))
        catalog = Catalog()
        catalog.put(read_facts(plan))
        stand_in = open_stand_in(
            store, shard, name, catalog, seams.wall, lambda whom: plan.shard_of(whom) == shard, planned.name, inner
        )
        owner = await stack.enter_async_context(stand_in)
        executor = ActContract(
            inner=inner,
            whose=Whose(kind="executor", name=planned.name, distribution=plan.registry.distribution_of(planned.plugin)),
            calls=seams.calls,
            redactor=plan.redactor,
            on_alert=seams.observer.on_alert,
        )
        acts = Acts(
            executor_of=lambda whom: executor if actor_of(plan.executors, whom) is planned else None,
            follower_of=plan.settings.followers().named.get,
            funding=funding_of(plan.settings, seams.fleets),
            wall=seams.wall,
            on_step=lambda step, detail: None,
        )
        acting = Acting(store=store, owner=owner, executor=executor, acts=acts, seams=seams, follower=follower.follower)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(acts.run_acts)
            nursery.start_soon(acting.hear)
            yield acting
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_planner(plan: Plan, seams: Seams, follower: Follower) -> AsyncGenerator[ActingExecutor, None]:
    """Open the executor of a follower as far as it takes to say what would be done: without keys, and without a journal.

    Raises:
        ConfigError: its wallets do not act.
    """
    async with _open_executor(plan, seams, executor_of(plan, follower), OpenSigners({})) as executor:
        yield executor


def executor_of(plan: Plan, follower: Follower) -> PlannedExecutor:
    """Return the executor that has a follower's wallet act. Raises `ConfigError` where there is none, or several could."""
    planned = actor_of(plan.executors, follower)
    if planned is None:
        able = ", ".join(one.name for one in plan.executors if one.plugin.acts) or "there is none"
        raise ConfigError(
            [f"follower {follower.follower}: expected its executor, or just one beside it, to have wallets act: {able}"]
        )
    return planned


@asynccontextmanager
async def _open_executor(
    plan: Plan, seams: Seams, planned: PlannedExecutor, signers: OpenSigners
) -> AsyncGenerator[ActingExecutor, None]:
    settings = plan.settings
    engine, paces = settings.engine, {endpoint.name: Pace() for endpoint in settings.endpoint}
    nodes = open_nodes(
        dial=seams.dial,
        endpoints=settings.endpoint,
        paces=paces,
        chain=settings.chain,
        entropy=seams.entropy,
        quarantine=lambda kind, detail: None,
        on_trouble=seams.observer.on_alert,
        next_wait=lambda: Backoff(engine.backoff_base_s, engine.backoff_max_s, seams.entropy).next_wait,
    )
    async with nodes as connections:
        context = ExecutorContext(
            name=planned.name,
            settings=planned.settings,
            wall=seams.wall,
            quotes=None,
            signers=signers,
            wallets=tuple(
                one.wallet
                for one in settings.followers().named.values()
                if one.executor == planned.name and one.wallet.name
            ),
            fleets=fleets_of(settings, settings.wallet, seams.fleets),
            chain_id=settings.chain.chain_id,
            nodes=connections if settings.endpoint else None,
            open_socket=seams.open_socket,
            entropy=seams.entropy,
            on_trouble=seams.observer.on_alert,
        )
        async with planned.plugin.open(context) as executor:
            yield cast("ActingExecutor", executor)
