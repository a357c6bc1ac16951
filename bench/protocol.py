"""What does the execution protocol cost per copy, with nothing durable and with everything durable?"""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import trio
from attrs import evolve

from bench.timing import percentile, row
from trio_copy.cli.garbage import relax_garbage_collection
from trio_copy.cli.load import _plan
from trio_copy.cli.stores import store_table
from trio_copy.clock import anchored_wall_clock, cpu_seconds
from trio_copy.config import EndpointSettings
from trio_copy.copying.catalog import Catalog
from trio_copy.copying.decide import decide
from trio_copy.engine.plan import Plan
from trio_copy.engine.service import Seams
from trio_copy.engine.wiring import open_service
from trio_copy.entropy import seeded_entropy
from trio_copy.model.decisions import End
from trio_copy.model.ids import ChainId
from trio_copy.telemetry.observer import Finished
from trio_copy.telemetry.tally import Tally
from trio_copy.testing.devnet import Devnet, open_virtual_devnet
from trio_copy.testing.samples import sample_signal

FOLLOWERS = 100
SIGNALS = {"memory": 100, "sqlite": 30}


class _Ends(Tally):
    """Keeps every lag from the gate to the recorded end."""

    def __init__(self) -> None:
        super().__init__()
        self.lags: list[float] = []

    def on_finished(self, finished: Finished) -> None:
        super().on_finished(finished)
        self.lags.append(finished.ended_at - finished.task.decided_at)


def main() -> None:
    print(f"protocol: {FOLLOWERS} followers per signal, dry-run without latency, gate to recorded end")
    relax_garbage_collection()
    with tempfile.TemporaryDirectory() as folder:
        fsync = _fsync_s(Path(folder) / "probe")
        row("baseline: append and fdatasync, one record each", fsync * 1e6)
        for store, options in (("memory", ()), ("sqlite", (f'path = "{folder}/store.db"',))):
            count = SIGNALS[store]
            plan = _plan(
                users=FOLLOWERS, follows=1, leaders=1, latency_ms=0, workers=None, store=store_table(store, options)
            )
            cpu, elapsed, lags = trio.run(copy_all, plan, count)
            copies = count * FOLLOWERS
            print(
                f"  {store:<8} {1e6 * cpu / copies:8.1f} us of processor time per copy,"
                f" {copies / elapsed:7.0f} copies/s, lag p50 {1e3 * percentile(lags, 0.5):.1f} ms"
                f" p99 {1e3 * percentile(lags, 0.99):.1f} ms"
            )


def _fsync_s(path: Path) -> float:
    rounds = 200
    with path.open("ab", buffering=0) as file:
        started = time.perf_counter()
        for _ in range(rounds):
            file.write(b"x" * 200)
            os.fdatasync(file.fileno())
        return (time.perf_counter() - started) / rounds


async def _mine(devnet: Devnet) -> NoReturn:
    """Let blocks pass, as a chain does: without heads, entries are halted."""
    while True:
        await trio.sleep(2)
        devnet.chain.mine()


async def copy_all(plan: Plan, signals: int) -> tuple[float, float, list[float]]:
    """Push signals through the gate until every copy is booked: processor seconds, seconds, and lags in order."""
    wall, ends = anchored_wall_clock(), _Ends()
    async with open_virtual_devnet(ChainId(137), wall) as devnet:
        seams = Seams(dial=devnet.dial, wall=wall, entropy=seeded_entropy(1), observer=ends)
        endpoints: Sequence[EndpointSettings] = (EndpointSettings(name="devnet", url=devnet.url),)
        async with open_service(plan, seams, endpoints) as service, trio.open_nursery() as nursery:
            await nursery.start(service.run)
            nursery.start_soon(_mine, devnet)
            (leader,) = service.book.leaders
            follows, everybody = service.book.of(leader), service.book.terms.followers
            used, started = cpu_seconds(), time.perf_counter()
            for number in range(signals):
                signal = evolve(sample_signal(number, now=wall()), leader=leader)
                tasks, _ = decide(signal, follows, everybody, now=wall(), deadline_s=3600.0, catalog=Catalog())
                await service.store.inbox.admit(signal, tasks, None)
                while ends.ends.total() < (number - 2) * FOLLOWERS:  # noqa: ASYNC110  an event would cost too
                    await trio.sleep(0.001)
            while ends.ends.total() < signals * FOLLOWERS:  # noqa: ASYNC110  an event would cost too
                await trio.sleep(0.001)
            used, elapsed = cpu_seconds() - used, time.perf_counter() - started
            assert ends.ends[End.FILLED] + ends.ends[End.PARTIAL] == signals * FOLLOWERS, ends.ends
            service.drain()
            nursery.cancel_scope.cancel()
    return used, elapsed, sorted(ends.lags)


if __name__ == "__main__":
    main()
