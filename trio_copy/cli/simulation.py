"""The real engine under a synthetic load: socket, decode, gate, fan-out, lanes, workers, ledger. Only the venue is simulated."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio
from attrs import define, field, frozen

from trio_copy.chain.dial import Dial
from trio_copy.cli.synthetic import POLYGON, leader_buys
from trio_copy.clock import WallClock, cpu_seconds
from trio_copy.config import EndpointSettings
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan
from trio_copy.engine.seams import Seams
from trio_copy.entropy import seeded_entropy
from trio_copy.model.ids import Address, TaskId
from trio_copy.model.signals import Signal
from trio_copy.ports import InThread, to_thread_run_sync
from trio_copy.telemetry.observer import Finished, Observer
from trio_copy.testing.devnet import Devnet

OpenDevnet = Callable[[Any, Callable[[], float]], AbstractAsyncContextManager[Devnet]]
_SETTLE_S = 60.0
_LATE_S = 0.5
_LATE_PART = 0.05
"""How late the last copy may be where the load was kept up with: a moment, and a part of a long run's time."""


@frozen(kw_only=True)
class Load:
    """What the leaders do."""

    events: int
    rate_per_s: float
    """Leader trades per second; 0 sends them as fast as they are taken."""
    leaders: Sequence[Address]
    seed: int
    in_flight: int = 4
    """At rate 0: leader trades that may be unfinished at once."""
    latency_s: float = 0.0
    """How long the venue takes for an order, and the last copy therefore at least."""

    @property
    def lasts_s(self) -> float:
        """From the first leader trade to the last; 0 where none is offered at a time of its own."""
        return (self.events - 1) / self.rate_per_s if self.rate_per_s else 0.0


@define(eq=False)
class Collector(Observer):
    """Keeps every lag, unlike the tally of a long run, and checks that each task ends once."""

    wall: WallClock
    on_progress: Callable[[int], None]
    tasks: int = 0
    signals: int = 0
    lags_s: list[float] = field(factory=list)
    shed: Counter[str] = field(factory=Counter)
    last_end: float = 0.0
    alerts: Counter[str] = field(factory=Counter)
    _ended: Counter[TaskId] = field(factory=Counter)
    _changed: trio.Event = field(factory=trio.Event)

    @property
    def ended(self) -> int:
        return len(self._ended)

    @property
    def duplicates(self) -> int:
        """Tasks that ended more than once."""
        return self._ended.total() - len(self._ended)

    def on_signal(self, signal: Signal, admission: str, tasks: int, decided_at: float) -> None:
        if admission == "admitted":
            self.tasks += tasks
            self.signals += 1
            self._tell()

    def on_finished(self, finished: Finished) -> None:
        self._ended[finished.task.task_id] += 1
        self.last_end = finished.ended_at
        if finished.started_at:
            self.lags_s.append(finished.started_at - finished.task.decided_at)
        elif finished.outcome.reason is not None:
            self.shed[finished.outcome.reason.code.name] += 1
        self._tell()

    def on_alert(self, kind: str, detail: str) -> None:
        self.alerts[kind] += 1

    async def wait_until(self, reached: Callable[[], bool]) -> None:
        """Wait until something holds that only changes when a signal is admitted or a task ends."""
        while not reached():
            await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
        self.on_progress(self.signals)


async def simulate(
    plan: Plan,
    load: Load,
    open_net: OpenDevnet,
    wall: WallClock,
    on_progress: Callable[[int], None],
    in_thread: InThread = to_thread_run_sync,
) -> dict[str, Any]:
    """Run a load through the engine and return what `trio-copy load simulate` prints.

    `elapsed_s` runs from the first leader trade to the end of the last copy.
    """
    collector = Collector(wall, on_progress)
    async with open_net(POLYGON, wall) as devnet:
        dial: Dial = devnet.dial
        seams = Seams(
            dial=dial,
            wall=wall,
            entropy=seeded_entropy(load.seed),
            observer=collector,
            in_thread=in_thread,
            throwaway=True,
        )
        endpoint = EndpointSettings(name="devnet", url=devnet.url)
        async with open_service(plan, seams, [endpoint]) as service, trio.open_nursery() as nursery:
            await nursery.start(service.run)
            await devnet.node.wait_log_filters(len(service.board.filters))
            started, cpu = wall(), cpu_seconds()
            await _trade(load, devnet, collector)
            offered_s = wall() - started
            with trio.move_on_after(_SETTLE_S):
                await collector.wait_until(
                    lambda: collector.signals >= load.events and collector.ended >= collector.tasks
                )
            status = service.status()
            elapsed, cpu = collector.last_end - started, cpu_seconds() - cpu
            service.drain()
    shed = collector.shed.total()
    return {
        "tasks": collector.tasks,
        "missed": missed(load, collector.tasks, offered_s=offered_s, elapsed_s=elapsed, shed=shed),
        "elapsed_s": round(elapsed, 3),
        "throughput_per_s": round(collector.ended / elapsed, 1) if elapsed > 0 else 0.0,
        "queue_lag_ms": _lags(collector.lags_s),
        "max_depth": status.peak,
        "shed": shed,
        "duplicates": collector.duplicates,
        "lost": collector.tasks - collector.ended + (load.events - collector.signals),
        "cpu_s": round(cpu, 3),
    }


def missed(load: Load, tasks: int, *, offered_s: float, elapsed_s: float, shed: int) -> str | None:
    """Say how a load was not kept up with; None when it was, or when it came as fast as it was taken.

    `offered_s` and `elapsed_s` run from the first leader trade to the last, and to the end of the last copy.
    """
    late_s, allowed_s = elapsed_s - load.lasts_s, load.latency_s + max(_LATE_S, _LATE_PART * load.lasts_s)
    if not load.rate_per_s or (late_s <= allowed_s and not shed):
        return None
    per_s = tasks * load.rate_per_s / load.events
    said = [
        f"{per_s:,.0f} copies a second were offered, {(tasks - shed) / elapsed_s if elapsed_s > 0 else 0:,.0f} were made"
    ]
    if shed:
        said.append(f"{shed:,} of {tasks:,} were shed")
    if late_s > allowed_s:
        said.append(f"the last one ended {late_s:.1f} s after the last trade was due, {allowed_s:.1f} s are allowed")
    if offered_s - load.lasts_s > allowed_s:
        said.append("the trades themselves came late: what offers them shares this process")
    return "; ".join(said)


async def _trade(load: Load, devnet: Devnet, collector: Collector) -> None:
    entropy = seeded_entropy(load.seed)
    start = trio.current_time()
    for number in range(load.events):
        if load.rate_per_s:
            await trio.sleep_until(start + number / load.rate_per_s)
        else:
            await collector.wait_until(
                lambda number=number: (  # type: ignore[misc]  # a default argument binds the loop's value
                    collector.signals > number - load.in_flight
                    and collector.tasks - collector.ended < load.in_flight * max(1, collector.tasks) / max(1, number)
                )
            )
        devnet.chain.mine(leader_buys(entropy.choice(load.leaders), number))


def _lags(lags_s: Sequence[float]) -> dict[str, float]:
    ordered = sorted(lags_s) or [0.0]
    last = len(ordered) - 1
    return {
        "avg": round(1000 * sum(ordered) / len(ordered), 3),
        "p50": round(1000 * ordered[last // 2], 3),
        "p99": round(1000 * ordered[round(last * 0.99)], 3),
        "max": round(1000 * ordered[-1], 3),
    }
