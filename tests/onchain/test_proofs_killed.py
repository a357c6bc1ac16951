"""An engine is killed around a broadcast: whoever starts on its books copies nothing twice, and loses nothing that has left."""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
from signal import SIGKILL

import pytest
import trio

from tests.harness import Recorder
from tests.onchain.apart import LIMIT_S, open_apart, write_conf
from tests.onchain.living import Living, open_living
from tests.onchain.proving import books_of, mine, mining, sent, trade_in_a_block, wait_idle, wait_waiting, waiting
from trio_copy.model.fills import Side
from trio_copy.testing.anvil.leaders import Place

pytestmark = pytest.mark.anvil


@pytest.fixture
async def living(tmp_path: Path) -> AsyncGenerator[Living, None]:
    with trio.fail_after(LIMIT_S):
        async with open_living(tmp_path) as living:
            yield living


@pytest.mark.parametrize(
    ("signal_at", "least"),
    [
        ("KILL 1 place: durable", 0),
        ("KILL 2 onchain: bound", 0),
        ("KILL 1 onchain: written down", 1),
        ("KILL 2 onchain: broadcast", 2),
        ("KILL 2 send: learned", 2),
    ],
)
async def test_who_is_killed_around_a_broadcast_copies_once(living: Living, signal_at: str, least: int) -> None:
    """What was not written down never leaves, and is told as not sent; what was leaves once. The books are the chain's."""
    conf = write_conf(living, "onchain")
    before = {name: await sent(living, name) for name in living.people}
    async with open_apart(conf, signal_at=signal_at) as killed:
        await killed.wait_step("armed")
        await living.trade(Place.YES, Side.BUY, 100)
        assert await killed.process.wait() == -SIGKILL
    async with living.engine(living.plan("onchain")) as (recorder, service):
        await living.trade(Place.POOL, Side.BUY, 100)
        await wait_filled(recorder, living.tokens[Place.POOL], 3)
        await wait_idle(service)  # what the dead had not placed is copied beside
        books = await books_of(service.store)
    copied = await living.who_has(Place.YES)
    assert len(copied) >= least
    assert await living.who_has(Place.POOL) == list(living.people)
    for name in living.people:
        assert await sent(living, name) - before[name] == 1 + (name in copied), name
    booked = [(one.follower, one.task_id) for one in books.entries if one.shares]
    assert len(booked) == len(set(booked)) == 3 + len(copied)
    await living.expect_books_as_on_chain(books)
    assert unproven(recorder) == []


async def test_a_lost_journal_is_rebuilt_from_the_chain(living: Living) -> None:
    """Three copies wait for a block when the process dies, and all that it wrote down of them is lost; the books are not.

    Nothing is armed, and nothing sent, before the chain has told what became of them: each is found, and booked once.
    """
    conf = write_conf(living, "onchain")
    before = {name: await sent(living, name) for name in living.people}
    async with open_apart(conf, signal_at="KILL 3 onchain: broadcast") as killed:
        await killed.wait_step("armed")
        await trade_in_a_block(living, Place.YES, Side.BUY, 100)
        assert await killed.process.wait() == -SIGKILL
    assert len(await wait_waiting(living, 3)) == 3
    forget_what_was_sent(living)
    recorder = Recorder()
    async with trio.open_nursery() as nursery:

        async def mine_then() -> None:
            await recorder.wait_until(lambda: "reconcile" in recorder.steps)
            assert len(await waiting(living)) == 3
            await mining(living, True)
            await mine(living)

        nursery.start_soon(mine_then)
        async with living.engine(living.plan("onchain"), observer=recorder) as (_, service):
            await living.trade(Place.POOL, Side.BUY, 100)
            await wait_filled(recorder, living.tokens[Place.POOL], 3)
            books = await books_of(service.store)
    for place in (Place.YES, Place.POOL):
        assert await living.who_has(place) == list(living.people)
    assert {name: await sent(living, name) - before[name] for name in living.people} == dict.fromkeys(living.people, 2)
    assert len({(one.follower, one.task_id) for one in books.entries if one.shares}) == 6
    await living.expect_books_as_on_chain(books)


def forget_what_was_sent(living: Living) -> None:
    """Delete the journal from the file, as a person with a bad day would."""
    with closing(sqlite3.connect(living.folder / "books.db")) as file, file:
        assert file.execute("DELETE FROM documents WHERE kind = 'sending'").rowcount


async def wait_filled(recorder: Recorder, token: int, count: int) -> None:
    """Wait until so many copies of a token have filled something."""

    def filled() -> int:
        return sum(
            one.task.intent.token_id == token and one.report is not None and bool(one.report.shares)
            for one in recorder.finished
        )

    await recorder.wait_until(lambda: filled() >= count)


def unproven(recorder: Recorder) -> list[tuple[str, str]]:
    """Return what a person was told that he would have to look after."""
    return [one for one in recorder.alerts if one[0] in ("outcome-unproven", "unproven-at-exit", "venue-unclear")]
