"""What proves the outcome of an order, and what does not."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOW, make_signal, make_task
from tests.clob.sent_orders import OPPOSITE, OTHER, OURS, TOKEN, make_order, maker_row, order_row, trade_row
from trio_copy.accounts import OpenOrder, OrderState
from trio_copy.accounts.orders import shrinks
from trio_copy.model.breaches import breach_of_report
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, ChainId, Hash32
from trio_copy.model.logs import RawLog
from trio_copy.model.orders import ExecutionReport, Order
from trio_copy.model.units import Shares, Usd
from trio_copy_clob.sending.chain_logs import ORDER_FILLED, SeenFill, fills_of
from trio_copy_clob.sending.proof import COUNTED_OUT_S, QUIET_S, TOLD_LATE_S, Evidence, lacks, prove
from trio_copy_clob.sending.seen import by_order, order_of, read_page, trades_of

_NULL = b"null"
_OWNER = Hash32("0x" + "0" * 24 + "11" * 20)
_TOLD = (Shares.parse(20), Usd.parse(10))


def _seen(order: Order, rows: list[bytes], order_body: bytes = _NULL, **changes: Any) -> Evidence:
    trades, whole = trades_of(rows, order)
    return Evidence(trades=trades, order=order_of(order_body, order), **{"whole": whole, **changes})


def _said(report: ExecutionReport | None) -> tuple[str, str, str, str] | None:
    if report is None:
        return None
    return (
        "off book" if report.off_book else report.status.value,
        str(report.shares),
        str(report.notional),
        report.settlement.value,
    )


_FULL = ("filled", "20", "10")
_HALF = ("partial", "10", "5")
_CHEAP = trade_row(1, "20", "0.4")
"""All the shares that the order names, for eight of its ten dollars."""


@pytest.mark.parametrize(
    ("rows", "order_body", "changes", "expected"),
    [
        # How far a trade is, in either way of writing it.
        ([trade_row(status="MATCHED")], _NULL, {}, (*_FULL, "pending")),
        ([trade_row(status="TRADE_STATUS_MATCHED")], _NULL, {}, (*_FULL, "pending")),
        ([trade_row(status="MATCHED_NOT_BROADCASTED")], _NULL, {}, (*_FULL, "pending")),
        ([trade_row(status="MINED")], _NULL, {}, (*_FULL, "mined")),
        ([trade_row(status="RETRYING")], _NULL, {}, (*_FULL, "pending")),
        ([trade_row(status="TRADE_STATUS_RETRYING")], _NULL, {}, (*_FULL, "pending")),
        ([trade_row(status="CONFIRMED")], _NULL, {}, (*_FULL, "firm")),
        ([trade_row(status="TRADE_STATUS_CONFIRMED")], _NULL, {}, (*_FULL, "firm")),
        ([trade_row(status="FAILED")], _NULL, {}, (*_FULL, "failed")),
        ([trade_row(status="TRADE_STATUS_FAILED")], _NULL, {"told": _TOLD}, (*_FULL, "failed")),
        # Several trades: firm when all of them are; one that failed takes its own shares along, when all have ended.
        ([trade_row(1, "10"), trade_row(2, "10")], _NULL, {}, (*_FULL, "firm")),
        ([trade_row(1, "10"), trade_row(2, "10", status="MINED")], _NULL, {}, (*_FULL, "mined")),
        ([trade_row(1, "10", status="MATCHED"), trade_row(2, "10", status="MINED")], _NULL, {}, (*_FULL, "pending")),
        ([trade_row(1, "10"), trade_row(2, "10", status="FAILED")], _NULL, {}, (*_HALF, "firm")),
        ([trade_row(1, "10", status="MINED"), trade_row(2, "10", status="FAILED")], _NULL, {}, (*_HALF, "mined")),
        ([trade_row(1, "10", status="FAILED"), trade_row(2, "10", status="FAILED")], _NULL, {}, (*_FULL, "failed")),
        # One trade, told twice: what is final counts, and of two ends neither.
        ([trade_row(status="MINED"), trade_row(status="CONFIRMED")], _NULL, {}, (*_FULL, "firm")),
        ([trade_row(status="CONFIRMED"), trade_row(status="MINED")], _NULL, {}, (*_FULL, "firm")),
        ([trade_row(status="CONFIRMED"), trade_row(status="FAILED")], _NULL, {}, (*_FULL, "pending")),
        # A part: nothing is said before all of it is seen.
        ([trade_row(1, "10")], _NULL, {}, None),
        ([trade_row(1, "10")], _NULL, {"quiet_s": QUIET_S}, (*_HALF, "firm")),
        ([trade_row(1, "10")], _NULL, {"told": (Shares.parse(10), Usd.parse(5))}, (*_HALF, "firm")),
        ([trade_row(1, "10")], _NULL, {"told": _TOLD, "quiet_s": 999.0}, None),
        ([trade_row(1, "10")], order_row("MATCHED", "10", ("trade-1",)), {}, (*_HALF, "firm")),
        ([trade_row(1, "10")], order_row("MATCHED", "20", ("trade-1", "trade-2")), {"quiet_s": QUIET_S}, None),
        ([trade_row(1, "10")], order_row("CANCELED", "10"), {}, (*_HALF, "firm")),
        # A purchase spends cash: in a book better than its limit, the shares that it names are not all that may come.
        ([_CHEAP], _NULL, {}, None),
        ([_CHEAP], _NULL, {"quiet_s": QUIET_S}, ("partial", "20", "8", "firm")),
        ([_CHEAP], _NULL, {"quiet_s": QUIET_S, "whole": False}, None),
        ([_CHEAP, trade_row(2, "5", "0.4", "MINED")], _NULL, {}, ("filled", "25", "10", "mined")),
        ([_CHEAP, trade_row(2, "5", "0.4")], _NULL, {}, ("filled", "25", "10", "firm")),
        ([_CHEAP], _NULL, {"told": (Shares.parse(20), Usd.parse(8))}, ("partial", "20", "8", "firm")),
        ([_CHEAP], _NULL, {"told": (Shares.parse(25), Usd.parse(10)), "quiet_s": QUIET_S}, None),
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
        ([], _NULL, {}, None),
        ([], _NULL, {"quiet_s": QUIET_S - 1}, None),
        ([], _NULL, {"quiet_s": QUIET_S, "whole": False}, None),
        ([], _NULL, {"quiet_s": QUIET_S, "told": _TOLD}, None),
        ([], _NULL, {"quiet_s": QUIET_S}, ("absent", "0", "0", "firm")),
        ([], _NULL, {"quiet_s": QUIET_S, "fills": ()}, ("absent", "0", "0", "firm")),
        ([], _NULL, {"quiet_s": QUIET_S, "heard": False}, None),
        ([], _NULL, {"quiet_s": QUIET_S, "there": True, "heard": False}, None),
        ([], _NULL, {"quiet_s": QUIET_S, "was_on_chain": True}, None),
        ([], order_row("CANCELED"), {"quiet_s": QUIET_S, "was_on_chain": True}, None),
        ([], order_row("CANCELED"), {"quiet_s": QUIET_S, "heard": False}, None),
        ([], order_row("CANCELED"), {"quiet_s": QUIET_S, "whole": False}, None),
        ([trade_row(status="FAILED")], _NULL, {"heard": False}, (*_FULL, "pending")),
        ([trade_row(1, "10"), trade_row(2, "10", status="FAILED")], _NULL, {"heard": False}, (*_HALF, "mined")),
        ([trade_row()], _NULL, {"heard": False}, (*_FULL, "firm")),
        ([], _NULL, {"quiet_s": QUIET_S, "there": True}, ("killed", "0", "0", "firm")),
        ([], b'{"error":"order not found"}', {"quiet_s": QUIET_S}, ("absent", "0", "0", "firm")),
        ([trade_row(taker_order_id=OTHER)], _NULL, {"quiet_s": QUIET_S}, ("absent", "0", "0", "firm")),
        ([trade_row(asset_id="1")], _NULL, {"quiet_s": QUIET_S}, None),
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
        ([trade_row(size="21", price="0.5")], _NULL, {}, None),
        ([trade_row(size="1e30")], _NULL, {"quiet_s": QUIET_S}, None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_comes_of_an_order_that_is_over_at_once(
    rows: list[bytes], order_body: bytes, changes: dict[str, Any], expected: tuple[str, str, str, str] | None
) -> None:
    order = make_order()
    assert _said(prove(order, _seen(order, rows, order_body, **changes), rests=False)) == expected


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
        ([maker_row(1, "10")], order_row("CANCELED", "10"), {"quiet_s": QUIET_S}, (*_HALF, "firm")),
        ([maker_row(1, "20")], order_row("CANCELED", "20"), {}, (*_FULL, "firm")),
        # It counts more than is told: exits wait as long as trades are told late, and then for nothing that may never be told.
        ([maker_row(1, "10")], order_row("CANCELED", "15"), {}, None),
        ([maker_row(1, "10")], order_row("CANCELED", "15"), {"quiet_s": TOLD_LATE_S}, ("off book", "10", "5", "firm")),
        ([maker_row(1, "10")], order_row("CANCELED", "15"), {"quiet_s": 9999.0}, ("off book", "10", "5", "firm")),
        ([maker_row(1, "10")], order_row("CANCELED", "15"), {"quiet_s": 9999.0, "whole": False}, None),
        ([maker_row(1, "10")], order_row("LIVE", "15"), {"quiet_s": 9999.0}, ("resting", "10", "5", "firm")),
        ([trade_row(1, "10"), maker_row(2, "10")], order_row("MATCHED", "20"), {}, (*_FULL, "firm")),
        ([maker_row(1, "20")], _NULL, {}, (*_FULL, "firm")),
        ([maker_row(1, "10")], _NULL, {"quiet_s": QUIET_S}, None),
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
        ([], _NULL, {"quiet_s": QUIET_S}, ("absent", "0", "0", "firm")),
        ([], _NULL, {"quiet_s": QUIET_S, "there": True}, None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_comes_of_an_order_that_rests(
    rows: list[bytes], order_body: bytes, changes: dict[str, Any], expected: tuple[str, str, str, str] | None
) -> None:
    order = make_order()
    assert _said(prove(order, _seen(order, rows, order_body, **changes), rests=True)) == expected


def test_a_maker_pays_no_fee_and_a_taker_pays_by_the_formula() -> None:
    """The venue's trades say 0 to both."""
    order = make_order()
    fees = [
        prove(order, _seen(order, rows, order_row("MATCHED", "20")), rests=True)
        for rows in ([trade_row()], [maker_row()], [trade_row(1, "10"), maker_row(2, "10")])
    ]
    assert [report and str(report.fee) for report in fees] == ["0.25", "0", "0.125"]


