"""Rows, pages and orders that cannot be read, or cannot be, prove nothing."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clob.evident import seen_of
from tests.clob.sent_orders import OTHER, OURS, make_order, maker_row, order_row, trade_row
from trio_copy.model.breaches import breach_of_report
from trio_copy.model.fills import Side
from trio_copy_clob.sending.proof import QUIET_S, prove
from trio_copy_clob.sending.seen import by_order, order_of, read_page


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
    seen = seen_of(order, [row], quiet_s=QUIET_S)
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
    seen = seen_of(order, written, order_row(standing, "5"), quiet_s=quiet_s)
    report = prove(order, seen, rests=rests)
    if report is not None:
        assert breach_of_report(report, order) is None
        assert seen.whole or report.status.value in ("filled", "partial")


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
