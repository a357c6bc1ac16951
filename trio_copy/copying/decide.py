"""A signal and the follow book in, tasks and skips out."""

from collections.abc import Mapping, Sequence

from trio_copy.copying import filters, sizing
from trio_copy.model.decisions import CopyTask, OrderIntent, Reason, Skip
from trio_copy.model.follows import Follow, Follower, FollowSettings
from trio_copy.model.ids import FollowerId, task_id
from trio_copy.model.signals import Signal


def decide(
    signal: Signal,
    follows: Sequence[Follow],
    followers: Mapping[FollowerId, Follower],
    *,
    now: float,
    deadline_s: float,
) -> tuple[list[CopyTask], list[Skip]]:
    """Decide for every follow of a signal's leader; `now` is Unix seconds.

    The followers take turns at being first: the signal's identity picks the start, so that no name is always served
    before the others and every instance serves them in the same order.
    """
    tasks: list[CopyTask] = []
    skips: list[Skip] = []
    deadline = signal.block_time + deadline_s
    start = int(signal.signal_id[:8], 16) % len(follows) if follows else 0
    # Equal settings share one object, and what they decide about one signal is the same for everybody.
    decided: dict[int, OrderIntent | Reason] = {}
    for follow in (*follows[start:], *follows[:start]):
        settings = follow.settings
        verdict = decided.get(id(settings))
        if verdict is None:
            verdict = decided[id(settings)] = _decide_one(signal, settings, now)
        if isinstance(verdict, Reason):
            skips.append(
                Skip(signal_id=signal.signal_id, follower=follow.follower, leader=signal.leader, reason=verdict)
            )
        else:
            tasks.append(
                CopyTask(
                    task_id=task_id(signal.signal_id, follow.follower),
                    signal=signal,
                    follower=follow.follower,
                    executor=followers[follow.follower].executor,
                    intent=verdict,
                    deadline=deadline,
                    decided_at=now,
                )
            )
    return tasks, skips


def _decide_one(signal: Signal, settings: FollowSettings, now: float) -> OrderIntent | Reason:
    return filters.check(signal, settings.filters, now) or sizing.size(signal, settings.size)
