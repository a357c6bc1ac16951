"""What does a copy cost between the gate and its booking, against a bare memory channel that moves as many items?"""

import time
from collections.abc import Sequence

import trio

from bench.timing import RUNS, row
from trio_copy.cli.garbage import relax_garbage_collection
from trio_copy.cli.load import _plan
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import EndpointSettings
from trio_copy.copying.catalog import Catalog
from trio_copy.copying.decide import decide
from trio_copy.engine.plan import Plan
from trio_copy.engine.service import Seams
from trio_copy.engine.wiring import open_service
from trio_copy.entropy import seeded_entropy
from trio_copy.model.ids import ChainId
from trio_copy.telemetry.tally import Tally
from trio_copy.testing.devnet import open_virtual_devnet
from trio_copy.testing.samples import sample_signal

FOLLOWERS = 100
SIGNALS = 200


def main() -> None:
    copies = FOLLOWERS * SIGNALS
    print(
        f"gate and fan-out: {SIGNALS} signals x {FOLLOWERS} followers, dry-run, memory store, no latency, best of {RUNS}"
    )
    relax_garbage_collection()
    channel = min(trio.run(_channel, copies) for _ in range(RUNS)) * 1e6 / copies
    row("baseline: a memory channel, one item each", channel)
    plan = _plan(users=FOLLOWERS, follows=1, leaders=1, latency_ms=0, workers=None, store="memory", options=())
    ours = min(trio.run(_copy_all, plan) for _ in range(RUNS)) * 1e6 / copies
    row("decide, admit, lease, lane, reserve, freeze, send, book", ours, channel)
    print("  goal: at least 10,000 copies per second of processor time")


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


async def _copy_all(plan: Plan) -> float:
    """Push signals through the gate and wait until every copy is booked; the chain has no part in it."""
    wall, tally = anchored_wall_clock(), Tally()
    async with open_virtual_devnet(ChainId(137), wall) as devnet:
        seams = Seams(dial=devnet.dial, wall=wall, entropy=seeded_entropy(1), observer=tally)
        endpoints: Sequence[EndpointSettings] = (EndpointSettings(name="devnet", url=devnet.url),)
        async with open_service(plan, seams, endpoints) as service, trio.open_nursery() as nursery:
            await nursery.start(service.run)
            (leader,) = service.book.leaders
            follows, everybody = service.book.of(leader), service.book.terms.followers
            started = time.process_time()
            for number in range(SIGNALS):
                signal = sample_signal(number, now=wall())
                tasks, _ = decide(signal, follows, everybody, now=wall(), deadline_s=3600.0, catalog=Catalog())
                await service.store.inbox.admit(signal, tasks, None)
                while tally.ends.total() < (number - 2) * FOLLOWERS:  # noqa: ASYNC110  an event would cost too
                    await trio.lowlevel.checkpoint()
            while tally.ends.total() < SIGNALS * FOLLOWERS:  # noqa: ASYNC110  an event would cost too
                await trio.lowlevel.checkpoint()
            used = time.process_time() - started
            service.drain()
    return used


if __name__ == "__main__":
    main()
