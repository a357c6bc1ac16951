"""How long do the commands about the books take, and how big do they get, with a million copies in the SQLite file?"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COPIES = 1_000_000
CONF = """
[chain]
chain_id = 137
[[endpoint]]
name = "nowhere"
url = "wss://nowhere.invalid"
[store.sqlite]
path = "{path}"
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


def main() -> None:
    print(f"books: {COPIES:,} copies and a quarter as many skips in SQLite, each command in a process of its own")
    with tempfile.TemporaryDirectory() as folder:
        path, conf = Path(folder) / "books.db", Path(folder) / "conf.toml"
        conf.write_text(CONF.format(path=path))
        started = time.perf_counter()
        # Apart from this process, which stays small: a child that it starts counts as at least as big.
        filling = (sys.executable, "-m", "bench.filling", str(path), str(COPIES))
        task = subprocess.run(filling, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        print(f"  filled in {time.perf_counter() - started:.0f} s, {path.stat().st_size / 1e6:,.0f} MB")
        for words, goal_s in GOALS_S:
            _measure([word.format(task=task) for word in words], conf, goal_s)


def _measure(words: list[str], conf: Path, goal_s: float) -> None:
    where = [str(conf)] if words == ["check"] else ["--conf", str(conf)]
    command = [sys.executable, "-m", "trio_copy", *words, *where]
    nothing = os.open(os.devnull, os.O_WRONLY)
    started = time.perf_counter()
    child = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 1)])
    _, _, used = os.wait4(child, 0)
    took, cpu, mib = time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    os.close(nothing)
    missed = "" if took <= goal_s and mib <= GOAL_MIB else "   MISSED"
    name = " ".join(word[:12] for word in words)
    print(f"  {name:<36} {took:6.2f} s {cpu:6.2f} s cpu {mib:5.0f} MiB   goal {goal_s} s, {GOAL_MIB} MiB{missed}")


if __name__ == "__main__":
    main()
