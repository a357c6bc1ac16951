"""How long do the commands about the books take, and how big do they get, with a million copies in SQLite, or in Redis?

python -m bench.books [sqlite | redis] [copies]
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.redis.server import running_redis

COPIES = 1_000_000
CONF = """
[chain]
chain_id = 137
[[endpoint]]
name = "nowhere"
url = "wss://nowhere.invalid"
[shards]
count = 1
{store}
[executor.dry-run]
[decoder.order-filled]
[[follower]]
id = "*"
executor = "dry-run"
"""
GOAL_MIB = 150
GOALS_S = (
    (("check",), 1),
    (("trades",), 1),
    (("trades", "--limit", "100000", "--json"), 5),
    (("trades", "--until", "2025-10-10"), 1),
    (("trades", "--follower", "user-7"), 1),
    (("skips",), 1),
    (("explain", "trade", "{task}"), 1),
    (("pnl",), 2),
    (("pnl", "--by", "day"), 2),
    (("pnl", "--by", "token"), 2),
    (("positions",), 2),
    (("status",), 2),
)


def main(name: str = "sqlite", wanted: str = str(COPIES)) -> None:
    copies = int(wanted)
    print(f"books: {copies:,} copies and a quarter as many skips in {name}, each command in a process of its own")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        conf = folder / "conf.toml"
        if name == "redis":
            place = stack.enter_context(running_redis()).url
            conf.write_text(CONF.format(store=f'[store.redis]\nurl = "{place}"'))
        else:
            place = str(folder / "books.db")
            conf.write_text(CONF.replace("[shards]\ncount = 1\n", "").format(store=f'[store.sqlite]\npath = "{place}"'))
        # An installed package is compiled; a checkout may be told not to keep what it compiles.
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
        started = time.perf_counter()
        # Apart from this process, which stays small: a child that it starts counts as at least as big.
        filling = (sys.executable, "-m", "bench.filling", name, place, str(copies))
        task = subprocess.run(filling, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        print(f"  filled in {time.perf_counter() - started:.0f} s")
        _run((sys.executable, "-m", "trio_copy", "check", str(conf)), environment)  # compiles
        for words, goal_s in GOALS_S:
            _measure([word.format(task=task) for word in words], conf, goal_s, environment)


def _measure(words: list[str], conf: Path, goal_s: float, environment: dict[str, str]) -> None:
    where = [str(conf)] if words == ["check"] else ["--conf", str(conf)]
    started = time.perf_counter()
    used = _run((sys.executable, "-m", "trio_copy", *words, *where), environment)
    took, cpu, mib = time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    missed = "" if took <= goal_s and mib <= GOAL_MIB else "   MISSED"
    name = " ".join(word[:12] for word in words)
    print(f"  {name:<36} {took:6.2f} s {cpu:6.2f} s cpu {mib:5.0f} MiB   goal {goal_s} s, {GOAL_MIB} MiB{missed}")


def _run(command: Sequence[str], environment: dict[str, str]) -> resource.struct_rusage:
    nothing = os.open(os.devnull, os.O_WRONLY)
    child = os.posix_spawn(command[0], list(command), environment, file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 1)])
    _, _, used = os.wait4(child, 0)
    os.close(nothing)
    return used


if __name__ == "__main__":
    main(*sys.argv[1:])
