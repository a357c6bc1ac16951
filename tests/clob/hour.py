"""`python -m tests.clob.hour --seed N --minutes M`: many followers trade while seeded dice switch a venue's faults on and off.

At the end the venue has calmed down, and its record and the books are compared to the millionth.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import trio
from attrs import frozen

from tests.clob.crowd import LEADERS, TOKENS, Crowd, open_crowd, plan_of
from tests.clob.trust import read_natively
from tests.crash.stores import KINDS
from tests.harness import running_engine
from trio_copy.accounts.commands import CallOff
from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.engine.service import Service
from trio_copy.entropy import Entropy, seeded_entropy
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.fills import Side
from trio_copy.model.units import Shares
from trio_copy.testing.clob_venue import Accepted, Answered, Filled, Later, Mode, OrderAnswer, Settles
from trio_copy.testing.market_server.faults import Body
from trio_copy.testing.virtual import run_virtually

_POST, _DATA = {"path": "POST /order"}, {"path": "/data/"}
_FAULTS: Sequence[Mapping[str, Any]] = (
    {**_POST, "drop": True},
    {**_POST, "lose_reply": True},
    {**_POST, "stall": True},
    {**_POST, "stall": True, "carried_out": True},
    {**_DATA, "drop": True},
    {**_DATA, "stall": True},
    {"stall": True},
    *({**where, "body": body} for where in (_POST, _DATA) for body in Body if body is not Body.RIGHT),
    {"body": Body.GARBAGE},
    *({**_POST, "status": status, "carried_out": done} for status in (500, 502) for done in (True, False)),
    {**_POST, "status": 429, "retry_after_s": 1},
    {**_POST, "status": 429, "carried_out": True},
    {"status": 429, "retry_after_s": 2},
    {**_DATA, "status": 500},
    {**_POST, "status": 401, "requests": 1},
    {**_POST, "status": 425},
    *({"mode": mode} for mode in Mode if mode is not Mode.OPEN),
    *({"order_answer": answer} for answer in OrderAnswer if answer is not OrderAnswer.RIGHT),
    *(
        {"order_answer": answer, "later": Later.KILLED}
        for answer in (OrderAnswer.LIVE, OrderAnswer.DELAYED, OrderAnswer.UNMATCHED)
    ),
    *({"settles": settles} for settles in Settles if settles is not Settles.NEVER),
    {"settles": Settles.FAILED, "order_answer": OrderAnswer.NO_AMOUNTS},
    {"trades_lag_s": 30},
    {"trades_lag_s": 30, "order_answer": OrderAnswer.NO_AMOUNTS},
    *(
        {"later_part": percent, "later_part_s": after_s, **more}
        for percent in (5, 20)
        for after_s in (10, 30)
        for more in (
            {},
            {**_POST, "lose_reply": True},
            {"order_answer": OrderAnswer.NO_AMOUNTS},
            {"order_answer": OrderAnswer.DELAYED},
        )
    ),
    {"prefixed": True},
    {"stale_cache": True},
    {"remembers_killed": True, **_POST, "lose_reply": True},
    *({"clock_off_s": off} for off in (-100, -3, 3, 100)),
    {"close_each": True},
)
_SIZES = (2, 5, 8, 40, 100_000)
"""Shares on offer, to one of whom all may go."""
_KINDS = ("FAK", "GTC", "GTD", "FOK")
"""Of the followers' entries, in turn."""
_BY_HAND = Reason(code=Code.GIVEN_UP, control="orders cancel", value="by hand", limit="filled before")
_PRICES = (400_000, 470_000, 490_000, 500_000, 510_000, 520_000)


@frozen(kw_only=True)
class Played:
    """What one play showed."""

    problems: Sequence[str]
    counts: Mapping[str, int]


def play(seed: int, minutes: float, followers: int, store: str) -> Played:
    """Play for so many minutes of virtual time, on a SQLite file or, in half of the time, on a store in memory."""
    with tempfile.TemporaryDirectory(prefix="trio-copy-hour-") as folder, read_natively():
        return run_virtually(_live, Path(folder), seed, minutes, followers, store, seed=seed)


