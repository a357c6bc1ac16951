"""What proves the outcome of an order, and what does not: as a table, and to the millionth."""

from typing import Any

import pytest

from tests.clob.evident import FULL, HALF, NULL, only, said_of, seen_of
from tests.clob.sent_orders import OPPOSITE, OTHER, TOKEN, make_order, maker_row, order_row, trade_row
from trio_copy.model.units import Shares, Usd
from trio_copy_clob.sending.proof import QUIET_S, TOLD_LATE_S, prove

_TOLD = (Shares.parse(20), Usd.parse(10))
_CHEAP = trade_row(1, "20", "0.4")
"""All the shares that the order names, for eight of its ten dollars."""


@pytest.mark.parametrize(
    ("rows", "order_body", "changes", "expected"),
    [
        # How far a trade is, in either way of writing it.
        ([trade_row(status="MATCHED")], NULL, {}, (*FULL, "pending")),
        ([trade_row(status="TRADE_STATUS_MATCHED")], NULL, {}, (*FULL, "pending")),
        ([trade_row(status="MATCHED_NOT_BROADCASTED")], NULL, {}, (*FULL, "pending")),
        ([trade_row(status="MINED")], NULL, {}, (*FULL, "mined")),
        ([trade_row(status="RETRYING")], NULL, {}, (*FULL, "pending")),
        ([trade_row(status="TRADE_STATUS_RETRYING")], NULL, {}, (*FULL, "pending")),
        ([trade_row(status="CONFIRMED")], NULL, {}, (*FULL, "firm")),
        ([trade_row(status="TRADE_STATUS_CONFIRMED")], NULL, {}, (*FULL, "firm")),
        ([trade_row(status="FAILED")], NULL, {}, (*FULL, "failed")),
        ([trade_row(status="TRADE_STATUS_FAILED")], NULL, {"told": _TOLD}, (*FULL, "failed")),
        # Several trades: firm when all of them are; one that failed takes its own shares along, when all have ended.
        ([trade_row(1, "10"), trade_row(2, "10")], NULL, {}, (*FULL, "firm")),
        ([trade_row(1, "10"), trade_row(2, "10", status="MINED")], NULL, {}, (*FULL, "mined")),
        ([trade_row(1, "10", status="MATCHED"), trade_row(2, "10", status="MINED")], NULL, {}, (*FULL, "pending")),
        ([trade_row(1, "10"), trade_row(2, "10", status="FAILED")], NULL, {}, (*HALF, "firm")),
        ([trade_row(1, "10", status="MINED"), trade_row(2, "10", status="FAILED")], NULL, {}, (*HALF, "mined")),
        ([trade_row(1, "10", status="FAILED"), trade_row(2, "10", status="FAILED")], NULL, {}, (*FULL, "failed")),
        # One trade, told twice: what is final counts, and of two ends neither.
        ([trade_row(status="MINED"), trade_row(status="CONFIRMED")], NULL, {}, (*FULL, "firm")),
        ([trade_row(status="CONFIRMED"), trade_row(status="MINED")], NULL, {}, (*FULL, "firm")),
        ([trade_row(status="CONFIRMED"), trade_row(status="FAILED")], NULL, {}, (*FULL, "pending")),
        # A part: nothing is said before all of it is seen.
        ([trade_row(1, "10")], NULL, {}, None),
        ([trade_row(1, "10")], NULL, {"quiet_s": QUIET_S}, (*HALF, "firm")),
        ([trade_row(1, "10")], NULL, {"told": (Shares.parse(10), Usd.parse(5))}, (*HALF, "firm")),
        ([trade_row(1, "10")], NULL, {"told": _TOLD, "quiet_s": 999.0}, None),
        ([trade_row(1, "10")], order_row("MATCHED", "10", ("trade-1",)), {}, (*HALF, "firm")),
        ([trade_row(1, "10")], order_row("MATCHED", "20", ("trade-1", "trade-2")), {"quiet_s": QUIET_S}, None),
        ([trade_row(1, "10")], order_row("CANCELED", "10"), {}, (*HALF, "firm")),
        # A purchase spends cash: in a book better than its limit, the shares that it names are not all that may come.
        ([_CHEAP], NULL, {}, None),
        ([_CHEAP], NULL, {"quiet_s": QUIET_S}, ("partial", "20", "8", "firm")),
        ([_CHEAP], NULL, {"quiet_s": QUIET_S, "whole": False}, None),
        ([_CHEAP, trade_row(2, "5", "0.4", "MINED")], NULL, {}, ("filled", "25", "10", "mined")),
        ([_CHEAP, trade_row(2, "5", "0.4")], NULL, {}, ("filled", "25", "10", "firm")),
        ([_CHEAP], NULL, {"told": (Shares.parse(20), Usd.parse(8))}, ("partial", "20", "8", "firm")),
        ([_CHEAP], NULL, {"told": (Shares.parse(25), Usd.parse(10)), "quiet_s": QUIET_S}, None),
        ([_CHEAP], order_row("MATCHED", "20"), {}, ("partial", "20", "8", "firm")),
        ([_CHEAP], order_row("CANCELED", "8", ("trade-1",)), {}, ("partial", "20", "8", "firm")),
        ([_CHEAP], order_row("CANCELED", "8"), {}, None),
        # More is matched than the trades show, or may be yet.
        ([_CHEAP], order_row("MATCHED", "25"), {"quiet_s": QUIET_S}, None),
        ([_CHEAP], order_row("MATCHED", "25", ("trade-1",)), {"quiet_s": QUIET_S}, None),
        ([_CHEAP], order_row("MATCHED", "20", ("trade-1", "trade-2")), {"quiet_s": QUIET_S}, None),
        ([_CHEAP], order_row("DELAYED"), {"quiet_s": QUIET_S}, None),
        ([_CHEAP], order_row("LIVE", "20", ("trade-1",)), {"quiet_s": QUIET_S}, None),
        ([trade_row()], order_row("DELAYED"), {}, ("filled", "20", "10", "firm")),
        ([trade_row()], order_row("LIVE", "20", ("trade-1",)), {}, ("filled", "20", "10", "firm")),
        # What stays open for ever, and is on the chain for good
        ([trade_row(1, "10")], order_row("DELAYED"), {"quiet_s": QUIET_S}, None),
        # Nothing: no order, no trade, no log, and a minute since it was sent; one alone proves nothing.
        ([], NULL, {}, None),
        ([], NULL, {"quiet_s": QUIET_S - 1}, None),
        ([], NULL, {"quiet_s": QUIET_S, "whole": False}, None),
        ([], NULL, {"quiet_s": QUIET_S, "told": _TOLD}, None),
        ([], NULL, {"quiet_s": QUIET_S}, ("absent", "0", "0", "firm")),
        ([], NULL, {"quiet_s": QUIET_S, "fills": ()}, ("absent", "0", "0", "firm")),
        ([], NULL, {"quiet_s": QUIET_S, "heard": False}, None),
        ([], NULL, {"quiet_s": QUIET_S, "there": True, "heard": False}, None),
        ([], NULL, {"quiet_s": QUIET_S, "was_on_chain": True}, None),
        ([], order_row("CANCELED"), {"quiet_s": QUIET_S, "was_on_chain": True}, None),
        ([], order_row("CANCELED"), {"quiet_s": QUIET_S, "heard": False}, None),
        ([], order_row("CANCELED"), {"quiet_s": QUIET_S, "whole": False}, None),
        ([trade_row(status="FAILED")], NULL, {"heard": False}, (*FULL, "pending")),
        ([trade_row(1, "10"), trade_row(2, "10", status="FAILED")], NULL, {"heard": False}, (*HALF, "mined")),
        ([trade_row()], NULL, {"heard": False}, (*FULL, "firm")),
        ([], NULL, {"quiet_s": QUIET_S, "there": True}, ("killed", "0", "0", "firm")),
        ([], b'{"error":"order not found"}', {"quiet_s": QUIET_S}, ("absent", "0", "0", "firm")),
        ([trade_row(taker_order_id=OTHER)], NULL, {"quiet_s": QUIET_S}, ("absent", "0", "0", "firm")),
        ([trade_row(asset_id="1")], NULL, {"quiet_s": QUIET_S}, None),
        # What the order itself says ends it only where the trades agree, and have had their time.
        ([], order_row("CANCELED"), {}, None),
        ([], order_row("CANCELED"), {"quiet_s": QUIET_S - 1}, None),
        ([], order_row("CANCELED"), {"quiet_s": QUIET_S}, ("killed", "0", "0", "firm")),
        ([], order_row("ORDER_STATUS_CANCELED_MARKET_RESOLVED"), {"quiet_s": QUIET_S}, ("killed", "0", "0", "firm")),
        ([], order_row("CANCELED", "5"), {"quiet_s": QUIET_S}, None),
        ([], order_row("CANCELED", "0", ("trade-1",)), {"quiet_s": QUIET_S}, None),
        ([], order_row("INVALID"), {}, None),
        ([], order_row("INVALID"), {"quiet_s": QUIET_S}, ("rejected", "0", "0", "firm")),
        ([], order_row("MATCHED", "20"), {"quiet_s": QUIET_S}, None),
        ([], order_row("LIVE"), {"quiet_s": QUIET_S}, None),
        ([], order_row("DELAYED"), {"quiet_s": QUIET_S}, None),
        ([], order_row("UNMATCHED"), {}, None),
        ([], order_row("UNMATCHED"), {"quiet_s": QUIET_S}, ("killed", "0", "0", "firm")),
        ([], order_row("SOMETHING"), {"quiet_s": QUIET_S}, None),
        # More than the order could cost is nobody's fill.
        ([trade_row(size="21", price="0.5")], NULL, {}, None),
        ([trade_row(size="1e30")], NULL, {"quiet_s": QUIET_S}, None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_comes_of_an_order_that_is_over_at_once(
    rows: list[bytes], order_body: bytes, changes: dict[str, Any], expected: tuple[str, str, str, str] | None
) -> None:
    order = make_order()
    assert said_of(prove(order, seen_of(order, rows, order_body, **changes), rests=False)) == expected


@pytest.mark.parametrize(
    ("rows", "order_body", "changes", "expected"),
    [
        ([], order_row("LIVE"), {}, ("resting", "0", "0", "firm")),
        ([], order_row("UNMATCHED"), {}, ("resting", "0", "0", "firm")),
        ([], order_row("DELAYED"), {"quiet_s": QUIET_S}, None),
        ([maker_row(1, "10")], order_row("LIVE", "10"), {}, ("resting", "10", "5", "firm")),
        ([maker_row(1, "10", status="MINED")], order_row("LIVE", "10"), {}, ("resting", "10", "5", "mined")),
        # What is undone is told at the end: until then, amounts never shrink.
        (
            [maker_row(1, "5"), maker_row(2, "5", status="FAILED")],
            order_row("LIVE", "10"),
            {},
            ("resting", "10", "5", "pending"),
        ),
        (
            [maker_row(1, "5"), maker_row(2, "5", status="FAILED")],
            order_row("CANCELED", "10"),
            {"quiet_s": QUIET_S},
            ("partial", "5", "2.5", "firm"),
        ),
        (
            [maker_row(1, "5"), maker_row(2, "5", status="FAILED")],
            order_row("CANCELED", "10"),
            {},
            ("off book", "10", "5", "pending"),
        ),
        ([maker_row(1, "10")], order_row("LIVE"), {"whole": False}, None),
        # What is over is not all that was filled before nothing new was seen for a minute.
        ([maker_row(1, "10")], order_row("CANCELED", "10"), {}, ("off book", "10", "5", "firm")),
        (
            [maker_row(1, "10")],
            order_row("CANCELED", "10"),
            {"quiet_s": QUIET_S - 1},
            ("off book", "10", "5", "firm"),
        ),
        ([maker_row(1, "10")], order_row("CANCELED", "10"), {"quiet_s": QUIET_S}, (*HALF, "firm")),
        ([maker_row(1, "20")], order_row("CANCELED", "20"), {}, (*FULL, "firm")),
        # It counts more than is told: exits wait as long as trades are told late, and then for nothing that may never be told.
        ([maker_row(1, "10")], order_row("CANCELED", "15"), {}, None),
        ([maker_row(1, "10")], order_row("CANCELED", "15"), {"quiet_s": TOLD_LATE_S}, ("off book", "10", "5", "firm")),
        ([maker_row(1, "10")], order_row("CANCELED", "15"), {"quiet_s": 9999.0}, ("off book", "10", "5", "firm")),
        ([maker_row(1, "10")], order_row("CANCELED", "15"), {"quiet_s": 9999.0, "whole": False}, None),
        ([maker_row(1, "10")], order_row("LIVE", "15"), {"quiet_s": 9999.0}, ("resting", "10", "5", "firm")),
        ([trade_row(1, "10"), maker_row(2, "10")], order_row("MATCHED", "20"), {}, (*FULL, "firm")),
        ([maker_row(1, "20")], NULL, {}, (*FULL, "firm")),
        ([maker_row(1, "10")], NULL, {"quiet_s": QUIET_S}, None),
        ([], order_row("CANCELED"), {}, ("off book", "0", "0", "firm")),
        ([], order_row("CANCELED"), {"quiet_s": QUIET_S - 1}, ("off book", "0", "0", "firm")),
        ([], order_row("CANCELED"), {"quiet_s": QUIET_S, "heard": False}, ("off book", "0", "0", "firm")),
        ([], order_row("CANCELED"), {"quiet_s": QUIET_S, "whole": False}, None),
        ([], order_row("CANCELED"), {"quiet_s": QUIET_S}, ("killed", "0", "0", "firm")),
        ([], order_row("CANCELED", "5"), {"quiet_s": QUIET_S}, ("off book", "0", "0", "firm")),
        ([], order_row("CANCELED", "0", ("trade-1",)), {"quiet_s": QUIET_S}, ("off book", "0", "0", "firm")),
        ([], order_row("CANCELED", ""), {"quiet_s": QUIET_S}, ("off book", "0", "0", "firm")),
        ([], order_row("INVALID"), {"quiet_s": QUIET_S}, ("rejected", "0", "0", "firm")),
        ([], order_row("MATCHED", "20"), {"quiet_s": QUIET_S}, ("off book", "0", "0", "firm")),
        ([], order_row("MATCHED", "20"), {}, None),
        ([], NULL, {"quiet_s": QUIET_S}, ("absent", "0", "0", "firm")),
        ([], NULL, {"quiet_s": QUIET_S, "there": True}, None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_comes_of_an_order_that_rests(
    rows: list[bytes], order_body: bytes, changes: dict[str, Any], expected: tuple[str, str, str, str] | None
) -> None:
    order = make_order()
    assert said_of(prove(order, seen_of(order, rows, order_body, **changes), rests=True)) == expected


def test_a_maker_pays_no_fee_and_a_taker_pays_by_the_formula() -> None:
    """The venue's trades say 0 to both."""
    order = make_order()
    fees = [
        prove(order, seen_of(order, rows, order_row("MATCHED", "20")), rests=True)
        for rows in ([trade_row()], [maker_row()], [trade_row(1, "10"), maker_row(2, "10")])
    ]
    assert [report and str(report.fee) for report in fees] == ["0.25", "0", "0.125"]


def test_a_maker_is_paid_each_time_in_whole_millionths() -> None:
    """Parts of a millionth that two trades leave do not make a whole one."""
    order = make_order()
    rows = [maker_row(1, "9.000001", price="0.47"), maker_row(2, "10.999999", price="0.47")]
    report = only(prove(order, seen_of(order, rows, order_row("MATCHED", "20")), rests=True))
    assert (str(report.shares), str(report.notional)) == ("20", "9.399999")


def test_a_taker_pays_each_maker_his_price() -> None:
    """The price of the trade is an average, rounded; who sold the other answer got the rest of a dollar."""
    makers = [
        {"order_id": OTHER, "asset_id": str(TOKEN), "matched_amount": "9.5", "price": "0.47"},
        {"order_id": OTHER, "asset_id": OPPOSITE, "matched_amount": "10.5", "price": "0.51"},
    ]
    order = make_order()

    def paid(**changes: Any) -> str:
        return str(only(prove(order, seen_of(order, [trade_row(**changes)], quiet_s=QUIET_S), rests=False)).notional)

    assert paid(price="0.4805", maker_orders=makers) == "9.61"
    assert paid(price="0.4805", maker_orders=makers[:1]) == "9.61"
    assert paid(price="0.4805", maker_orders=[{}]) == "9.61"
    # Of two that would be owed parts of a millionth, neither gets one.
    parted = [
        {**one, "matched_amount": size, "price": "0.47", "asset_id": str(TOKEN)}
        for one, size in zip(makers, ("9.000001", "10.999999"), strict=True)
    ]
    assert paid(price="0.47", maker_orders=parted) == "9.399999"
    odd = [{"matched_amount": "20", "price": "0.333333333333", "asset_id": str(TOKEN)}]
    assert paid(maker_orders=odd) == "6.666666"


def test_cash_that_bought_more_shares_is_all_of_an_order() -> None:
    """A book better than the limit brings more of them."""
    order = make_order()
    report = only(prove(order, seen_of(order, [trade_row(size="25", price="0.4")]), rests=False))
    assert said_of(report) == ("filled", "25", "10", "firm")


def test_what_was_told_is_what_settles() -> None:
    """Where it is the same but for rounding: what is booked once, settles."""
    order = make_order(shares="20.833333", limit="0.48")
    told = (Shares.parse("20.833333"), Usd.parse("9.999998"))
    seen = seen_of(order, [trade_row(size="20.833333", price="0.48")], told=told)
    assert said_of(prove(order, seen, rests=False)) == ("filled", "20.833333", "9.999998", "firm")
    average = seen_of(order, [trade_row(size="20.833333", price="0.475")], told=told)
    assert said_of(prove(order, average, rests=False)) == ("filled", "20.833333", "9.999998", "firm")
    another = seen_of(order, [trade_row(size="20.833333", price="0.4")], told=told)
    assert said_of(prove(order, another, rests=False)) == ("partial", "20.833333", "8.333333", "firm")
