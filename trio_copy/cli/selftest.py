"""`trio-copy selftest [CONF]`"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import trio
from attrs import define, evolve, field
from cyclopts import Parameter

from trio_copy.chain.decoders.erc1155 import Erc1155Decoder
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2, OrderFilledDecoder
from trio_copy.chain.decoders.resolutions import ResolutionDecoder
from trio_copy.chain.decoders.words import address_topic
from trio_copy.cli.opened import imported_follows
from trio_copy.cli.output import out, out_json
from trio_copy.cli.redact import Redact
from trio_copy.cli.synthetic import leader_buys, synthetic_plan
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import EndpointSettings, EngineSettings, PluginTable, structure_plugin_table
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan, PlannedExecutor, PlannedStore, load_plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.service import Service
from trio_copy.entropy import system_entropy
from trio_copy.model.counts import counted
from trio_copy.model.decisions import Skip
from trio_copy.model.follows import Follow
from trio_copy.model.ids import ZERO_ADDRESS, Address, SignalId, TokenId
from trio_copy.model.signals import Signal
from trio_copy.model.units import Shares
from trio_copy.ports import Decoder
from trio_copy.telemetry.observer import Finished, Observer
from trio_copy.testing.devnet import Devnet, DevTx, open_devnet
from trio_copy.testing.devnet.chain import fake_hash
from trio_copy.testing.devnet.encode import transfer_single_log

_LIMIT_S = 14.0
_STEP_LIMIT_S = 4.0
_SIMULATOR = "dry-run"
_TRIES = ((50, 2_000), (25, 20_000), (75, 200), (50, 100_000), (90, 5_000), (10, 5_000))
"""(price in cents, shares) of the trades that are tried until somebody's settings like one."""


def selftest(
    conf: Annotated[
        Path | None, Parameter(name="--conf", help="Test this configuration's plugins and follows.")
    ] = None,
    *,
    redactor: Redact,
    json: Annotated[bool, Parameter(negative=(), help="Print one JSON object as the last line.")] = False,
) -> int:
    """Boot the real engine on a devnet inside the process and copy one trade, without touching money or network.

    The configuration's own decoders, followers and follows are used, and the follows in the file of its store. A
    well-behaved dry-run stands in for executors that move money or simulate faults, and the memory store for a durable
    one: nothing of the test reaches the books.
    """
    if conf is None:
        return trio.run(_run, _own_plan(), (), json)
    plan = load_plan(conf, redactor)
    # Read before anything of the test begins: it shall not know where the books are. A server is nobody's to be asked.
    imported = () if plan.store.plugin.shared else imported_follows(plan)
    return trio.run(_run, _harmless(plan), imported, json)


def _own_plan() -> Plan:
    return synthetic_plan(
        followers=3,
        follows_each=1,
        leaders=1,
        engine=EngineSettings(name="selftest"),
        executor={},
        store=PluginTable(name="memory", plugin="memory", options={}),
    )


def _harmless(plan: Plan) -> Plan:
    """Let nothing of the test reach a venue or the books."""
    stand_in = plan.registry.executor(_SIMULATOR)
    table = PluginTable(name=_SIMULATOR, plugin=_SIMULATOR, options={})
    settings = structure_plugin_table("executor", table, stand_in.settings)
    executors = tuple(
        PlannedExecutor(name=planned.name, plugin=stand_in, settings=settings)
        if planned.plugin.moves_money or planned.plugin is stand_in
        else planned
        for planned in plan.executors
    )
    if not plan.store.plugin.durable:
        return evolve(plan, executors=executors, markets=None)
    memory = plan.registry.store("memory")
    store = PlannedStore(plugin=memory, settings=memory.settings())
    in_memory = evolve(plan.settings, store=PluginTable(name="memory", plugin="memory", options={}))
    return evolve(plan, settings=in_memory, executors=executors, store=store, markets=None)


