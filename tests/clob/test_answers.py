"""What each answer to an order means: the table of decision 0037, row by row."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOW
from trio_copy.model.fills import Side
from trio_copy.model.ids import OrderId
from trio_copy_clob.sending.answers import Answer, Cancelled, read_answer, read_cancelled
from trio_copy_clob.sending.texts import Do, Meaning, Row

OURS = OrderId("0x" + "ab" * 32)
OTHER = "0x" + "cd" * 32
_PAGE = b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head></html>"


def _read(status: int, body: object, headers: Mapping[str, str] | None = None, side: Side = Side.BUY) -> Answer:
    written = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return read_answer(status, headers or {}, written, order_id=OURS, side=side, now=NOW)


def _accepted(**changes: Any) -> dict[str, Any]:
    told = {"success": True, "errorMsg": "", "orderID": OURS, "status": "matched"}
    return {**told, "makingAmount": "9.999999", "takingAmount": "20.833333", **changes}


_REFUSALS = [
    (400, "context canceled", Row.UNSURE),
    (400, "not enough balance / allowance: context canceled", Row.UNSURE),
    (400, "order match delayed due to market conditions", Row.UNSURE),
    (400, "error delaying the order", Row.UNSURE),
    (400, f"order {OURS} is invalid. Duplicated.", Row.DUPLICATED),
    (500, f"order {OURS} is invalid. Duplicated.", Row.DUPLICATED),
    (400, "order couldn't be fully filled. FOK orders are fully filled or killed.", Row.KILLED),
    (500, "FOK orders are filled or killed", Row.KILLED),
    (
        400,
        "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found.",
        Row.KILLED,
    ),
    (500, "there are no matching orders", Row.KILLED),
    (502, "there are no matching orders", Row.SERVER),
    (400, f"order {OURS} is invalid. Price (0.9803) breaks minimum tick size rule: 0.001", Row.STALE_MARKET),
    (400, "order_version_mismatch", Row.STALE_MARKET),
    (400, "invalid order version", Row.STALE_MARKET),
    (400, "not enough balance / allowance", Row.BALANCE),
    (
        400,
        "not enough balance / allowance: the balance is not enough -> balance: 1, order amount (inc. fees): 2",
        Row.BALANCE,
    ),
    (400, "order couldn\u2019t be fully filled", Row.KILLED),
    (400, "insufficient balance", Row.BALANCE),
    (400, "Insufficient balance: 1 < 2", Row.BALANCE),
    (400, "the order was matched, insufficient balance", Row.NOVEL),
    (400, "insufficient balance to settle what was matched", Row.NOVEL),
    (400, f"order {OURS} is invalid. Size (0.1) lower than the minimum: 5", Row.TOO_SMALL),
    (400, "invalid amount for a marketable BUY order ($0.5), min size: 1", Row.TOO_SMALL),
    (400, "invalid amounts, the market buy orders maker amount supports a max accuracy of 2 decimals", Row.RULE),
    (400, "invalid post-only order: order crosses book", Row.RULE),
    (400, f"order {OURS} crosses the book", Row.RULE),
    (400, "post-only order would cross", Row.RULE),
    (400, "order would cross the book: post-only", Row.RULE),
    (400, "order would cross the book: resting", Row.NOVEL),
    (400, "invalid expiration", Row.RULE),
    (400, "invalid nonce", Row.RULE),
    (400, "Invalid token id", Row.RULE),
    (400, "Invalid order payload", Row.RULE),
    (400, "Invalid signature_type", Row.RULE),
    (400, "order canceled in the CTF exchange contract", Row.RULE),
    (404, "No orderbook exists for the requested token id", Row.NO_MARKET),
    (404, "market not found", Row.NO_MARKET),
    (404, "no such market", Row.NO_MARKET),
    (404, "no such book", Row.NO_MARKET),
    (404, "no such order", Row.NOT_FOUND),
    (404, f"order {OURS} not found", Row.NOT_FOUND),
    (400, "the orderbook 7132104 does not exist", Row.NO_MARKET),
    (400, "orderbook does not exist", Row.NO_MARKET),
    (400, "the order does not exist", Row.NOVEL),
    (400, "matched, and the orderbook 7132104 does not exist any more", Row.NOVEL),
    (404, "not found", Row.NOT_FOUND),
    (400, "invalid signature", Row.WALLET),
    (400, "invalid signer address", Row.WALLET),
    (400, "the order owner has to be the owner of the API KEY", Row.WALLET),
    (400, "the order signer address has to be the address of the API KEY", Row.WALLET),
    (400, "maker address not allowed, please use the deposit wallet flow", Row.WALLET),
    (400, "'0x12' address banned", Row.WALLET),
    (403, "'0x12' address banned", Row.WALLET),
    (400, "'0x12' address in closed only mode", Row.CLOSED_ONLY),
    (400, "the market is not yet ready to process new orders", Row.NOT_READY),
    (425, "service not ready", Row.NOT_READY),
    (401, "Unauthorized/Invalid api key", Row.KEY),
    (400, "Unauthorized/Invalid api key", Row.KEY),
    (400, "Invalid api key", Row.KEY),
    (400, "unauthorized", Row.NOVEL),
    (500, "Unauthorized/Invalid api key", Row.SERVER),
    (403, "forbidden", Row.BLOCKED),
    (429, "Too Many Requests", Row.TOO_OFTEN),
    (503, "Trading is currently disabled. Check polymarket.com for updates", Row.PAUSED),
    (503, "Trading is currently cancel-only. New orders are not accepted", Row.PAUSED),
    (503, "post-only mode: only post-only orders and cancels are allowed", Row.PAUSED),
    (503, "upstream connect error", Row.SERVER),
    (500, "could not run the execution", Row.SERVER),
    (500, "not enough balance / allowance", Row.SERVER),
    (502, "Bad gateway", Row.SERVER),
    (408, "timeout", Row.SERVER),
    (400, "a rule that was invented yesterday", Row.NOVEL),
    (400, f"order {OTHER} is invalid. Size (0.1) lower than the minimum: 5", Row.FOREIGN),
    (302, "moved", Row.FOREIGN),
]


@pytest.mark.parametrize(("status", "text", "row"), _REFUSALS)
def test_a_text_is_known_by_its_row(status: int, text: str, row: Row) -> None:
    """Also where the venue says it with 200: then its text counts, whatever `success` says."""
    answer = _read(status, {"error": text})

    assert answer.row is row
    assert answer.words == text[:200]
    if status == 400:
        for success in (True, False):
            assert _read(200, {"success": success, "errorMsg": text, "orderID": "", "status": ""}).row is row


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({}, Row.MATCHED),
        ({"orderID": OURS.upper().replace("0X", "0x")}, Row.MATCHED),
        ({"makingAmount": 10, "takingAmount": 20.5}, Row.MATCHED),
        ({"makingAmount": "", "takingAmount": ""}, Row.UNTOLD),
        ({"makingAmount": "0", "takingAmount": "0"}, Row.UNTOLD),
        ({"makingAmount": "9.9999999"}, Row.UNTOLD),
        ({"makingAmount": "1e999999"}, Row.UNTOLD),
        ({"makingAmount": "NaN"}, Row.UNTOLD),
        ({"makingAmount": ["1"]}, Row.UNTOLD),
        ({"status": "live", "makingAmount": "", "takingAmount": ""}, Row.LIVE),
        ({"status": "delayed"}, Row.HELD),
        ({"status": "unmatched"}, Row.UNMATCHED),
        ({"status": "something else"}, Row.FOREIGN),
        ({"status": None}, Row.FOREIGN),
        ({"orderID": OTHER}, Row.FOREIGN),
        ({"orderID": ""}, Row.FOREIGN),
        ({"orderID": 7}, Row.FOREIGN),
        ({"success": False}, Row.FOREIGN),
        ({"errorMsg": 7}, Row.FOREIGN),
        # What is said to be matched is not refused by a text beside it.
        ({"errorMsg": "invalid signature"}, Row.FOREIGN),
        ({"errorMsg": "invalid signature", "status": "", "orderID": OTHER}, Row.FOREIGN),
        ({"errorMsg": "invalid signature", "status": "", "makingAmount": "", "takingAmount": ""}, Row.WALLET),
        ({"errorMsg": "no idea", "status": "", "makingAmount": "", "takingAmount": ""}, Row.NOVEL),
    ],
    ids=str,
)
def test_a_success_is_one_where_it_is_whole(changes: dict[str, Any], row: Row) -> None:
    """Our id, a status that is known, no error."""
    assert _read(200, _accepted(**changes)).row is row


@pytest.mark.parametrize(
    ("status", "body", "row"),
    [
        (400, {"message": "not enough balance / allowance"}, Row.BALANCE),
        (400, {"error": {"message": "not enough balance / allowance"}}, Row.BALANCE),
        (400, {"error": {"message": "not enough balance / allowance", "code": 7}, "message": "no"}, Row.BALANCE),
        (200, {"error": {"message": "not enough balance / allowance"}}, Row.BALANCE),
        (400, {"message": "context canceled"}, Row.UNSURE),
        (401, {"message": "Unauthorized"}, Row.KEY),
        (401, {}, Row.BETWEEN),
        (400, {"message": f"order {OTHER} is invalid. Price"}, Row.FOREIGN),
        (400, {"error": "a rule of yesterday", "message": "invalid signature"}, Row.NOVEL),
        (400, {"error": {}}, Row.FOREIGN),
        (400, {"error": {"why": "invalid signature"}}, Row.FOREIGN),
        (400, {"error": {"message": {"message": "invalid signature"}}}, Row.FOREIGN),
        (400, {"message": ["invalid signature"]}, Row.FOREIGN),
        (200, {"message": "not enough balance / allowance"}, Row.FOREIGN),
        (200, _accepted(message="invalid signature"), Row.MATCHED),
        (200, _accepted(error={"message": "invalid signature"}), Row.FOREIGN),
    ],
    ids=str,
)
def test_a_text_counts_under_whichever_name_it_stands(status: int, body: dict[str, Any], row: Row) -> None:
    """What stands beside a success is no error."""
    assert _read(status, body).row is row


def test_amounts_are_read_by_side() -> None:
    """What is made is money for a BUY, and shares for a SELL."""
    bought, sold = _read(200, _accepted()), _read(200, _accepted(), side=Side.SELL)

    assert (str(bought.shares), str(bought.notional)) == ("20.833333", "9.999999")
    assert (str(sold.shares), str(sold.notional)) == ("9.999999", "20.833333")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"[" * 50_000,
        b'{"a":' * 9_000,
        b"\xff\xfe",
        _PAGE,
        b'{"orderID":"' + OURS.encode() + b'","orderID":"' + OTHER.encode() + b'","status":"matched"}',
        b'{"makingAmount":NaN}',
        b'{"makingAmount":' + b"9" * 60_000 + b"}",
        b'{"x":"' + b"x" * (1 << 16) + b'"}',
    ],
    ids=lambda body: str(body[:20]),
)
def test_a_body_that_nobody_can_read_proves_nothing(body: bytes) -> None:
    """Except where the status alone says enough."""
    for status in (200, 400, 404):
        answer = _read(status, body)
        assert answer.row.meaning is Meaning.UNPROVEN
        assert len(answer.words) < 300
    assert _read(200, body).row is Row.FOREIGN
    assert _read(401, body).row is Row.BETWEEN
    assert _read(403, body).row is Row.BLOCKED
    assert _read(425, body).row is Row.NOT_READY
    assert _read(429, body).row is Row.TOO_OFTEN
    assert _read(500, body).row is Row.SERVER


@pytest.mark.parametrize(
    ("headers", "told", "after_s"),
    [
        ({}, {}, None),
        ({"retry-after": "7"}, {}, 7.0),
        ({"retry-after": "99999999999999"}, {}, 3600.0),
        ({"retry-after": "Mon, 24 Nov 2025 16:00:10 GMT"}, {}, 10.0),
        ({"retry-after": "soon"}, {}, None),
        ({}, {"retry_after_seconds": 90}, 90.0),
        ({}, {"retry_after_seconds": -1}, None),
        ({}, {"retry_after_seconds": [1]}, None),
    ],
    ids=str,
)
def test_how_long_it_wants_to_be_left_alone(
    headers: dict[str, str], told: dict[str, Any], after_s: float | None
) -> None:
    """In the header or in the body, as a number or as a date; an hour at most."""
    assert _read(503, {"error": "post-only mode", **told}, headers).after_s == after_s


def test_every_row_says_what_comes_next() -> None:
    """What is unproven is looked up or sent again, and never taken for refused; what nobody knows a person sees."""
    looked_up = (Do.LOOK_UP, Do.LOOK_UP_FIRST, Do.SAME_BYTES)
    for row in Row:
        assert (row.meaning in (Meaning.UNPROVEN, Meaning.OPEN)) == (row.do in looked_up) or row is Row.NOT_READY, row
    assert {row for row in Row if row.alert} == {Row.NOVEL, Row.FOREIGN}


_ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.just([]), st.just({}), st.floats(allow_nan=False)
)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(100, 599),
    st.one_of(
        st.binary(max_size=200),
        st.dictionaries(
            st.sampled_from(
                ["success", "errorMsg", "error", "orderID", "status", "makingAmount", "retry_after_seconds"]
            ),
            _ODD,
        ).map(msgspec.json.encode),
    ),
    st.text(max_size=30),
)
def test_no_answer_raises(status: int, body: bytes, after: str) -> None:
    """Whatever comes has a row, and only what is whole and about this order fills it."""
    answer = read_answer(status, {"retry-after": after}, body, order_id=OURS, side=Side.BUY, now=NOW)
    assert answer.row is not Row.MATCHED
    assert answer.words.isprintable()
    read_cancelled(status, {"retry-after": after}, body, order_id=OURS, now=NOW)


@pytest.mark.parametrize(
    ("status", "body", "means"),
    [
        (200, {"canceled": [OURS], "not_canceled": {}}, Cancelled.DONE),
        (200, {"canceled": [], "not_canceled": {OURS: "already canceled or matched"}}, Cancelled.DONE),
        (200, {"canceled": [], "not_canceled": {OURS: "order not found"}}, Cancelled.DONE),
        (
            200,
            {"canceled": [], "not_canceled": {OURS: "cannot cancel because the order is in delayed status"}},
            Cancelled.HELD,
        ),
        (200, {"canceled": [OTHER], "not_canceled": {}}, Cancelled.REFUSED),
        (200, {"canceled": 7, "not_canceled": [[]]}, Cancelled.REFUSED),
        (200, b"what", Cancelled.REFUSED),
        (400, {"error": "Invalid orderID"}, Cancelled.REFUSED),
        (401, {"error": "Unauthorized"}, Cancelled.KEY),
        (401, _PAGE, Cancelled.BETWEEN),
        (401, b"", Cancelled.BETWEEN),
        (403, _PAGE, Cancelled.BLOCKED),
        (404, {"error": "order not found"}, Cancelled.DONE),
        (425, {}, Cancelled.AGAIN),
        (429, {}, Cancelled.AGAIN),
        (500, _PAGE, Cancelled.AGAIN),
    ],
)
def test_what_an_answer_to_a_cancel_means(status: int, body: object, means: Cancelled) -> None:
    """It may say that the order is gone; what it filled, only a look at it tells."""
    written = body if isinstance(body, bytes) else msgspec.json.encode(body)
    assert read_cancelled(status, {}, written, order_id=OURS, now=NOW)[0] is means


def test_what_the_decision_says_is_shown_is_shown() -> None:
    """Each row of its table, and each test that it names."""
    root = Path(__file__).parents[2]
    page = (root / "docs/decisions/0037-what-an-answer-means-and-what-proves-an-order.md").read_text()
    rows = page[: page.index("Further rules")]
    assert [row.name for row in Row if f"`{row.name}`" not in rows] == []
    file, shown = "", 0
    for named in re.findall(r"`(?:(tests/\S+\.py)::)?(test_\w+)`", page):
        file, shown = named[0] or file, shown + 1
        assert f"def {named[1]}(" in (root / file).read_text(), named
    assert shown >= 40
