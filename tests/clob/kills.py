"""`python -m tests.clob.kills`: engines are killed around a send, whatever the venue does, and come back; all of it is real.

Engine and venue are processes of their own that speak HTTP, the store is a file or a server, and SIGKILL ends the engine at a
point that it names (`tests.clob.killed`). The venue's record, which it writes to a file, is then compared with the books.
"""

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import trio
from attrs import define, field, frozen

from tests.builders import LEADER, POLYGON
from tests.clob.compared import Left, Member, keys_in
from tests.clob.crowd import members
from tests.crash.books import read_books
from tests.crash.script import truth_of
from tests.crash.stores import Place
from tests.redis.server import running_redis
from tests.redis.stores import open_redis
from trio_copy.clock import anchored_wall_clock
from trio_copy.engine.plan import load_plan
from trio_copy.errors import leaves_of
from trio_copy.model.facts import FactQuery
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, OrderId, TokenId
from trio_copy.model.orders import Order, Wallet
from trio_copy.model.units import Price, Rounding, Shares, Usd
from trio_copy.ports import Store
from trio_copy.signing.arming import arm, limits_of
from trio_copy.testing.clob_venue import Answered, VenueRecord, read_record
from trio_copy.testing.devnet import Devnet, ScriptedMarket, open_devnet
from trio_copy.testing.devnet.market import seeded_market

ROOT = Path(__file__).parents[2]
POINTS: Mapping[str, str] = {
    "before it is durable": "place: decided",
    "before the guard's journal": "place: durable",
    "before the first byte": "wire: nothing sent",
    "in the middle of its body": "wire: half sent",
    "after its body": "wire: sent",
    "before the answer": "wire: waits",
    "after the answer": "wire: answered",
    "before it is booked": "send: answered",
    "before that is durable": "send: learned",
    "after it is booked": "send: learned > write: durable",
    "while it is proven": "prove: answered",
}
_POST = "path=POST /order"
FAULTS: Mapping[str, Sequence[str]] = {
    "good": (),
    "request lost": (_POST, "drop", "requests=2"),
    "answer lost": (_POST, "lose_reply", "requests=2"),
    "answer cut": (_POST, "body=cut", "requests=2"),
    "garbage": (_POST, "body=garbage", "requests=2"),
    "stalls": (_POST, "stall", "requests=2"),
    "stalls, carried out": (_POST, "stall", "carried_out", "requests=2"),
    "500": (_POST, "status=500", "requests=2"),
    "500, carried out": (_POST, "status=500", "carried_out", "requests=2"),
    "425": (_POST, "status=425", "requests=2"),
    "429": (_POST, "status=429", "retry_after_s=1", "requests=2"),
    "429, carried out": (_POST, "status=429", "carried_out", "requests=2"),
    "503": (_POST, "status=503", "requests=2"),
    "settles late": ("mined_after_s=10", "confirmed_after_s=10"),
    "settles late, told late": ("mined_after_s=10", "order_answer=no_amounts", "trades_lag_s=15"),
    "undone": ("settles=undone",),
    "delayed, matched": ("order_answer=delayed",),
    "delayed, killed": ("order_answer=delayed", "later=killed"),
    "another id": ("order_answer=other_id",),
}
STORES = ("sqlite", "redis")
_KINDS = ("FAK", "GTC", "FOK", "GTD")
"""Of the followers' entries, by turns; each has a wallet of another type as well."""
_SEED = 1
_DEADLINE_S = 120
_REST_S = 200
_BLOCK_S = 2.0
_PATIENCE_S = 300.0
"""Longer than anything that is waited for takes: the proof that something was never there takes a minute."""
_ARMED_S = 86_400
_ALL_FACTS = 1 << 30
_CONF = """
[engine]
name = "kills"
mode = "live"
deadline_s = {deadline_s}
reconcile_every_s = 1.0
workers = 20
[chain]
chain_id = 137
rescan_every_s = 10.0
[[endpoint]]
name = "devnet"
url = "{chain}"
[signing]
folder = "{folder}/signing"
{store}
[executor.clob]
clob_url = "{venue}"
geoblock_url = "{venue}/api/geoblock"
[decoder.order-filled]
[defaults.filters]
max_age_s = {deadline_s}
[defaults.size]
mode = "ratio"
ratio = 0.1
minimum_usd = 0
"""
_MEMBER = """
[wallet.{name}]
key = "file:{folder}/{name}.key"
address = "{address}"
signature_type = {kind}
[[follower]]
id = "{name}"
executor = "clob"
wallet = "{name}"
[[follow]]
follower = "{name}"
leader = "{leader}"
[follow.execution]
order_type = "{order_type}"
rest_s = {rest_s}
"""


