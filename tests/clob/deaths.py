"""`python -m tests.clob.deaths`: an engine dies at each point around a send, whatever the venue does, and comes back.

A death is played within one process, under a virtual clock: from that point on nothing that the engine does reaches the
disk or the wire, and nothing reaches it. Venue and SQLite file live on. `tests.clob.kills` kills processes for real.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import trio
from attrs import define, field, frozen

from tests.clob.crowd import Crowd, open_crowd, plan_of
from tests.clob.trust import read_natively
from tests.clob.wire import POINTS as WIRE
from tests.clob.wire import watched
from trio_copy.engine.opening import open_service
from trio_copy.engine.service import Service
from trio_copy.model.fills import Side
from trio_copy.testing.clob_venue import Later, Mode, OrderAnswer, Settles
from trio_copy.testing.market_server.faults import Body
from trio_copy.testing.virtual import run_virtually

POINTS = (
    "task: in hand",
    "place: decided",
    "write: before",
    "sqlite: before commit",
    "sqlite: committed",
    "write: durable",
    "place: durable",
    "disk: before",
    "send: may have been sent",
    *WIRE,
    "send: answered",
    "send: learned",
    "prove: answered",
)
_POST = {"path": "POST /order"}
FAULTS: Mapping[str, Mapping[str, Any]] = {
    "good": {},
    "request lost": {**_POST, "drop": True, "requests": 2},
    "reply lost": {**_POST, "lose_reply": True, "requests": 2},
    "stalls": {**_POST, "stall": True, "requests": 2},
    "stalls, carried out": {**_POST, "stall": True, "carried_out": True, "requests": 2},
    "cut": {**_POST, "body": Body.CUT, "requests": 2},
    "garbage": {**_POST, "body": Body.GARBAGE, "requests": 2},
    "500, carried out": {**_POST, "status": 500, "carried_out": True, "requests": 2},
    "429": {**_POST, "status": 429, "retry_after_s": 1, "requests": 2},
    "425": {"mode": Mode.RESTARTING},
    "503": {"mode": Mode.CANCEL_ONLY},
    "live, matched later": {"order_answer": OrderAnswer.LIVE, "later": Later.MATCHED},
    "delayed, killed later": {"order_answer": OrderAnswer.DELAYED, "later": Later.KILLED},
    "no amounts, late trades": {"order_answer": OrderAnswer.NO_AMOUNTS, "trades_lag_s": 30},
    "no amounts, in two trades": {"order_answer": OrderAnswer.NO_AMOUNTS, "later_part": 20, "later_part_s": 30},
    "another id": {"order_answer": OrderAnswer.OTHER_ID},
    "undone": {"settles": Settles.UNDONE},
    "clock behind": {"clock_off_s": -100},
}
_CALM_AFTER_S = 20.0
GAPS = (1.0, 30.0, 100.0)
"""How long after a death an engine starts again: the last is after the deadlines."""
_FOLLOWERS = 4


class Killed(OSError):
    """The engine is dead: its disk does nothing any more."""


@frozen(kw_only=True)
class Case:
    point: str
    nth: int
    fault: str
    gap: float

    def __str__(self) -> str:
        return f"{self.point} #{self.nth}, venue {self.fault}, back {self.gap:g} s later"


@define(eq=False)
class Life:
    """What one engine is in; it may end at a point."""

    kill_at: str | None = None
    nth: int = 1
    alive: bool = True
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    _seen: Counter[str] = field(factory=Counter)

    def at(self, point: str) -> None:
        self._seen[point] += 1
        if point == self.kill_at and self._seen[point] == self.nth:
            self.alive = False
            self.scope.cancel()
        # Elsewhere it may go on up to the next thing that it asks of its disk or a wire: nobody hears of that.
        if not self.alive and point.startswith(("disk", "sqlite: before")):
            raise Killed(point)

    async def in_thread(self, run: Callable[[], Any]) -> Any:
        """Do what would block right here, while alive."""
        await trio.lowlevel.checkpoint()
        self.at("disk: before")
        return run()

    def on_wire(self, point: str) -> None:
        """Let nothing reach the wire any more, nor come from it, once it is dead."""
        self.at(point)
        if not self.alive:
            raise trio.BrokenResourceError(point)


def play(case: Case) -> tuple[Sequence[str], bool]:
    """Play one history; returns what is wrong, and whether the engine died."""
    with tempfile.TemporaryDirectory(prefix="trio-copy-deaths-") as folder, read_natively():
        return run_virtually(_history, Path(folder), case, seed=1)


async def _history(folder: Path, case: Case) -> tuple[Sequence[str], bool]:
    async with open_crowd(folder, _FOLLOWERS) as crowd, trio.open_nursery() as nursery:
        for fault, value in FAULTS[case.fault].items():
            setattr(crowd.server.faults, fault, value)
        nursery.start_soon(_calm_down, crowd)
        nursery.start_soon(_trade, crowd)
        died = await _live(crowd, folder, Life(case.point, case.nth))
        if died:
            await trio.sleep(case.gap)
            await _live(crowd, folder, Life())
        problems = await crowd.problems()
    return problems, died


async def _live(crowd: Crowd, folder: Path, life: Life) -> bool:
    """Let an engine live until nothing is left to be done; returns whether it died before."""
    seams = crowd.seams()
    seams.at, seams.in_thread = life.at, life.in_thread
    seams.open_socket = watched(crowd.server.open_socket, life.on_wire)
    with life.scope:
        try:
            async with (
                open_service(plan_of(crowd, folder), seams, crowd.endpoints) as service,
                trio.open_nursery() as running,
            ):
                crowd.watch(service)
                await running.start(service.run)
                await _see_it_through(crowd, service)
        except* Exception:
            if life.alive:
                raise
    await trio.lowlevel.checkpoint()
    return not life.alive


async def _see_it_through(crowd: Crowd, service: Service) -> None:
    await trio.sleep(max(0.0, _CALM_AFTER_S - trio.current_time()))
    await crowd.wait_quiet(service)
    service.drain()


async def _calm_down(crowd: Crowd) -> None:
    await trio.sleep(_CALM_AFTER_S)
    crowd.server.faults.clear()


async def _trade(crowd: Crowd) -> None:
    """Let a leader buy, buy more, and sell the most of it a second later: a part of that is not on the chain then."""
    await trio.sleep(2)
    crowd.chain.mine(crowd.buy(token=1), crowd.buy(token=2))
    await trio.sleep(9)
    crowd.chain.mine(crowd.buy(token=3), crowd.buy(token=1))
    await trio.sleep(1)
    crowd.chain.mine(crowd.buy(side=Side.SELL, shares=150))


def all_cases() -> list[Case]:
    return [
        Case(point=point, nth=nth, fault=fault, gap=gap)
        for point, nth, fault, gap in product(POINTS, (1, 4), FAULTS, GAPS)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.clob.deaths", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="order of the histories")
    parser.add_argument("--most", type=int, default=1_000_000, help="how many of them")
    parser.add_argument("--only", default="", help="histories whose name has this")
    options = parser.parse_args()
    cases = [case for case in all_cases() if options.only in str(case)]
    random.Random(options.seed).shuffle(cases)
    cases, died, failed, began = cases[: options.most], 0, 0, time.process_time()
    for case in cases:
        problems, dead = play(case)
        died, failed = died + dead, failed + bool(problems)
        for problem in problems:
            _say(f"{case}: {problem}")
    _say(f"histories {len(cases)} died {died} failed {failed}; {time.process_time() - began:.0f} s")
    return 1 if failed or not cases else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
