"""A signal and the follow book in, tasks and skips out."""

from collections.abc import Callable, Mapping, Sequence

from attrs import evolve

from trio_copy.copying import filters, sizing
from trio_copy.copying.exits import sized_by_mark
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import Code, CopyTask, OrderIntent, Reason, Skip
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.follows import Follower, Terms
from trio_copy.model.ids import FollowerId, task_id
from trio_copy.model.signals import Signal
from trio_copy.model.units import NO_USD, Rounding, Usd


def no_wallet(follower: FollowerId) -> Reason:
    """Say that nobody knows what a follower is worth."""
    return Reason(code=Code.NO_BALANCE, control="size.equity_by", value=f"no paper wallet of {follower}", limit="one")


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
    equity_of: Callable[[FollowerId], Usd | Reason] = no_wallet,
) -> tuple[list[CopyTask], list[Skip]]:
    """Decide for every follow of a signal's leader; `now` is Unix seconds.

    `behind_s` is how far the clock that says `now`, and that deadlines are later compared with, is known to be behind the
    chain's. `halted` is why no entry may leave. `equity_of` says what a follower's wallet is worth, or why nobody knows.

    The followers take turns at being first: the signal's identity picks the start, so that no name is always served
    before the others and every instance serves them in the same order.
    """
    tasks: list[CopyTask] = []
    skips: list[Skip] = []
    start = int(signal.signal_id[:8], 16) % len(follows) if follows else 0
    # Equal settings share one object, and what they decide about one signal is the same for everybody whose wallet has no part in it.
    decided: dict[int, _Wanted | Reason] = {}
    for terms in (*follows[start:], *follows[:start]):
        settings, follower = terms.settings, terms.follower
        wanted = decided.get(id(settings))
        if wanted is None:
            own = equity_of(follower) if sized_by_mark(settings) else None
            verdict = judge(signal, settings, catalog, now + behind_s, halted, own)
            shared = (now, deadline_s, behind_s)
            wanted = verdict if isinstance(verdict, Reason) else _Wanted(signal, settings, verdict, *shared)
            if own is None:
                decided[id(settings)] = wanted
        if isinstance(wanted, Reason):
            skips.append(Skip(signal_id=signal.signal_id, follower=follower, leader=signal.leader, reason=wanted))
        else:
            tasks.append(wanted.task_of(follower, followers[follower].executor))
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
    return _Wanted(signal, terms.settings, intent, now, deadline_s, behind_s).task_of(terms.follower, executor)


class _Wanted:
    """What everybody with the same settings wants of a signal."""

    def __init__(
        self,
        signal: Signal,
        settings: FollowSettings,
        intent: OrderIntent,
        now: float,
        deadline_s: float,
        behind_s: float,
    ) -> None:
        execution, entry = settings.execution, intent.side is Side.BUY
        if execution.deadline_s is not None:
            deadline_s = min(deadline_s, execution.deadline_s)
        self.signal, self.intent, self.now = signal, intent, now
        self.deadline = signal.block_time + deadline_s - behind_s
        self.not_before = _not_before(intent, settings, now) if entry else 0.0
        self.aggregates = entry and (bool(execution.aggregate_s) or settings.size.minimum_policy == "accumulate")

    def task_of(self, follower: FollowerId, executor: str) -> CopyTask:
        signal = self.signal
        return CopyTask(
            task_id(signal.signal_id, follower),
            signal,
            follower,
            executor,
            self.intent,
            self.deadline,
            0,
            self.now,
            self.not_before,
            self.aggregates,
        )


def _not_before(intent: OrderIntent, settings: FollowSettings, now: float) -> float:
    execution = settings.execution
    bypass = execution.aggregate_bypass_usd
    big = bypass is not None and intent.shares.at(intent.price, Rounding.UP) >= bypass
    wait_s = execution.delay_s + (0.0 if big else execution.aggregate_s)
    return now + wait_s if wait_s else 0.0


def judge(
    signal: Signal,
    settings: FollowSettings,
    catalog: Catalog,
    now: float,
    halted: Reason | None,
    equity: Usd | Reason | None = None,
) -> OrderIntent | Reason:
    """Return what everybody with some settings wants of a signal, or why nothing. `now` is Unix seconds, by the chain.

    `equity` is the follower's own, or why nobody knows it, where settings want to be sized by that.
    """
    if halted is not None and signal.side is Side.BUY:
        return halted
    unwanted = filters.check(signal, settings, catalog, now)
    if unwanted is not None:
        return unwanted
    if isinstance(equity, Usd):
        settings = evolve(settings, size=evolve(settings.size, equity_usd=max(NO_USD, equity)))
    elif equity is not None and signal.side is Side.BUY:
        return equity
    facts = catalog.of(signal.token_id) if len(catalog) else None
    return sizing.size(signal, settings, facts)
