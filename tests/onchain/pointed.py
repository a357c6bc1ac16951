"""`trio-copy` that sends itself a signal as it passes a point for the so-manieth time: `SIGNAL_AT="KILL 2 onchain: bound"`."""

import os
import signal
import sys
from collections import Counter
from functools import partial
from unittest.mock import patch

from trio_copy.cli import main, running
from trio_copy.engine.seams import Seams

_NAME, _TIME, _POINT = os.environ["SIGNAL_AT"].split(" ", 2)
_passed = Counter[str]()


def _at(point: str) -> None:
    _passed[point] += 1
    if (point, _passed[point]) == (_POINT, int(_TIME)):
        os.kill(os.getpid(), signal.Signals[f"SIG{_NAME}"])


if __name__ == "__main__":
    with patch.object(running, "Seams", partial(Seams, at=_at)):
        sys.exit(main())
