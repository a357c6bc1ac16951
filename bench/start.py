"""How long does a command take before it begins, and a store before it can be traded on?

Commands: processor time of whole processes, from compiled modules. Stores: wall time and processor time, of what
an owner reads first (the open orders of a shard, with their accounts), of all accounts, and of the follows.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import trio

from bench.timing import RUNS
from tests.redis.server import running_redis
from trio_copy.accounts import OpenOrder
from trio_copy.accounts.documents import plain_open_order
from trio_copy.accounts.holdings import Holding
from trio_copy.accounts.names import order_name, position_name
from trio_copy.accounts.written_positions import plain_holding
from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.cli.synthetic import synthetic_address
from trio_copy.clock import anchored_wall_clock
from trio_copy.engine.shards.stored import stored_account
from trio_copy.model.catalog import Catalog
from trio_copy.model.follows import Follow
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.positions import Lot, Position
from trio_copy.model.units import Shares, Usd
from trio_copy.ports import Changes, Document, StoreContext
from trio_copy.records import write_plain
from trio_copy.registry import discover
from trio_copy.testing.samples import sample_order, sample_signal, sample_task

ACCOUNTS, POSITIONS, FOLLOWS = 10_000, 100, 1_000_000

_ROOT = Path(__file__).parents[1]
_BASELINE = ("-c", "import trio")
_COMMANDS: dict[str, Sequence[str]] = {
    "trio-copy --help": ("-m", "trio_copy", "--help"),
    "trio-copy check --help": ("-m", "trio_copy", "check", "--help"),
    "trio-copy check conf/demo.toml": ("-m", "trio_copy", "check", "conf/demo.toml"),
    "trio-copy check conf/shards.toml": ("-m", "trio_copy", "check", "conf/shards.toml"),
}


def main() -> None:
    print("Start: processor seconds, the best of several processes; the baseline is `import trio`")
    with tempfile.TemporaryDirectory() as compiled:
        # An installed package is compiled; a checkout may be told not to keep what it compiles.
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": compiled}
        baseline = _cpu_s(_BASELINE, environment)
        print(f"  {'python -c import trio':<46} {baseline:6.2f} s")
        for name, arguments in _COMMANDS.items():
            cpu_s = _cpu_s(arguments, environment)
            print(f"  {name:<46} {cpu_s:6.2f} s   {cpu_s / baseline:5.1f} times the baseline")
    print(
        f"Stores: {ACCOUNTS:,} accounts with {POSITIONS} positions each, every hundredth with an open order; {FOLLOWS:,} follows"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/start.db"
        trio.run(_stores, "sqlite", {"path": path})
        _follows("sqlite", path)
    with running_redis() as server:
        trio.run(_stores, "redis", {"url": server.url})
        _follows("redis", server.url)


def _follows(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "bench.follows", *words], cwd=_ROOT, check=True)


async def _stores(name: str, settings: dict[str, str]) -> None:
    plugin = discover().store(name)
    context = StoreContext(settings=plugin.settings(**settings), wall=anchored_wall_clock())
    names, catalog = [FollowerId(f"follower-{number}") for number in range(ACCOUNTS)], Catalog()
    async with plugin.open(context) as store:
        await store.accounts.take(0, 1)
        for number in range(0, ACCOUNTS, 50):
            puts = [document for name in names[number : number + 50] for document in _account(name)]
            await store.accounts.write(0, 1, number // 50 + 1, Changes(puts=puts))
        for number in range(0, FOLLOWS, 10_000):
            await store.follows.put([_follow(one) for one in range(number, min(FOLLOWS, number + 10_000))])
    tune_interpreter()  # as every run does first
    began = _now()
    async with plugin.open(context) as store:
        _row(name, "opened", began)
        began = _now()
        heads = await store.accounts.take(0, 2)
        first = {document.follower for document in heads.documents}
        for follower, documents in (await store.accounts.load(0, 2, first)).items():
            stored_account(follower, catalog, documents)
        _row(name, f"the {len(first)} accounts with open orders, ready", began)
        began, count = _now(), 0
        for number in range(0, ACCOUNTS, 1000):
            loaded = await store.accounts.load(0, 2, names[number : number + 1000])
            count += sum(map(len, loaded.values()))
        _row(name, f"all {count:,} documents of all accounts, read", began)
        began = _now()
        for follower, documents in loaded.items():
            stored_account(follower, catalog, documents)
        _row(name, f"{len(loaded):,} of these accounts, made of their documents", began)


def _account(name: FollowerId) -> Iterator[Document]:
    number = int(name.rpartition("-")[2])
    signal = sample_signal(number)
    task = sample_task(signal, name)
    if number % 100 == 0:
        order = OpenOrder(sample_order(task), task, task.intent.max_cost, members=(), placed_at=1.76e9, at=1.76e9)
        yield Document(name, "order", order_name(order), write_plain(plain_open_order(order)))
    lot = Lot(task.task_id, Shares(10_000_000), Usd(5_000_000), 1.76e9, True)
    held = plain_holding(Holding(Position(lots=(lot,), shares=lot.shares, cost=lot.cost)))
    body = write_plain(held)
    for token in range(POSITIONS):
        yield Document(name, "position", position_name((signal.leader, TokenId((1 << 200) + token))), body)


def _follow(number: int) -> Follow:
    return Follow(
        follower=FollowerId(f"follower-{number % ACCOUNTS}"), leader=synthetic_address("leader", number // ACCOUNTS)
    )


def _row(store: str, what: str, began: tuple[float, float]) -> None:
    wall, cpu = (now - before for now, before in zip(_now(), began, strict=True))
    print(f"  {store:<8} {what:<60} {wall:6.2f} s {cpu:6.2f} s cpu")


def _now() -> tuple[float, float]:
    """Return the time by the wall, and that of the processor, which what else runs on a machine does not change."""
    return time.perf_counter(), time.process_time()


def _cpu_s(arguments: Sequence[str], environment: dict[str, str]) -> float:
    best = float("inf")
    for _ in range(RUNS + 1):  # the first one compiles
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], cwd=_ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


if __name__ == "__main__":
    main()
