"""What went wrong while a long command ran."""

import sys
from types import TracebackType

from attrs import define, field

from trio_copy.errors import TrioCopyError, leaves_of
from trio_copy.telemetry.visible import visible


@define
class Troubles:
    """What went wrong on the way, the first of each kind: told when the command ends, so that the bar stays whole.

    What ended the command is told by whoever called it, and not here as well.
    """

    _first: dict[str, str] = field(factory=dict)
    _count: dict[str, int] = field(factory=dict)

    def note(self, kind: str, detail: str) -> None:
        self._first.setdefault(kind, detail)
        self._count[kind] = self._count.get(kind, 0) + 1

    def __enter__(self) -> "Troubles":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        told = [] if error is None else [str(leaf) for leaf in leaves_of(error) if isinstance(leaf, TrioCopyError)]
        for kind_, detail in self._first.items():
            # Before the first semicolon stands what happened, behind it what is done about it.
            happened = detail.partition(";")[0]
            if any(happened in line or happened.partition(": ")[2] in line for line in told):
                continue
            more = "" if self._count[kind_] == 1 else f" (and {self._count[kind_] - 1} more)"
            sys.stderr.write(visible(f"{kind_}: {detail}{more}") + "\n")
