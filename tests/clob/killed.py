"""`python -m tests.clob.killed POINT NTH WORD...`: `trio-copy WORD...`, killed by SIGKILL where it comes to a point for the nth time.

Points are those of an engine and of the wire on which orders leave. "A > B" is the first B after the nth A.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from attrs import define

from tests.clob.wire import watched
from trio_copy.cli import running
from trio_copy.cli.app import main
from trio_copy.engine.seams import Seams


@define(eq=False)
class Death:
    first: str
    """Is come to so many times before it is at hand."""
    left: int
    then: str
    """Where it comes then; empty where that is at once."""

    def at(self, point: str) -> None:
        """Die here, if this is where."""
        if self.left and point == self.first:
            self.left -= 1
            if self.left or self.then:
                return
        elif self.left or point != self.then:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def dying(make: Callable[..., Seams], death: Death) -> Callable[..., Seams]:
    """Return how the seams of an engine are made that comes to a point and dies there."""

    def made(**parts: Any) -> Seams:
        seams = make(**parts)
        seams.at, seams.open_socket = death.at, watched(seams.open_socket, death.at)
        return seams

    return made


if __name__ == "__main__":
    first, _, then = sys.argv[1].partition(" > ")
    with patch.object(running, "Seams", dying(Seams, Death(first, int(sys.argv[2]), then))):
        sys.exit(main(sys.argv[3:]))
