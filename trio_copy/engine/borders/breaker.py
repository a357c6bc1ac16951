"""Tells a person what an executor must not have answered, once of each kind; and stops its entries after three in a row."""

from collections import Counter
from collections.abc import Callable

import trio
from attrs import define, field

from trio_copy.engine.borders.calls import TOLD_AT, Call
from trio_copy.engine.borders.clean_texts import CleanTexts
from trio_copy.model.breaches import Breach

_KINDS = 256
BREAKER_AT = 3
BREAKER_S = 60.0


@define(eq=False, kw_only=True)
class Breaker:
    texts: CleanTexts
    on_alert: Callable[[str, str], None]
    in_a_row: Counter[str] = field(factory=Counter)
    """Breaches since the last good answer, by call."""
    open_until: float = 0.0
    """Until when the breaker is open, by Trio's clock."""
    _told: Counter[tuple[str, str]] = field(factory=Counter)

    def note(self, call: Call, breach: Breach) -> None:
        """Tell a breach, and count it for the breaker; a report that is asked for again and again is not counted."""
        self.tell(call, breach)
        if call.name == "find":
            return
        self.in_a_row[call.name] += 1
        if self.in_a_row[call.name] >= BREAKER_AT:
            if trio.current_time() >= self.open_until:
                why = f"{self.in_a_row[call.name]} breaches in a row; no entries for {BREAKER_S:g} s, exits go on"
                self.on_alert("breaker-open", f"{call}: {why}")
            self.open_until = trio.current_time() + BREAKER_S

    def tell(self, call: Call, breach: Breach, *, kind: str = "contract-broken") -> None:
        """Tell a breach, and again after a hundred and ten thousand of its kind."""
        key = (call.name, breach.rule)
        if len(self._told) >= _KINDS and key not in self._told:
            self._told.clear()
        self._told[key] += 1
        if self._told[key] in TOLD_AT:
            times = f" ({self._told[key]} times)" if self._told[key] > 1 else ""
            self.on_alert(kind, self.texts.line(call, breach) + times)