async def _live(folder: Path, seed: int, minutes: float, followers: int, store: str) -> Played:
    luck = seeded_entropy(seed)
    async with open_crowd(folder, followers, store) as crowd:
        async with running_engine(crowd, plan_of(crowd, folder, kinds=_KINDS)) as service:
            crowd.watch(service)
            until = trio.current_time() + 60 * minutes
            while trio.current_time() < until:
                _throw(crowd, luck)
                _trade(crowd, luck)
                _call_off(service, luck)
                await trio.sleep(luck.choice((0.5, 3.0, 10.0, 25.0, 40.0)))
            crowd.server.faults.clear()
            crowd.server.away = False
            await crowd.wait_quiet(service)
        return Played(problems=await crowd.problems(), counts=_counts(crowd))


def _throw(crowd: Crowd, luck: Entropy) -> None:
    """Let the venue change its manners, and its books."""
    server, faults = crowd.server, crowd.server.faults
    server.away = False
    match luck.randrange(8):
        case 0:
            server.cut()
        case 1:
            server.away = luck.random() < 0.5
            server.cut()
        case 2:
            server.clob.restart(for_s=luck.choice((5, 20)), post_only_s=luck.choice((1, 10)))
        case 3 | 4:
            faults.clear()
        case _:
            faults.clear()
            for fault, value in {"requests": luck.choice((0, 1, 3, 20)), **luck.choice(_FAULTS)}.items():
                setattr(faults, fault, value)
    for token in TOKENS:
        ask = luck.choice(_PRICES)
        crowd.quote(token, bid=ask - 10_000, ask=ask, shares=Shares.parse(luck.choice(_SIZES)))


def _trade(crowd: Crowd, luck: Entropy) -> None:
    """Let a leader buy, or sell a part of what he may have."""
    side = luck.choice((Side.BUY, Side.BUY, Side.SELL))
    leader, token = luck.choice(LEADERS), luck.choice(TOKENS)
    crowd.chain.mine(crowd.buy(leader, side=side, token=token, shares=luck.choice((40, 100, 250))))


def _call_off(service: Service, luck: Entropy) -> None:
    """Let a person call off an order that rests, now and then."""
    resting = [
        (shard, account.follower, key)
        for shard in service.holder.shards.values()
        for account in shard.accounts.values()
        for key, order in account.orders.items()
        if order.rests
    ]
    if resting and luck.random() < 0.2:
        shard, follower, key = luck.choice(resting)
        shard.act(follower, CallOff(key=key, why=_BY_HAND, at=shard.wall()))


def _counts(crowd: Crowd) -> Mapping[str, int]:
    record = crowd.server.clob.record
    ends = Counter(
        one.outcome.end.value
        if one.outcome.reason is None
        else f"{one.outcome.end.value}: {one.outcome.reason.code.value}"
        for one in crowd.recorder.finished
    )
    return {
        "requests": len(record.of(Answered)),
        "orders taken": len(record.of(Accepted)),
        "rested": len([one for one in record.of(Accepted) if one.order_type in ("GTC", "GTD")]),
        "trades": len(record.of(Filled)),
        "alerts": len(crowd.recorder.alerts),
        **ends,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.clob.hour", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--followers", type=int, default=100)
    parser.add_argument("--store", choices=KINDS, default="sqlite")
    options = parser.parse_args()
    tune_interpreter()
    began = time.process_time()
    played = play(options.seed, options.minutes, options.followers, options.store)
    for problem in played.problems:
        sys.stdout.write(problem + "\n")
    told = ", ".join(f"{count} {what}" for what, count in played.counts.items())
    took_s = time.process_time() - began
    sys.stdout.write(f"seed {options.seed}: {told}; {len(played.problems)} problems, {took_s:.1f} s\n")
    return 1 if played.problems else 0


if __name__ == "__main__":
    sys.exit(main())
