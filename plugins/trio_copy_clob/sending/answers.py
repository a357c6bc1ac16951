"""What an answer of the venue means: a pure function from status, headers and body to one row of the table in decision 0037.

An answer counts as a refusal only where its text is known to be one: HTTP 400 also says `context canceled`, of an order that
may be matched a moment later. What nobody knows is unproven, told to a person, and looked up.
"""

import re
from collections.abc import Mapping
from enum import Enum

from trio_copy.model.fills import Side
from trio_copy.model.ids import OrderId
from trio_copy.model.units import NO_SHARES, NO_USD, Shares, Usd
from trio_copy.model.values import value
from trio_copy_clob.pacing import LONGEST_TOLD_S, told_s
from trio_copy_clob.sending.bodies import micro_of, object_of
from trio_copy_clob.sending.texts import Row, row_of
from trio_copy_clob.wire import clean

_LONGEST_WORDS = 200
_ORDER_NAMED = re.compile(r"\border (0x[0-9a-f]{64})\b")
_PAGE = "a page instead of JSON"


@value(kw_only=True)
class Answer:
    row: Row
    words: str = ""
    """The venue's own, on one line."""
    after_s: float | None = None
    """How long it wants to be left alone, in seconds, where it says so."""
    shares: Shares = NO_SHARES
    """Filled so far, as told."""
    notional: Usd = NO_USD


def read_answer(
    status: int, headers: Mapping[str, str], body: bytes, *, order_id: OrderId, side: Side, now: float
) -> Answer:
    """Say what an answer to `POST /order` means; no bytes whatever raise. `now` is in Unix seconds.

    `headers` are found by names in small letters.
    """
    try:
        told = object_of(body)
    except ValueError as error:
        words = _PAGE if body[:64].lstrip()[:1] == b"<" else clean(error)
        row = Row.FOREIGN if status < 300 else _row(status, "", readable=False)
        return Answer(row=row, words=f"HTTP status {status}: {words}", after_s=_told_s(headers, {}, now))
    after_s = _told_s(headers, told, now)
    said = _said(told, status)
    if not isinstance(said, str):
        return Answer(row=Row.FOREIGN, words=f"HTTP status {status}: an error that is no text", after_s=after_s)
    words = clean(said[:_LONGEST_WORDS]) or f"HTTP status {status}"
    if 200 <= status < 300:
        return _of_success(told, said, words, order_id, side, after_s)
    row = _row(status, said, readable=bool(said))
    if row is not Row.TOO_OFTEN and _names_another(said, order_id):
        row = Row.FOREIGN
    return Answer(row=row, words=words, after_s=after_s)


def refuses_key(status: int, body: bytes) -> bool:
    """Tell whether the venue itself, in words that can be read, refuses an API key or the time of a request."""
    if status != 401:
        return False
    try:
        return bool(_said(object_of(body), status))
    except ValueError:
        return False


def _said(told: Mapping[str, object], status: int) -> object:
    """Return the text of an error, under whichever name it stands; an empty one where there is none."""
    said = told.get("errorMsg") or told.get("error") or told.get("error_msg")
    if isinstance(said, dict):
        said = said.get("message") or said
    # Beside a success it may be no error.
    return said or (told.get("message") if status >= 300 else "") or ""


def _of_success(
    told: Mapping[str, object], said: str, words: str, order_id: OrderId, side: Side, after_s: float | None
) -> Answer:
    its_id, state = told.get("orderID"), str(told.get("status") or "").lower()
    making, taking = micro_of(told.get("makingAmount")), micro_of(told.get("takingAmount"))
    paid, got = (making, taking) if side is Side.BUY else (taking, making)
    filled = bool(paid and got)
    if (its_id or not said) and (not isinstance(its_id, str) or its_id.lower() != order_id):
        return Answer(row=Row.FOREIGN, words=f"{words}: expected {order_id}, got {clean(its_id) or 'no id'}")
    if said:
        # A refusal of something that was matched, or of another order, is none.
        doubtful = state == "matched" or filled or told.get("tradeIDs") or _names_another(said, order_id)
        return Answer(row=Row.FOREIGN if doubtful else row_of(said) or Row.NOVEL, words=words, after_s=after_s)
    if told.get("success") is False:
        return Answer(row=Row.FOREIGN, words="no success, and no word why")
    shares, notional = (Shares(got or 0), Usd(paid or 0)) if filled else (NO_SHARES, NO_USD)
    match state:
        case "matched":
            row = Row.MATCHED if filled else Row.UNTOLD
        case "live":
            row = Row.LIVE
        case "unmatched":
            row = Row.UNMATCHED
        case "delayed":
            row = Row.HELD
        case _:
            return Answer(row=Row.FOREIGN, words=f'a status that nobody knows: "{clean(state)}"')
    return Answer(row=row, words=state, shares=shares, notional=notional)


