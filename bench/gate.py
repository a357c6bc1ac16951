"""What does a copy cost between the gate and its booking, against a bare memory channel that moves as many items?"""

import time

import trio

from bench.protocol import copy_all
from bench.timing import RUNS, row
from trio_copy.cli.garbage import relax_garbage_collection
from trio_copy.cli.load import _plan
from trio_copy.cli.stores import store_table

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
    plan = _plan(users=FOLLOWERS, follows=1, leaders=1, latency_ms=0, workers=None, store=store_table("memory", ()))
    ours = min(trio.run(copy_all, plan, SIGNALS)[0] for _ in range(RUNS)) * 1e6 / copies
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


if __name__ == "__main__":
    main()
