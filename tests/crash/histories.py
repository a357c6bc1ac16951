"""Every history there is: where the engine is killed, which time, what the venue does, and how late it comes back."""

import os
import random
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

from attrs import evolve, frozen

from tests.crash.checker import Verdict, check_history
from tests.crash.world import LIVES_APART, Life, run_life

TWINS = "twins"
"""Not a point to be killed at: every task is carried out by two instances at once."""
POINTS = (
    "gate: before admission",
    "gate: admitted",
    "task: leased",
    "exit: called off",
    "place: before the reservation",
    "place: reserved",
    "place: frozen",
    "send: may have been sent",
    "venue: not yet",
    "venue: has it",
    "send: answered",
    "send: unknown",
    "settle: booked",
    "settle: budgets",
    "settle: journal",
    "confirm: booked",
    "reverse: booked",
    "task: ended",
    "sqlite: before commit",
    "sqlite: committed",
)
OUTCOMES = (
    (),
    ("not-sent",),
    ("lose-request",),
    ("lose-reply",),
    ("late",),
    ("duplicated",),
    ("reject",),
    ("server-error",),
    ("kill",),
    ("settle-fail",),
    ("lose-reply", "kill", "settle-fail", "lose-request"),
)
NTHS = (1, 2, 5, 17)
_LIVES_MOST = 4


@frozen
class Case:
    """One history: an engine that is killed once and then lives to the end."""

    point: str
    nth: int
    faults: tuple[str, ...]
    gap: str

    def __str__(self) -> str:
        return f"{self.point} #{self.nth}, venue {'+'.join(self.faults) or 'good'}, {self.gap}"


def all_cases() -> list[Case]:
    """Return the whole product, in an order that does not depend on anything."""
    killed = (Case(*one) for one in product(POINTS, NTHS, OUTCOMES, sorted(LIVES_APART)))
    twins = (Case(TWINS, 0, faults, "fresh") for faults in OUTCOMES)
    return [*killed, *twins]


def some_cases(seed: int) -> Iterator[Case]:
    """Yield the product in a random order."""
    cases = all_cases()
    random.Random(seed).shuffle(cases)
    yield from cases


def play(case: Case, sabotage: Callable[[], None] | None = None) -> tuple[Verdict, bool]:
    """Play one history to its end and check it; also tell whether the point was reached at all."""
    folder = Path(tempfile.mkdtemp(prefix="trio-copy-crash-"))
    try:

        def life(number: int) -> Life:
            return Life(
                folder=folder,
                number=number,
                gap=case.gap,
                faults=case.faults,
                twins=case.point == TWINS,
                sabotage=sabotage,
            )

        reached = _live(evolve(life(0), kill_at=case.point, kill_nth=case.nth))
        number = 1
        while _live(life(number)) and number < _LIVES_MOST:
            number += 1
        return check_history(folder), reached
    finally:
        shutil.rmtree(folder)


def _live(life: Life) -> bool:
    """Let a process of its own live a life; True when it was killed."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            run_life(life, seed=life.number + 1)
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)  # a child must never come back into its parent's code
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status):
        raise RuntimeError(f"the engine broke in {life}")
    return False
