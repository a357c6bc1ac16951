"""One JSON object per line, for machines."""

from collections.abc import Callable

import msgspec
from attrs import define

from trio_copy.clock import WallClock
from trio_copy.model.decisions import Skip
from trio_copy.model.fills import Fill
from trio_copy.model.ids import SignalId
from trio_copy.model.signals import Signal
from trio_copy.telemetry.observer import Finished, Observer
from trio_copy.telemetry.render import Json, fill_object, finished_object, signal_object, skip_object
from trio_copy.telemetry.visible import escaped_json


@define(eq=False)
class JsonLines(Observer):
    write: Callable[[str], None]
    wall: WallClock

    def on_step(self, step: str, detail: str) -> None:
        self.line("step", {"step": step, "detail": detail})

    def on_fill(self, fill: Fill, signal_id: SignalId, source: str) -> None:
        self.line("fill", {**fill_object(fill, signal_id), "source": source})

    def on_signal(self, signal: Signal, admission: str, tasks: int, decided_at: float) -> None:
        self.line("signal", signal_object(signal, admission, tasks, decided_at))

    def on_skip(self, skip: Skip, signal: Signal) -> None:
        self.line("skip", skip_object(skip))

    def on_finished(self, finished: Finished) -> None:
        self.line("skip" if finished.report is None else "report", finished_object(finished))

    def on_retracted(self, signal: Signal, suspended: int, started: int) -> None:
        self.line("retraction", {"signal_id": signal.signal_id, "suspended": suspended, "started": started})

    def on_alert(self, kind: str, detail: str) -> None:
        self.line("alert", {"kind": kind, "detail": detail})

    def on_quarantined(self, kind: str, detail: str) -> None:
        self.line("quarantined", {"kind": kind, "detail": detail})

    def line(self, event: str, fields: Json) -> None:
        """Write one event."""
        text = msgspec.json.encode({"event": event, "at": round(self.wall(), 6), **fields}).decode()
        self.write(escaped_json(text))
