"""An order on its way over HTTP: every row of the table end to end, at a venue that says what a test wants."""

from functools import partial

import msgspec
import pytest
import trio
import trio.testing
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOW
from tests.clob.scripted_clob import PAGE, SIGNER, Bench, Says, matched, open_bench, refusal
from tests.clob.sent_orders import OTHER, OURS, TOKEN, make_order, maker_row, order_row, trade_row
from trio_copy.errors import ExecutorError, OrderNotSent, OrderUncertain
from trio_copy.model.breaches import breach_of_report
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.orders import ExecutionReport, Order, Status
from trio_copy_clob.pacing import Bucket
from trio_copy_clob.sending.answers import read_answer
from trio_copy_clob.sending.balances import Balance, asset, read_balance, refresh_balance
from trio_copy_clob.sending.calling import take_time
from trio_copy_clob.sending.credentials import NoKey
from trio_copy_clob.sending.limits import Turns
from trio_copy_clob.sending.permissions import is_closed_only, read_region, read_tier
from trio_copy_clob.sending.stops import EGRESS_S, PAUSED_S, SHORT_S, Stop
from trio_copy_clob.sending.texts import Row

Clock = trio.testing.MockClock
_KILL = "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found."
_BALANCE = "not enough balance / allowance"
_RESTARTS = refusal(425, "service not ready")
_GTC = b'{"order":{"timestamp":"1764000000123"},"owner":"","orderType":"GTC","postOnly":false}'


async def _end(bench: Bench, order: Order | None = None, within_s: float = 10.0) -> tuple[str, str]:
    """Send an order, and say how that ended, and with which words."""
    try:
        report = await bench.post(order or make_order(), within_s)
    except OrderNotSent as error:
        return "not sent", str(error)
    except OrderUncertain as error:
        return "uncertain", str(error)
    return report.status.value, report.detail


def _answers(text: str, status: int = 400) -> list[Says]:
    return [refusal(status, text)]


_TABLE: list[tuple[list[Says], str, int | None, list[str], list[str]]] = [
    ([matched()], "filled", 1, [], []),
    ([matched("10", "5")], "partial", 1, [], []),
    ([matched("25", "10")], "filled", 1, [], []),
    ([matched("", "")], "unknown", 1, [], []),
    ([matched("", "", status="live")], "unknown", 1, [], []),
    ([matched("", "", status="delayed")], "unknown", 1, [], []),
    ([matched("", "", status="unmatched")], "unknown", 1, [], []),
    ([Says(200, {"success": True, "errorMsg": _KILL, "orderID": ""})], "killed", 1, [], []),
    ([matched(orderID=OTHER)], "uncertain", 1, [], ["venue-unclear"]),
    ([Says(200, b"what")], "uncertain", 1, [], ["venue-unclear"]),
    ([Says(200, PAGE)], "uncertain", 1, [], ["venue-unclear"]),
    ([matched("200", "100")], "unknown", 1, [], ["venue-unclear"]),
    (_answers(f"order {OURS} is invalid. Duplicated."), "unknown", 1, [], []),
    (_answers(_KILL), "killed", 1, [], []),
    (_answers("there are no matching orders", 500), "killed", 1, [], []),
    (_answers("order couldn't be fully filled. FOK orders are fully filled or killed."), "killed", 1, [], []),
    (_answers("FOK orders are filled or killed", 500), "killed", 1, [], []),
    (_answers(f"order {OURS} is invalid. Price (0.51) breaks minimum tick size rule: 0.1"), "rejected", 1, ["stale"], []),
    (_answers("order_version_mismatch"), "rejected", 1, ["stale"], []),
    (_answers("invalid order version"), "rejected", 1, ["stale"], []),
    (_answers(_BALANCE), "rejected", 1, ["refresh"], []),
    (_answers("invalid amounts, the market buy orders ..."), "rejected", 1, [], []),
    (_answers("invalid post-only order: order crosses book"), "rejected", 1, [], []),
    (_answers("market not found", 404), "rejected", 1, ["stale"], []),
    (_answers("No orderbook exists for the requested token id", 404), "rejected", 1, ["stale"], []),
    (_answers(f"order {OURS} is invalid. Size (1) lower than the minimum: 5"), "rejected", 1, ["stale"], []),
    ([Says(200, {"success": True, "errorMsg": "Unauthorized/Invalid api key", "orderID": ""}), matched()], "filled", 2, [], []),
    (_answers("invalid signature"), "rejected", 1, [], ["venue-stopped"]),
    (_answers("the order signer address has to be the address of the API KEY"), "rejected", 1, [], ["venue-stopped"]),
    (_answers("the order owner has to be the owner of the API KEY"), "rejected", 1, [], ["venue-stopped"]),
    (_answers("maker address not allowed, please use the deposit wallet flow"), "rejected", 1, [], ["venue-stopped"]),
    (_answers("'0x12' address banned"), "rejected", 1, [], ["venue-stopped"]),
    (_answers("'0x12' address in closed only mode"), "rejected", 1, [], ["venue-stopped"]),
    ([_RESTARTS, _RESTARTS, matched()], "filled", 3, [], ["venue-stopped", "venue-goes-on"]),
    (_answers("the market is not yet ready to process new orders"), "not sent", None, [], ["venue-stopped"]),
    (_answers("context canceled"), "uncertain", 1, [], []),
    (_answers("order match delayed due to market conditions"), "uncertain", 1, [], []),
    (_answers("error delaying the order"), "uncertain", 1, [], []),
    (_answers("not found", 404), "uncertain", 1, [], []),
    ([refusal(401, "Unauthorized/Invalid api key"), matched()], "filled", 2, [], []),
    (_answers("Unauthorized/Invalid api key", 401), "not sent", 2, [], ["venue-stopped"]),
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
    (_answers("a rule of yesterday"), "uncertain", 1, [], ["venue-unclear"]),
    # After a send of which nobody knows what became, no refusal proves anything: its first copy may be why.
    ([Says(does="close"), refusal(400, _BALANCE)], "uncertain", 2, [], []),
    ([Says(does="close"), refusal(400, _KILL)], "uncertain", 2, [], []),
    ([Says(does="close"), Says(403, PAGE)], "uncertain", 2, ["blocked"], ["venue-stopped"]),
    ([_RESTARTS, refusal(400, _KILL)], "killed", 2, [], ["venue-stopped", "venue-goes-on"]),
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
        ended, words = await _end(bench)
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


@pytest.mark.parametrize(
    ("says", "not_yet"),
    [
        ([_RESTARTS], True),
        (_answers("the market is not yet ready to process new orders"), True),
        ([refusal(425, "service not ready", **{"retry-after": "60"})], True),
        ([_RESTARTS, refusal(503, "Trading is currently cancel-only.")], False),
        ([_RESTARTS, Says(403, PAGE)], False),
        ([refusal(503, "Trading is currently cancel-only.")], False),
        ([refusal(401, "Unauthorized/Invalid api key")], False),
    ],
    ids=lambda value: str(value)[:70],
)
async def test_a_venue_that_is_not_ready_takes_the_same_bytes_in_a_moment(
    clock: Clock, says: list[Says], *, not_yet: bool
) -> None:
    """Whoever sends hears that it is worth to go on until the deadline; nothing that was stopped is."""
    async with open_bench(*says) as bench:
        for _ in range(2):
            with pytest.raises(OrderNotSent) as refused:
                await bench.post(make_order(), 10.0)
            assert refused.value.not_yet is not_yet
        assert bench.kinds.count("venue-goes-on") == 0


_ANY = {
    "sure": [_RESTARTS, refusal(401, "Unauthorized"), refusal(400, _KILL), refusal(400, _BALANCE), Says(403, PAGE)],
    "unsure": [
        Says(does="close"),
        Says(does="stall"),
        Says(200, matched().body, does="cut"),
        refusal(500, "Internal server error"),
        refusal(429, "Too Many Requests", **{"retry-after": "1"}),
        refusal(400, "context canceled"),
        refusal(400, "a rule of yesterday"),
        Says(200, b"what"),
    ],
    "there": [matched(), matched("", "", status="delayed"), refusal(400, f"order {OURS} is invalid. Duplicated.")],
}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([(kind, says) for kind, all_ in _ANY.items() for says in all_]), min_size=1, max_size=5),
    st.sampled_from([0.5, 3.0, 10.0]),
)
def test_nothing_that_may_have_arrived_is_reported_as_refused(said: list[tuple[str, Says]], within_s: float) -> None:
    """Whatever comes in whatever order: refused, or not sent, is only what no earlier copy may have become."""

    async def main() -> tuple[str, int]:
        async with open_bench(*(says for _, says in said)) as bench:
            ended, _ = await _end(bench, within_s=within_s)
            return ended, len(bench.posts)

    ended, posts = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    kinds = [said[min(number, len(said) - 1)][0] for number in range(posts)]
    if ended in ("not sent", "rejected", "killed"):
        assert set(kinds) <= {"sure"}
    assert (ended in ("filled", "unknown")) is ("there" in kinds)
    assert ended != "uncertain" or "unsure" in kinds


