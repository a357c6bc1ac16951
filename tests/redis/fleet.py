"""Several real processes on one Redis and one chain, and the checker that compares what they did with the truth."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import define, field

from tests.redis.server import RedisServer
from tests.redis.stores import open_redis
from trio_copy.accounts.telling import TaskEnd
from trio_copy.cli.synthetic import leader_buys, synthetic_address
from trio_copy.clock import anchored_wall_clock
from trio_copy.engine.books.books import BOOKINGS
from trio_copy.engine.shards.stored import booked_by, told_by
from trio_copy.model.control import shard_lease
from trio_copy.model.decisions import Code, End
from trio_copy.model.facts import FactQuery
from trio_copy.model.ids import Address
from trio_copy.model.positions import LedgerEntry
from trio_copy.ports import Store
from trio_copy.testing.devnet import Devnet, open_devnet

VENUE = Path(__file__).parent / "venue"
PREFIX = "fleet"
FOLLOWERS = ("alice", "bob", "carol", "frank", "niaj", "walter")
"""Of two, four or six shards, each has the account of one of them."""
_WORKERS = 20
_EVERYTHING = 1 << 30
_SOON_READ = 5_000
"""Facts."""
_PATIENCE_S = 120.0
"""Whole processes start, and take over, on a machine that may be busy: nothing is measured by how long that is waited for."""
_CONF = """
[engine]
name = "fleet"
deadline_s = {deadline_s}
send_timeout_s = 1.0
reconcile_every_s = 0.2
drain_s = 5.0
workers = {workers}
{engine}
[chain]
chain_id = 137
rescan_every_s = 2.0
[[endpoint]]
name = "devnet"
url = "{chain}"
[plugins]
allow = ["file-venue"]
[store.redis]
url = "{redis}"
prefix = "{prefix}"
timeout_s = 1.0
patience_s = {patience_s}
[shards]
{shards}
[executor.file-venue]
path = "{venue}"
poison = "{poison}"
[decoder.order-filled]
[defaults.filters]
max_age_s = {deadline_s}
[defaults.size]
mode = "shares"
ratio = 0.01
minimum_usd = 0
{defaults}
"""


@define(eq=False)
class Instance:
    """One `trio-copy run`, whose events stand in a file."""

    process: subprocess.Popen[bytes]
    log: Path
    stopped: bool = False

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        events = [json.loads(line) for line in lines if line.endswith("}")]
        return [event for event in events if not kind or event.get("event") == kind]

    def count(self, alert: str) -> int:
        """Count its alerts of a kind."""
        return sum(event["kind"] == alert for event in self.events("alert"))

    def told(self) -> str:
        """Return the last of what it said, without the trades."""
        lines = self.log.read_text().splitlines()
        dull = ('"fill"', '"signal"', '"report"', '"status"')
        return "\n".join(line[:300] for line in lines if not any(word in line[:30] for word in dull))[-3000:]

    def says(self, text: str) -> bool:
        return text in self.log.read_text()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; what is killed is dead when this returns, and what is stopped stands still."""
        self.process.send_signal(number)
        self.stopped = number is signal.SIGSTOP
        if self.stopped:
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)
        if number is signal.SIGKILL:
            self.process.wait(10)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


