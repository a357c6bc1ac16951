"""Every history there is: where the engine is killed, which time, what the venue does, and how late it comes back."""

import os
import random
import shutil
import tempfile
import traceback
from collections.abc import Callable, Collection, Iterator
from itertools import product
from pathlib import Path

import trio
from attrs import evolve, frozen

from tests.crash.books import Books, read_books
from tests.crash.checker import History, Verdict
from tests.crash.script import CALLED_OFF, truth
from tests.crash.stores import KINDS, Place
from tests.crash.world import COMMON_CAP, DAY_CAPS, FOLLOWERS, LIVES_APART, RESTS, Life, events, run_life, venue
from trio_copy.model.ids import FollowerId, TokenId

CALLED_OFF_AT = "rest: called off"
"""Reached only where something rests."""
FORGETS = "the store forgets"
"""Not a point to be killed at: the store loses writes that it had promised, and its owner lives on."""
ENGINE_POINTS = (
    "gate: before admission",
    "gate: admitted",
    "task: in hand",
    "place: decided",
    "place: durable",
    "send: may have been sent",
    "venue: not yet",
    "venue: has it",
    "send: answered",
    "send: learned",
    "prove: answered",
    "grant: drawn",
    "take over: leased",
    "take over: taken",
    "take over: read",
    "write: before",
    "write: durable",
    "write: announced",
    "end: before the last write",
    "end: written",
    CALLED_OFF_AT,
)
STORE_POINTS = {
    "sqlite": ("sqlite: before commit", "sqlite: committed"),
    "memory": ("memory: before write", "memory: written", FORGETS),
}
LATER_POINTS = ("recovery: counted", "prove: answered", "take over: taken", "take over: read", "write: durable")
"""Where the life after the first death is killed as well: while it takes up what that one left."""
_IN_EVERY_LIFE = ("take over: leased", "take over: taken", "take over: read", "write: before", "write: durable")
OUTCOMES = (
    (),
    ("not-sent",),
    ("lose-request",),
    ("lose-reply",),
    ("late",),
    ("duplicated",),
    ("reject",),
    ("stale-market",),
    ("server-error",),
    ("kill",),
    ("settle-fail",),
    ("settle-part",),
    ("lose-reply", "kill", "settle-fail", "lose-request"),
    (RESTS,),
    (RESTS, "lose-reply", "settle-fail"),
    (RESTS, "lose-reply", "settle-part"),
)
NTHS = (1, 2, 5, 17)
_LIVES_MOST = 5
_LIVES_PER_KILL = 5


class EngineBroke(Exception):
    """A life ended with an error that no engine may end with."""


@frozen
class Case:
    """One history: an engine that is killed once, or twice, and then lives to the end."""

    store: str
    point: str
    nth: int
    faults: tuple[str, ...]
    gap: str
    then: str | None = None
    """Where the next life is killed."""

    def __str__(self) -> str:
        then = "" if self.then is None else f", then {self.then}"
        return f"{self.store}: {self.point} #{self.nth}{then}, venue {'+'.join(self.faults) or 'good'}, {self.gap}"


def all_cases() -> list[Case]:
    """Return the whole product, in an order that does not depend on anything."""
    gaps = sorted(LIVES_APART)
    points = [(store, point) for store in KINDS for point in (*ENGINE_POINTS, *STORE_POINTS[store])]
    once = [
        Case(store, point, nth, faults, gap)
        for (store, point), nth, faults, gap in product(points, NTHS, OUTCOMES, gaps)
        if point != CALLED_OFF_AT or RESTS in faults
    ]
    twice = [
        Case(store, point, nth, faults, gap, then)
        for (store, point), nth, faults, gap, then in product(
            points, (1, 5), OUTCOMES, ("at once", "fresh"), LATER_POINTS
        )
        if point != FORGETS and (point != CALLED_OFF_AT or RESTS in faults)
    ]
    return [*once, *twice]


def some_cases(seed: int) -> Iterator[Case]:
    """Yield the product in a random order."""
    cases = all_cases()
    random.Random(seed).shuffle(cases)
    yield from cases


def play(case: Case, sabotage: Callable[[], None] | None = None) -> tuple[Verdict, bool]:
    """Play one history to its end and check it; also tell whether the point was reached at all."""
    folder = Path(tempfile.mkdtemp(prefix="trio-copy-crash-"))
    place = Place(case.store, folder)
    try:

        def life(number: int) -> Life:
            return Life(place=place, number=number, gap=case.gap, faults=case.faults, sabotage=sabotage)

        first = evolve(life(0), kill_at=case.point, kill_nth=case.nth)
        if case.point == FORGETS:
            first = evolve(life(0), forget_nth=case.nth)
        reached = _live(first)
        verdict = _check_death(place) if reached else Verdict()
        number = 1
        while _live(evolve(life(number), kill_at=case.then if number == 1 else None)) and number < _LIVES_MOST:
            number += 1
            _add(verdict, _check_death(place))
        _add(verdict, check_end(place))
        return verdict, reached or case.point == FORGETS
    finally:
        shutil.rmtree(folder)


def kill_often(kills: int, seed: int, store: str) -> tuple[Verdict, int]:
    """Kill one engine after the other at random points, while its leader trades and after; then let one live."""
    luck = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="trio-copy-kills-"))
    place = Place(store, folder)
    points = [point for point in (*ENGINE_POINTS, *STORE_POINTS[store], "recovery: counted") if point != FORGETS]
    died, number, verdict = 0, 0, Verdict()
    try:
        while died < kills and number < _LIVES_PER_KILL * kills:
            life = Life(
                place=place,
                number=number,
                gap="at once",
                faults=luck.choice(OUTCOMES),
                kill_at=luck.choice(luck.choice((points, _IN_EVERY_LIFE))),
                kill_nth=luck.choice(NTHS),
            )
            died, number = died + _live(life), number + 1
            _add(verdict, _check_death(place))
        _live(Life(place=place, number=number, gap="fresh", faults=()))
        _add(verdict, check_end(place, may_be_dead=FOLLOWERS))
        return verdict, died
    finally:
        shutil.rmtree(folder)


def check_end(place: Place, *, may_be_dead: Collection[FollowerId] = ()) -> Verdict:
    """Check what is left when the last life is over."""
    if not place.exists:
        return Verdict(lost=["there is no store"])
    verdict = evolve(_history(place), may_be_dead=may_be_dead).check()
    verdict.wrong += [event["detail"] for event in events(place.folder) if event["event"] == "wrong"]
    return verdict


def _check_death(place: Place) -> Verdict:
    """Check what may be asked of a store at any moment: its checkpoint vouches for nothing that is not there."""
    if not place.exists:
        return Verdict()
    reached = place.checkpoints().get(0, -1)
    return _history(place).check_checkpoints(dict.fromkeys(FOLLOWERS, reached))


def _history(place: Place) -> History:
    blocks = [event["block"] for event in events(place.folder) if event["event"] == "armed"]
    return History(
        truth=truth(),
        armed=dict.fromkeys(FOLLOWERS, min(blocks)) if blocks else {},
        venue=list(venue(place.folder)),
        books=trio.run(_read, place),
        followers=FOLLOWERS,
        day_caps=DAY_CAPS,
        common_cap=COMMON_CAP,
        called_off=TokenId(CALLED_OFF),
    )


async def _read(place: Place) -> Books:
    async with place.look() as store:
        return await read_books(store)


def _add(verdict: Verdict, more: Verdict) -> None:
    verdict.lost += more.lost
    verdict.doubled += more.doubled
    verdict.wrong += more.wrong


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
        raise EngineBroke(f"the engine broke in {life}")
    return False