def _row(status: int, said: str, *, readable: bool) -> Row:
    """Find the row of an answer that is no success."""
    match status:
        case 401:
            # Without a word of the venue it may be of whoever stands between: a page of a proxy says nothing of an API key.
            return Row.KEY if readable else Row.BETWEEN
        case 425:
            return Row.NOT_READY
        case 429:
            return Row.TOO_OFTEN
        case 408:
            return Row.SERVER
    row = row_of(said)
    if status == 403:
        return row if row in (Row.WALLET, Row.CLOSED_ONLY) else Row.BLOCKED
    if status == 404:
        return row if row in (Row.NO_MARKET, Row.DUPLICATED) else Row.NOT_FOUND
    if status >= 500:
        # Of a server that fails, only what it says about this very order is believed.
        believed = (Row.DUPLICATED, Row.UNSURE, Row.NOT_READY)
        if row in believed or (row is Row.KILLED and status == 500) or (row is Row.PAUSED and status == 503):
            return row
        return Row.SERVER
    if status < 400 or not readable:
        return Row.FOREIGN
    return row or Row.NOVEL


def _names_another(said: str, order_id: OrderId) -> bool:
    named = _ORDER_NAMED.search(said[:1000].lower())
    return named is not None and named[1] != order_id


def _told_s(headers: Mapping[str, str], told: Mapping[str, object], now: float) -> float | None:
    after_s = told_s(headers.get("retry-after", ""), now)
    if after_s is None and "retry_after_seconds" in told:
        micro = micro_of(told.get("retry_after_seconds"))
        after_s = None if micro is None else micro / 1e6
    return None if after_s is None else min(after_s, LONGEST_TOLD_S)


class Cancelled(Enum):
    """What an answer to `DELETE /order` means. What came of the order, it never proves."""

    DONE = "it is off the book, or was already: look it up"
    HELD = "it is held, and cannot be called off yet"
    AGAIN = "ask again"
    KEY = "another API key, or another time, and again"
    BETWEEN = "refused, by whom cannot be read"
    BLOCKED = "this egress is blocked"
    REFUSED = "refused, or not to be understood"


def read_cancelled(
    status: int, headers: Mapping[str, str], body: bytes, *, order_id: OrderId, now: float
) -> tuple[Cancelled, str, float | None]:
    """Say what an answer to `DELETE /order` means, with the venue's words and its wish to be left alone; never raises."""
    try:
        told = object_of(body)
    except ValueError:
        told = {}
    after_s, words = _told_s(headers, told, now), f"HTTP status {status}"
    match status:
        case 401:
            return Cancelled.KEY if refuses_key(status, body) else Cancelled.BETWEEN, words, after_s
        case 403:
            return Cancelled.BLOCKED, words, after_s
        case 404:  # no such order: as good as called off, and looked up as any other
            return Cancelled.DONE, words, after_s
        case 408 | 425 | 429:
            return Cancelled.AGAIN, words, after_s
    if status >= 500:
        return Cancelled.AGAIN, words, after_s
    done, kept = told.get("canceled"), told.get("not_canceled")
    if status == 200 and isinstance(done, list) and order_id in [str(one).lower() for one in done]:
        return Cancelled.DONE, "canceled", after_s
    whys = {str(key).lower(): value for key, value in kept.items()} if isinstance(kept, dict) else {}
    why = clean(whys.get(order_id) or told.get("error") or "")[:_LONGEST_WORDS]
    if "pending" in why or "delayed" in why:
        return Cancelled.HELD, why, after_s
    if "already canceled or matched" in why or "not found" in why:
        return Cancelled.DONE, why, after_s
    return Cancelled.REFUSED, why or words, after_s