def test_a_maker_is_paid_each_time_in_whole_millionths() -> None:
    """Parts of a millionth that two trades leave do not make a whole one."""
    order = make_order()
    rows = [maker_row(1, "9.000001", price="0.47"), maker_row(2, "10.999999", price="0.47")]
    report = _only(prove(order, _seen(order, rows, order_row("MATCHED", "20")), rests=True))
    assert (str(report.shares), str(report.notional)) == ("20", "9.399999")


def test_a_taker_pays_each_maker_his_price() -> None:
    """The price of the trade is an average, rounded; who sold the other answer got the rest of a dollar."""
    makers = [
        {"order_id": OTHER, "asset_id": str(TOKEN), "matched_amount": "9.5", "price": "0.47"},
        {"order_id": OTHER, "asset_id": OPPOSITE, "matched_amount": "10.5", "price": "0.51"},
    ]
    order = make_order()

    def paid(**changes: Any) -> str:
        return str(_only(prove(order, _seen(order, [trade_row(**changes)], quiet_s=QUIET_S), rests=False)).notional)

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
    report = _only(prove(order, _seen(order, [trade_row(size="25", price="0.4")]), rests=False))
    assert _said(report) == ("filled", "25", "10", "firm")


def test_what_was_told_is_what_settles() -> None:
    """Where it is the same but for rounding: what is booked once, settles."""
    order = make_order(shares="20.833333", limit="0.48")
    told = (Shares.parse("20.833333"), Usd.parse("9.999998"))
    seen = _seen(order, [trade_row(size="20.833333", price="0.48")], told=told)
    assert _said(prove(order, seen, rests=False)) == ("filled", "20.833333", "9.999998", "firm")
    average = _seen(order, [trade_row(size="20.833333", price="0.475")], told=told)
    assert _said(prove(order, average, rests=False)) == ("filled", "20.833333", "9.999998", "firm")
    another = _seen(order, [trade_row(size="20.833333", price="0.4")], told=told)
    assert _said(prove(order, another, rests=False)) == ("partial", "20.833333", "8.333333", "firm")


