"""Every history of a small world: depth first, each state looked at once, each history counted."""

from collections.abc import Callable
from random import Random
from typing import Any

from attrs import define, field

from tests.model_check.engine import Engine
from tests.model_check.state import World, Wrong

_CALM = 0.85
"""How often nothing happens from outside in a history at random."""


@define
class Found:
    """What a search came to."""

    states: int = 0
    steps: int = 0
    histories: int = 0
    wrong: list[str] = field(factory=list)
    whole: bool = True
    """Whether every state was looked at."""


def search(engine: Engine, *, most: int | None = None, first: bool = False) -> Found:
    """Play every history; `most` bounds the states that are looked at, `first` stops at what is wrong."""
    found = Found()
    counted: dict[int, int] = {}
    start = engine.start()
    # Each entry: the state's name, what may still happen, and the histories counted so far.
    stack: list[list[Any]] = [[_name(start), _open(engine, start, found), 0]]
    on_stack = {stack[0][0]}
    while stack:
        name, options, histories = stack[-1]
        stop = (first and bool(found.wrong)) or (most is not None and found.states >= most)
        found.whole = found.whole and not (stop and options)
        if stop or not options:
            counted[name] = max(1, histories)
            on_stack.discard(name)
            stack.pop()
            if stack:
                stack[-1][2] += counted[name]
            continue
        found.steps += 1
        try:
            after = options.pop()()
        except Wrong as wrong:
            found.wrong.append(str(wrong))
            stack[-1][2] += 1
            continue
        following = _name(after)
        if following in counted:
            stack[-1][2] += counted[following]
        elif following in on_stack:
            raise AssertionError("a step changed nothing")
        else:
            on_stack.add(following)
            stack.append([following, _open(engine, after, found), 0])
    found.histories = next(reversed(counted.values()))
    return found


def wander(engine: Engine, histories: int, seed: int = 1) -> None:
    """Play histories at random: they are spread over all of a world, where a search with a bound sees one corner of it.

    Raises:
        Wrong: a promise was broken.
    """
    dice = Random(seed)
    for _ in range(histories):
        world = engine.start()
        while steps := list(engine.steps(world)):
            urgent = [step for must, step in steps if must]
            if not urgent:
                engine.check_end(world)
            # Crashes and the like are rare: else hardly a history comes far.
            world = dice.choice(urgent if urgent and dice.random() < _CALM else [step for _, step in steps])()
        engine.check_end(world)


def _open(engine: Engine, world: World, found: Found) -> list[Callable[[], World]]:
    found.states += 1
    steps = list(engine.steps(world))
    if not any(must for must, _ in steps):
        try:
            engine.check_end(world)
        except Wrong as wrong:
            found.wrong.append(str(wrong))
    return [step for _, step in steps]


def _name(world: World) -> int:
    """Name a world in 64 bits: among a million, two of one name are one chance in ten million."""
    return hash(world)
