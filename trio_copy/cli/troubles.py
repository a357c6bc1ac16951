"""What went wrong while a long command ran."""

import sys

from attrs import define, field

from trio_copy.telemetry.visible import visible


@define
class Troubles:
    """What went wrong on the way, the first of each kind: told at the end, so that the bar stays whole."""

    _first: dict[str, str] = field(factory=dict)
    _count: dict[str, int] = field(factory=dict)

    def note(self, kind: str, detail: str) -> None:
        self._first.setdefault(kind, detail)
        self._count[kind] = self._count.get(kind, 0) + 1

    def tell(self) -> None:
        for kind, detail in self._first.items():
            more = "" if self._count[kind] == 1 else f" (and {self._count[kind] - 1} more)"
            sys.stderr.write(visible(f"{kind}: {detail}{more}") + "\n")
