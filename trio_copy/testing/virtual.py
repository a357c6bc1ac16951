"""Runs a whole program on a virtual clock with a seeded scheduler, so that a seed reproduces a run.

Trio's deterministic scheduling is private (python-trio/trio#2675 asks for a public switch); this module is the only one
that touches it, and refuses to run when it is gone. No threads and no sockets under this clock: while they work, the
clock believes that nothing happens and jumps, unless it has the patience to wait for them.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio

from trio_copy.errors import InvariantBroken

_T = TypeVar("_T")


def run_virtually(run: Callable[..., Awaitable[_T]], *args: object, seed: int, patience_s: float = 0.0) -> _T:
    """Run an async function to its end; virtual time starts at 0 and jumps whenever everybody waits.

    Args:
        run: the function, and its arguments.
        seed: of the scheduler.
        patience_s: real seconds in which nothing has to happen before it jumps: longer than a server beside it takes to answer.

    Raises:
        InvariantBroken: this version of Trio cannot be seeded.
    """
    from trio.testing import MockClock  # not above: it brings pytest along, and most runs have the time of the world

    core: Any = trio._core._run  # private, see above
    if not hasattr(core, "_ALLOW_DETERMINISTIC_SCHEDULING") or not hasattr(core, "_r"):
        raise InvariantBroken(f"expected Trio's deterministic scheduling, trio {trio.__version__} has none")
    before, state = core._ALLOW_DETERMINISTIC_SCHEDULING, core._r.getstate()
    core._ALLOW_DETERMINISTIC_SCHEDULING = True
    core._r.seed(seed)
    try:
        return trio.run(run, *args, clock=MockClock(autojump_threshold=patience_s))
    finally:
        core._ALLOW_DETERMINISTIC_SCHEDULING = before
        core._r.setstate(state)
