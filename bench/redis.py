"""What does a copy cost in the Redis store, in our process and in the server's, and how fast are questions about many?

python -m bench.redis [copies that are kept]
"""

import random
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, NamedTuple

import trio

from tests.redis.server import RedisServer, running_redis
from tests.redis.stores import new_prefix, open_redis
from trio_copy.model.facts import Fact, FactQuery
from trio_copy.model.ids import Address, FollowerId, OrderId, SignalId, TaskId, TokenId
from trio_copy.ports import Changes, Document, Store
from trio_copy.sockets import open_socket
from trio_copy_redis.address import read_place
from trio_copy_redis.client import Client, open_client

FOLLOWERS = 100
"""Of each leader: one signal is one group of so many copies that are placed, and one of so many that are learned."""
SIGNALS_PER_S = 20
SECONDS = 2
RUNS = 5
"""Of which the best counts, so that a busy machine disturbs less."""
KEPT = 1_000_000
MARKETS = 500
ACCOUNTS = 10_000
_PERSISTENCE: dict[str, Sequence[str]] = {
    "no file": (),
    "everysec": ("--appendonly", "yes", "--appendfsync", "everysec"),
    "always": ("--appendonly", "yes", "--appendfsync", "always"),
}
_LUCK = random.Random(1)


class Cost(NamedTuple):
    client_us: float
    server_us: float
    commands: float
    """As the server counts them, those inside scripts included."""
    sent: float
    """Bytes that the server received."""


def main(wanted: str = str(KEPT)) -> None:
    kept = int(wanted)
    print(
        f"the Redis store, {FOLLOWERS} followers a signal, {FOLLOWERS * SIGNALS_PER_S:,} copies a second, per copy, best of {RUNS}"
    )
    print("                                         client CPU  server CPU   commands  bytes sent")
    for name, options in _PERSISTENCE.items():
        with running_redis(*options) as server:
            trio.run(_compare, server, name)
    with running_redis() as server:
        trio.run(_start, server)
        trio.run(_questions, server, kept)


async def _compare(server: RedisServer, name: str) -> None:
    """Keep the same bytes a copy in the two ways, in turns."""
    signals = [_signal(number) for number in range(SIGNALS_PER_S * SECONDS)]
    size = sum(map(_bytes_of, signals)) // (len(signals) * FOLLOWERS)
    bare, ours = list[Cost](), list[Cost]()
    async with _bare_client(server) as client, open_redis(server.url, new_prefix()) as store:
        for token in range(1, RUNS + 1):
            bare.append(await _cost(server, partial(_hset, client, len(signals), size)))
            await store.accounts.take(0, token)
            ours.append(await _cost(server, partial(_copy, store, token, signals)))
    _row(f"{name}: a bare HSET of {size:,} bytes", bare)
    _row(f"{name}: placed and learned", ours)


def _bare_client(server: RedisServer) -> AbstractAsyncContextManager[Client]:
    return open_client(
        read_place(server.url),
        timeout_s=5.0,
        patience_s=5.0,
        open_socket=open_socket,
        on_trouble=lambda kind, detail: None,
        client_name="bench",
    )


def _row(name: str, costs: Sequence[Cost]) -> None:
    best = Cost(*map(min, zip(*costs, strict=True)))
    print(f"  {name:<38} {best.client_us:7.1f} us  {best.server_us:7.1f} us   {best.commands:8.2f}  {best.sent:10,.0f}")


async def _cost(server: RedisServer, run: Callable[[], Awaitable[int]]) -> Cost:
    before, cpu = _told(server), time.process_time()
    copies = await run()
    cpu = time.process_time() - cpu
    after = _told(server)
    server_s, commands, sent = (after[i] - before[i] for i in range(3))
    return Cost(1e6 * cpu / copies, 1e6 * server_s / copies, commands / copies, sent / copies)


def _told(server: RedisServer) -> tuple[float, float, float]:
    lines = (line.partition(":") for line in (server.ask("INFO", "cpu") + server.ask("INFO", "stats")).splitlines())
    info = {name: value for name, _, value in lines}
    cpu = float(info["used_cpu_user"]) + float(info["used_cpu_sys"])
    return cpu, float(info["total_commands_processed"]), float(info["total_net_input_bytes"])


async def _hset(client: Client, groups: int, size: int) -> int:
    body = b"x" * size
    for number in range(groups):
        due = trio.current_time() + 1 / SIGNALS_PER_S
        await client.all(
            [partial(client.call, "{b}", "HSET", "{b}:h", f"{number} {i}", body) for i in range(FOLLOWERS)]
        )
        await trio.sleep_until(due)
    return groups * FOLLOWERS


class Signal(NamedTuple):
    placed: Changes
    learned: Changes


async def _copy(store: Store, token: int, signals: Sequence[Signal]) -> int:
    """Place each signal, and learn what came of it while the next one is on its way."""
    for number, signal in enumerate(signals):
        due = trio.current_time() + 1 / SIGNALS_PER_S
        await store.accounts.write(0, token, 2 * number + 1, signal.placed)
        await trio.sleep(0.02)
        await store.accounts.write(0, token, 2 * number + 2, signal.learned)
        await trio.sleep_until(due)
    return len(signals) * FOLLOWERS


