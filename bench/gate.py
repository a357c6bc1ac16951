"""What does a copy cost from the leader's log to its booking, with nothing durable and with everything durable?

Beside it, a bare memory channel that moves as many items, and an append that reaches the disk.
"""

import os
import tempfile
import time
from pathlib import Path

import trio
from attrs import define, field

from bench.timing import RUNS, percentile, row
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2
from trio_copy.chain.feed import Armed, FeedItem, Sealed, SeenLog
from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.cli.load import _plan
from trio_copy.cli.stores import store_table
from trio_copy.cli.synthetic import POLYGON, leader_buys
from trio_copy.clock import anchored_wall_clock, cpu_seconds
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan
from trio_copy.engine.seams import Seams
from trio_copy.entropy import seeded_entropy
from trio_copy.model.decisions import End
from trio_copy.telemetry.observer import Finished
from trio_copy.telemetry.tally import Tally
from trio_copy.testing.devnet import DevChain

FOLLOWERS = 100
SIGNALS = {"memory": 200, "sqlite": 100}
_IN_FLIGHT = 3
"""Signals that are under way at once, so that workers and writers always find something."""


class _Ends(Tally):
    """Keeps every lag from the decision to the durable end."""

    def __init__(self) -> None:
        super().__init__()
        self.lags: list[float] = []
        self._wanted, self._there = 0, trio.Event()

    def on_finished(self, finished: Finished) -> None:
        super().on_finished(finished)
        self.lags.append(finished.ended_at - finished.task.decided_at)
        if len(self.lags) == self._wanted:
            self._there.set()

    async def wait(self, count: int) -> None:
        """Wait until so many copies have ended."""
        if len(self.lags) < count:
            self._wanted, self._there = count, trio.Event()
            await self._there.wait()


def main() -> None:
    print(f"gate to booking: {FOLLOWERS} followers a signal, dry-run without latency, best of {RUNS}")
    tune_interpreter()
    channel = min(trio.run(_channel, 20_000) for _ in range(RUNS)) * 1e6 / 20_000
    row("baseline: a memory channel, one item each", channel)
    with tempfile.TemporaryDirectory() as folder:
        row("baseline: append and fdatasync, one record each", _fsync_s(Path(folder) / "probe") * 1e6)
        for store, signals in SIGNALS.items():
            best = min((_run(store, signals, folder, number) for number in range(RUNS)), key=lambda run: run.cpu_s)
            copies, lags = signals * FOLLOWERS, sorted(best.lags)
            print(
                f"  {store:<8} {1e6 * best.cpu_s / copies:8.1f} us of processor time per copy,"
                f" {copies / best.elapsed_s:7.0f} copies/s, lag p50 {1e3 * percentile(lags, 0.5):.1f} ms"
                f" p99 {1e3 * percentile(lags, 0.99):.1f} ms"
            )


def _run(store: str, signals: int, folder: str, number: int) -> "CopyAll":
    options = (f'path = "{folder}/store-{number}.db"',) if store == "sqlite" else ()
    run = CopyAll(signals)
    plan = _plan(users=FOLLOWERS, follows=1, leaders=1, latency_ms=0, workers=None, store=store_table(store, options))
    trio.run(run.run, plan)
    return run


def _fsync_s(path: Path) -> float:
    rounds = 200
    with path.open("ab", buffering=0) as file:
        started = time.perf_counter()
        for _ in range(rounds):
            file.write(b"x" * 200)
            os.fdatasync(file.fileno())
        return (time.perf_counter() - started) / rounds


async def _channel(count: int) -> float:
    send, receive = trio.open_memory_channel[int](FOLLOWERS)
    started = time.process_time()

    async def produce() -> None:
        with send:
            for number in range(count):
                await send.send(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce)
        with receive:
            async for _ in receive:
                pass
    return time.process_time() - started


@define
class CopyAll:
    """Feeds an engine with a leader's trades, a block each, until every copy is booked."""

    signals: int
    cpu_s: float = 0.0
    elapsed_s: float = 0.0
    lags: list[float] = field(factory=list)

    async def run(self, plan: Plan) -> None:
        wall, ends = anchored_wall_clock(), _Ends()
        chain, leader = DevChain(POLYGON, wall), plan.settings.follow[0].leader

        async def play(send: trio.MemorySendChannel[FeedItem]) -> None:
            await send.send(Armed(chain.head.ref))
            used, started = cpu_seconds(), time.perf_counter()
            for number in range(self.signals):
                chain.mine(leader_buys(leader, number, exchange=EXCHANGE_V2))
                await send.send(SeenLog(chain.head.logs[0], "bench", wall()))
                await send.send(Sealed(chain.head.ref))
                await ends.wait((number + 1 - _IN_FLIGHT) * FOLLOWERS)
            await ends.wait(self.signals * FOLLOWERS)
            self.cpu_s, self.elapsed_s = cpu_seconds() - used, time.perf_counter() - started

        seams = Seams(dial=_no_node, wall=wall, entropy=seeded_entropy(1), observer=ends, play=play)
        async with open_service(plan, seams, ()) as service:
            await service.run()
        assert ends.ends[End.FILLED] + ends.ends[End.PARTIAL] == self.signals * FOLLOWERS, ends.ends
        self.lags = ends.lags


async def _no_node(url: str) -> trio.abc.Stream:  # noqa: ASYNC124  a dial is async
    raise AssertionError(f"nobody dials {url}: the logs are brought here")


if __name__ == "__main__":
    main()
