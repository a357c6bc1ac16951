"""What came from outside and cannot be used: counted by kind, and told once."""

from collections import Counter

from attrs import define, field

from trio_copy.telemetry.observer import Observer


@define(eq=False)
class Quarantine:
    observer: Observer
    counts: Counter[str] = field(factory=Counter)

    def put_aside(self, kind: str, detail: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] == 1:
            self.observer.on_quarantined(kind, detail)