@frozen(kw_only=True)
class Case:
    point: str
    fault: str
    nth: int = 1
    """At the point for this order."""
    store: str = "sqlite"

    def __str__(self) -> str:
        return f"killed {self.point} #{self.nth}, venue {self.fault}, {self.store}"


@frozen(kw_only=True)
class Played:
    problems: Sequence[str]
    died: bool
    """Whether the point was reached."""


@define(eq=False, kw_only=True)
class _World:
    """What outlives an engine."""

    folder: Path
    net: Devnet
    market: ScriptedMarket
    place: "_Place"
    members: Sequence[Member]
    armed: list[int] = field(factory=list)
    """The blocks from which on its engines copied."""
    traded: int = 0

    @property
    def record(self) -> Path:
        return self.folder / "record.jsonl"

    @property
    def conf(self) -> Path:
        return self.folder / "conf.toml"

    def write_conf(self, venue: str) -> None:
        """Write the configuration, and the keys, and arm the wallets."""
        conf = _CONF.format(
            chain=self.net.url, folder=self.folder, venue=venue, store=self.place.table, deadline_s=_DEADLINE_S
        )
        for number, one in enumerate(self.members):
            path = self.folder / f"{one.name}.key"
            path.touch(0o600)
            path.write_text((number + 1).to_bytes(32, "big").hex())
            conf += _MEMBER.format(
                name=one.name,
                folder=self.folder,
                address=one.address,
                kind=int(one.kind),
                leader=LEADER,
                order_type=_KINDS[number % len(_KINDS)],
                rest_s=_REST_S,
            )
        self.conf.write_text(conf)
        settings = load_plan(self.conf).settings
        for one in self.members:
            limits = limits_of(settings.wallet[one.name].policy, POLYGON)
            arm(settings.signing.path, one.address, limits, anchored_wall_clock()() + _ARMED_S)

    def trade(self) -> None:
        """Let the leader buy on two exchanges; and then, on the third, more, and sell of what he has."""
        first, second, third = self.market.outcomes[0], self.market.outcomes[2], self.market.outcomes[4]
        buys = [(Side.BUY, first, 100), (Side.BUY, second, 120)]
        trades = [(Side.BUY, third, 140), (Side.SELL, first, 60)] if self.traded else buys
        self.net.chain.mine(*(self.market.fill(LEADER, side, one, Shares.parse(many)) for side, one, many in trades))
        self.traded += len(trades)

    async def is_quiet(self) -> bool:
        """Tell whether everything that was traded has come to its end, and nothing is open any more."""
        async with self.place.look() as store:
            for kind in ("waits", "order"):
                if await store.history.documents(kind):
                    return False
            ended = await store.history.facts(FactQuery(kinds=("filled", "ended", "skip"), limit=_ALL_FACTS))
        return len(ended) >= self.traded * len(self.members)

    async def problems(self) -> list[str]:
        async with self.place.look() as store:
            books = await read_books(store)
        record, signing = read_record(self.record), self.folder / "signing"
        left = Left(
            record=record,
            members=self.members,
            signing=signing,
            truth=truth_of(self.net.chain),
            armed=min(self.armed, default=None),
            sent={one.order_id: one for one in _orders_in(record, set(keys_in(signing)), self.members)},
        )
        return left.problems(books)


