"""What the answer to an order tells of it: what it has filled, that it rests or is open already, that its market has changed."""

import pytest
import trio
import trio.testing

from tests.clob.scripted_clob import Says, matched, open_bench, refusal
from tests.clob.sends import BALANCE, GTC, KILL
from tests.clob.sent_orders import OURS, make_order, order_row, trade_row
from trio_copy.model.breaches import breach_of_report
from trio_copy.model.fills import Side

Clock = trio.testing.MockClock


async def test_a_fill_is_reported_as_told(clock: Clock) -> None:
    """With the fee of the formula, and pending: the chain has the last word."""
    async with open_bench(matched("20", "9.8")) as bench:
        report = await bench.post(make_order())
        fill = (str(report.shares), str(report.notional), str(report.fee), report.settlement.value)
        assert fill == ("20", "9.8", "0.2499", "pending")
        assert report.order_id == OURS
    async with open_bench(matched("11", "20")) as bench:
        report = await bench.post(make_order(Side.SELL))
        assert (str(report.shares), str(report.notional)) == ("20", "11")


@pytest.mark.parametrize(
    ("says", "ends"),
    [
        (matched("", "", status="live"), ("resting", "0", "firm")),
        (matched("5", "2.5", status="live"), ("resting", "4", "pending")),
        (matched("5", "2.5"), ("resting", "4", "pending")),
        (matched("20", "10"), ("filled", "20", "pending")),
        (matched("", "", status="delayed"), ("resting", "4", "pending")),
    ],
)
async def test_an_order_that_rests(clock: Clock, says: Says, ends: tuple[str, str, str]) -> None:
    """It is open at its limit; what it has filled so far, its trades tell, now and later."""
    async with open_bench(says) as bench:
        bench.clob.trades, bench.clob.order = [trade_row(1, "4", status="MATCHED")], Says(200, order_row("LIVE", "4"))
        report = await bench.post(make_order(body=GTC))
        assert (report.status.value, str(report.shares), report.settlement.value) == ends
    async with open_bench(matched("5", "2.5", status="live")) as bench:
        assert (await bench.post(make_order(body=GTC))).status.value == "resting"


async def test_what_is_open_is_looked_up_at_once(clock: Clock) -> None:
    """A venue that has it already may know more."""
    async with open_bench(refusal(400, f"order {OURS} is invalid. Duplicated.")) as bench:
        bench.clob.trades = [trade_row(status="MATCHED")]
        report = await bench.post(make_order())
        assert (report.status.value, report.settlement.value) == ("filled", "pending")
    async with open_bench(refusal(429, "Too Many Requests", **{"retry-after": "2"})) as bench:
        bench.clob.trades = [trade_row()]
        report = await bench.post(make_order())
        assert (report.status.value, report.settlement.value, len(bench.posts)) == ("filled", "firm", 1)


@pytest.mark.parametrize(
    ("text", "stale"),
    [
        (f"order {OURS} is invalid. Price (0.51) breaks minimum tick size rule: 0.1", True),
        ("invalid order version", True),
        (f"order {OURS} is invalid. Size (1) lower than the minimum: 5", False),
        (BALANCE, False),
        (KILL, False),
    ],
)
async def test_a_refusal_says_whether_a_new_order_may_be_taken(clock: Clock, text: str, *, stale: bool) -> None:
    """Only where it was made for another market than there is by now: nothing else becomes right by being made anew."""
    async with open_bench(refusal(400, text)) as bench:
        report = await bench.post(make_order())
        assert report.stale == stale
        assert breach_of_report(report, make_order()) is None