def _signal(number: int) -> Signal:
    """Make what is written of one signal: an order, budgets and a position of each follower, and its end as a fact."""
    facts = _facts(number)
    puts, learned = list[Document](), list[Document]()
    for fact in facts:
        puts += [
            Document(fact.follower, "order", f"{fact.task_id}/1/{fact.signal_id}", _body(600)),
            Document(fact.follower, "budgets", "", _body(150)),
        ]
        learned += [
            Document(fact.follower, "position", f"{fact.leader}/{number % 200}", _body(220)),
            Document(fact.follower, "budgets", "", _body(150)),
        ]
    return Signal(
        Changes(puts=puts),
        Changes(puts=learned, deletes=[one.key for one in puts if one.kind == "order"], facts=facts),
    )


def _facts(number: int) -> list[Fact]:
    signal, leader, token = _hex(64), f"0x{number % 50:040x}", TokenId(2**254 + number % MARKETS)
    facts = []
    for i in range(FOLLOWERS):
        task = _hex(64)
        facts.append(
            Fact(
                key=f"task:{task}",
                kind="filled",
                at=1.8e9 + number / SIGNALS_PER_S,
                follower=FollowerId(f"follower-{i}"),
                leader=Address(leader),
                token_id=token,
                signal_id=SignalId(signal),
                task_id=TaskId(task),
                order_id=OrderId("0x" + _hex(64)),
                amounts=(1, 5_000_000 + i, 0, 12_500, 0, 0),
                body=_body(420),
            )
        )
    return facts


def _bytes_of(signal: Signal) -> int:
    documents = sum(len(one.body) for changes in signal for one in changes.puts)
    return documents + sum(len(one.body) for one in signal.learned.facts)


def _hex(digits: int) -> str:
    return f"{_LUCK.getrandbits(4 * digits):0{digits}x}"


def _body(size: int) -> bytes:
    """Make something that does not shrink more than JSON full of ids and numbers."""
    return _hex(size // 2).encode() + b'{"shares":"10.5"}' * (size // 34)


async def _start(server: RedisServer) -> None:
    """Take over a shard with many accounts."""
    prefix, names = new_prefix(), [FollowerId(f"follower-{number}") for number in range(ACCOUNTS)]
    async with open_redis(server.url, prefix) as store:
        await store.accounts.take(0, 1)
        for number in range(0, ACCOUNTS, 100):
            puts = [
                Document(name, *what)
                for name in names[number : number + 100]
                for what in (("order", f"{name}/1", _body(600)), *(("position", f"{n}", _body(220)) for n in range(10)))
            ]
            await store.accounts.write(0, 1, number // 100 + 1, Changes(puts=puts))
    async with open_redis(server.url, prefix) as store:
        print(f"  {ACCOUNTS:,} accounts, an open order and ten positions each")
        await _asked(server, "taken over: the open orders", partial(store.accounts.take, 0, 2))
        await _asked(server, "all accounts whole", partial(store.accounts.load, 0, 2, names))
        await _asked(server, "all positions, for people", partial(store.history.documents, "position"))


async def _questions(server: RedisServer, kept: int) -> None:
    """Ask about many facts that are kept."""
    prefix = new_prefix()
    async with open_redis(server.url, prefix, {"facts_max": 10 * kept}) as store:
        await store.accounts.take(0, 1)
        before = _memory(server)
        for number in range(kept // FOLLOWERS):
            facts = _facts(number)
            await store.accounts.write(0, 1, number + 1, Changes(facts=facts))
        print(f"  {kept:,} facts kept: {(_memory(server) - before) / kept:,.0f} bytes each in Redis")
        task = facts[50].task_id
    async with open_redis(server.url, prefix, {"facts_max": 10 * kept}) as store:
        history, filled = store.history, FactQuery(kinds=["filled"])
        await _asked(server, "sums by leader and day", partial(history.sums, filled, ("leader", "day")))
        await _asked(
            server,
            "sums by follower, leader and token",
            partial(history.sums, filled, ("follower", "leader", "token_id")),
        )
        one = FactQuery(kinds=["filled"], follower=FollowerId("follower-7"))
        await _asked(server, "the newest 1,000 facts", partial(history.facts, filled))
        await _asked(server, "the newest 1,000 of one follower", partial(history.facts, one))
        await _asked(server, "facts of a kind that there is none of", partial(history.facts, FactQuery(kinds=["none"])))
        await _asked(server, "the story of a task", partial(history.story, task[:10]))
        await _asked(server, "the story of nothing", partial(history.story, "nothing"))
    slowest = server.ask("SLOWLOG", "GET", 1)
    print(f"  the slowest call kept the server for {max([0, *(entry[2] for entry in slowest)]) / 1000:.1f} ms")


async def _asked(server: RedisServer, what: str, ask: Callable[[], Awaitable[Any]]) -> None:
    before, began, cpu = _told(server), time.perf_counter(), time.process_time()
    await ask()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    busy = _told(server)[0] - before[0]
    print(f"  {what:<36} {took:6.2f} s: {cpu:5.2f} s ours, {busy:5.2f} s the server's; our peak so far {peak:,.0f} MB")


def _memory(server: RedisServer) -> int:
    (line,) = (line for line in server.ask("INFO", "memory").splitlines() if line.startswith("used_memory:"))
    return int(line.partition(":")[2])


if __name__ == "__main__":
    main(*sys.argv[1:])
