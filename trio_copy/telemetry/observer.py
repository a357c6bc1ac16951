"""What the engine tells while it works. Calls are sync and must return at once."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from trio_copy.clock import WallClock
from trio_copy.model.decisions import CopyTask, Outcome, Skip
from trio_copy.model.facts import Amounts
from trio_copy.model.fills import Fill
from trio_copy.model.ids import SignalId
from trio_copy.model.orders import ExecutionReport
from trio_copy.model.positions import LedgerEntry, slippage_bps
from trio_copy.model.signals import Signal
from trio_copy.telemetry.alert_pace import AlertPace
from trio_copy.telemetry.redaction import Redactor


class Finished(NamedTuple):
    """A task that reached its end."""

    task: CopyTask
    outcome: Outcome
    report: ExecutionReport | None
    """What the executor learned; None when nothing was sent."""
    started_at: float
    """Unix seconds at which a worker took it up."""
    ended_at: float
    """Unix seconds at which its end was recorded."""

    @property
    def slippage_bps(self) -> int | None:
        """How much worse than the leader's price the copy was; None where either has no price."""
        price = None if self.report is None else self.report.price
        # What the sizing assumes of a trade without a price is no price that anybody paid.
        if price is None or self.task.signal.price is None:
            return None
        return slippage_bps(self.task.intent.side, self.task.intent.price, price)


class Observer:
    """Hears everything and, by default, does nothing. Subclasses override what they care about."""

    def on_step(self, step: str, detail: str) -> None:
        """A step of starting or stopping is done."""

    def on_fill(self, fill: Fill, signal_id: SignalId, source: str) -> None:
        """A fill of a followed leader was decoded, by the source that brought it first."""

    def on_signal(self, signal: Signal, admission: str, tasks: int, decided_at: float) -> None:
        """A signal went through the gate; `admission` is admitted, duplicate or adopted. Times are Unix seconds."""

    def on_skip(self, skip: Skip, signal: Signal) -> None:
        """A follow did not want a signal."""

    def on_divided(self, rest: CopyTask) -> None:
        """An exit was placed in part; what it could not sell yet is a task more."""

    def on_finished(self, finished: Finished) -> None:
        """A task reached its end, whichever."""

    def on_booked(self, amounts: Amounts) -> None:
        """What was bought or sold has changed by so much; below zero where a fill was undone. `model.facts` names them."""

    def on_entry(self, entry: LedgerEntry, amounts: Amounts) -> None:
        """A booking is durable, and has changed what `model.facts` names by so much."""

    def on_retracted(self, signal: Signal, suspended: int, started: int) -> None:
        """A reorg took a signal back and `suspended` tasks of it with it; `started` had been placed."""

    def on_alert(self, kind: str, detail: str) -> None:
        """Something a person should look at."""

    def on_quarantined(self, kind: str, detail: str) -> None:
        """Something unusable came from outside, the first of its kind; the others are only counted."""


class Observers(Observer):
    """Passes everything on to several observers, in order, and takes secrets out of the texts before."""

    def __init__(
        self,
        observers: Sequence[Observer],
        redact: Callable[[str], str] | None = None,
        *,
        wall: WallClock = lambda: 0.0,
        alert_every_s: float = 0.0,
    ) -> None:
        """Tell `observers` everything but alerts that are like one of the last `alert_every_s`: those are counted."""
        self._observers, self._redact = tuple(observers), redact or Redactor().redact
        self._pace = AlertPace(alert_every_s, wall, self._alert)

    def look(self, *, end: bool = False) -> None:
        """Tell how many alerts were like those whose time is over; of all of them at the `end`."""
        self._pace.look(end=end)

    def on_step(self, step: str, detail: str) -> None:
        detail = self._redact(detail)
        for observer in self._observers:
            observer.on_step(step, detail)

    def on_fill(self, fill: Fill, signal_id: SignalId, source: str) -> None:
        for observer in self._observers:
            observer.on_fill(fill, signal_id, source)

    def on_signal(self, signal: Signal, admission: str, tasks: int, decided_at: float) -> None:
        for observer in self._observers:
            observer.on_signal(signal, admission, tasks, decided_at)

    def on_skip(self, skip: Skip, signal: Signal) -> None:
        for observer in self._observers:
            observer.on_skip(skip, signal)

    def on_divided(self, rest: CopyTask) -> None:
        for observer in self._observers:
            observer.on_divided(rest)

    def on_finished(self, finished: Finished) -> None:
        for observer in self._observers:
            observer.on_finished(finished)

    def on_booked(self, amounts: Amounts) -> None:
        for observer in self._observers:
            observer.on_booked(amounts)

    def on_entry(self, entry: LedgerEntry, amounts: Amounts) -> None:
        for observer in self._observers:
            observer.on_entry(entry, amounts)

    def on_retracted(self, signal: Signal, suspended: int, started: int) -> None:
        for observer in self._observers:
            observer.on_retracted(signal, suspended, started)

    def on_alert(self, kind: str, detail: str) -> None:
        self._pace.on_alert(kind, self._redact(detail))

    def _alert(self, kind: str, detail: str) -> None:
        for observer in self._observers:
            observer.on_alert(kind, detail)

    def on_quarantined(self, kind: str, detail: str) -> None:
        detail = self._redact(detail)
        for observer in self._observers:
            observer.on_quarantined(kind, detail)