@define(eq=False)
class _Steps(Observer):
    """Prints each step with the time it took, and remembers what the last step waits for."""

    json: bool
    last: float = field(factory=trio.current_time)
    written: list[dict[str, object]] = field(factory=list)
    copied: Finished | None = None
    reasons: Counter[str] = field(factory=Counter)
    alerts: list[str] = field(factory=list)
    changed: trio.Event = field(factory=trio.Event)
    signals: int = 0
    tasks: int = 0
    ended: int = 0
    unanswered: set[SignalId] = field(factory=set)
    """Signals that nobody wants, whose skips are not told yet."""

    def on_step(self, step: str, detail: str) -> None:
        self.note(step, True, detail)

    def on_signal(self, signal: Signal, admission: str, tasks: int, decided_at: float) -> None:
        self.signals += admission == "admitted"
        self.tasks += tasks
        if not tasks:
            self.unanswered.add(signal.signal_id)
        self._tell()

    def on_skip(self, skip: Skip, signal: Signal) -> None:
        self.reasons[skip.reason.code.name] += 1
        self.unanswered.discard(signal.signal_id)
        self._tell()

    def on_finished(self, finished: Finished) -> None:
        self.ended += 1
        if finished.report is not None and finished.report.shares:
            self.copied = self.copied or finished
        elif finished.outcome.reason is not None:
            self.reasons[finished.outcome.reason.code.name] += 1
        self._tell()

    def on_alert(self, kind: str, detail: str) -> None:
        self.alerts.append(f"{kind}: {detail}")

    def note(self, step: str, ok: bool, detail: str) -> None:
        now = trio.current_time()
        took_ms = 1000 * (now - self.last)
        self.last = now
        self.written.append({"step": step, "ok": ok, "detail": detail, "ms": round(took_ms, 1)})
        if not self.json:
            out(f"{'ok' if ok else 'FAILED':<7} {step:<12} {took_ms:7.1f} ms  {detail}")

    def settled(self, signals: int) -> bool:
        """Whether so many signals were decided, every task they made has ended, and every skip was told."""
        return self.signals >= signals and self.ended >= self.tasks and not self.unanswered

    async def wait_until(self, reached: Callable[[], bool]) -> None:
        """Wait until something holds that only a signal, a skip or an end can change."""
        while not reached():
            await self.changed.wait()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


async def _run(plan: Plan, imported: Sequence[Follow], json: bool) -> int:
    steps = _Steps(json)
    started = trio.current_time()
    failure: str | None = "it took too long; see which step stands last"
    with trio.move_on_after(_LIMIT_S):
        failure = await _boot_and_copy(plan, imported, steps)
    if failure is not None:
        steps.note("selftest", False, failure)
    took_s = round(trio.current_time() - started, 3)
    if json:
        out_json({"ok": failure is None, "seconds": took_s, "steps": steps.written})
    else:
        out(f"{'passed' if failure is None else 'FAILED'} in {took_s:.1f} s")
    return 0 if failure is None else 1


async def _boot_and_copy(plan: Plan, imported: Sequence[Follow], steps: _Steps) -> str | None:
    """Go through the steps; returns what to do about the one that failed."""
    leaders = sorted({follow.leader for follow in (*plan.settings.follows(), *imported)})
    if not leaders:
        return "no follows: add a [[follow]] to the configuration, there is nothing to copy without one"
    if _tradable(plan) is None:
        return "no decoder that the devnet can trade for: add [decoder.order-filled] or [decoder.erc1155]"
    wall = anchored_wall_clock()
    failure: str | None
    async with open_devnet(plan.settings.chain.chain_id, wall) as devnet:
        seams = Seams(dial=devnet.dial, wall=wall, entropy=system_entropy(), observer=steps, throwaway=True)
        endpoint = EndpointSettings(name="devnet", url=devnet.url)
        async with open_service(plan, seams, [endpoint]) as service, trio.open_nursery() as nursery:
            await _import(service, imported, steps)
            with trio.move_on_after(_STEP_LIMIT_S) as starting:
                await nursery.start(service.run)
                await devnet.node.wait_log_filters(len(service.board.filters))
            if starting.cancelled_caught:
                failure = f"the engine did not subscribe in time: {'; '.join(steps.alerts) or 'no alert'}"
                nursery.cancel_scope.cancel()
            else:
                failure = _check_narrowed(plan, service, devnet, steps) or await _copy_one(plan, leaders, devnet, steps)
                service.drain()
    if failure is None:
        steps.note("drained", True, "the nursery tree ended by itself")
    return failure


