"""What the chain adds to the proof of an order: it comes first, and ends what a venue leaves open."""

from typing import Any

import pytest

from tests.builders import NOW, make_signal, make_task
from tests.clob.evident import HALF, NULL, OWNER, log_of, on_chain, only, said_of, seen_of
from tests.clob.sent_orders import OTHER, OURS, TOKEN, make_order, maker_row, order_row, trade_row
from trio_copy.accounts import OpenOrder, OrderState
from trio_copy.accounts.orders import shrinks
from trio_copy.model.ids import Address, Hash32
from trio_copy.model.units import Shares, Usd
from trio_copy_clob.sending.chain_logs import ORDER_FILLED
from trio_copy_clob.sending.proof import COUNTED_OUT_S, QUIET_S, TOLD_LATE_S, lacks, prove


@pytest.mark.parametrize(
    "quiet_s, deepest, firm", [(QUIET_S, 100, True), (QUIET_S - 1, 100, False), (QUIET_S, 99, False)]
)
def test_a_row_that_stays_open_keeps_nothing_out_of_the_books(quiet_s: float, deepest: int, firm: bool) -> None:
    """A part that is on the chain for good is booked after a minute: nobody could sell it otherwise."""
    fills = on_chain(log_of(10_000_000, 5_000_000), deepest=deepest)
    seen = seen_of(make_order(), [trade_row(1, "10")], order_row("DELAYED"), quiet_s=quiet_s, fills=fills)
    assert (prove(make_order(), seen, rests=False) is not None) == firm


_PART = on_chain(log_of(10_000_000, 5_000_000))
_YOUNG = on_chain(log_of(10_000_000, 5_000_000), deepest=99)
_LACKS = order_row("CANCELED", "15")
_HOUR: dict[str, Any] = {"quiet_s": COUNTED_OUT_S, "fills": _PART}


@pytest.mark.parametrize(
    ("rows", "order_body", "changes", "expected"),
    [
        ([trade_row(1, "10")], _LACKS, _HOUR, (*HALF, "firm")),
        ([trade_row(1, "10")], order_row("MATCHED", "10", ("trade-1", "trade-2")), _HOUR, (*HALF, "firm")),
        # What the chain has and no trade tells is not left out, and what was undone is not booked.
        ([trade_row(1, "4")], _LACKS, _HOUR, (*HALF, "firm")),
        (
            [trade_row(1, "10"), trade_row(2, "5", status="FAILED")],
            order_row("CANCELED", "20"),
            _HOUR,
            (*HALF, "firm"),
        ),
        ([], _LACKS, _HOUR, (*HALF, "firm")),
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
    assert said_of(prove(order, seen_of(order, rows, order_body, **changes), rests=False)) == expected


def test_an_order_that_rested_and_counts_more_than_can_be_found_is_left_to_a_person() -> None:
    """The chain is read for the time in which an instant order may be filled, and one that rests may be filled much later."""
    order = make_order()
    assert said_of(prove(order, seen_of(order, [maker_row(1, "10")], _LACKS, **_HOUR), rests=True)) == (
        "off book",
        "10",
        "5",
        "firm",
    )


@pytest.mark.parametrize("rows", [[maker_row(1, "10")], [trade_row(1, "10")]])
def test_what_the_chain_has_more_of_an_order_that_rested_is_booked(rows: list[bytes]) -> None:
    """Its trades come late, or never; its row and the chain say as much."""
    order, fills = make_order(), on_chain(log_of(15_000_000, 7_400_000))
    seen = seen_of(order, rows, order_row("CANCELED", "15"), quiet_s=QUIET_S, fills=fills)
    assert said_of(prove(order, seen, rests=True)) == ("partial", "15", "7.4", "firm")


@pytest.mark.parametrize("fee", [0, 124_999, 125_000, 125_001])
def test_what_the_chain_has_more_takes_back_nothing_of_what_its_trades_told(fee: int) -> None:
    """These are booked, for good where they are confirmed: with a smaller fee the order could not end, whoever looked at it."""
    order, rows, row = make_order(), [trade_row(1, "10")], order_row("CANCELED", "15")
    booked = only(prove(order, seen_of(order, rows, row, quiet_s=TOLD_LATE_S), rests=True))
    fills = on_chain(log_of(10_000_000, 4_999_999, fee), log_of(5_000_000, 2_500_000, log_index=1))
    report = only(prove(order, seen_of(order, rows, row, quiet_s=QUIET_S, fills=fills), rests=True))
    assert said_of(report) == ("partial", "15", "7.499999", "firm")
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
        ([], NULL, {}, None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_an_order_counts_more_than_is_told_is_said_in_a_line(
    rows: list[bytes], order_body: bytes, changes: dict[str, Any], expected: str | None
) -> None:
    order = make_order()
    assert lacks(order, seen_of(order, rows, order_body, **{"quiet_s": QUIET_S, **changes})) == expected


def test_the_chain_comes_first() -> None:
    """Its amounts and its fee count, at depth for good, whatever the venue says of the trade."""
    order, log = make_order(max_cost=Usd.parse("9.9")), log_of(20_000_000, 9_900_000, 123_450)
    for rows in ([], [trade_row(price="0.495")], [trade_row(price="0.495", status="FAILED")]):
        report = only(prove(order, seen_of(order, rows, fills=on_chain(log)), rests=False))
        assert (said_of(report), str(report.fee)) == (("filled", "20", "9.9", "firm"), "0.12345")
        young = only(prove(order, seen_of(order, rows, fills=on_chain(log, deepest=99)), rests=False))
        confirmed = bool(rows) and b"CONFIRMED" in rows[0]
        assert young.settlement.value == ("firm" if confirmed else "mined")
    # Of a dollar more that it may spend, the chain does not say whether it comes; an order that is over does.
    larger = make_order(max_cost=Usd.parse("10.9"))
    for body, seen in ((NULL, None), (order_row("CANCELED", "20"), ("partial", "20", "9.9", "firm"))):
        assert said_of(prove(larger, seen_of(larger, [], body, fills=on_chain(log)), rests=False)) == seen
    # All of it is there, whatever else the order names.
    named = seen_of(order, [], order_row("MATCHED", "20", ("trade-1",)), fills=on_chain(log))
    assert said_of(prove(order, named, rests=False)) == ("filled", "20", "9.9", "firm")
    # Half of it is on the chain as yet: the trades know more.
    half = seen_of(order, [trade_row(price="0.495", status="MATCHED")], fills=on_chain(log_of(10_000_000, 5_000_000)))
    assert said_of(prove(order, half, rests=False)) == ("filled", "20", "9.9", "pending")


@pytest.mark.parametrize(
    "changes",
    [
        {"address": Address("0x" + "e2" * 20)},
        {"topics": (Hash32("0x" + "9" * 64), OURS, OURS, OURS)},
        {"topics": (ORDER_FILLED, OTHER, OWNER, OWNER)},
        {"topics": ()},
    ],
    ids=str,
)
def test_a_log_of_somebody_else_says_nothing(changes: dict[str, Any]) -> None:
    """Anybody may write a log that looks like a fill."""
    assert on_chain(log_of(20_000_000, 10_000_000, **changes)) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"topics": (ORDER_FILLED, OURS)},
        {"topics": (ORDER_FILLED, OURS, OTHER, OWNER)},
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
        on_chain(log_of(20_000_000, 10_000_000, **changes))
