"""Every row of the table of answers, end to end: how the order ends, how often it is sent, and what a person hears."""

import msgspec
import pytest
import trio
import trio.testing

from tests.builders import NOW
from tests.clob.scripted_clob import PAGE, Says, matched, open_bench, refusal
from tests.clob.sends import BALANCE, KILL, RESTARTS, answered, end_of
from tests.clob.sent_orders import OTHER, OURS, make_order
from trio_copy.model.fills import Side
from trio_copy_clob.sending.answers import read_answer
from trio_copy_clob.sending.texts import Row

Clock = trio.testing.MockClock


_TABLE: list[tuple[list[Says], str, int | None, list[str], list[str]]] = [
    ([matched()], "filled", 1, [], []),
    ([matched("10", "5")], "partial", 1, [], []),
    ([matched("25", "10")], "filled", 1, [], []),
    ([matched("", "")], "unknown", 1, [], []),
    ([matched("", "", status="live")], "unknown", 1, [], []),
    ([matched("", "", status="delayed")], "unknown", 1, [], []),
    ([matched("", "", status="unmatched")], "unknown", 1, [], []),
    ([Says(200, {"success": True, "errorMsg": KILL, "orderID": ""})], "killed", 1, [], []),
    ([matched(orderID=OTHER)], "uncertain", 1, [], ["venue-unclear"]),
    ([Says(200, b"what")], "uncertain", 1, [], ["venue-unclear"]),
    ([Says(200, PAGE)], "uncertain", 1, [], ["venue-unclear"]),
    ([matched("200", "100")], "unknown", 1, [], ["venue-unclear"]),
    (answered(f"order {OURS} is invalid. Duplicated."), "unknown", 1, [], []),
    (answered(KILL), "killed", 1, [], []),
    (answered("there are no matching orders", 500), "killed", 1, [], []),
    (answered("order couldn't be fully filled. FOK orders are fully filled or killed."), "killed", 1, [], []),
    (answered("FOK orders are filled or killed", 500), "killed", 1, [], []),
    (answered(f"order {OURS} is invalid. Price (0.51) breaks minimum tick size rule: 0.1"), "rejected", 1, ["stale"], []),
    (answered("order_version_mismatch"), "rejected", 1, ["stale"], []),
    (answered("invalid order version"), "rejected", 1, ["stale"], []),
    (answered(BALANCE), "rejected", 1, ["refresh"], []),
    (answered("invalid amounts, the market buy orders ..."), "rejected", 1, [], []),
    (answered("invalid post-only order: order crosses book"), "rejected", 1, [], []),
    (answered("market not found", 404), "rejected", 1, ["stale"], []),
    (answered("No orderbook exists for the requested token id", 404), "rejected", 1, ["stale"], []),
    (answered(f"order {OURS} is invalid. Size (1) lower than the minimum: 5"), "rejected", 1, ["stale"], []),
    ([Says(200, {"success": True, "errorMsg": "Unauthorized/Invalid api key", "orderID": ""}), matched()], "filled", 2, [], []),
    (answered("invalid signature"), "rejected", 1, [], ["venue-stopped"]),
    (answered("the order signer address has to be the address of the API KEY"), "rejected", 1, [], ["venue-stopped"]),
    (answered("the order owner has to be the owner of the API KEY"), "rejected", 1, [], ["venue-stopped"]),
    (answered("maker address not allowed, please use the deposit wallet flow"), "rejected", 1, [], ["venue-stopped"]),
    (answered("'0x12' address banned"), "rejected", 1, [], ["venue-stopped"]),
    (answered("'0x12' address in closed only mode"), "rejected", 1, [], ["venue-stopped"]),
    ([RESTARTS, RESTARTS, matched()], "filled", 3, [], ["venue-stopped", "venue-goes-on"]),
    (answered("the market is not yet ready to process new orders"), "not sent", None, [], ["venue-stopped"]),
    (answered("context canceled"), "uncertain", 1, [], []),
    (answered("order match delayed due to market conditions"), "uncertain", 1, [], []),
    (answered("error delaying the order"), "uncertain", 1, [], []),
    (answered("not found", 404), "uncertain", 1, [], []),
    ([refusal(401, "Unauthorized/Invalid api key"), matched()], "filled", 2, [], []),
    (answered("Unauthorized/Invalid api key", 401), "not sent", 2, [], ["venue-stopped"]),
    ([Says(401, PAGE)], "not sent", 2, [], ["venue-stopped"]),
    ([Says(401, b""), matched()], "filled", 2, [], []),
    ([Says(403, PAGE)], "not sent", 1, ["blocked"], ["venue-stopped"]),
    ([refusal(429, "Too Many Requests", **{"retry-after": "3"}), matched()], "filled", 2, [], []),
    ([refusal(429, "Too Many Requests", **{"retry-after": "300"})], "uncertain", 1, [], []),
    ([refusal(503, "Trading is currently cancel-only.")], "not sent", 1, [], ["venue-stopped"]),
    ([refusal(503, "Trading is currently disabled.")], "not sent", 1, [], ["venue-stopped"]),
    ([refusal(503, "post-only mode: only post-only orders")], "not sent", 1, [], ["venue-stopped"]),
    ([refusal(500, "could not run the execution"), matched()], "filled", 2, [], []),
    ([refusal(502, "Bad gateway"), refusal(400, f"order {OURS} is invalid. Duplicated.")], "unknown", 2, [], []),
    ([Says(does="close"), matched()], "filled", 2, [], []),
    ([Says(does="stall"), matched()], "filled", 2, [], []),
    ([Says(200, matched().body, does="cut"), matched()], "filled", 2, [], []),
    ([Says(200, matched().body, does="late")], "filled", 1, [], []),
    (answered("a rule of yesterday"), "uncertain", 1, [], ["venue-unclear"]),
    # After a send of which nobody knows what became, no refusal proves anything: its first copy may be why.
    ([Says(does="close"), refusal(400, BALANCE)], "uncertain", 2, [], []),
    ([Says(does="close"), refusal(400, KILL)], "uncertain", 2, [], []),
    ([Says(does="close"), Says(403, PAGE)], "uncertain", 2, ["blocked"], ["venue-stopped"]),
    ([RESTARTS, refusal(400, KILL)], "killed", 2, [], ["venue-stopped", "venue-goes-on"]),
]  # fmt: skip
"""The answers, what becomes of the order, how often it is sent, what is asked for besides, and what a person hears."""


