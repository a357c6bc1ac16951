"""A signal and the follow book in, tasks and skips out."""

from collections.abc import Mapping, Sequence

from trio_copy.copying import filters, sizing
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import CopyTask, OrderIntent, Reason, Skip
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.follows import Follower, Terms
from trio_copy.model.ids import FollowerId, task_id
from trio_copy.model.signals import Signal
from trio_copy.model.units import Rounding


def decide(
    signal: Signal,
    follows: Sequence[Terms],
    followers: Mapping[FollowerId, Follower],
    *,
    now: float,
    deadline_s: float,
    catalog: Catalog,
    behind_s: float = 0.0,
    halted: Reason | None = None,
) -> tuple[list[CopyTask], list[Skip]]:
    """Decide for every follow of a signal's leader; `now` is Unix seconds.

    `behind_s` is how far the clock that says `now`, and that deadlines are later compared with, is known to be behind the
    chain's. `halted` is why no entry may leave.

    The followers take turns at being first: the signal's identity picks the start, so that no name is always served
    before the others and every instance serves them in the same order.
    """
    tasks: list[CopyTask] = []
    skips: list[Skip] = []
    start = int(signal.signal_id[:8], 16) % len(follows) if follows else 0
    # Equal settings share one object, and what they decide about one signal is the same for everybody.
    decided: dict[int, OrderIntent | Reason] = {}
    for terms in (*follows[start:], *follows[:start]):
        settings = terms.settings
        verdict = decided.get(id(settings))
        if verdict is None:
            verdict = decided[id(settings)] = _decide_one(signal, settings, catalog, now + behind_s, halted)
        if isinstance(verdict, Reason):
            skips.append(
                Skip(signal_id=signal.signal_id, follower=terms.follower, leader=signal.leader, reason=verdict)
            )
        else:
            executor = followers[terms.follower].executor
            tasks.append(make_task(signal, terms, executor, verdict, now=now, deadline_s=deadline_s, behind_s=behind_s))
    return tasks, skips


def make_task(
    signal: Signal,
    terms: Terms,
    executor: str,
    intent: OrderIntent,
    *,
    now: float,
    deadline_s: float,
    behind_s: float = 0.0,
) -> CopyTask:
    """Make one follower's task of a signal; its deadline is a moment of the clock that says `now`."""
    execution = terms.settings.execution
    if execution.deadline_s is not None:
        deadline_s = min(deadline_s, execution.deadline_s)
    entry = intent.side is Side.BUY
    return CopyTask(
        task_id=task_id(signal.signal_id, terms.follower),
        signal=signal,
        follower=terms.follower,
        executor=executor,
        intent=intent,
        deadline=signal.block_time + deadline_s - behind_s,
        decided_at=now,
        not_before=_not_before(intent, terms.settings, now) if entry else 0.0,
        aggregates=entry and (bool(execution.aggregate_s) or terms.settings.size.minimum_policy == "accumulate"),
    )


def _not_before(intent: OrderIntent, settings: FollowSettings, now: float) -> float:
    execution = settings.execution
    bypass = execution.aggregate_bypass_usd
    big = bypass is not None and intent.shares.at(intent.price, Rounding.UP) >= bypass
    wait_s = execution.delay_s + (0.0 if big else execution.aggregate_s)
    return now + wait_s if wait_s else 0.0


def _decide_one(
    signal: Signal, settings: FollowSettings, catalog: Catalog, now: float, halted: Reason | None
) -> OrderIntent | Reason:
    if halted is not None and signal.side is Side.BUY:
        return halted
    facts = catalog.of(signal.token_id) if len(catalog) else None
    return filters.check(signal, settings, catalog, now) or sizing.size(signal, settings, facts)
