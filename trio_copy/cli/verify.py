"""`trio-copy verify dedup` and `trio-copy verify backpressure`"""

from collections import Counter
from typing import Annotated, Any

import trio
from cyclopts import App, Parameter

from trio_copy.cli.numbers import expect_positive
from trio_copy.cli.output import out, out_json
from trio_copy.cli.progress import progress
from trio_copy.cli.redact import Redact
from trio_copy.cli.stores import RedisUrl, StoreName, StoreOptions, planned_store
from trio_copy.cli.synthetic import POLYGON, synthetic_address
from trio_copy.clock import WallClock, anchored_wall_clock
from trio_copy.engine.plan import PlannedStore
from trio_copy.model.decisions import CopyTask, End, OrderIntent, Outcome
from trio_copy.model.fills import Role, Side
from trio_copy.model.ids import FollowerId, TokenId, order_signal_id, task_id
from trio_copy.model.signals import Signal
from trio_copy.model.units import ONE_USD_PER_SHARE, Price, Shares, Usd
from trio_copy.ports import Admitted, Store, StoreContext
from trio_copy.testing.devnet.chain import fake_hash

app = App(name="verify", help="Try to break a promise, and say whether it held.")

_EXECUTOR = "verify"
_OWNER = "verify"
_LEASE_S = 60.0
_BATCH = 500


@app.command
def dedup(
    *,
    redactor: Redact,
    ttl_ms: Annotated[int, Parameter(help="How long the gate remembers a signal.")] = 2000,
    wait_ms: Annotated[int, Parameter(help="How long to wait before the third try.")] = 2500,
    store: StoreName = "memory",
    store_option: StoreOptions = (),
    redis_url: RedisUrl = None,
    json: Annotated[bool, Parameter(negative=(), help="Print one JSON object.")] = False,
) -> int:
    """Admit the same signal three times: OK, DUPLICATE, and OK again once the gate has forgotten it."""
    expect_positive(ttl_ms=ttl_ms, wait_ms=wait_ms)
    planned = planned_store(store, store_option, redis_url, redactor)
    answers = trio.run(_dedup, planned, ttl_ms / 1000, wait_ms / 1000, json)
    expected = ["OK", "DUPLICATE", "OK" if wait_ms > ttl_ms else "DUPLICATE"]
    held = answers == expected
    if json:
        first, second, third = answers
        out_json({"ok": held, "store": store, "first": first, "second": second, "after_ttl": third})
    else:
        out("held" if held else f"BROKEN: expected {', '.join(expected)}")
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
    json: Annotated[bool, Parameter(negative=(), help="Print one JSON object.")] = False,
) -> int:
    """Admit more than a queue may hold: what is kept, what is shed and why, and what is left after cleaning up."""
    expect_positive(count=count, capacity=capacity)
    planned = planned_store(store, store_option, redis_url, redactor)
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
            out(f"{name:<20} {value}")
        out("held" if held else f"BROKEN: expected {expected_shed} shed with a reason and nothing left")
    return 0 if held else 1


async def _dedup(planned: PlannedStore, ttl_s: float, wait_s: float, quiet: bool) -> list[str]:
    wall = anchored_wall_clock()
    answers = []
    async with planned.plugin.open(_context(planned, wall, capacity=10, ttl_s=ttl_s)) as store:
        signal = _signal(0, wall())
        third = "after the TTL" if wait_s > ttl_s else "within the TTL"
        for label, pause in (("first", 0.0), ("second", 0.0), (third, wait_s)):
            await trio.sleep(pause)
            admission = await store.inbox.admit(signal, (), None)
            answers.append("OK" if isinstance(admission, Admitted) else "DUPLICATE")
            if not quiet:
                out(f"{label:<15} {answers[-1]}")
    return answers


async def _backpressure(planned: PlannedStore, count: int, capacity: int) -> dict[str, Any]:
    wall = anchored_wall_clock()
    reasons: Counter[str] = Counter()
    kept = 0
    async with planned.plugin.open(_context(planned, wall, capacity=capacity, ttl_s=_LEASE_S)) as store:
        with progress("admitting", count) as show:
            for number in range(count):
                signal = _signal(number, wall())
                admission = await store.inbox.admit(signal, (_task(signal),), None)
                if isinstance(admission, Admitted):
                    kept += admission.kept
                    reasons.update(ended.outcome.reason.code.name for ended in admission.shed if ended.outcome.reason)
                if number % _BATCH == 0:
                    show(number)
                    await trio.lowlevel.checkpoint()
        await _clean_up(store)
        left = await store.inbox.depth()
    return {
        "attempted": count,
        "kept": kept,
        "shed": reasons.total(),
        "reasons": dict(reasons),
        "left_after_cleanup": left.queued + left.leased + left.held,
    }


async def _clean_up(store: Store) -> None:
    while tasks := await store.inbox.lease_nowait(_EXECUTOR, _OWNER, _BATCH):
        for task in tasks:
            await store.inbox.complete(task.task_id, _OWNER, Outcome(end=End.FILLED))


def _context(planned: PlannedStore, wall: WallClock, *, capacity: int, ttl_s: float) -> StoreContext:
    return StoreContext(
        settings=planned.settings,
        wall=wall,
        queue_capacity=capacity,
        dedup_ttl_s=ttl_s,
        lease_s=_LEASE_S,
        throwaway=True,
    )


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
        token_id=TokenId(1),
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
    follower = FollowerId("verify")
    intent = OrderIntent(
        side=Side.BUY,
        token_id=signal.token_id,
        shares=signal.shares,
        price=ONE_USD_PER_SHARE,
        limit_price=ONE_USD_PER_SHARE,
        max_cost=Usd(1_000_000),
    )
    return CopyTask(
        task_id=task_id(signal.signal_id, follower),
        signal=signal,
        follower=follower,
        executor=_EXECUTOR,
        intent=intent,
        deadline=signal.block_time + _LEASE_S,
    )