def _log(shares: int, paid: int, fee: int = 0, **changes: Any) -> RawLog:
    values: dict[str, Any] = {
        "chain_id": ChainId(137),
        "address": Address("0x" + "e1" * 20),
        "topics": (ORDER_FILLED, OURS, _OWNER, Hash32("0x" + "0" * 64)),
        "data": b"".join(word.to_bytes(32) for word in (0, TOKEN, paid, shares, fee, 0, 0)),
        "block_number": 100,
        "block_hash": Hash32("0x" + "1" * 64),
        "block_time": None,
        "tx_hash": Hash32("0x" + "2" * 64),
        "log_index": 0,
    }
    return RawLog(**{**values, **changes})


def _on_chain(*logs: RawLog, deepest: int = 100) -> tuple[SeenFill, ...]:
    return fills_of(make_order(), logs, (), frozenset({Address("0x" + "e1" * 20)}), deepest)


@pytest.mark.parametrize(
    "quiet_s, deepest, firm", [(QUIET_S, 100, True), (QUIET_S - 1, 100, False), (QUIET_S, 99, False)]
)
def test_a_row_that_stays_open_keeps_nothing_out_of_the_books(quiet_s: float, deepest: int, firm: bool) -> None:
    """A part that is on the chain for good is booked after a minute: nobody could sell it otherwise."""
    fills = _on_chain(_log(10_000_000, 5_000_000), deepest=deepest)
    seen = _seen(make_order(), [trade_row(1, "10")], order_row("DELAYED"), quiet_s=quiet_s, fills=fills)
    assert (prove(make_order(), seen, rests=False) is not None) == firm


