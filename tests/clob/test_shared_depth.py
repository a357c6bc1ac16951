"""Many who copy one trade into a thin book at our venue: it is read once, and each gets a part of it."""

from collections.abc import Generator
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.clob.crowd import Crowd, open_crowd, plan_of
from tests.clob.trust import read_natively
from tests.harness import running_engine
from trio_copy.engine.books.stories import stories
from trio_copy.model.books import Book, Level
from trio_copy.model.decisions import Code, End
from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.model.units import Price, Shares
from trio_copy.telemetry.observer import Finished

Clock = trio.testing.MockClock
MANY = 12


def offer(crowd: Crowd, shares: int) -> None:
    """Let there be so many shares at half a dollar on either side, and no more."""
    ask, bid = ((Level(Price.parse(price), Shares.parse(shares)),) for price in ("0.5", "0.49"))
    book = Book(token_id=TokenId(1), bids=bid, asks=ask, at=crowd.wall(), tick=Price(10_000), minimum=Shares.parse(5))
    crowd.server.clob.market.set_book(book)


@pytest.fixture(autouse=True)
def quick() -> Generator[None, None, None]:
    with read_natively():
        yield


async def trade(crowd: Crowd, side: Side = Side.BUY) -> list[Finished]:
    """Let the leader trade; return how each copy ended."""
    before = len(crowd.recorder.finished)
    crowd.chain.mine(crowd.buy(side=side))
    await crowd.recorder.wait_until(lambda: len(crowd.recorder.finished) == before + MANY)
    return crowd.recorder.finished[before:]


def filled(ended: list[Finished]) -> list[Shares]:
    return sorted(one.report.shares for one in ended if one.report is not None)


async def test_a_thin_book_is_read_once_and_shared(tmp_path: Path, autojump_clock: Clock) -> None:
    """Everybody is filled, alike to the cent, buying and selling; the venue's record is what the books say."""
    async with open_crowd(tmp_path, MANY) as crowd:
        async with running_engine(crowd, plan_of(crowd, tmp_path)) as service:
            crowd.watch(service)
            for side, offered in ((Side.BUY, 96), (Side.BUY, 96), (Side.SELL, 66)):
                offer(crowd, offered)
                reads = crowd.server.http.requests.get("/clob/book", 0)
                ended = await trade(crowd, side)
                assert [one.outcome.end for one in ended] == [End.FILLED] * MANY
                each = offered / MANY
                assert all(each - 0.03 < float(str(shares)) <= each for shares in filled(ended))
                assert crowd.server.http.requests["/clob/book"] == reads + 1
                await crowd.wait_quiet(service)
        assert await crowd.problems() == []
        async with crowd.store.place.look() as store:
            told = [await stories(store.history, one.task.task_id) for one in crowd.recorder.finished[:MANY]]
        allotted = [one.allotment for (story,) in told for one in story.sightings.values() if one.allotment]
        assert sorted(one.place for one in allotted) == list(range(1, MANY + 1))
        assert {(str(one.offered), str(one.most), str(one.price)) for one in allotted} == {("48", "4", "0.5")}


async def test_who_is_first_gets_an_order_where_there_are_not_enough(tmp_path: Path, autojump_clock: Clock) -> None:
    """Three dollars are three orders; the others end with the reason, and are not sent. Next time others are the first."""
    async with open_crowd(tmp_path, MANY) as crowd, running_engine(crowd, plan_of(crowd, tmp_path)):
        served = set()
        for _ in range(4):
            offer(crowd, 6)
            ended = await trade(crowd)
            got = {one.task.follower for one in ended if one.outcome.end is End.FILLED}
            first = sorted(ended, key=lambda one: one.task.task_id)[:3]
            assert got == {one.task.follower for one in first}
            reasons = [one.outcome.reason for one in ended if one.task.follower not in got]
            assert {(one.code, one.control, one.limit) for one in reasons if one} == {
                (Code.BOOK_SHARED_OUT, "venue.book", "1 USD for it")
            }
            served |= got
        assert len(served) > 6
