"""How fast is the Redis store, against what redis-benchmark gets out of the same server?"""

import csv
import shutil
import subprocess
import sys
import time
from pathlib import Path

import trio

from bench.timing import row
from tests.redis.server import RedisServer, redis_server, running_redis
from tests.redis.stores import new_prefix, open_redis
from trio_copy.model.decisions import End, Outcome
from trio_copy.testing.samples import EXECUTOR, sample_signal, sample_task

SIGNALS = 1000
ROUND_TRIPS = 2000
_FILLED = Outcome(end=End.FILLED)


def main() -> None:
    print("the Redis store, one redis-server on the same machine, nothing persisted")
    with running_redis() as server:
        limit = _redis_benchmark(server)
        print(f"  baseline: redis-benchmark, XADD, 50 connections: {limit:,.0f} a second")
        for followers in (1, 10, 100):
            trio.run(_admit, server, followers)
        trio.run(_round_trip, server)
        trio.run(_two_instances, server)


def _redis_benchmark(server: RedisServer) -> float:
    """Return XADDs per second, as redis-benchmark measures them; 0 where there is no redis-benchmark."""
    beside = Path(redis_server()).with_name("redis-benchmark")
    found = str(beside) if beside.exists() else shutil.which("redis-benchmark")
    if found is None:
        return 0.0
    words = [found, "-p", str(server.port), "-n", "100000", "-c", "50", "--csv", "XADD", "bench", "*", "t", "x" * 64]
    lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    return float(next(csv.reader([lines[-1]]))[1])


async def _admit(server: RedisServer, followers: int) -> None:
    count = max(50, SIGNALS // followers)
    signals = [sample_signal(number) for number in range(count)]
    tasks = {s.signal_id: [sample_task(s, f"follower-{n}") for n in range(followers)] for s in signals}
    async with open_redis(server.url, new_prefix(), queue_capacity=10_000_000) as store:
        waiting = list(reversed(signals))

        async def admit() -> None:
            while waiting:
                signal = waiting.pop()
                await store.inbox.admit(signal, tasks[signal.signal_id], None)

        began, cpu = time.perf_counter(), time.process_time()
        async with trio.open_nursery() as nursery:
            for _ in range(16):
                nursery.start_soon(admit)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    per_task = cpu * 1e6 / (count * followers)
    print(
        f"  admit, {followers:3} followers: {count / took:8,.0f} signals/s {count * followers / took:9,.0f} tasks/s,"
        f" {per_task:6.1f} us of our processor time per task"
    )


async def _round_trip(server: RedisServer) -> None:
    """One task at a time: admitted, leased by somebody who waits, ended."""
    async with open_redis(server.url, new_prefix()) as gate:
        took = []
        for number in range(ROUND_TRIPS):
            signal = sample_signal(number)
            began = time.perf_counter()
            await gate.inbox.admit(signal, [sample_task(signal)], None)
            (task,) = await gate.inbox.lease(EXECUTOR, "me", 1)
            await gate.inbox.complete(task.task_id, "me", _FILLED)
            took.append(time.perf_counter() - began)
    took.sort()
    print(
        f"  admit, lease, complete, one after the other: p50 {took[len(took) // 2] * 1e3:.2f} ms,"
        f" p99 {took[int(len(took) * 0.99)] * 1e3:.2f} ms"
    )


async def _two_instances(server: RedisServer) -> None:
    """Drain the same queue through one store and through two, as processes that share a machine would."""
    found = {}
    for instances in (1, 2):
        prefix = new_prefix()
        command = [sys.executable, "-m", "bench.redis", "worker", server.url, prefix]
        async with open_redis(server.url, prefix, queue_capacity=10_000_000) as store:
            for number in range(200):
                signal = sample_signal(number)
                await store.inbox.admit(signal, [sample_task(signal, f"follower-{n}") for n in range(50)], None)
            began = time.perf_counter()
            async with trio.open_nursery() as nursery:
                for _ in range(instances):
                    nursery.start_soon(trio.run_process, command)
            found[instances] = 10_000 / (time.perf_counter() - began)
    print(
        f"  lease and complete 10,000 tasks of one shard, start of the processes included: one instance {found[1]:,.0f}/s,"
        f" two {found[2]:,.0f}/s"
    )
    row("two instances, microseconds per task", 1e6 / found[2], 1e6 / found[1])


async def _work(url: str, prefix: str) -> None:
    async with open_redis(url, prefix) as store:
        while tasks := await store.inbox.lease_nowait(EXECUTOR, prefix + str(id(store)), 200):
            async with trio.open_nursery() as nursery:
                for task in tasks:
                    nursery.start_soon(store.inbox.complete, task.task_id, prefix + str(id(store)), _FILLED)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        trio.run(_work, sys.argv[2], sys.argv[3])
    else:
        main()