async def test_a_venue_that_fails_is_asked_until_the_deadline_and_not_later(clock: Clock) -> None:
    """With pauses that grow; then nobody can say what became of it."""
    for within_s, most in ((1.0, 6), (10.0, 14)):
        async with open_bench(refusal(500, "Internal server error")) as bench:
            began = trio.current_time()
            assert (await _end(bench, within_s=within_s))[0] == "uncertain"
            assert trio.current_time() - began <= within_s
            assert 3 <= len(bench.posts) <= most


async def test_a_venue_that_stalls_does_not_take_longer_than_the_deadline(clock: Clock) -> None:
    """However little time there is."""
    for within_s in (0.5, 5.0, 9.5):
        async with open_bench(Says(does="stall")) as bench:
            began = trio.current_time()
            assert await _end(bench, within_s=within_s) == ("uncertain", "no whole answer in time")
            assert trio.current_time() - began <= within_s + 1e-6
            assert len(bench.posts) == (1 if within_s < 4 else 2 if within_s < 8 else 3)


async def test_what_never_left_is_not_sent(clock: Clock) -> None:
    """A venue that takes no connection has nothing; once it does, the order goes."""
    async with open_bench(matched()) as bench:
        await bench.signer.key(trio.current_time() + 1)
        await bench.transport.aclose()
        bench.transport._closed = False
        bench.clob.away = True
        assert await _end(bench) == ("not sent", "connection refused")

        async def come_back() -> None:
            await trio.sleep(3)
            bench.clob.away = False

        async with trio.open_nursery() as nursery:
            nursery.start_soon(come_back)
            assert (await _end(bench))[0] == "filled"


