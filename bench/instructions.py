"""How many instructions does a copy take, from the leader's log to its booking? Counted by valgrind, so that it repeats.

Two runs in virtual time, side by side, differ by `MORE` leader trades; what they take apart is what these trades take, a devnet's
node and its connection included. The machine's load and the opening of the store have no part in it, nor has the start of Python,
which is run without counting, five times as fast.
`python -m bench.instructions --gate sqlite` exits with 1 above the limit; without a store, all are counted. Redis is a real server
beside each run; what it does itself is not counted.

`python -m bench.instructions alone memory` counts from the gate to the booking alone, as `bench gate` plays it, by a real clock:
repeated to a hundredth or two.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import trio

from bench.gate import CopyAll
from tests.redis.server import running_redis
from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.cli.load import _leaders, _plan
from trio_copy.cli.simulation import Load, simulate
from trio_copy.cli.stores import store_table
from trio_copy.clock import wall_clock_from
from trio_copy.testing.devnet import open_virtual_devnet
from trio_copy.testing.virtual import run_virtually

FOLLOWERS = 100
FEW, MORE = 1, 3
ALONE = 12
"""By a real clock turns of the loop differ from run to run: so many make little of that."""
LIMITS = {"memory": 1_020_000, "sqlite": 1_200_000}
"""Instructions per copy, with a tenth to spare above what was counted when they were set."""
STORES = (*LIMITS, "redis")
"""Redis has no limit: it takes minutes, because virtual time waits in real time for its answers."""
_START = 1_764_000_000.0
_ANSWERS_S = 0.02
"""Real seconds within which a server on a busy machine answers; so long each pause of virtual time takes."""


def main() -> int:
    alone = "alone" in sys.argv
    how, counted = ("from the gate to the booking", ALONE) if alone else ("devnet, virtual time", MORE)
    print(f"instructions: {FOLLOWERS} followers a signal, dry-run, {how}, {counted} leader trades counted")
    over = []
    for store in [store for store in STORES if store in sys.argv] or STORES:
        limit = None if alone else LIMITS.get(store)
        with ExitStack() as servers:
            places = [servers.enter_context(running_redis()).url if store == "redis" else "" for _ in range(2)]
            runs = [_start(store, events, at, alone) for events, at in zip((FEW, FEW + counted), places, strict=True)]
            few, more = map(_count, runs)
        taken = (more - few) // (counted * FOLLOWERS)
        told = "no limit" if limit is None else f"limit {limit / 1000:,.0f} k"
        print(f"  {store:<8} {taken / 1000:8,.0f} k per copy   {told}")
        if limit is not None and taken > limit:
            over.append(store)
    if over and "--gate" in sys.argv:
        print(f"over the limit: {', '.join(over)}; profile it, or say in bench/instructions.py why it may take more")
        return 1
    return 0


def _start(store: str, events: int, server: str, alone: bool) -> "subprocess.Popen[str]":
    command = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=/dev/null")
    child = "--alone" if alone else "--child"
    run = (sys.executable, "-m", "bench.instructions", child, store, str(events), server)
    return subprocess.Popen(
        (*command, *run), env={**os.environ, "PYTHONHASHSEED": "0"}, stderr=subprocess.PIPE, text=True
    )


def _count(run: "subprocess.Popen[str]") -> int:
    _, told = run.communicate()
    found = re.search(r"Collected : (\d+)", told)
    assert run.returncode == 0, told
    assert found is not None, told
    return int(found[1])


def _count_from_here() -> None:
    """Let the valgrind around this process begin to count. It hears between instructions: not while we wait for long."""
    with subprocess.Popen(("callgrind_control", "-i", "on", str(os.getpid())), stdout=subprocess.DEVNULL) as told:
        while told.poll() is None:
            time.sleep(0.01)
    assert told.returncode == 0, "callgrind_control"


async def _in_place(run: Callable[[], Any]) -> Any:  # noqa: ANN401  whatever it returns
    await trio.lowlevel.checkpoint()
    return run()


def _child(store: str, events: int, server: str, *, alone: bool) -> None:
    copy = _copy_alone if alone else _copy_in_a_world
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "memory": (),
            "sqlite": (f'path = "{folder}/books.db"',),
            "redis": (f'url = "{server}"', "timeout_s = 3600.0"),  # of virtual time
        }[store]
        # Half of what is ever loaded is loaded by an engine that starts, the store's own modules among it: in a fresh checkout
        # one of the two runs would compile them, and the other one find them compiled.
        if store == "sqlite":
            copy(store, (f'path = "{folder}/before.db"',), FEW, 0.0)
        else:
            copy("memory", (), FEW, 0.0)
        # As every run does. With Python's own thresholds, or with what is loaded among what is looked at, whether a collection
        # falls among the trades that count decides about a tenth, and a twentieth, of the figure.
        tune_interpreter()
        _count_from_here()
        copy(store, options, events, _ANSWERS_S if server else 0.0)


def _copy_alone(store: str, options: Sequence[str], events: int, _: float) -> None:
    table = store_table(store, options)
    trio.run(CopyAll(events).run, _plan(users=FOLLOWERS, follows=1, leaders=1, latency_ms=0, workers=None, store=table))


def _copy_in_a_world(store: str, options: Sequence[str], events: int, patience_s: float) -> None:
    said = play(store, options, events, patience_s)
    assert said["tasks"] == events * FOLLOWERS, said
    assert not said["lost"], said


def play(store: str, options: Sequence[str], events: int, patience_s: float) -> dict[str, Any]:
    """Let so many trades of one leader be copied in virtual time; returns what `load simulate` says of it.

    `patience_s` is how long, in real seconds, virtual time waits for answers from outside.
    """
    plan = _plan(users=FOLLOWERS, follows=1, leaders=1, latency_ms=30, workers=None, store=store_table(store, options))
    load = Load(events=events, rate_per_s=20.0, leaders=_leaders(plan), seed=1, latency_s=0.03)

    async def run() -> dict[str, Any]:
        return await simulate(plan, load, open_virtual_devnet, wall_clock_from(_START), lambda done: None, _in_place)

    return run_virtually(run, seed=1, patience_s=patience_s)


if __name__ == "__main__":
    if "--child" in sys.argv or "--alone" in sys.argv:
        _child(sys.argv[-3], int(sys.argv[-2]), sys.argv[-1], alone="--alone" in sys.argv)
    else:
        sys.exit(main())