_PART = _on_chain(_log(10_000_000, 5_000_000))
_YOUNG = _on_chain(_log(10_000_000, 5_000_000), deepest=99)
_LACKS = order_row("CANCELED", "15")
_HOUR: dict[str, Any] = {"quiet_s": COUNTED_OUT_S, "fills": _PART}


@pytest.mark.parametrize(
    ("rows", "order_body", "changes", "expected"),
    [
        ([trade_row(1, "10")], _LACKS, _HOUR, (*_HALF, "firm")),
        ([trade_row(1, "10")], order_row("MATCHED", "10", ("trade-1", "trade-2")), _HOUR, (*_HALF, "firm")),
        # What the chain has and no trade tells is not left out, and what was undone is not booked.
        ([trade_row(1, "4")], _LACKS, _HOUR, (*_HALF, "firm")),
        (
            [trade_row(1, "10"), trade_row(2, "5", status="FAILED")],
            order_row("CANCELED", "20"),
            _HOUR,
            (*_HALF, "firm"),
        ),
        ([], _LACKS, _HOUR, (*_HALF, "firm")),
        ([], _LACKS, {**_HOUR, "fills": ()}, ("killed", "0", "0", "firm")),
        # Nothing of that is left out.
        ([trade_row(1, "10")], _LACKS, {**_HOUR, "quiet_s": COUNTED_OUT_S - 1}, None),
        ([trade_row(1, "10")], _LACKS, {**_HOUR, "fills": None}, None),
        ([trade_row(1, "10")], _LACKS, {**_HOUR, "fills": (), "heard": False}, None),
        ([trade_row(1, "10")], _LACKS, {**_HOUR, "fills": ()}, None),
        ([trade_row(1, "10")], _LACKS, {**_HOUR, "fills": _YOUNG}, None),
        ([trade_row(1, "12")], _LACKS, _HOUR, None),
        ([trade_row(1, "10")], _LACKS, {**_HOUR, "shown": 15_000_000}, None),
        ([], _LACKS, {**_HOUR, "fills": (), "was_on_chain": True}, None),
        ([trade_row(1, "10"), trade_row(2, "2", status="MATCHED")], _LACKS, _HOUR, None),
        ([trade_row(1, "10")], _LACKS, {**_HOUR, "whole": False}, None),
        ([trade_row(1, "10")], _LACKS, {**_HOUR, "told": (Shares.parse(15), Usd.parse("7.5"))}, None),
        ([trade_row(1, "10")], order_row("DELAYED", "15"), {**_HOUR, "fills": _YOUNG}, None),
        ([trade_row(1, "10")], order_row("LIVE", "15"), _HOUR, None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_an_order_that_counts_more_than_can_be_found_ends_by_the_chain_after_an_hour(
    rows: list[bytes], order_body: bytes, changes: dict[str, Any], expected: tuple[str, str, str, str] | None
) -> None:
    """With what is there for good, where the venue's trades say no more; one that rested is left to a person."""
    order = make_order()
    assert _said(prove(order, _seen(order, rows, order_body, **changes), rests=False)) == expected


def test_an_order_that_rested_and_counts_more_than_can_be_found_is_left_to_a_person() -> None:
    """The chain is read for the time in which an instant order may be filled, and one that rests may be filled much later."""
    order = make_order()
    assert _said(prove(order, _seen(order, [maker_row(1, "10")], _LACKS, **_HOUR), rests=True)) == (
        "off book",
        "10",
        "5",
        "firm",
    )


@pytest.mark.parametrize("rows", [[maker_row(1, "10")], [trade_row(1, "10")]])
def test_what_the_chain_has_more_of_an_order_that_rested_is_booked(rows: list[bytes]) -> None:
    """Its trades come late, or never; its row and the chain say as much."""
    order, fills = make_order(), _on_chain(_log(15_000_000, 7_400_000))
    seen = _seen(order, rows, order_row("CANCELED", "15"), quiet_s=QUIET_S, fills=fills)
    assert _said(prove(order, seen, rests=True)) == ("partial", "15", "7.4", "firm")


@pytest.mark.parametrize("fee", [0, 124_999, 125_000, 125_001])
def test_what_the_chain_has_more_takes_back_nothing_of_what_its_trades_told(fee: int) -> None:
    """These are booked, for good where they are confirmed: with a smaller fee the order could not end, whoever looked at it."""
    order, rows, row = make_order(), [trade_row(1, "10")], order_row("CANCELED", "15")
    booked = _only(prove(order, _seen(order, rows, row, quiet_s=TOLD_LATE_S), rests=True))
    fills = _on_chain(_log(10_000_000, 4_999_999, fee), _log(5_000_000, 2_500_000, log_index=1))
    report = _only(prove(order, _seen(order, rows, row, quiet_s=QUIET_S, fills=fills), rests=True))
    assert _said(report) == ("partial", "15", "7.499999", "firm")
    assert report.fee == max(booked.fee, Usd(fee))
    resting = OpenOrder(order, make_task(make_signal(1)), order.max_cost, (), NOW, NOW, OrderState.RESTING, booked)
    assert not shrinks(resting, report)


@pytest.mark.parametrize(
    ("rows", "order_body", "changes", "expected"),
    [
        ([maker_row(1, "10")], _LACKS, {}, "it is over, with 15 matched; its trades are 10"),
        (
            [maker_row(1, "10")],
            _LACKS,
            {"fills": _PART},
            "it is over, with 15 matched; its trades are 10, on the chain 10",
        ),
        (
            [maker_row(1, "10")],
            order_row("MATCHED", "10", ("trade-1", "trade-2")),
            {},
            "it is over, with 10 matched, and names 1 trade that nobody tells; its trades are 10",
        ),
        ([], _LACKS, {}, "it is over, with 15 matched; its trades are 0"),
        ([maker_row(1, "10")], _LACKS, {"quiet_s": QUIET_S - 1}, None),
        ([maker_row(1, "10")], _LACKS, {"whole": False}, None),
        ([maker_row(1, "10")], order_row("LIVE", "15"), {}, None),
        ([maker_row(1, "10")], order_row("CANCELED", "10"), {}, None),
        ([], _NULL, {}, None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_an_order_counts_more_than_is_told_is_said_in_a_line(
    rows: list[bytes], order_body: bytes, changes: dict[str, Any], expected: str | None
) -> None:
    order = make_order()
    assert lacks(order, _seen(order, rows, order_body, **{"quiet_s": QUIET_S, **changes})) == expected


def test_the_chain_comes_first() -> None:
    """Its amounts and its fee count, at depth for good, whatever the venue says of the trade."""
    order, log = make_order(max_cost=Usd.parse("9.9")), _log(20_000_000, 9_900_000, 123_450)
    for rows in ([], [trade_row(price="0.495")], [trade_row(price="0.495", status="FAILED")]):
        report = _only(prove(order, _seen(order, rows, fills=_on_chain(log)), rests=False))
        assert (_said(report), str(report.fee)) == (("filled", "20", "9.9", "firm"), "0.12345")
        young = _only(prove(order, _seen(order, rows, fills=_on_chain(log, deepest=99)), rests=False))
        confirmed = bool(rows) and b"CONFIRMED" in rows[0]
        assert young.settlement.value == ("firm" if confirmed else "mined")
    # Of a dollar more that it may spend, the chain does not say whether it comes; an order that is over does.
    larger = make_order(max_cost=Usd.parse("10.9"))
    for body, seen in ((_NULL, None), (order_row("CANCELED", "20"), ("partial", "20", "9.9", "firm"))):
        assert _said(prove(larger, _seen(larger, [], body, fills=_on_chain(log)), rests=False)) == seen
    # All of it is there, whatever else the order names.
    named = _seen(order, [], order_row("MATCHED", "20", ("trade-1",)), fills=_on_chain(log))
    assert _said(prove(order, named, rests=False)) == ("filled", "20", "9.9", "firm")
    # Half of it is on the chain as yet: the trades know more.
    half = _seen(order, [trade_row(price="0.495", status="MATCHED")], fills=_on_chain(_log(10_000_000, 5_000_000)))
    assert _said(prove(order, half, rests=False)) == ("filled", "20", "9.9", "pending")


@pytest.mark.parametrize(
    "changes",
    [
        {"address": Address("0x" + "e2" * 20)},
        {"topics": (Hash32("0x" + "9" * 64), OURS, OURS, OURS)},
        {"topics": (ORDER_FILLED, OTHER, _OWNER, _OWNER)},
        {"topics": ()},
    ],
    ids=str,
)
def test_a_log_of_somebody_else_says_nothing(changes: dict[str, Any]) -> None:
    """Anybody may write a log that looks like a fill."""
    assert _on_chain(_log(20_000_000, 10_000_000, **changes)) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"topics": (ORDER_FILLED, OURS)},
        {"topics": (ORDER_FILLED, OURS, OTHER, _OWNER)},
        {"data": b""},
        {"data": (1).to_bytes(32) + TOKEN.to_bytes(32) + bytes(160)},
        {"data": (2).to_bytes(32) + TOKEN.to_bytes(32) + bytes(160)},
        {"data": bytes(224)},
        {"data": bytes(225)},
    ],
    ids=str,
)
def test_a_log_of_an_exchange_that_cannot_be_about_our_order_is_none(changes: dict[str, Any]) -> None:
    """A node that tells such a thing is not believed in the rest either: it may have left a fill out."""
    with pytest.raises(ValueError, match="its log in block 100"):
        _on_chain(_log(20_000_000, 10_000_000, **changes))


@pytest.mark.parametrize(
    "row",
    [
        trade_row(status=""),
        trade_row(size="-1"),
        trade_row(price="1"),
        trade_row(price="NaN"),
        trade_row(side="SELL"),
        trade_row(id=""),
        trade_row(id=7),
        trade_row(maker_orders=[{"order_id": OURS}]),
        maker_row(side="SELL"),
        maker_row(asset_id="3"),
        maker_row(matched_amount="x"),
        trade_row()[:-1] + b',"size":"7"}',
        b'{"taker_order_id":"' + OURS.encode() + b'"',
    ],
    ids=lambda row: row.decode()[:80],
)
def test_a_row_about_our_order_that_cannot_be_read_leaves_a_gap(row: bytes) -> None:
    """It may have been a fill: nothing is proven absent beside it."""
    order = make_order()
    seen = _seen(order, [row], quiet_s=QUIET_S)
    assert (seen.trades, seen.whole) == ((), False)
    assert prove(order, seen, rests=False) is None


def test_pages_and_orders_that_are_none() -> None:
    """They are a `ValueError`, which whoever asks takes for no answer."""
    assert read_page(msgspec.json.encode({"data": [1], "next_cursor": "LTE="})) == ([b"1"], None)
    assert read_page(msgspec.json.encode({"data": [], "next_cursor": "Mg=="})) == ([], "Mg==")
    for body in (b"", b"[]", b"{}", b'{"data":7}', b"[" * 9000):
        with pytest.raises(ValueError, match=r"."):
            read_page(body)
    for body in (b"[]", b"7", b'{"id":"0x12"}', b'{"id":"' + OURS.encode() + b'","id":"x"}'):
        with pytest.raises(ValueError, match=r"."):
            order_of(body, make_order())


_ODD = st.one_of(st.none(), st.integers(), st.text(max_size=9), st.sampled_from(["1", "20", "0.5", "1e9", OURS, []]))
_KEYS = ["id", "taker_order_id", "asset_id", "side", "size", "price", "status", "maker_orders", "bucket_index"]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.dictionaries(st.sampled_from(_KEYS), _ODD, max_size=2)), max_size=4),
    st.sampled_from(["LIVE", "MATCHED", "CANCELED", "INVALID", ""]),
    st.sampled_from([Side.BUY, Side.SELL]),
    st.booleans(),
    st.floats(0, 100),
)
def test_nothing_that_is_written_proves_what_cannot_be(
    rows: list[tuple[bool, dict[str, object]]], standing: str, side: Side, rests: bool, quiet_s: float
) -> None:
    """Whatever rows hold, a report stays inside its order, and a gap proves no absence."""
    order, word = make_order(side), side.value.upper()
    written = [
        trade_row(number, **{"size": "5", "side": word, **odd}) if took else maker_row(number, "5", side=word)
        for number, (took, odd) in enumerate(rows)
    ]
    seen = _seen(order, written, order_row(standing, "5"), quiet_s=quiet_s)
    report = prove(order, seen, rests=rests)
    if report is not None:
        assert breach_of_report(report, order) is None
        assert seen.whole or report.status.value in ("filled", "partial")


def _only(report: ExecutionReport | None) -> ExecutionReport:
    assert report is not None
    return report


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (b'{"taker_order_id":"%s"}' % OURS.encode(), {OURS}),
        (b'{"TAKER":"%s"}' % OURS.upper().encode(), {OURS}),
        (b'{"a":"%s","b":"%s","c":"%s"}' % (OURS.encode(), OTHER.encode(), OURS.encode()), {OURS, OTHER}),
        (b"0x%s%s" % (b"0" * 63, OURS.encode()), {"0x" + "0" * 64, OURS}),
        (b"%s00" % OURS.encode(), {OURS}),
        (OURS[:-1].encode(), set()),
        (b"", set()),
    ],
)
def test_a_row_is_found_by_every_order_that_it_names(row: bytes, named: set[str]) -> None:
    """Wherever in it, as a search for each of them would: what is missed would be taken for absent."""
    found = by_order([row])
    assert {order_id: list(rows) for order_id, rows in found.items()} == {one: [row] for one in named}