@pytest.mark.parametrize(
    ("says", "ends", "posts", "did", "told"),
    _TABLE,
    ids=lambda value: str(value)[:70],
)
async def test_each_row_of_the_table(
    clock: Clock, says: list[Says], ends: str, posts: int | None, did: list[str], told: list[str]
) -> None:
    """How it ends, how often it was sent, what was asked for besides, and what a person hears; always the same bytes."""
    async with open_bench(*says) as bench:
        ended, words = await end_of(bench)
        assert ended == ends, words
        assert posts is None or len(bench.posts) == posts
        assert bench.released == [OURS]
        assert bench.did == did
        assert bench.kinds == told
        bodies = {one.body.replace(b"key-2", b"key-1") for one in bench.posts}
        assert bodies == {make_order().body.replace(b'"owner":""', b'"owner":"key-1"')}
        assert "secret-1" not in f"{words}{bench.told}"


def test_every_row_is_in_the_table() -> None:
    """One that is added is sent as well."""
    written = [says for answers, *_ in _TABLE for says in answers if not says.does]
    bodies = [one.body if isinstance(one.body, bytes) else msgspec.json.encode(one.body) for one in written]
    rows = {
        read_answer(one.status, one.headers, body, order_id=OURS, side=Side.BUY, now=NOW).row
        for one, body in zip(written, bodies, strict=True)
    }
    assert rows == set(Row)
