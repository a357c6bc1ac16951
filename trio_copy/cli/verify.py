"""`trio-copy verify dedup` and `trio-copy verify backpressure`"""

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any

import trio
from cyclopts import App, Parameter

from trio_copy.cli.durations import Duration, Time
from trio_copy.cli.numbers import expect_positive
from trio_copy.cli.output import out, out_json
from trio_copy.cli.progress import progress
from trio_copy.cli.redact import Redact
from trio_copy.cli.stores import Allowed, RedisUrl, StoreName, StoreOptions, planned_store
from trio_copy.cli.synthetic import POLYGON, synthetic_address
from trio_copy.clock import WallClock, anchored_wall_clock
from trio_copy.engine.owning.trial import EXECUTOR, Trial, open_trial
from trio_copy.engine.plan import PlannedStore
from trio_copy.model.decisions import CopyTask, OrderIntent
from trio_copy.model.fills import Role, Side
from trio_copy.model.ids import FollowerId, TokenId, order_signal_id, task_id
from trio_copy.model.signals import Signal
from trio_copy.model.units import ONE_USD_PER_SHARE, Price, Shares, Usd
from trio_copy.ports import StoreContext
from trio_copy.testing.devnet.chain import fake_hash

app = App(name="verify", help="Try to break a promise, and say whether it held.")

_TTL_S = 60.0
_FEW = 10
_FOLLOWERS = 100
_BATCH = 500


@app.command
def dedup(
    *,
    redactor: Redact,
    ttl: Annotated[Duration, Parameter(help="How long the gate remembers a signal.")] = Time(2),
    wait: Annotated[Duration, Parameter(help="How long to wait before the third try.")] = Time(2.5),
    store: StoreName = "memory",
    store_option: StoreOptions = (),
    redis_url: RedisUrl = None,
    allow: Allowed = (),
    json: Annotated[bool, Parameter(negative=(), help="Print one JSON object.")] = False,
) -> int:
    """Admit the same signal three times: OK, DUPLICATE, and OK again once the gate has forgotten it.

    On a store that instances share, a second owner takes over in between, and knows what the first one met.
    """
    expect_positive(ttl=ttl, wait=wait)
    planned = planned_store(store, store_option, redis_url, redactor, allow)
    answers = trio.run(_dedup, planned, ttl, wait, json)
    expected = dict.fromkeys(answers, "DUPLICATE")
    expected |= {"first": "OK", "after_ttl": "OK" if wait > ttl else "DUPLICATE"}
    held = answers == expected
    if json:
        out_json({"ok": held, "store": store, **answers})
    else:
        out("held" if held else f"BROKEN: expected {', '.join(expected.values())}")
    return 0 if held else 1


@app.command
def backpressure(
    *,
    redactor: Redact,
    count: Annotated[int, Parameter(help="Tasks to admit.")] = 5200,
    capacity: Annotated[int, Parameter(help="Tasks the queue may hold.")] = 5000,
    store: StoreName = "memory",
    store_option: StoreOptions = (),
    redis_url: RedisUrl = None,
    allow: Allowed = (),
    json: Annotated[bool, Parameter(negative=(), help="Print one JSON object.")] = False,
) -> int:
    """Admit more than a queue may hold: what is kept, what is shed and why, and what is left after cleaning up."""
    expect_positive(count=count, capacity=capacity)
    planned = planned_store(store, store_option, redis_url, redactor, allow)
    found = trio.run(_backpressure, planned, count, capacity)
    expected_shed = max(0, count - capacity)
    held = (
        found["kept"] == count - expected_shed
        and found["shed"] == expected_shed
        and sum(found["reasons"].values()) == expected_shed
        and found["left_after_cleanup"] == 0
    )
    if json:
        out_json({"ok": held, "store": store, **found})
    else:
        for name, value in found.items():
            told = ", ".join(f"{many} {code}" for code, many in value.items()) if isinstance(value, dict) else value
            out(f"{name.replace('_', ' '):<20} {told}")
        out("held" if held else f"BROKEN: expected {expected_shed} shed with a reason and nothing left")
    return 0 if held else 1