async def test_a_connection_that_the_venue_has_closed_is_no_doubt(clock: Clock) -> None:
    """It closes them when it likes; an order takes another one, and one answer is enough."""
    async with open_bench(refusal(400, _KILL)) as bench:
        bench.clob.cut_idle = True
        await bench.signer.key(trio.current_time() + 1)
        for _ in range(3):
            await trio.sleep(1)
            assert (await _end(bench))[0] == "killed"
        assert len(bench.posts) == 3


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
        report = await bench.post(make_order(body=_GTC))
        assert (report.status.value, str(report.shares), report.settlement.value) == ends
    async with open_bench(matched("5", "2.5", status="live")) as bench:
        assert (await bench.post(make_order(body=_GTC))).status.value == "resting"


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
    ("says", "stop", "second", "third"),
    [
        (refusal(400, "invalid signature"), Stop.WALLET, ("not sent", "not sent"), ("not sent", "not sent")),
        (refusal(400, "'0x1' address in closed only mode"), Stop.ENTRIES_OF_WALLET, ("not sent", "filled"), ("not sent", "filled")),
        (refusal(401, "Unauthorized"), Stop.SIGNER, ("not sent", "not sent"), ("not sent", "not sent")),
        (Says(401, PAGE), Stop.SIGNER, ("not sent", "not sent"), ("not sent", "not sent")),
        (Says(403, PAGE), Stop.EGRESS, ("not sent", "not sent"), ("not sent", "not sent")),
        (refusal(503, "Trading is currently disabled."), Stop.ENTRIES, ("not sent", "filled"), ("filled", "filled")),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
async def test_what_is_stopped_is_not_sent(
    clock: Clock, says: Says, stop: Stop, second: tuple[str, str], third: tuple[str, str]
) -> None:
    """Nothing leaves, and the reason is told: of entries and exits, at once and some time later."""
    async with open_bench(says, says) as bench:
        await _end(bench)
        assert [one.stop for one in bench.posting.stops.standing(trio.current_time())] == [stop]
        for ends in (second, third):
            bench.clob.says.clear()
            bench.clob.says.append(matched())
            sent, released = len(bench.posts), len(bench.released)
            ended, why = await _end(bench)
            bench.clob.says[0] = matched("10", "20")
            exited, _ = await _end(bench, make_order(Side.SELL))
            assert (ended, exited) == ends
            assert len(bench.posts) - sent == ends.count("filled")
            assert len(bench.released) - released == ends.count("filled"), "what stays here counts for no limit"
            assert ended == "filled" or stop.value in why
            await trio.sleep(PAUSED_S + 1)
            if stop is Stop.ENTRIES and ends is second:
                bench.posting.stops.stop(
                    Stop.ENTRIES, "", "again", until=trio.current_time() - 1, now=trio.current_time()
                )


@pytest.mark.parametrize(
    "region", [Says(200, {"blocked": False, "country": "IE"}), Says(500), Says(200, {"blocked": True})]
)
async def test_a_place_that_is_not_blocked_is_tried_again_later(clock: Clock, region: Says) -> None:
    """A page of Cloudflare may go away; a region stays where it is."""
    async with open_bench(Says(403, PAGE), matched()) as bench:
        bench.clob.region = region
        assert (await _end(bench))[0] == "not sent"
        assert (await _end(bench))[0] == "not sent"
        assert len(bench.posts) == 1
        await trio.sleep(EGRESS_S + 1)
        assert ((await _end(bench))[0] == "filled") is (region.body != {"blocked": True})


async def test_a_page_that_wants_a_login_stops_no_signer(clock: Clock) -> None:
    """A proxy that stands before everything says nothing of an API key: what leaves from here rests for a while, and then goes on
    by itself, with the key that it had."""
    async with open_bench(matched(), Says(401, PAGE), matched()) as bench:
        await _end(bench)
        bench.clob.region = Says(200, {"blocked": False, "country": "IE"})
        for page in (Says(401, PAGE), Says(200, PAGE), Says(does="close")):
            bench.clob.says.appendleft(Says(401, PAGE))
            bench.clob.makes_keys = bench.clob.derives = page
            assert (await _end(bench))[0] == "not sent"
            assert [one.stop for one in bench.posting.stops.standing(trio.current_time())] == [Stop.EGRESS]
            assert "refused, by whom cannot be read" in bench.told[-1][1]
            assert "the venue says that IE is not blocked" in bench.told[-1][1]
            assert (await _end(bench))[0] == "not sent"
            await trio.sleep(EGRESS_S + 1)
        bench.clob.says.popleft()
        assert (await _end(bench))[0] == "filled"
        assert b'"owner":"key-1"' in bench.posts[-1].body


async def test_a_page_before_one_signer_stops_nobody_else(clock: Clock) -> None:
    """Where the venue itself tells an API key meanwhile, nobody stands between: only whom it is about rests, for a while, and
    asks for no more keys than one."""
    async with open_bench(Says(401, PAGE), Says(401, PAGE), matched()) as bench:
        assert (await _end(bench))[0] == "not sent"
        stops, now = bench.posting.stops, trio.current_time()
        assert [one.stop for one in stops.standing(now)] == [Stop.SIGNER]
        assert stops.why(wallet="0xother", signer="0xother", is_exit=False, now=now) is None
        assert bench.clob.keys == 2
        await trio.sleep(EGRESS_S + 1)
        assert (await _end(bench))[0] == "filled"


async def test_who_refuses_without_a_word_is_asked_about_once_in_a_while(clock: Clock) -> None:
    """However many orders of a signer meet such a page, and however often they are called off: few may ask for keys."""
    async with open_bench(Says(401, PAGE)) as bench:
        for _ in range(5):
            await _end(bench)
            bench.posting.stops.lift(Stop.SIGNER, SIGNER)
            with pytest.raises(ExecutorError, match="401"):
                await bench.cancelling.cancel(make_order(body=_GTC), bench.signer, trio.current_time() + 8)
        assert len(bench.clob.at("/auth/api-key")) == 2
        assert set(bench.kinds) == {"venue-stopped"}


async def test_a_signer_that_the_venue_gives_no_key_stops_though_it_was_a_page(clock: Clock) -> None:
    """It says so itself, beside its own clock."""
    async with open_bench(matched(), Says(401, b"")) as bench:
        await _end(bench)
        bench.clob.makes_keys = bench.clob.derives = refusal(400, "Could not derive api key!")
        assert (await _end(bench))[0] == "not sent"
        standing = bench.posting.stops.standing(trio.current_time())
        assert [(one.stop, one.until) for one in standing] == [(Stop.SIGNER, None)]


async def test_a_page_that_answers_a_question_changes_no_key(clock: Clock) -> None:
    """Nor does it stop what leaves: it stands there for a moment. Of a cancel it is asked who refuses it, once."""
    async with open_bench(matched()) as bench:
        await _end(bench)
        bench.clob.order = Says(401, PAGE)
        with pytest.raises(ExecutorError, match="HTTP status 401"):
            await _look(bench, make_order(body=_GTC))
        assert (len(bench.clob.at("/auth/api-key")), bench.told) == (1, [])
        bench.clob.says[0] = Says(401, PAGE)
        with pytest.raises(ExecutorError, match="401"):
            await bench.cancelling.cancel(make_order(body=_GTC), bench.signer, trio.current_time() + 8)
        assert (len(bench.clob.at("/auth/api-key")), bench.kinds) == (2, [])
        await trio.sleep(EGRESS_S + 1)
        bench.clob.makes_keys = bench.clob.derives = Says(401, PAGE)
        with pytest.raises(ExecutorError, match="401"):
            await bench.cancelling.cancel(make_order(body=_GTC), bench.signer, trio.current_time() + 8)
        assert bench.kinds == ["venue-stopped"]


@pytest.mark.parametrize(
    ("says", "stop"),
    [
        (refusal(401, "Unauthorized/Invalid api key"), Stop.SIGNER),
        (refusal(400, "invalid signature"), Stop.WALLET),
        (refusal(400, "'0x1' address in closed only mode"), Stop.ENTRIES_OF_WALLET),
        (Says(403, PAGE), Stop.EGRESS),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_what_is_stopped_for_good_goes_on_once_a_person_has_armed_the_wallet_again(
    clock: Clock, says: Says, stop: Stop
) -> None:
    """Told once, with what to do; an arming from before it changes nothing, nor does one of another wallet; no restart."""
    async with open_bench(says, says) as bench:
        order = make_order(wallet=evolve(make_order().wallet, name="hot"))
        for _ in range(3):
            await _end(bench, order)
        assert bench.kinds == ["venue-stopped"]
        assert bench.told[0][1].startswith(stop.value)
        assert bench.told[0][1].endswith("; once that is mended: `trio-copy arm hot`")
        (stopped,) = bench.posting.stops.standing(trio.current_time())
        await trio.sleep(1)
        bench.posting.go_on(order.wallet, bench.signer, stopped.at - 1)
        assert (await _end(bench, order))[0] == "not sent"
        if stop in (Stop.WALLET, Stop.ENTRIES_OF_WALLET):
            other = make_order(wallet=evolve(order.wallet, address=Address("0x" + "99" * 20)))
            bench.posting.go_on(other.wallet, bench.signer, trio.current_time())
            assert (await _end(bench, order))[0] == "not sent"
        bench.posting.go_on(order.wallet, bench.signer, trio.current_time())
        assert bench.kinds == ["venue-stopped", "venue-goes-on"]
        bench.clob.says.clear()
        bench.clob.says.append(matched())
        assert (await _end(bench, order))[0] == "filled"
        # Not mended, it is told once more.
        bench.clob.says[0] = says
        await _end(bench, order)
        assert bench.kinds == ["venue-stopped", "venue-goes-on", "venue-stopped"]


async def test_an_arming_ends_no_pause(clock: Clock) -> None:
    """What goes on by itself is not a person's affair."""
    async with open_bench(refusal(503, "Trading is currently disabled.")) as bench:
        await _end(bench)
        assert "trio-copy" not in bench.told[0][1]
        bench.posting.go_on(make_order().wallet, bench.signer, trio.current_time() + 1)
        assert (await _end(bench))[0] == "not sent"
        assert bench.kinds == ["venue-stopped"]


async def test_an_order_that_its_guard_cannot_count_in_time_is_certainly_not_sent(clock: Clock) -> None:
    """A disk that hangs makes no order uncertain."""
    async with open_bench(matched()) as bench:
        bench.release_s = 11.0
        assert await _end(bench, within_s=10.0) == ("not sent", "its guard could not write it down in time")
        assert (bench.posts, bench.released) == ([], [])


async def test_a_blocked_place_is_asked_about_once_however_many_orders_meet_it(clock: Clock) -> None:
    """What has not left yet does not leave."""
    async with open_bench(Says(403, PAGE)) as bench:
        await trio.sleep(5)
        async with trio.open_nursery() as nursery:
            for _ in range(80):
                nursery.start_soon(_end, bench)
        assert bench.did == ["blocked"]
        assert bench.kinds == ["venue-stopped"]
        assert len(bench.posts) < 80


@pytest.mark.parametrize("blocked", [True, False])
@pytest.mark.parametrize("where", ["key", "key for a call", "call"])
async def test_wherever_a_place_is_refused_it_is_asked_whether_it_is_blocked(
    clock: Clock, where: str, *, blocked: bool
) -> None:
    """A region stays where it is, and no page of a moment stops exits for longer than that."""
    async with open_bench(Says(403, PAGE)) as bench:
        bench.clob.region = Says(200, {"blocked": blocked, "country": "IE"})
        bench.clob.makes_keys = Says(403, PAGE) if "key" in where else None
        if "call" in where:
            with pytest.raises(ExecutorError, match=r"403|blocked"):
                await bench.cancelling.cancel(make_order(body=_GTC), bench.signer, trio.current_time() + 8)
        else:
            assert (await _end(bench))[0] == "not sent"
        assert bench.did == ["blocked"]
        assert [kind for kind, _ in bench.told] == ["venue-stopped"]
        assert f"IE is {'blocked' if blocked else 'not blocked'}" in bench.told[0][1]
        bench.clob.makes_keys, bench.clob.says[0] = None, matched("10", "20")
        assert (await _end(bench, make_order(Side.SELL)))[0] == "not sent"
        await trio.sleep(EGRESS_S + 1)
        assert (await _end(bench, make_order(Side.SELL)))[0] == ("not sent" if blocked else "filled")


async def test_exits_wait_where_trading_is_paused(clock: Clock) -> None:
    """Within their deadline; as long as the venue asks for, and no longer than that."""
    paused = refusal(503, "post-only mode: only post-only orders and cancels are allowed", **{"retry-after": "4"})
    async with open_bench(paused, matched("10", "20")) as bench:
        began = trio.current_time()
        assert (await _end(bench, make_order(Side.SELL)))[0] == "filled"
        assert 4 <= trio.current_time() - began < 5
        assert bench.kinds == ["venue-stopped", "venue-goes-on"]
    async with open_bench(refusal(503, "post-only mode", **{"retry-after": "90"})) as bench:
        for _ in range(50):
            ended, why = await _end(bench, make_order(Side.SELL))
            assert ended == "not sent"
            assert "post-only mode" in why
            await trio.sleep(1)
        assert len(bench.posts) == 1
        bench.clob.says[0] = matched("10", "20")
        await trio.sleep(11)
        assert (await _end(bench, make_order(Side.SELL)))[0] == "filled"


@pytest.mark.parametrize(
    ("says", "rests_all"),
    [
        (refusal(429, "Too Many Requests", **{"retry-after": "5"}), True),
        (refusal(429, "Too Many Requests", **{"Retry-After": "5", "Poly-RateLimit-Remaining": "0"}), False),
        (refusal(425, "service not ready", **{"retry-after": "5"}), True),
        (refusal(500, "Internal server error", **{"retry-after": "5"}), True),
        (refusal(503, "Trading is currently cancel-only.", **{"retry-after": "5"}), False),
        (refusal(400, "the market is not yet ready to process new orders", **{"retry-after": "5"}), False),
    ],
    ids=lambda value: str(value)[:70],
)
async def test_whoever_is_meant_rests_where_the_venue_asks_for_it(clock: Clock, says: Says, *, rests_all: bool) -> None:
    """The one signer whose own bucket it names, or whose order it was; else all who send or call off from here."""
    async with open_bench(says, matched("10", "20")) as bench:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.post, make_order(Side.SELL))
            await trio.sleep(1)
            with trio.move_on_after(2) as scope:
                await bench.posting.address_turns.wait(is_exit=True)
            assert scope.cancelled_caught is rests_all
        assert [round(one.at - began) for one in bench.posts] == [0, 5]


async def test_no_answer_to_one_order_stops_all_others_for_long(clock: Clock) -> None:
    """An hour that one page asks for is no reason to let nobody leave for an hour."""
    async with open_bench(refusal(429, "Too Many Requests", **{"retry-after": "3600"})) as bench:
        assert (await _end(bench))[0] == "uncertain"
        with trio.fail_after(61):
            await bench.posting.address_turns.wait(is_exit=True)


async def test_what_is_called_off_rests_as_orders_do(clock: Clock) -> None:
    """The limit of an address counts both."""
    limited = refusal(429, "Too Many Requests", **{"retry-after": "5"})
    async with open_bench(limited, Says(200, {"canceled": [OURS]})) as bench, trio.open_nursery() as nursery:
        nursery.start_soon(bench.cancelling.cancel, make_order(body=_GTC), bench.signer, trio.current_time() + 8)
        await trio.sleep(1)
        with trio.move_on_after(2) as scope:
            await bench.posting.address_turns.wait(is_exit=True)
        assert scope.cancelled_caught


async def test_the_second_want_of_balance_rests_one_side_of_a_wallet(clock: Clock) -> None:
    """The venue reads the balance again once; what is missing then is missing."""
    async with open_bench(refusal(400, _BALANCE)) as bench:
        ended = [(await _end(bench))[0] for _ in range(3)]
        assert ended == ["rejected", "rejected", "not sent"]
        assert bench.did == ["refresh"]
        # Of the other side nothing was missing yet. What an exit sells is on the chain: read again, it is worth one more order.
        refused = [await bench.post(make_order(Side.SELL), 10.0) for _ in range(2)]
        assert [(one.status, one.stale) for one in refused] == [(Status.REJECTED, True), (Status.REJECTED, False)]
        assert bench.did == ["refresh"] * 2
        await trio.sleep(SHORT_S)
        assert (await _end(bench))[0] == "rejected"


async def test_what_the_venue_remembers_of_one_exit_stops_no_other(clock: Clock) -> None:
    """Another token has a balance of its own; and what an exit left for later comes when there is more than was read for it."""
    short, sold = refusal(400, _BALANCE), matched("10", "20")
    async with open_bench(short, sold, short, sold, short) as bench:
        exits = [make_order(Side.SELL, token_id=token) for token in (TOKEN, TOKEN, TOKEN, TOKEN, TokenId(778))]
        ended = [await bench.post(one, 10.0) for one in exits]
        assert [(one.status, one.stale) for one in ended] == [
            (Status.REJECTED, True),
            (Status.FILLED, False),
            (Status.REJECTED, True),
            (Status.FILLED, False),
            (Status.REJECTED, True),
        ]
        assert (bench.did, bench.told) == (["refresh"] * 3, [])


async def test_a_key_that_is_refused_proves_nothing_of_an_earlier_send(clock: Clock) -> None:
    """Whoever guards the key lets nobody ask any more: the first copy of the bytes may be there all the same."""
    async with open_bench(Says(500, b"oops"), refusal(401, "Unauthorized/Invalid api key")) as bench:
        await bench.signer.key(trio.current_time() + 5)

        def refuse(_timestamp: int) -> dict[str, str]:
            raise OrderNotSent("no API key: the guard says no")

        bench.signer.level1 = refuse
        with pytest.raises(OrderUncertain):
            await bench.post(make_order())
        assert len(bench.posts) == 2


@pytest.mark.parametrize("off_s", [100.0, -100.0])
async def test_a_wrong_clock_does_not_matter(clock: Clock, off_s: float) -> None:
    """Nor one that becomes wrong: the time is taken with the first key, and anew once a request is refused."""
    async with open_bench(matched(), off_s=off_s) as bench:
        assert (await _end(bench))[0] == "filled"
        assert len(bench.clob.at("/time")) == 1
        bench.signer.clock.skew_s = 0.0
        assert (await _end(bench))[0] == "filled"
        assert len(bench.clob.at("/time")) == 2
        assert bench.told == []


async def test_one_key_is_asked_for_however_many_need_it(clock: Clock) -> None:
    """The first time, and when it is refused."""
    async with open_bench(matched()) as bench:

        async def send_many() -> None:
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(bench.post, make_order())

        await send_many()
        assert len(bench.clob.at("/auth/api-key")) == 1
        bench.clob.keys = 7
        await send_many()
        assert len(bench.clob.at("/auth/api-key")) == 2
        assert b'"owner":"key-8"' in bench.posts[-1].body


@pytest.mark.parametrize(
    ("makes", "derives", "ends", "stopped"),
    [
        (refusal(400, "Could not create api key"), None, "filled", []),
        (Says(200, b"what"), None, "filled", []),
        (Says(200, {"apiKey": "a", "secret": 7}), None, "filled", []),
        (refusal(400, "Could not create api key"), refusal(400, "no"), "not sent", [Stop.SIGNER]),
        (refusal(401, "Invalid L1 Request headers"), refusal(401, "Invalid L1 Request headers"), "not sent", [Stop.SIGNER]),
        (Says(403, PAGE), None, "not sent", [Stop.EGRESS]),
        (refusal(500, "Internal server error"), None, "not sent", []),
        (refusal(429, "Too Many Requests", **{"retry-after": "9"}), None, "not sent", []),
        (Says(does="close"), None, "not sent", []),
        (Says(does="stall"), None, "not sent", []),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
async def test_a_key_is_made_or_told_again(
    clock: Clock, makes: Says, derives: Says | None, ends: str, stopped: list[Stop]
) -> None:
    """Who has one already is told it; who gets none sends nothing; who is refused stops."""
    async with open_bench(matched()) as bench:
        bench.clob.makes_keys, bench.clob.derives = makes, derives
        assert (await _end(bench))[0] == ends
        assert [one.stop for one in bench.posting.stops.standing(trio.current_time())] == stopped
        assert len(bench.posts) == (ends == "filled")


_GARBAGE = Says(200, b"what")


@pytest.mark.parametrize(
    ("makes", "derives"),
    [
        (_GARBAGE, _GARBAGE),
        (Says(200, PAGE), Says(200, PAGE)),
        (Says(302), Says(404, b"")),
        (Says(401, PAGE), Says(401, PAGE)),
        (_GARBAGE, refusal(400, "Could not derive api key!")),
        (refusal(400, "Could not create api key"), _GARBAGE),
        (refusal(500, "Internal server error"), None),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_an_odd_answer_about_a_key_is_no_refusal(clock: Clock, makes: Says, derives: Says | None) -> None:
    """The order tries again within its time, and so does the next one: nothing stops."""
    async with open_bench(matched()) as bench:
        bench.clob.makes_keys, bench.clob.derives = makes, derives
        assert (await _end(bench, within_s=4.0))[0] == "not sent"
        assert 2 <= len(bench.clob.at("/auth/api-key")) <= 4
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_end, bench)
            await trio.sleep(4)
            assert bench.posts == []
            bench.clob.makes_keys = bench.clob.derives = None
        assert len(bench.posts) == 1
        assert bench.told == []


@pytest.mark.parametrize("off_s", [100.0, -100.0])
async def test_a_refusal_counts_only_by_the_venues_own_time(clock: Clock, off_s: float) -> None:
    """Of a clock that is wrong and a time that is not told, the order waits."""
    async with open_bench(matched(), off_s=off_s) as bench:
        bench.clob.time = _GARBAGE
        assert (await _end(bench, within_s=4.0))[0] == "not sent"
        assert bench.told == []
        bench.clob.time = None
        assert (await _end(bench))[0] == "filled"
        # The same of a key that was good before.
        bench.clob.time, bench.signer.clock.skew_s = _GARBAGE, 0.0
        assert (await _end(bench, within_s=4.0))[0] == "not sent"
        bench.clob.time = None
        assert (await _end(bench))[0] == "filled"
        assert bench.told == []


async def test_a_refusal_that_was_given_by_an_older_time_is_asked_for_again(clock: Clock) -> None:
    """The venue's clock has gone on since it was read."""
    async with open_bench(matched(), off_s=100.0) as bench:
        bench.signer.clock.measured_at = bench.signer.wall()
        assert (await _end(bench))[0] == "filled"
        assert bench.told == []


async def test_who_gets_no_key_does_not_ask_at_every_order(clock: Clock) -> None:
    """Once a second at most, or as seldom as the venue wants."""
    async with open_bench(matched()) as bench:
        bench.clob.makes_keys = refusal(429, "Too Many Requests", **{"retry-after": "9"})
        for _ in range(10):
            assert isinstance(await bench.signer.key(trio.current_time() + 5), NoKey)
            await trio.sleep(0.5)
        assert len(bench.clob.at("/auth/api-key")) == 1
        bench.clob.makes_keys = None
        await trio.sleep(5)
        assert (await _end(bench))[0] == "filled"


async def test_orders_keep_to_the_tier_that_the_venue_names(clock: Clock) -> None:
    """40 a second for a signer of whom it says nothing; too late in line is not sent."""
    async with open_bench(matched()) as bench:
        ended: list[str] = []

        async def send() -> None:
            ended.append((await _end(bench, within_s=1.0))[0])

        async with trio.open_nursery() as nursery:
            for _ in range(60):
                nursery.start_soon(send)
        assert 38 <= ended.count("filled") <= 41
        assert ended.count("not sent") == 60 - ended.count("filled")
        bench.clob.says[0] = Says(200, matched().body, {"Poly-RateLimit-Tier": "gold"})
        await bench.post(make_order())
        assert bench.signer.limits.orders.bucket.per_s == 400


async def test_orders_keep_to_what_the_venue_takes_from_one_address(clock: Clock) -> None:
    """Whatever each signer may send."""
    async with open_bench(matched()) as bench:
        bench.posting.address_turns = Turns(Bucket(5, free_at=trio.current_time()))
        ended: list[str] = []

        async def send() -> None:
            ended.append((await _end(bench, within_s=1.0))[0])

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(send)
        sent = ended.count("filled")
        assert 4 <= sent <= 6
        assert ended.count("not sent") == 20 - sent


async def test_what_is_called_off_counts_for_the_address_as_well(clock: Clock) -> None:
    async with open_bench(Says(200, {"canceled": [OURS]})) as bench:
        bench.posting.address_turns = bench.cancelling.address_turns = Turns(Bucket(5, free_at=trio.current_time()))
        for turn in range(10):
            await bench.cancelling.cancel(make_order(body=_GTC), bench.signer, trio.current_time() + 8)
            assert len(bench.posts) == turn + 1
        assert trio.current_time() >= 1.7


async def test_an_order_is_cancelled_where_it_is_sent(clock: Clock) -> None:
    """Whoever cancels the sending leaves nothing open behind; it may be at the venue."""
    async with open_bench(Says(does="stall")) as bench:
        with trio.move_on_after(1.0) as scope:
            await bench.post(make_order())
        assert scope.cancelled_caught
        bench.clob.says[0] = matched()
        assert (await _end(bench))[0] == "filled"


@pytest.mark.parametrize(
    ("says", "fails", "asked"),
    [
        ([Says(200, {"canceled": [OURS], "not_canceled": {}})], None, 1),
        ([Says(200, {"canceled": [], "not_canceled": {OURS: "already canceled or matched"}})], None, 1),
        ([Says(200, {"canceled": [], "not_canceled": {OURS: "the order is in delayed status"}})], None, 1),
        ([refusal(404, "order not found")], None, 1),
        ([refusal(500, "no"), Says(does="close"), Says(200, {"canceled": [OURS]})], None, 3),
        ([refusal(429, "no", **{"retry-after": "3"}), Says(200, {"canceled": [OURS]})], None, 2),
        ([refusal(400, "Invalid orderID")], "Invalid orderID", 1),
        ([Says(403, PAGE)], "HTTP status 403", 1),
        ([refusal(401, "no")], "a new one as well", None),
        ([Says(does="stall")], "no time left", 1),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_an_order_is_called_off(clock: Clock, says: list[Says], fails: str | None, asked: int | None) -> None:
    """Again and again, until somebody answers or the time is up."""
    async with open_bench(*says) as bench:
        began = trio.current_time()
        cancel = partial(bench.cancelling.cancel, make_order(body=_GTC), bench.signer, began + 8)
        if fails is None:
            await cancel()
        else:
            with pytest.raises(ExecutorError, match=fails):
                await cancel()
        assert asked is None or len(bench.posts) == asked
        assert {(one.method, one.body) for one in bench.posts} == {("DELETE", b'{"orderID":"%s"}' % OURS.encode())}
        assert trio.current_time() <= began + 8 + 1e-6


async def _look(bench: Bench, order: Order | None = None) -> ExecutionReport | None:
    return await bench.looking.look_up(order or make_order(), bench.signer, trio.current_time() + 10)


async def test_an_order_that_counts_more_than_its_trades_holds_no_exit_and_is_told_once(clock: Clock) -> None:
    """Off the book as soon as its trades are late; after a minute a person hears of it, and what is told then is booked still."""
    async with open_bench(matched()) as bench:
        order = make_order(body=_GTC)
        bench.clob.order, bench.clob.trades = Says(200, order_row("CANCELED", "15")), [maker_row(1, "10")]
        assert await _look(bench, order) is None
        for after_s, told in ((2, 0), (60, 1), (100, 1)):
            await trio.sleep(after_s)
            report = await _look(bench, order)
            assert report is not None
            assert (report.off_book, str(report.shares), len(bench.told)) == (True, "10", told)
        assert bench.told == [
            ("venue-unclear", f"order {OURS}: it is over, with 15 matched; its trades are 10"),
        ]
        bench.clob.trades.append(maker_row(2, "5"))
        await _look(bench, order)
        await trio.sleep(61)
        report = await _look(bench, order)
        assert report is not None
        assert (report.off_book, report.status.value, str(report.shares)) == (False, "partial", "15")


async def test_absence_takes_a_minute_after_the_last_send(clock: Clock) -> None:
    """Of what this process did not send, a minute after it was asked about first."""
    async with open_bench(Says(does="close")) as bench:
        assert await _look(bench) is None
        await trio.sleep(30)
        assert (await _end(bench))[0] == "uncertain"
        await trio.sleep(49)
        assert await _look(bench) is None
        await trio.sleep(12)
        report = await _look(bench)
        assert report is not None
        assert report.status.value == "absent"


async def test_a_fill_that_was_told_is_never_absent(clock: Clock) -> None:
    """A matched FAK often reads null, and its trade may come late."""
    async with open_bench(matched()) as bench:
        await bench.post(make_order())
        await trio.sleep(1000)
        assert await _look(bench) is None
        bench.clob.trades = [trade_row()]
        report = await _look(bench)
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
        report = await _look(bench)
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
                nursery.start_soon(_look, bench, order)
        assert {one.params["after"] for one in bench.clob.at("/data/trades")} == {str(1_761_000_000 - 600)}


async def test_trades_are_read_by_time_page_by_page_and_once_for_all(clock: Clock) -> None:
    """However many orders are waited for; pages that have no end prove nothing absent."""
    async with open_bench(matched()) as bench:
        bench.clob.trades = [b'{"id":"other"}'] * 250 + [maker_row()]
        bench.clob.order = Says(200, order_row("MATCHED", "20"))
        order = make_order(body=_GTC)
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(_look, bench, order)
        pages = bench.clob.at("/data/trades")
        assert 3 <= len(pages) <= 9
        assert {one.params["after"] for one in pages} == {str(1_764_000_000 - 600)}
        assert not any("asset_id" in one.params or "market" in one.params for one in pages)
        report = await _look(bench, order)
        assert report is not None
        assert report.status.value == "filled"

        bench.clob.page_rows, bench.clob.order = 10, Says(200, b"null")
        bench.clob.trades = [b'{"id":"other"}'] * 250
        await trio.sleep(100)
        assert await _look(bench, order) is None


@pytest.mark.parametrize("says", [refusal(500, "no"), Says(200, b"what"), Says(200, {"id": OTHER}), Says(does="stall")])
async def test_a_look_that_meets_nobody_proves_nothing(clock: Clock, says: Says) -> None:
    """It is an error, and nothing else."""
    async with open_bench(matched()) as bench:
        bench.clob.order = says
        with pytest.raises(ExecutorError):
            await _look(bench)


async def test_questions_rest_where_the_venue_says_so(clock: Clock) -> None:
    """All of them; and there is a limit to how many are asked at all."""
    async with open_bench(matched()) as bench:
        bench.clob.order = refusal(429, "Too Many Requests", **{"retry-after": "7"})
        with pytest.raises(ExecutorError, match="429"):
            await _look(bench)
        bench.clob.order = Says(200, order_row("LIVE"))
        asked = len(bench.clob.asked)
        with pytest.raises(ExecutorError, match="too many questions"):
            await bench.looking.look_up(make_order(), bench.signer, trio.current_time() + 3)
        assert len(bench.clob.asked) == asked
        assert await _look(bench, make_order(body=_GTC)) is not None


async def test_an_order_that_was_seen_once_is_never_absent(clock: Clock) -> None:
    """It is not sent again: the venue would have it twice, or say so."""
    async with open_bench(matched()) as bench:
        bench.clob.order = Says(200, order_row("LIVE"))
        assert await _look(bench) is None
        bench.clob.order = Says(200, b"null")
        await trio.sleep(100)
        report = await _look(bench)
        assert report is not None
        assert report.status.value == "killed"


async def test_an_order_that_is_over_may_be_filled_all_the_same(clock: Clock) -> None:
    """A venue that counts late says that nothing was matched; what it has answered when it was sent, it has counted."""
    async with open_bench(matched("", "", status="delayed"), refusal(400, _KILL)) as bench:
        bench.clob.order = Says(200, order_row("CANCELED"))
        assert (await _end(bench))[0] == "unknown"
        await trio.sleep(50)
        assert await _look(bench) is None
        bench.clob.trades = [trade_row()]
        report = await _look(bench)
        assert report is not None
        assert (report.status.value, report.settlement.value) == ("filled", "firm")
        bench.clob.trades = []
        assert (await _end(bench))[0] == "killed"


async def test_the_time_of_a_venue_that_does_not_tell_it_is_ours(clock: Clock) -> None:
    """Nothing is believed of an answer that is none."""
    async with open_bench(matched()) as bench:
        bench.clob.away = True
        why = await take_time(bench.caller, bench.signer.clock, bench.signer.wall, trio.current_time() + 1)
        assert why == "connection refused"
        assert bench.signer.clock.skew_s == 0.0
        assert SIGNER not in str(why)


async def test_the_venue_reads_a_balance_again(clock: Clock) -> None:
    """Of the asset that an order needs, in the name of the wallet's type."""
    async with open_bench(matched()) as bench:
        bench.clob.order = Says(200, {"balance": "12500000", "allowances": {"0xE1": str(2**256 - 1)}})
        until = trio.current_time() + 5
        of = asset(TokenId(777), "v3", 2)
        await refresh_balance(bench.signer, of, until)
        balance = await read_balance(bench.signer, asset(None, "v2", 1), until)

        assert balance == Balance(amount=12_500_000, allowances=(("0xe1", 2**256 - 1),))
        assert [(one.path, *one.params.values()) for one in bench.clob.asked[-2:]] == [
            ("/balance-allowance/update", "CONDITIONAL-V2", "777", "2"),
            ("/balance-allowance", "COLLATERAL", "1"),
        ]
        assert asset(TokenId(7), "v2-neg-risk", 0)[0] == ("asset_type", "CONDITIONAL")
        for odd in (b"", b"7", b'{"balance":"-1"}', b'{"balance":"1.5"}', b'{"balance":"1","allowances":[7]}'):
            bench.clob.order = Says(200, odd)
            with pytest.raises(ExecutorError):
                await read_balance(bench.signer, of, until)


async def test_what_the_venue_allows_is_asked(clock: Clock) -> None:
    """The tier counts from then on; what cannot be read allows nothing."""
    async with open_bench(matched()) as bench:
        until = trio.current_time() + 5
        bench.clob.order = Says(200, {"tier": "Gold", "closed_only": True})
        bench.clob.region = Says(200, {"blocked": True, "country": "US", "region": "NY"})
        assert (await read_tier(bench.signer, until)).name == "gold"
        assert bench.signer.limits.orders.bucket.per_s == 400
        assert await is_closed_only(bench.signer, until)
        assert str(await read_region(bench.caller, "/api/geoblock", until)) == "the venue says that US-NY is blocked"
        for odd in (Says(200, b"what"), Says(200, {"closed_only": "no", "blocked": 1}), Says(500, {"blocked": False})):
            bench.clob.order = bench.clob.region = odd
            with pytest.raises(ExecutorError):
                await is_closed_only(bench.signer, until)
            with pytest.raises(ExecutorError):
                await read_region(bench.caller, "/api/geoblock", until)


@pytest.mark.parametrize(
    ("text", "stale"),
    [
        (f"order {OURS} is invalid. Price (0.51) breaks minimum tick size rule: 0.1", True),
        ("invalid order version", True),
        (f"order {OURS} is invalid. Size (1) lower than the minimum: 5", False),
        (_BALANCE, False),
        (_KILL, False),
    ],
)
async def test_a_refusal_says_whether_a_new_order_may_be_taken(clock: Clock, text: str, *, stale: bool) -> None:
    """Only where it was made for another market than there is by now: nothing else becomes right by being made anew."""
    async with open_bench(refusal(400, text)) as bench:
        report = await bench.post(make_order())
        assert report.stale == stale
        assert breach_of_report(report, make_order()) is None