def _check_narrowed(plan: Plan, service: Service, devnet: Devnet, steps: _Steps) -> str | None:
    """Ask the node, not ourselves, whose logs it was asked for."""
    leaders = {address_topic(leader) for leader in service.book.leaders}
    # Questions are decided by nobody's act: their decoder asks for all of them.
    decisions = {
        one
        for decoder in plan.decoders.values()
        if isinstance(decoder, ResolutionDecoder)
        for one in decoder.filters(())
    }
    named = [
        {topic for position in log_filter.topics[1:] for topic in position or () if topic in leaders}
        for log_filter in devnet.node.log_filters
        if log_filter not in decisions
    ]
    if not all(named) or set().union(*named) != leaders:
        return "the node was not asked for exactly the leaders: does every decoder build its filters from them?"
    steps.note("narrowed", True, f"the node sends logs of {counted(len(leaders), 'leader')} only")
    return None


async def _import(service: Service, imported: Sequence[Follow], steps: _Steps) -> None:
    """Put the follows of the books into the memory that stands in for them."""
    if imported:
        await service.store.follows.put(imported)
        for follow in imported:
            service.book.put(follow)
        steps.note("imported", True, f"{counted(len(imported), 'follow')} of the store")


async def _copy_one(plan: Plan, leaders: Sequence[Address], devnet: Devnet, steps: _Steps) -> str | None:
    number = 0
    for leader in leaders:
        for price_cents, shares in _TRIES:
            number += 1
            devnet.chain.mine(_trade(plan, leader, number, price_cents, shares))
            with trio.move_on_after(_STEP_LIMIT_S) as waiting:
                await steps.wait_until(lambda number=number: steps.signals >= number)  # type: ignore[misc]  # binds it
            if waiting.cancelled_caught:
                return "the leader's fill never reached the gate: do the decoders read this exchange?"
            with trio.move_on_after(_STEP_LIMIT_S / len(_TRIES)):
                await steps.wait_until(lambda number=number: steps.copied is not None or steps.settled(number))  # type: ignore[misc]  # binds it
            if steps.copied is not None:
                task, report = steps.copied.task, steps.copied.report
                shown = "" if report is None else f"{report.shares} shares at {report.price}"
                steps.note("copied", True, f"{task.follower} {steps.copied.outcome.end.value} {shown} (simulated)")
                return None
    why = ", ".join(f"{code} x{count}" for code, count in steps.reasons.most_common(3))
    return f"nobody copied any of {number} trades: {why}; loosen the settings these codes name"


def _tradable(plan: Plan) -> Decoder | None:
    """Return a decoder that the devnet can make a trade for."""
    wanted = (OrderFilledDecoder, Erc1155Decoder)
    found = [decoder for kind in wanted for decoder in plan.decoders.values() if isinstance(decoder, kind)]
    return found[0] if found else None


def _trade(plan: Plan, leader: Address, number: int, price_cents: int, shares: int) -> DevTx:
    """Make a trade that one of the configured decoders reads."""
    decoder = _tradable(plan)
    if isinstance(decoder, OrderFilledDecoder):
        exchange = min(decoder.exchanges, default=EXCHANGE_V2)
        return leader_buys(leader, number, exchange=exchange, shares=shares, price_cents=price_cents)
    assert isinstance(decoder, Erc1155Decoder)
    mint = transfer_single_log(
        contract=min(decoder.contracts),
        operator=leader,
        sender=ZERO_ADDRESS,
        recipient=leader,
        token_id=TokenId(1),
        shares=Shares(shares * 1_000_000),
    )
    return DevTx(tx_hash=fake_hash("mint", number), logs=(mint,))
