"""Looking up what became of an order: trades by time, page by page; and what is proven absent, or over, and what never is."""

import pytest
import trio
import trio.testing

from tests.clob.scripted_clob import Says, matched, open_bench, refusal
from tests.clob.sends import GTC, KILL, end_of, look_up
from tests.clob.sent_orders import OTHER, OURS, make_order, maker_row, order_row, trade_row
from trio_copy.errors import ExecutorError

Clock = trio.testing.MockClock


async def test_an_order_that_counts_more_than_its_trades_holds_no_exit_and_is_told_once(clock: Clock) -> None:
    """Off the book as soon as its trades are late; after a minute a person hears of it, and what is told then is booked still."""
    async with open_bench(matched()) as bench:
        order = make_order(body=GTC)
        bench.clob.order, bench.clob.trades = Says(200, order_row("CANCELED", "15")), [maker_row(1, "10")]
        assert await look_up(bench, order) is None
        for after_s, told in ((2, 0), (60, 1), (100, 1)):
            await trio.sleep(after_s)
            report = await look_up(bench, order)
            assert report is not None
            assert (report.off_book, str(report.shares), len(bench.told)) == (True, "10", told)
        assert bench.told == [
            ("venue-unclear", f"order {OURS}: it is over, with 15 matched; its trades are 10"),
        ]
        bench.clob.trades.append(maker_row(2, "5"))
        await look_up(bench, order)
        await trio.sleep(61)
        report = await look_up(bench, order)
        assert report is not None
        assert (report.off_book, report.status.value, str(report.shares)) == (False, "partial", "15")


async def test_absence_takes_a_minute_after_the_last_send(clock: Clock) -> None:
    """Of what this process did not send, a minute after it was asked about first."""
    async with open_bench(Says(does="close")) as bench:
        assert await look_up(bench) is None
        await trio.sleep(30)
        assert (await end_of(bench))[0] == "uncertain"
        await trio.sleep(49)
        assert await look_up(bench) is None
        await trio.sleep(12)
        report = await look_up(bench)
        assert report is not None
        assert report.status.value == "absent"


async def test_a_fill_that_was_told_is_never_absent(clock: Clock) -> None:
    """A matched FAK often reads null, and its trade may come late."""
    async with open_bench(matched()) as bench:
        await bench.post(make_order())
        await trio.sleep(1000)
        assert await look_up(bench) is None
        bench.clob.trades = [trade_row()]
        report = await look_up(bench)
        assert report is not None
        assert (report.status.value, report.settlement.value) == ("filled", "firm")


@pytest.mark.parametrize(
    ("status", "says", "asked"),
    [("CONFIRMED", ("filled", "firm"), 0), ("MINED", ("filled", "mined"), 0), ("FAILED", ("filled", "failed"), 1)],
)
async def test_how_a_told_fill_stands_is_asked_only_where_it_was_undone(
    clock: Clock, status: str, says: tuple[str, str], asked: int
) -> None:
    """Its trades say all else, and one more question for each order would be half of what a look costs."""
    async with open_bench(matched()) as bench:
        await bench.post(make_order())
        bench.clob.trades = [trade_row(status=status)]
        report = await look_up(bench)
        assert report is not None
        assert (report.status.value, report.settlement.value) == says
        assert len(bench.clob.at(f"/data/order/{OURS}")) == asked


async def test_trades_are_read_from_the_earliest_moment_that_anybody_waits_for(clock: Clock) -> None:
    """Orders of many ages are one question, and not one for each that is older than the last."""
    async with open_bench(matched()) as bench:
        await bench.post(make_order())
        bench.clob.trades = [trade_row()]
        ages = [make_order(body=make_order().body.replace(b"1764", b"%d" % year)) for year in (1764, 1763, 1762, 1761)]
        async with trio.open_nursery() as nursery:
            for order in ages:
                nursery.start_soon(look_up, bench, order)
        assert {one.params["after"] for one in bench.clob.at("/data/trades")} == {str(1_761_000_000 - 600)}


async def test_trades_are_read_by_time_page_by_page_and_once_for_all(clock: Clock) -> None:
    """However many orders are waited for; pages that have no end prove nothing absent."""
    async with open_bench(matched()) as bench:
        bench.clob.trades = [b'{"id":"other"}'] * 250 + [maker_row()]
        bench.clob.order = Says(200, order_row("MATCHED", "20"))
        order = make_order(body=GTC)
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(look_up, bench, order)
        pages = bench.clob.at("/data/trades")
        assert 3 <= len(pages) <= 9
        assert {one.params["after"] for one in pages} == {str(1_764_000_000 - 600)}
        assert not any("asset_id" in one.params or "market" in one.params for one in pages)
        report = await look_up(bench, order)
        assert report is not None
        assert report.status.value == "filled"

        bench.clob.page_rows, bench.clob.order = 10, Says(200, b"null")
        bench.clob.trades = [b'{"id":"other"}'] * 250
        await trio.sleep(100)
        assert await look_up(bench, order) is None


@pytest.mark.parametrize("says", [refusal(500, "no"), Says(200, b"what"), Says(200, {"id": OTHER}), Says(does="stall")])
async def test_a_look_that_meets_nobody_proves_nothing(clock: Clock, says: Says) -> None:
    """It is an error, and nothing else."""
    async with open_bench(matched()) as bench:
        bench.clob.order = says
        with pytest.raises(ExecutorError):
            await look_up(bench)


async def test_an_order_that_was_seen_once_is_never_absent(clock: Clock) -> None:
    """It is not sent again: the venue would have it twice, or say so."""
    async with open_bench(matched()) as bench:
        bench.clob.order = Says(200, order_row("LIVE"))
        assert await look_up(bench) is None
        bench.clob.order = Says(200, b"null")
        await trio.sleep(100)
        report = await look_up(bench)
        assert report is not None
        assert report.status.value == "killed"


async def test_an_order_that_is_over_may_be_filled_all_the_same(clock: Clock) -> None:
    """A venue that counts late says that nothing was matched; what it has answered when it was sent, it has counted."""
    async with open_bench(matched("", "", status="delayed"), refusal(400, KILL)) as bench:
        bench.clob.order = Says(200, order_row("CANCELED"))
        assert (await end_of(bench))[0] == "unknown"
        await trio.sleep(50)
        assert await look_up(bench) is None
        bench.clob.trades = [trade_row()]
        report = await look_up(bench)
        assert report is not None
        assert (report.status.value, report.settlement.value) == ("filled", "firm")
        bench.clob.trades = []
        assert (await end_of(bench))[0] == "killed"