@frozen
class _Place:
    """Where the books are."""

    table: str
    look: Any
    """Opens them, to be looked at: `() -> AsyncContextManager[Store]`."""


def _orders_in(record: VenueRecord, keys: set[str], members: Sequence[Member]) -> Iterator[Order]:
    """Yield the orders that a venue was sent and guards have let leave: its own words, and their keys, which begin with their salts."""
    named = {key[:12]: key for key in keys}
    names = {str(one.address): one.name for one in members}
    for one in record.of(Answered):
        if (one.method, one.path) != ("POST", "/order") or not one.order_ids:
            continue
        fields: dict[str, Any] = msgspec.json.decode(one.body)["order"]
        key = named.get(f"{fields['salt']:012x}")
        if key is None:
            continue
        side, maker = Side(fields["side"]), fields["maker"].lower()
        given, got = Shares(int(fields["makerAmount"])), Shares(int(fields["takerAmount"]))
        shares, cash = (got, Usd(given.micro)) if side is Side.BUY else (given, Usd(got.micro))
        yield Order(
            key=IntentKey(key),
            order_id=OrderId(one.order_ids[0]),
            executor="clob",
            wallet=Wallet(follower=names[maker], address=maker),
            side=side,
            token_id=TokenId(int(fields["tokenId"])),
            shares=shares,
            limit_price=cash.per(shares, Rounding.NEAREST) or Price(0),
            body=one.body.encode(),
        )


async def play(case: Case) -> Played:
    """Play one history: an engine is killed, and another takes up what it has left."""
    with tempfile.TemporaryDirectory(prefix="trio-copy-kills-") as root:
        folder = Path(root)
        with _place(case.store, folder) as place:
            async with open_devnet(POLYGON, anchored_wall_clock()) as net, trio.open_nursery() as nursery:
                world = _World(
                    folder=folder,
                    net=net,
                    market=seeded_market([LEADER], _SEED, fills_per_block=0, noise_per_block=0),
                    place=place,
                    members=members(len(_KINDS)),
                )
                nursery.start_soon(_go_on, net)
                async with _venue(world, FAULTS[case.fault]) as address:
                    world.write_conf(address)
                    died = await _live(world, POINTS[case.point], case.nth)
                    if died:
                        await _live(world, "never", 1)
                nursery.cancel_scope.cancel()
            return Played(problems=await world.problems(), died=died)


async def _live(world: _World, point: str, nth: int) -> bool:
    """Let an engine live until everything has come to its end; returns whether it was killed before."""
    words = [sys.executable, "-m", "tests.clob.killed", point, str(nth), "run", str(world.conf), "--live", "--json"]
    with (world.folder / "errors.log").open("ab") as errors:
        async with _process(words, errors) as engine:
            with trio.move_on_after(_PATIENCE_S) as patience:
                await _follow(world, engine)
            if patience.cancelled_caught:
                raise AssertionError(f"it came to no rest in {_PATIENCE_S:g} s: {await world.problems()}")
            code = await engine.wait()
    if code not in (0, -signal.SIGKILL):
        raise AssertionError(f"the engine ended with {code}: {(world.folder / 'errors.log').read_text()[-3000:]}")
    return code != 0


async def _follow(world: _World, engine: trio.Process) -> None:
    """Hear what an engine tells until it is dead: let the leader trade once it is armed, and end it once nothing is left to do."""
    lines, trades, over = _Lines(engine), False, False
    while (line := await lines.next()) is not None:
        told = msgspec.json.decode(line, type=dict[str, Any])
        if told.get("step") == "armed":
            world.armed.append(int(told["detail"].split()[2].rstrip(";")))
            world.trade()
            trades = True
        elif told["event"] == "status" and trades and not over and await world.is_quiet():
            engine.terminate()
            over = True