async def _dedup(planned: PlannedStore, ttl_s: float, wait_s: float, quiet: bool) -> dict[str, str]:
    wall = anchored_wall_clock()
    answers: dict[str, str] = {}
    signal = _signal(0, wall())

    async def offer(gate: Trial, name: str, label: str) -> None:
        answers[name] = "DUPLICATE" if await gate.offer(signal, (_task(signal),)) is None else "OK"
        if not quiet:
            out(f"{label:<15} {answers[name]}")

    async with planned.plugin.open(_context(planned, wall)) as store:
        open_gate = partial(open_trial, store, wall=wall, capacity=_FEW, ttl_s=ttl_s)
        async with open_gate(owner="first") as gate:
            await offer(gate, "first", "first")
            await offer(gate, "second", "second")
            if not planned.plugin.shared:
                await _offer_late(gate, wait_s, ttl_s, offer)
        if planned.plugin.shared:
            async with open_gate(owner="second") as gate:
                await offer(gate, "takeover", "second owner")
                await _offer_late(gate, wait_s, ttl_s, offer)
    return answers


async def _offer_late(
    gate: Trial, wait_s: float, ttl_s: float, offer: Callable[[Trial, str, str], Awaitable[None]]
) -> None:
    await trio.sleep(wait_s)
    await offer(gate, "after_ttl", "after the TTL" if wait_s > ttl_s else "within the TTL")


async def _backpressure(planned: PlannedStore, count: int, capacity: int) -> dict[str, Any]:
    wall = anchored_wall_clock()
    reasons: Counter[str] = Counter()
    async with (
        planned.plugin.open(_context(planned, wall)) as store,
        open_trial(store, owner="verify", wall=wall, capacity=capacity, ttl_s=_TTL_S) as gate,
    ):
        with progress("admitting", count) as show:
            for number in range(count):
                signal = _signal(number, wall())
                for ended in await gate.offer(signal, (_task(signal),)) or ():
                    reasons[ended.outcome.reason.code.name if ended.outcome.reason else "NONE"] += 1
                if number % _BATCH == 0:
                    show(number)
                    await trio.lowlevel.checkpoint()
        kept = gate.waiting
        await gate.clear()
        left = gate.waiting
    return {
        "attempted": count,
        "kept": kept,
        "shed": reasons.total(),
        "reasons": dict(reasons),
        "left_after_cleanup": left,
    }


def _context(planned: PlannedStore, wall: WallClock) -> StoreContext:
    return StoreContext(settings=planned.settings, wall=wall, throwaway=True)


def _signal(number: int, now: float) -> Signal:
    exchange, tx_hash, order_hash = (
        synthetic_address("exchange", 0),
        fake_hash("tx", number),
        fake_hash("order", number),
    )
    return Signal(
        signal_id=order_signal_id(POLYGON, exchange, order_hash, tx_hash, (1_000_000, 500_000, 0), 0),
        chain_id=POLYGON,
        exchange=exchange,
        leader=synthetic_address("leader", 0),
        role=Role.TAKER,
        side=Side.BUY,
        token_id=TokenId(number),
        shares=Shares(1_000_000),
        price=Price(500_000),
        notional=Usd(500_000),
        order_hash=order_hash,
        tx_hash=tx_hash,
        block_number=number,
        block_hash=fake_hash("block", number),
        block_time=int(now),
        seen_at=now,
    )


def _task(signal: Signal) -> CopyTask:
    follower = FollowerId(f"verify-{signal.block_number % _FOLLOWERS}")
    intent = OrderIntent(
        side=Side.BUY,
        token_id=signal.token_id,
        shares=signal.shares,
        price=ONE_USD_PER_SHARE,
        limit_price=ONE_USD_PER_SHARE,
        max_cost=Usd(1_000_000),
        leader_time=signal.leader_time,
    )
    return CopyTask(
        task_id=task_id(signal.signal_id, follower),
        signal=signal,
        follower=follower,
        executor=EXECUTOR,
        intent=intent,
        deadline=signal.block_time + _TTL_S,
    )