@define(eq=False)
class Fleet:
    folder: Path
    net: Devnet
    redis: RedisServer
    leaders: Sequence[Address]
    store: Store
    shards: int
    followers: Sequence[str]
    instances: list[Instance] = field(factory=list)
    traded: int = 0

    @property
    def venue(self) -> Path:
        return self.folder / "venue.jsonl"

    @property
    def conf(self) -> Path:
        return self.folder / "conf.toml"

    def start(self) -> Instance:
        """Start one more instance."""
        log = self.folder / f"instance-{len(self.instances)}.log"
        env = {**os.environ, "PYTHONPATH": str(VENUE), "TRIO_COPY_CONF": str(self.conf)}
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "trio_copy", "run", str(self.conf), "--json"], stdout=out, stderr=out, env=env
            )
        self.instances.append(Instance(process, log))
        return self.instances[-1]

    async def pause(self, one: Instance) -> None:
        """Stop a process in the middle of a send, where it waits for the venue's lock.

        Not where it holds that: others would wait for it. And not between its last look at the clock and the request, which
        no program can rule out: it would send when it wakes up, and the venue would take it for a new request.
        """
        with self.venue.open("a+") as venue:
            fcntl.flock(venue, fcntl.LOCK_EX)
            await self.wait(lambda: _waits_for_lock(one.process.pid), what="a send")
            one.send(signal.SIGSTOP)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a person would, beside the instances."""
        env = {**os.environ, "PYTHONPATH": str(VENUE), "TRIO_COPY_CONF": str(self.conf)}
        words = (sys.executable, "-m", "trio_copy", *words)
        return subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=60)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.command("status", "--json").stdout)
        return found

    async def wait(self, reached: Callable[[], bool], within_s: float = _PATIENCE_S, what: str = "") -> None:
        """Wait until something holds; a failure shows what the instances said last."""
        with trio.move_on_after(within_s) as waited:
            while True:
                await trio.sleep(0.05)
                if reached():
                    return
        if not (waited.cancelled_caught and reached()):
            tails = "\n".join(
                f"{one.log.name} ({'alive' if one.alive else one.process.returncode}): {one.told()}"
                for one in self.instances[-4:]
            )
            raise AssertionError(f"{what or 'it'} did not come about within {within_s:g} s\n{tails}")

    async def wait_owned(self, count: int, within_s: float = _PATIENCE_S) -> None:
        """Wait until so many instances own all shards between them, each its part: before that, a shard goes on to somebody."""

        async def owners() -> Counter[str]:
            names = [shard_lease(number) for number in range(self.shards)]
            held = await self.store.control.held(names)
            living = {f"-{one.process.pid}-" for one in self.instances if one.alive and not one.stopped}
            owned = [lease.owner for lease in held.values() if any(pid in lease.owner for pid in living)]
            return Counter(owned if len(owned) == len(names) else ())

        with trio.move_on_after(within_s) as waited:
            while len(shares := await owners()) != count or max(shares.values()) - min(shares.values()) > 1:  # noqa: ASYNC110
                await trio.sleep(0.05)
        if waited.cancelled_caught:
            await self.wait(lambda: False, 0, f"{count} owners of all shards, but {await owners()}")

    def trade(self, count: int = 1) -> None:
        """Let leaders buy, one after the other; each trade in a block of its own."""
        for _ in range(count):
            leader = self.leaders[self.traded % len(self.leaders)]
            self.net.chain.mine(leader_buys(leader, self.traded))
            self.traded += 1

    async def trade_for(self, seconds: float, per_second: float) -> None:
        """Let leaders trade steadily."""
        until = trio.current_time() + seconds
        while trio.current_time() < until:
            self.trade()
            await trio.sleep(1 / per_second)

    @asynccontextmanager
    async def look_at(self, redis: RedisServer) -> AsyncGenerator[None, None]:
        """Look at another server from here on."""
        async with open_redis(redis.url, PREFIX, {"timeout_s": 1.0}, shards=self.shards, guest=True) as store:
            self.store = store
            yield

    async def wait_quiet(self, within_s: float = _PATIENCE_S) -> None:
        """Wait until every copy of every trade has ended."""
        expected = self.traded * len(self.followers)
        ended, under_way, known = 0, 0, dict[str, float]()
        with trio.move_on_after(within_s) as waited:
            while True:
                self.net.chain.mine()  # heads keep coming, as on any chain
                # Only what is new, most of the time: the chain that the instances read is served by this very thread.
                looks_at_all = len(known) < _SOON_READ or trio.current_time() % 20 < 1
                since = None if looks_at_all else max(known.values()) - 5.0
                query = FactQuery(kinds=("filled", "ended"), since=since, limit=_EVERYTHING)
                known.update({fact.key: fact.at for fact in await self.store.history.facts(query)})
                ended, under_way = len(known), await self._under_way()
                if ended >= expected and not under_way:
                    return
                await trio.sleep(0.3)
        if waited.cancelled_caught:
            await self.wait(
                lambda: False, 0, f"the end of {expected} copies, but {ended} ended, {under_way} under way;"
            )

    async def ends(self) -> list[TaskEnd]:
        """Return how every copy ended, as the store tells it."""
        told = map(told_by, await self.store.history.facts(FactQuery(kinds=("filled", "ended"), limit=_EVERYTHING)))
        return [end for end in told if isinstance(end, TaskEnd)]

    async def booked(self) -> list[LedgerEntry]:
        """Return every booking that moved shares."""
        facts = await self.store.history.facts(FactQuery(kinds=BOOKINGS, limit=_EVERYTHING))
        return [entry for entry in map(booked_by, facts) if entry is not None and entry.shares]

    async def _under_way(self) -> int:
        history = self.store.history
        return len(await history.documents("waits")) + len(await history.documents("order"))

    async def wait_fills(self, count: int, within_s: float = _PATIENCE_S) -> None:
        """Wait until the venue has filled so many orders: for stores that have forgotten some."""
        with trio.move_on_after(within_s):
            while True:
                self.net.chain.mine()
                await trio.sleep(0.2)
                if len(self.sent()) >= count:
                    return
        await self.wait(lambda: len(self.sent()) >= count, 0, f"{count} fills, but {len(self.sent())}")

    def sent(self) -> list[dict[str, str]]:
        """Return what the venue was ever sent."""
        if not self.venue.exists():
            return []
        return [json.loads(line) for line in self.venue.read_text().splitlines()]

    async def check(self, *, ended_badly: int = 0, all_filled: bool = True) -> Counter[str]:
        """Compare the store with the venue's own file: nothing lost, nothing twice, nothing made up.

        So many owners may have ended, or lost their shards, in the middle of their work: what each had placed and not sent is
        never sent later, and ends with that reason.
        """
        ends, entries = await self.ends(), await self.booked()
        names = Counter(end.task.task_id for end in ends)
        assert len(names) == len(ends) == self.traded * len(self.followers), "a copy was lost or made twice"
        sent = self.sent()
        fills = Counter(line["order_id"] for line in sent if line["what"] == "fill")
        per_task = Counter(line["key"] for line in sent if line["what"] == "fill")
        assert set(fills.values()) <= {1}
        assert set(per_task.values()) <= {1}, "an order was filled twice"
        assert Counter(entry.key for entry in entries) == per_task, "the books and the venue disagree"
        filled = {end.task.task_id for end in ends if end.outcome and end.outcome.end is End.FILLED}
        assert filled == {entry.task_id for entry in entries}, "an end and the books disagree"
        if all_filled:
            others = [end.outcome for end in ends if end.task.task_id not in filled]
            why = Counter(map(str, others))
            assert {one.reason.code for one in others if one and one.reason} <= {Code.NOT_SENT}, why
            assert len(others) <= ended_badly * _WORKERS, why
        return Counter(line["what"] for line in sent)


def _waits_for_lock(pid: int) -> bool:
    return any("->" in row and str(pid) in row.split() for row in Path("/proc/locks").read_text().splitlines())


def losses(fleet: Fleet) -> int:
    """Count how often a living owner lost a shard: on a machine that is busy, a lease may run out."""
    return sum(one.count("shard-lost") for one in fleet.instances)


@asynccontextmanager
async def open_fleet(
    folder: Path,
    redis: RedisServer,
    *,
    shards: int = 4,
    leaders: int = 8,
    deadline_s: float = 120.0,
    patience_s: float = 30.0,
    heartbeat_s: float = 0.5,
    poison: str = "",
    more: str = "",
    engine: str = "",
    defaults: str = "",
    followers: Sequence[str] = FOLLOWERS,
    prefix: str = PREFIX,
    url: str = "",
) -> AsyncGenerator[Fleet, None]:
    """Serve a chain, write the configuration that all instances share, and end them all when the block does."""
    addresses = [synthetic_address("leader", number) for number in range(leaders)]
    async with open_devnet(137, anchored_wall_clock()) as net:  # type: ignore[arg-type]
        conf = _CONF.format(
            deadline_s=deadline_s,
            chain=net.url,
            redis=url or redis.url,
            prefix=prefix,
            patience_s=patience_s,
            shards=f"count = {shards}\nheartbeat_s = {heartbeat_s}\n{more}",
            venue=folder / "venue.jsonl",
            poison=poison,
            engine=engine,
            workers=_WORKERS,
            defaults=defaults,
        )
        conf += "".join(f'[[follower]]\nid = "{name}"\nexecutor = "file-venue"\n' for name in followers)
        conf += "".join(
            f'[[follow]]\nfollower = "{name}"\nleader = "{leader}"\n' for name in followers for leader in addresses
        )
        (folder / "conf.toml").write_text(conf)
        async with open_redis(url or redis.url, prefix, {"timeout_s": 1.0}, shards=shards, guest=True) as store:
            fleet = Fleet(folder, net, redis, addresses, store, shards, followers)
            try:
                yield fleet
            finally:
                for one in fleet.instances:
                    if one.alive:
                        one.send(signal.SIGCONT)
                        one.process.kill()
                    one.process.wait(10)
