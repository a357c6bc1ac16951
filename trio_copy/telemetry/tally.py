"""Counts what happened and how long it took. Memory stays flat: counters by name, and the latest latencies only."""

from collections import Counter, deque

from attrs import define, field, frozen

from trio_copy.model.decisions import CopyTask, End, Skip
from trio_copy.model.facts import Amounts
from trio_copy.model.fills import Fill, Kind
from trio_copy.model.ids import SignalId
from trio_copy.model.positions import EntryKind, LedgerEntry
from trio_copy.model.signals import Signal
from trio_copy.telemetry.observer import Finished, Observer

_KEPT = 8192


@frozen(kw_only=True)
class Percentiles:
    """Of the latest measurements, in milliseconds."""

    count: int
    average: float
    p50: float
    p99: float
    most: float


@define(eq=False)
class Latencies:
    """The latest measurements of one interval."""

    count: int = 0
    _recent: deque[float] = field(factory=lambda: deque(maxlen=_KEPT))

    def add(self, seconds: float) -> None:
        self.count += 1
        self._recent.append(seconds)

    def percentiles(self) -> Percentiles:
        ordered = sorted(self._recent)
        if not ordered:
            return Percentiles(count=0, average=0.0, p50=0.0, p99=0.0, most=0.0)
        last = len(ordered) - 1
        return Percentiles(
            count=self.count,
            average=1000 * sum(ordered) / len(ordered),
            p50=1000 * ordered[last // 2],
            p99=1000 * ordered[round(last * 0.99)],
            most=1000 * ordered[-1],
        )


@define(eq=False)
class Tally(Observer):
    """Totals since the start."""

    fills: int = 0
    signals: int = 0
    duplicates: int = 0
    adopted: int = 0
    retracted: int = 0
    tasks: int = 0
    skips: Counter[str] = field(factory=Counter)
    """By reason code."""
    ends: Counter[End] = field(factory=Counter)
    refusals: Counter[str] = field(factory=Counter)
    """Tasks that ended without a fill, by reason code."""
    alerts: Counter[str] = field(factory=Counter)
    bought_micro: int = 0
    sold_micro: int = 0
    """In millionths of a USD; what failed to settle is taken back, as the books do. Redemptions count as sold."""
    redeemed_micro: int = 0
    redeemed: int = 0
    """Positions of decided questions that became what they pay."""
    ghosts: int = 0
    """Fills that were told and never settled, or not all of them."""
    exits: int = 0
    """Positions that followers left by rules of their own, or by hand; how much of each was sold, is among the ends."""
    decision: Latencies = field(factory=Latencies)
    """From the frame to the gate's answer."""
    queue_lag: Latencies = field(factory=Latencies)
    """From the gate to a worker."""
    copy: Latencies = field(factory=Latencies)
    """From the frame to the recorded end of a copy that was sent."""

    def on_fill(self, fill: Fill, signal_id: SignalId, source: str) -> None:
        self.fills += 1

    def on_signal(self, signal: Signal, admission: str, tasks: int, decided_at: float) -> None:
        match admission:
            case "admitted":
                self.signals += 1
                self.tasks += tasks
                self.exits += tasks if signal.kind is Kind.EXIT else 0
                self.decision.add(decided_at - signal.seen_at)
            case "adopted":
                self.adopted += 1
            case _:
                self.duplicates += 1

    def on_skip(self, skip: Skip, signal: Signal) -> None:
        self.skips[skip.reason.code.name] += 1

    def on_divided(self, rest: CopyTask) -> None:
        self.tasks += 1

    def on_finished(self, finished: Finished) -> None:
        task, outcome, report, started_at, ended_at = finished
        self.ends[outcome.end] += 1
        if outcome.reason is not None:
            self.refusals[outcome.reason.code.name] += 1
        # How long an order was to rest is no latency.
        if report is not None and not task.intent.rest_until:
            self.copy.add(ended_at - task.signal.seen_at)
        if started_at:
            self.queue_lag.add(started_at - task.decided_at)

    def on_booked(self, amounts: Amounts) -> None:
        _, bought, sold, *_ = amounts
        self.bought_micro += bought
        self.sold_micro += sold

    def on_entry(self, entry: LedgerEntry, amounts: Amounts) -> None:
        self.ghosts += entry.is_ghost
        if entry.kind is EntryKind.REDEMPTION:
            self.redeemed += 1
            self.redeemed_micro += entry.notional.micro

    def on_retracted(self, signal: Signal, suspended: int, started: int) -> None:
        self.retracted += 1

    def on_alert(self, kind: str, detail: str) -> None:
        self.alerts[kind] += 1
