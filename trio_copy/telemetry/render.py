"""Writes what happened as JSON objects. The field names are an interface: docs/events.md describes them."""

from collections.abc import Iterable
from typing import Any

from trio_copy.model.decisions import Outcome, Skip
from trio_copy.model.fills import Fill
from trio_copy.model.ids import SignalId
from trio_copy.model.signals import Signal
from trio_copy.model.watches import Watch
from trio_copy.telemetry.observer import Finished
from trio_copy.telemetry.status import Status
from trio_copy.telemetry.tally import Percentiles, Tally

Json = dict[str, Any]


def fill_object(fill: Fill, signal_id: SignalId) -> Json:
    """Write a fill; amounts are integers of 1e-6, the price is a decimal string, exact to 1e-6."""
    return {
        "chain_id": fill.chain_id,
        "exchange": fill.exchange,
        "owner": fill.owner,
        "role": fill.role.value,
        "kind": fill.kind.value,
        "side": fill.side.value,
        "token_id": str(fill.token_id),
        "shares": fill.shares.micro,
        "price": None if fill.price is None else str(fill.price),
        "notional": None if fill.notional is None else fill.notional.micro,
        "fee": fill.fee.micro,
        "order_hash": fill.order_hash,
        "tx_hash": fill.tx_hash,
        "log_index": fill.log_index,
        "signal_id": signal_id,
    }


def signal_object(signal: Signal, admission: str, tasks: int, decided_at: float) -> Json:
    return {
        "signal_id": signal.signal_id,
        "leader": signal.leader,
        "exchange": signal.exchange,
        "side": signal.side.value,
        "token_id": str(signal.token_id),
        "shares": signal.shares.micro,
        "price": None if signal.price is None else str(signal.price),
        "notional": None if signal.notional is None else signal.notional.micro,
        "tx_hash": signal.tx_hash,
        "block": signal.block_number,
        "admission": admission,
        "tasks": tasks,
        "decision_ms": round(1000 * (decided_at - signal.seen_at), 3),
    }


def skip_object(skip: Skip) -> Json:
    return {
        "signal_id": skip.signal_id,
        "follower": skip.follower,
        "leader": skip.leader,
        "end": "skipped",
        "code": skip.reason.code.name,
        "control": skip.reason.control,
        "value": skip.reason.value,
        "limit": skip.reason.limit,
    }


def finished_object(finished: Finished) -> Json:
    """Write the end of a task; `order_id` and what follows it only when something was sent."""
    task, report = finished.task, finished.report
    written: Json = {
        "signal_id": task.signal.signal_id,
        "task_id": task.task_id,
        "follower": task.follower,
        "leader": task.signal.leader,
        "executor": task.executor,
        "side": task.intent.side.value,
        "token_id": str(task.intent.token_id),
        **_end(finished.outcome),
    }
    if report is not None:
        price = report.price
        written |= {
            "order_id": report.order_id,
            "shares": report.shares.micro,
            "price": None if price is None else str(price),
            "notional": report.notional.micro,
            "fee": report.fee.micro,
            "slippage_bps": finished.slippage_bps,
            "queue_ms": round(1000 * (finished.started_at - task.decided_at), 3),
            "latency_ms": round(1000 * (finished.ended_at - task.signal.seen_at), 3),
        }
    return written


def status_object(status: Status, tally: Tally) -> Json:
    return {
        "name": status.name,
        "trading": status.trading,
        "mode": status.mode,
        "shard": status.shard,
        "block": status.block,
        "feed_age_s": None if status.feed_age_s is None else round(status.feed_age_s, 3),
        "endpoints": [
            {"name": e.name, "live": e.live, "head": e.head, "connects": e.connects, "first": e.first}
            for e in status.endpoints
        ],
        "leaders": status.leaders,
        "follows": status.follows,
        "queue_depth": status.queued,
        "suspended": status.suspended,
        "dead": status.dead,
        "busy": status.busy,
        "unknown": status.unknown,
        "late_logs": status.late_logs,
        "reorgs": status.reorgs,
        "quarantined": status.quarantined,
        "left_out": dict(status.left_out),
        "ready": status.ready,
        "halted": status.halted,
        "phase": status.phase.value,
        "armed": None if status.armed is None else list(status.armed),
        "watches": watch_objects(status.watches),
        **totals_object(tally),
    }


def watch_objects(watches: Iterable[Watch]) -> list[Json]:
    return [
        {
            "name": watch.name,
            "endpoint": watch.endpoint,
            "light": watch.light.value,
            "value": watch.value,
            "limit": watch.limit,
        }
        for watch in watches
    ]


def totals_object(tally: Tally) -> Json:
    return {
        "fills": tally.fills,
        "signals": tally.signals,
        "duplicates": tally.duplicates,
        "adopted": tally.adopted,
        "retracted": tally.retracted,
        "tasks": tally.tasks,
        "ends": {end.value: count for end, count in sorted(tally.ends.items(), key=lambda item: item[0].value)},
        "skips": dict(sorted(tally.skips.items())),
        "refusals": dict(sorted(tally.refusals.items())),
        "bought": tally.bought_micro,
        "sold": tally.sold_micro,
        "redeemed": tally.redeemed_micro,
        "exits": tally.exits,
        "ghosts": tally.ghosts,
        "decision_ms": percentiles_object(tally.decision.percentiles()),
        "queue_lag_ms": percentiles_object(tally.queue_lag.percentiles()),
        "copy_ms": percentiles_object(tally.copy.percentiles()),
    }


def percentiles_object(percentiles: Percentiles) -> Json:
    return {
        "avg": round(percentiles.average, 3),
        "p50": round(percentiles.p50, 3),
        "p99": round(percentiles.p99, 3),
        "max": round(percentiles.most, 3),
    }


def _end(outcome: Outcome) -> Json:
    reason = outcome.reason
    written: Json = {"end": outcome.end.value}
    if reason is not None:
        written |= {"code": reason.code.name, "control": reason.control, "value": reason.value, "limit": reason.limit}
    return written
