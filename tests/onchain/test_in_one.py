"""What several ask at about the same time is asked once for all of them, and never before any of them has asked."""

from functools import partial

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_copy.errors import ConnectionLost
from trio_copy_onchain.asking.in_one import InOne

Clock = trio.testing.MockClock
TAKES_S = 1.0


@define
class Asked:
    """A node that takes a second for each question, and answers when it was asked."""

    began: list[float] = field(factory=list)
    fails: int = 0

    async def __call__(self) -> float:
        self.began.append(trio.current_time())
        await trio.sleep(TAKES_S)
        if self.fails:
            self.fails -= 1
            raise ConnectionLost("gone")
        return self.began[-1]


async def _ask(shared: InOne[str, float], asked: Asked, answers: list[float], *, after: float, key: str = "a") -> None:
    await trio.sleep(after)
    answers.append(await shared.ask(key, asked))


async def test_whoever_comes_meanwhile_shares_the_next_question(autojump_clock: Clock) -> None:
    """Nobody is answered with what was asked before he came."""
    shared, asked, answers = InOne[str, float](), Asked(), list[float]()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(_ask, shared, asked, answers, after=0.0))
        for number in range(20):
            nursery.start_soon(partial(_ask, shared, asked, answers, after=0.01 + number / 100))
    assert [at - began for at in asked.began] == [0.0, TAKES_S]
    assert [at - began for at in answers] == [0.0] + 20 * [TAKES_S]


async def test_other_things_are_asked_beside_it(autojump_clock: Clock) -> None:
    shared, asked, answers = InOne[str, float](), Asked(), list[float]()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for key in "ab":
            nursery.start_soon(partial(_ask, shared, asked, answers, after=0.0, key=key))
    assert [at - began for at in asked.began] == [0.0, 0.0]


async def test_where_who_asks_for_others_is_cancelled_the_next_one_does(autojump_clock: Clock) -> None:
    """Those who have waited longest are given up first."""
    shared, asked, answers = InOne[str, float](), Asked(), list[float]()
    began = trio.current_time()

    async def impatient() -> None:
        with trio.move_on_after(1.5):
            await _ask(shared, asked, answers, after=0.1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(_ask, shared, asked, answers, after=0.0))
        nursery.start_soon(impatient)
        for _ in range(3):
            nursery.start_soon(partial(_ask, shared, asked, answers, after=0.2))
    assert [at - began for at in asked.began] == [0.0, 1.0, 1.5]
    assert [at - began for at in answers] == [0.0, 1.5, 1.5, 1.5]


async def test_a_failure_is_told_to_who_has_asked_and_the_next_one_asks_again(autojump_clock: Clock) -> None:
    shared, asked, answers = InOne[str, float](), Asked(fails=1), list[float]()

    async def unlucky() -> None:
        with pytest.raises(ConnectionLost):
            await _ask(shared, asked, answers, after=0.0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(unlucky)
        for _ in range(2):
            nursery.start_soon(partial(_ask, shared, asked, answers, after=0.5))
    assert len(asked.began) == 2
    assert answers == 2 * [asked.began[1]]


async def test_nothing_is_kept_of_what_was_answered(autojump_clock: Clock) -> None:
    """A block later, the same is asked anew."""
    shared, asked, answers = InOne[str, float](), Asked(), list[float]()
    for _ in range(2):
        await _ask(shared, asked, answers, after=0.0)
    assert len(asked.began) == 2
    assert not shared._lines