@asynccontextmanager
async def _venue(world: _World, faults: Sequence[str]) -> AsyncGenerator[str, None]:
    """Run a venue that writes its record down; yields its address."""
    words = [sys.executable, "-m", "trio_copy.testing.clob_venue", "--record", str(world.record)]
    words += ["--seed", str(_SEED), "--every-s", "0", *(word for fault in faults for word in ("--fault", fault))]
    async with _process(words, None) as venue:
        yield f"http://127.0.0.1:{int(await _Lines(venue).next() or 0)}"
        venue.terminate()
        assert await venue.wait() == 0


@asynccontextmanager
async def _process(words: Sequence[str], errors: Any) -> AsyncGenerator[trio.Process, None]:
    process = await trio.lowlevel.open_process(words, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


@define(eq=False)
class _Lines:
    """What a process writes, line by line, until it is dead."""

    process: trio.Process
    _read: list[bytes] = field(factory=lambda: [b""])

    async def next(self) -> bytes | None:
        assert self.process.stdout is not None
        while len(self._read) == 1:
            data = await self.process.stdout.receive_some()
            if not data:
                return None
            self._read[-1:] = (self._read[-1] + data).split(b"\n")
        return self._read.pop(0)


@contextmanager
def _place(kind: str, folder: Path) -> Iterator[_Place]:
    if kind == "sqlite":
        place = Place(kind, folder)
        yield _Place(f'[store.sqlite]\npath = "{place.file}"', place.look)
        return
    with running_redis(durable=True) as redis:

        def look() -> AbstractAsyncContextManager[Store]:
            return open_redis(redis.url, "kills", shards=1, guest=True)

        table = f'[store.redis]\nurl = "{redis.url}"\nprefix = "kills"\n[shards]\ncount = 1\nheartbeat_s = 0.5'
        yield _Place(table, look)


async def _go_on(net: Devnet) -> None:
    while True:
        await trio.sleep(_BLOCK_S)
        net.chain.mine()


async def play_all(cases: Sequence[Case], at_once: int, tell: Callable[[Case, Played], None]) -> None:
    """Play histories beside each other, for most of their time they wait; tells of each once it is over."""
    turns = trio.CapacityLimiter(at_once)

    async def one(case: Case) -> None:
        async with turns:
            try:
                played = await play(case)
            except* (AssertionError, trio.TooSlowError) as group:
                played = Played(problems=[repr(error) for error in leaves_of(group)], died=False)
        tell(case, played)

    async with trio.open_nursery() as nursery:
        for case in cases:
            nursery.start_soon(one, case)


def all_cases() -> list[Case]:
    return [
        Case(store=store, point=point, fault=fault, nth=nth)
        for store, point, fault, nth in product(STORES, POINTS, FAULTS, (1, 5))
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.clob.kills", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="order of the histories")
    parser.add_argument("--most", type=int, default=1_000_000, help="how many of them")
    parser.add_argument("--only", default="", help="histories whose name has this")
    parser.add_argument("--at-once", type=int, default=4 * (os.cpu_count() or 1), help="how many at the same time")
    options = parser.parse_args()
    cases = [case for case in all_cases() if options.only in str(case)]
    random.Random(options.seed).shuffle(cases)
    return trio.run(_report, cases[: options.most], options.at_once)


async def _report(cases: Sequence[Case], at_once: int) -> int:
    died, failed, began = Counter[bool](), Counter[bool](), trio.current_time()

    def tell(case: Case, played: Played) -> None:
        died[played.died] += 1
        failed[bool(played.problems)] += 1
        _say(f"{case}: {'died' if played.died else 'never came there'}")
        for problem in played.problems:
            _say(f"{case}: {problem}")

    await play_all(cases, at_once, tell)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_s, took_s = sum(one.ru_utime + one.ru_stime for one in used), trio.current_time() - began
    _say(f"histories {len(cases)} died {died[True]} failed {failed[True]}; {took_s:.0f} s, {cpu_s:.0f} s of CPU")
    return 1 if failed[True] or not cases else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
