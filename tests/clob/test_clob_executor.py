"""The executor `clob` at our venue: what every executor promises, and what is its own."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from attrs import define, evolve

from tests.builders import POLYGON
from tests.clob.traded import KEY, TOKEN, Traded, list_token, open_traded
from tests.plugins.stores import in_place
from trio_copy import native
from trio_copy.clock import anchored_wall_clock, wall_clock_from
from trio_copy.config.wallets import WalletPolicy, WalletTable
from trio_copy.errors import ExecutorError, OrderNotSent, OrderUncertain, PluginError
from trio_copy.model.breaches import breach_of_order
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.decisions import Code, OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, OrderId, TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order, Quote, Settlement, Status, Wallet
from trio_copy.model.units import NO_SHARES, Price, Shares, Usd
from trio_copy.ports import Executor
from trio_copy.signing.arming import arm, limits_of
from trio_copy.signing.guard import DAY_S
from trio_copy.signing.signers import open_signers
from trio_copy.testing.clob_venue import (
    Accepted,
    Answered,
    Later,
    Mode,
    OrderAnswer,
    Settled,
    Settles,
    Standing,
    Tier,
    open_clob_venue,
)
from trio_copy.testing.conformance import EXECUTOR_CHECKS, name_of
from trio_copy.testing.market_server.faults import Body, Ids
from trio_copy.testing.samples import sample_intent, sample_signal, sample_task
from trio_copy_clob import terms
from trio_copy_clob.sending.stops import Stop
from trio_copy_clob.terms import Terms, read_terms

Clock = trio.testing.MockClock
_WALLET = Wallet(follower=FollowerId("alice"), address=KEY.address)


@asynccontextmanager
async def open_for_test() -> AsyncGenerator[Executor, None]:
    async with open_traded() as traded:
        yield traded.executor


@pytest.mark.parametrize("check", EXECUTOR_CHECKS, ids=name_of)
async def test_clob(autojump_clock: Clock, check: Callable[..., Any]) -> None:
    """It keeps the promise in the check's docstring."""
    await check(open_for_test)


async def _order(
    traded: Traded,
    number: int = 1,
    side: Side = Side.BUY,
    intent: OrderIntent | None = None,
    *,
    wallet: Wallet = _WALLET,
) -> Order:
    intent = intent or sample_intent(side)
    market = await traded.executor.market(intent.token_id)
    key = sample_task(sample_signal(number, side=side)).key
    order = traded.executor.prepare(key, intent, wallet, market)
    assert breach_of_order(order, "clob", key, intent, wallet) is None
    return order


def _posts(traded: Traded) -> list[Answered]:
    return [one for one in traded.server.clob.record.of(Answered) if one.path == "/order"]


async def _end(traded: Traded, order: Order) -> ExecutionReport | None:
    """Send an order, and look it up until the chain has it, or has undone it; None where it was certainly not sent."""
    report: ExecutionReport | None = None
    try:
        report = await traded.executor.submit(order)
    except OrderNotSent:
        return None
    except OrderUncertain:
        pass
    for _ in range(300):
        if report is not None and report.proven and report.settlement in (Settlement.FIRM, Settlement.FAILED):
            return report
        await trio.sleep(2)
        with suppress(ExecutorError):  # nobody answers
            report = await traded.executor.find(order)
    raise AssertionError(f"ten minutes later: {report}")


def _check_recorded(traded: Traded, order: Order, report: ExecutionReport | None) -> None:
    """Compare a report with what the venue has written down, to the millionth; the order was taken once at most."""
    record = traded.server.clob.record
    fills = record.fills(order.order_id)
    told = (0, 0, 0)
    if report is not None and report.settlement is not Settlement.FAILED:
        told = (report.shares.micro, report.notional.micro, report.fee.micro)
    statuses = {one.trade_id: one.status for one in record.of(Settled)}
    good = [fill for fill in fills if statuses[fill.trade_id] != "FAILED"]
    assert told == (sum(one.shares for one in good), sum(one.cash for one in good), sum(one.fee for one in good))
    taken = [one.order_id for one in record.of(Accepted)]
    assert len(taken) == len(set(taken))
    bodies = {one.body for one in record.of(Answered) if order.order_id in one.order_ids and one.path == "/order"}
    assert len(bodies) <= 1


@pytest.mark.parametrize(
    ("exchange", "neg_risk", "name"), [(2, False, "v2"), (2, True, "v2-neg-risk"), (3, False, "v3")]
)
async def test_a_purchase_and_a_sale_are_booked_as_the_venue_has_them(
    autojump_clock: Clock, exchange: int, neg_risk: bool, name: str
) -> None:
    """On each exchange; counted by the guard for what was signed, and firm a few seconds later."""
    async with open_traded() as traded:
        list_token(traded.server, exchange=exchange, neg_risk=neg_risk)
        for number, side in enumerate(Side, 1):
            order = await _order(traded, number, side=side)
            report = await _end(traded, order)
            assert report is not None
            assert (report.status, report.settlement) == (Status.FILLED, Settlement.FIRM)
            assert traded.signer.released == traded.signer.wanted[:number]
            _check_recorded(traded, order, report)
        assert {one.exchange for one in traded.server.clob.record.of(Accepted)} == {name}
        assert traded.kinds == []


_ONCE = {"path": "POST /order", "requests": 1}


@pytest.mark.parametrize(
    ("faults", "ends"),
    [
        ({**_ONCE, "lose_reply": True}, Status.FILLED),
        ({**_ONCE, "drop": True}, Status.FILLED),
        ({**_ONCE, "stall": True}, Status.FILLED),
        ({**_ONCE, "stall": True, "carried_out": True}, Status.FILLED),
        ({**_ONCE, "status": 500}, Status.FILLED),
        ({**_ONCE, "status": 500, "carried_out": True}, Status.FILLED),
        ({**_ONCE, "status": 425}, Status.FILLED),
        ({**_ONCE, "status": 429, "retry_after_s": 1}, Status.FILLED),
        ({**_ONCE, "status": 401}, Status.FILLED),
        ({**_ONCE, "body": Body.CUT}, Status.FILLED),
        ({**_ONCE, "body": Body.GARBAGE}, Status.FILLED),
        ({**_ONCE, "body": Body.PAGE}, Status.FILLED),
        ({**_ONCE, "body": Body.HUGE}, Status.FILLED),
        ({"path": "POST /order", "drop": True}, Status.ABSENT),
        ({"path": "POST /order", "lose_reply": True}, Status.FILLED),
        ({"path": "POST /order", "status": 502, "carried_out": True}, Status.FILLED),
        ({"path": "/data/", "status": 500, "requests": 3, "order_answer": OrderAnswer.NO_AMOUNTS}, Status.FILLED),
        ({"order_answer": OrderAnswer.OTHER_ID}, Status.FILLED),
        ({"order_answer": OrderAnswer.NO_ID}, Status.FILLED),
        ({"order_answer": OrderAnswer.LIVE}, Status.FILLED),
        ({"order_answer": OrderAnswer.DELAYED}, Status.FILLED),
        ({"order_answer": OrderAnswer.UNMATCHED}, Status.FILLED),
        ({"order_answer": OrderAnswer.DELAYED, "later": Later.KILLED}, Status.KILLED),
        ({"order_answer": OrderAnswer.ERROR}, Status.REJECTED),
        ({"settles": Settles.RETRIED}, Status.FILLED),
        ({"settles": Settles.FAILED}, Status.FILLED),
        ({"settles": Settles.UNDONE}, Status.FILLED),
        ({"trades_lag_s": 30, "order_answer": OrderAnswer.NO_AMOUNTS}, Status.FILLED),
        ({"mode": Mode.DISABLED}, None),
        ({"mode": Mode.CANCEL_ONLY}, None),
        ({"path": "POST /order", "blocked": True}, None),
        ({"standing": Standing.BANNED}, Status.REJECTED),
        ({"clock_off_s": 100}, Status.FILLED),
        ({"clock_off_s": -100}, Status.FILLED),
    ],
    ids=str,
)
async def test_whatever_the_venue_does_nothing_is_bought_twice_or_lost(
    autojump_clock: Clock, faults: dict[str, Any], ends: Status | None
) -> None:
    """What is told in the end is what the venue has written down, and every send was of the same bytes."""
    async with open_traded() as traded:
        for fault, value in faults.items():
            setattr(traded.server.faults, fault, value)
        order = await _order(traded)
        report = await _end(traded, order)
        assert (None if report is None else report.status) is ends
        _check_recorded(traded, order, report)


@pytest.mark.parametrize(
    "faults",
    [
        {**_ONCE, "lose_reply": True},
        {"order_answer": OrderAnswer.NO_AMOUNTS},
        {"order_answer": OrderAnswer.DELAYED},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize("ask", [300_000, 500_000])
async def test_what_comes_in_two_trades_is_booked_whole(
    autojump_clock: Clock, faults: dict[str, Any], ask: int
) -> None:
    """A book better than the limit gives the shares that are named with the first of them, and half a minute later the rest."""
    async with open_traded() as traded:
        plenty = Shares.parse(100_000)
        quote = Quote(bid=Price(ask - 10_000), ask=Price(ask), bid_shares=plenty, ask_shares=plenty)
        traded.server.clob.market.set_quote(TOKEN, quote)
        for fault, value in {"later_part": 20, **faults}.items():
            setattr(traded.server.faults, fault, value)
        order = await _order(traded)
        report = await _end(traded, order)
        assert report is not None
        assert (report.status, report.settlement) == (Status.FILLED, Settlement.FIRM)
        assert len(traded.server.clob.record.fills(order.order_id)) == 2
        _check_recorded(traded, order, report)


async def test_what_the_guard_refuses_is_an_order_of_nothing_that_says_why(autojump_clock: Clock) -> None:
    """It has no bytes that anybody could send."""
    async with open_traded() as traded:
        traded.signer.refuses = Reason(code=Code.GUARD_REFUSED, control="max_order_usd", value="5.1", limit="5")
        order = await _order(traded)
        assert (order.shares, order.body, order.refused) == (NO_SHARES, b"", traded.signer.refuses)


async def test_what_the_guard_does_not_let_go_reaches_nobody(autojump_clock: Clock) -> None:
    """Signed and placed, it is certainly not at the venue; nor is what is not the body of its order."""
    async with open_traded() as traded:
        order, other = await _order(traded, 1), await _order(traded, 2)
        for spoiled in (
            evolve(order, body=other.body),
            evolve(order, body=b"{}"),
            evolve(order, order_id=OrderId("0x")),
        ):
            with pytest.raises(OrderNotSent, match=r"expected the (frozen )?body of"):
                await traded.executor.submit(spoiled)
        assert (await traded.executor.submit(other)).status is Status.FILLED
        posted = len(_posts(traded))
        traded.signer.refuses = Reason(code=Code.GUARD_REFUSED, control="max_hour_usd", value="251", limit="250")
        with pytest.raises(OrderNotSent) as refused:
            await traded.executor.submit(order)
        assert refused.value.reason == traded.signer.refuses
        assert len(_posts(traded)) == posted


async def test_an_order_of_a_process_that_died_is_judged_and_counted_before_it_leaves(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """It was placed, and died before it had counted it; its successor has another journal, and the bytes alone."""
    wall = wall_clock_from(sample_intent().leader_time)
    policy = WalletPolicy(max_hour_usd=Usd.parse(8))
    arm(tmp_path, KEY.address, limits_of(policy, POLYGON), wall() + DAY_S)

    @asynccontextmanager
    async def process() -> AsyncGenerator[Traded, None]:
        async with (
            open_signers(
                folder=tmp_path,
                wallets={"hot": WalletTable(key="env:HOT", address=KEY.address, policy=policy)},
                keys={"hot": KEY},
                chain_id=POLYGON,
                wall=wall,
                in_thread=in_place,
                on_trouble=lambda kind, detail: None,
            ) as signers,
            open_traded(wall=wall, signers=signers.only(frozenset({"hot"}), orders=True)) as traded,
        ):
            yield traded

    wallet = evolve(_WALLET, name="hot")
    async with process() as dies:
        orders = [await _order(dies, number, wallet=wallet) for number in (1, 2)]
    assert _keys_in_journal(tmp_path) == []
    async with process() as traded:
        for _ in range(2):
            assert (await traded.executor.submit(orders[0])).status is Status.FILLED
        with pytest.raises(OrderNotSent, match="max_hour_usd"):
            await traded.executor.submit(orders[1])
    assert _keys_in_journal(tmp_path) == [orders[0].key]


def _keys_in_journal(folder: Path) -> list[str]:
    lines = [line for path in folder.glob("signed-*") for line in path.read_bytes().splitlines()]
    return [msgspec.json.decode(line)[2] for line in lines]


async def test_the_guard_is_told_what_the_order_may_do(autojump_clock: Clock) -> None:
    """A purchase's cash, a sale's none; chain, contract and maker as they are signed."""
    async with open_traded() as traded:
        for number, side in enumerate(Side):
            order = await _order(traded, number, side=side)
            wanted, digest = traded.signer.wanted[-1]
            assert (wanted.max_cost, wanted.maker, wanted.side) == (order.max_cost, KEY.address, side)
            assert (wanted.chain_id, wanted.limit_price, wanted.key) == (137, order.limit_price, order.key)
            assert f"0x{digest.hex()}" == order.order_id


async def test_a_wallet_that_nobody_signs_for_sends_nothing(autojump_clock: Clock) -> None:
    """Neither is it looked up: nobody may ask in its name."""
    async with open_traded() as traded:
        order = evolve(await _order(traded), wallet=evolve(_WALLET, name="another"))
        with pytest.raises(OrderNotSent, match="nobody signs for the wallet another"):
            await traded.executor.submit(order)
        with pytest.raises(ExecutorError, match="nobody signs"):
            await traded.executor.find(order)


async def test_a_stopped_wallet_is_told_once_and_sends_nothing_more(autojump_clock: Clock) -> None:
    """What the venue said stands in every later task's reason."""
    async with open_traded() as traded:
        traded.server.faults.standing = Standing.BANNED
        first, second = await _order(traded, 1), await _order(traded, 2)
        await traded.executor.submit(first)
        sent = len(traded.server.clob.record.of(Answered))
        with pytest.raises(OrderNotSent, match="banned"):
            await traded.executor.submit(second)
        assert len(traded.server.clob.record.of(Answered)) == sent
        assert traded.kinds == ["venue-stopped"]
        # He may trade again, and a person says so: no restart is needed.
        traded.server.faults.clear()
        await trio.sleep(10)
        traded.signer.armed_at = traded.executor.context.wall()
        await trio.sleep(1)
        assert (await traded.executor.submit(second)).status is Status.FILLED
        assert traded.kinds == ["venue-stopped", "venue-goes-on"]


async def test_an_arming_lifts_what_stops_all_though_its_wallet_has_nothing_to_send(autojump_clock: Clock) -> None:
    """The alert names the wallet whose order met it; others would be held up until that one has another order."""
    async with open_traded(wallets=(_WALLET,)) as traded:
        stops = traded.executor.posting.stops
        stops.stop(Stop.EGRESS, "", "the region is blocked", now=trio.current_time())
        await trio.sleep(20)
        assert stops.standing(trio.current_time())
        traded.signer.armed_at = traded.executor.context.wall()
        await trio.sleep(10)
        assert stops.standing(trio.current_time()) == []
        assert traded.kinds == ["venue-goes-on"]


@pytest.mark.parametrize("jump_s", [7200.0, -7200.0])
async def test_an_arming_lifts_what_stood_before_it_and_nothing_later_however_the_clock_jumps(
    autojump_clock: Clock, jump_s: float
) -> None:
    """The machine sleeps after it, which Trio's clock does not count, or the clock follows the system's, which was set back."""
    steady, ahead = wall_clock_from(sample_intent().leader_time), [0.0]
    async with open_traded(wall=lambda: steady() + ahead[0], wallets=(_WALLET,)) as traded:
        orders = [await _order(traded, number) for number in range(1, 6)]
        traded.server.faults.standing = Standing.BANNED
        await traded.executor.submit(orders[0])
        await trio.sleep(100)
        traded.signer.armed_at = traded.executor.context.wall()
        await trio.sleep(30)
        ahead[0] += jump_s
        await trio.sleep(30)
        # It is tried again, once, and stopped again.
        await traded.executor.submit(orders[1])
        assert traded.kinds == ["venue-stopped", "venue-goes-on", "venue-stopped"]
        sent = len(traded.server.clob.record.of(Answered))
        for order in orders[2:]:
            await trio.sleep(60)
            with pytest.raises(OrderNotSent, match="banned"):
                await traded.executor.submit(order)
        assert len(traded.server.clob.record.of(Answered)) == sent


async def test_terms_are_read_once_and_anew_where_they_changed(autojump_clock: Clock) -> None:
    """One question for all who ask at once; the book's tick is the newest; a refusal that says so drops what is known."""
    async with open_traded() as traded:
        markets: list[Market] = []

        async def ask() -> None:
            markets.append(await traded.executor.market(TOKEN))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
        requests = traded.server.http.requests
        assert (requests["/clob/markets-by-token/7"], requests["/clob/clob-markets"]) == (1, 1)
        assert {(one.tick, one.minimum, one.exchange) for one in markets} == {(Price(10_000), Shares.parse(5), "v2")}
        order = await _order(traded, intent=evolve(sample_intent(), limit_price=Price(510_000)))
        traded.server.clob.change_tick(f"0x{7:064x}", Price(100_000))
        report = await traded.executor.submit(order)
        assert report.status is Status.REJECTED
        assert (await traded.executor.market(TOKEN)).tick == Price(100_000)
        assert requests["/clob/clob-markets"] == 2


async def test_a_market_that_moved_to_another_exchange_is_read_anew(autojump_clock: Clock) -> None:
    """Its book says so, while its terms are kept: an order for the exchange that it left would never be filled."""
    async with open_traded() as traded:
        assert (await traded.executor.market(TOKEN)).exchange == "v2"
        list_token(traded.server, exchange=3)
        assert (await traded.executor.market(TOKEN)).exchange == "v3"
        assert traded.asked("/clob-markets") == 2


@define
class _Told:
    """What a market source has told of any token, on whichever of its ways."""

    fact: TokenFacts

    def of(self, token_id: TokenId) -> TokenFacts | None:
        return self.fact

    async def soon(self, token_id: TokenId) -> TokenFacts | None:
        raise AssertionError("terms are of the CLOB's host alone, and wait for nobody else")


async def test_terms_are_read_anew_where_a_source_tells_of_a_change(autojump_clock: Clock) -> None:
    """What they are by now, the CLOB says: an event only drops what is kept."""
    told = _Told(TokenFacts(token_id=TOKEN, condition_id=f"0x{7:064x}", outcome="Yes", question="?", slot=0))
    async with open_traded(facts=told) as traded:
        for tick, reads in ((None, 1), (None, 1), (Price(100_000), 2), (Price(100_000), 2)):
            told.fact = evolve(told.fact, tick=tick)
            assert (await traded.executor.market(TOKEN)).tick == Price(10_000)
            assert traded.asked("/clob-markets") == reads


_ODD: list[dict[str, Any]] = [
    {"body": Body.GARBAGE},
    {"body": Body.PAGE},
    {"body": Body.CUT},
    {"ids": Ids.WRONG},
    {"blocked": True},
    {"status": 302},
    {"status": 404},
    {"status": 500},
]


@pytest.mark.parametrize("path", ["GET /book", "GET /clob-markets/"])
@pytest.mark.parametrize("odd", _ODD, ids=str)
async def test_what_cannot_be_read_is_asked_for_again(autojump_clock: Clock, odd: dict[str, Any], path: str) -> None:
    """For as long as there is time, and told is what came instead."""
    async with open_traded() as traded:

        async def be_odd(lasts_s: float) -> None:
            for fault, value in {"path": path, **odd}.items():
                setattr(traded.server.faults, fault, value)
            await trio.sleep(lasts_s)
            traded.server.faults.clear()

        for lasts_s in (2.0, 20.0):
            traded.executor.terms.forget(TOKEN)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(be_odd, lasts_s)
                await trio.testing.wait_all_tasks_blocked()
                if lasts_s < 5:
                    assert (await traded.executor.market(TOKEN)).quote is not None
                else:
                    with pytest.raises(OrderNotSent, match=r"/book|/clob-markets|token"):
                        await traded.executor.market(TOKEN)


@pytest.mark.parametrize("odd", _ODD, ids=str)
async def test_an_exit_leaves_without_what_it_can_do_without(autojump_clock: Clock, odd: dict[str, Any]) -> None:
    """A book, which its order does not need; and newer terms than were read before."""
    async with open_traded() as traded:
        before = await traded.executor.market_for_exit(TOKEN)
        assert before == await traded.executor.market(TOKEN)
        for path in ("GET /book", "all"):
            for fault, value in {"path": path, **odd}.items():
                setattr(traded.server.faults, fault, value)
            began = trio.current_time()
            assert await traded.executor.market_for_exit(TOKEN) == evolve(before, quote=None)
            assert trio.current_time() - began <= 1.0
            await trio.sleep(301)
        traded.executor.terms.forget(TOKEN)
        with pytest.raises(OrderNotSent):
            await traded.executor.market_for_exit(TOKEN)


async def test_a_book_that_is_not_there_closes_a_market_for_entries(autojump_clock: Clock) -> None:
    """Where the venue says so in words; an exit is sent, and hears it from the order itself."""
    async with open_traded() as traded:
        del traded.server.clob.market.books[TOKEN]
        assert (await traded.executor.market(TOKEN)).closed is not None
        market = await traded.executor.market_for_exit(TOKEN)
        assert (market.closed, market.quote) == (None, None)


async def test_that_no_orders_are_taken_is_not_kept(autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be over in a second, and an exit asks again before it ends by it."""
    taken = False

    def read_closed(body: bytes, token_id: TokenId) -> Terms:
        return evolve(read_terms(body, token_id), open=taken)

    monkeypatch.setattr(terms, "read_terms", read_closed)
    async with open_traded() as traded:
        assert (await traded.executor.market(TOKEN)).closed is not None
        assert (await traded.executor.market_for_exit(TOKEN)).closed is not None
        requests = traded.server.http.requests
        assert requests["/clob/clob-markets"] == 2
        async with trio.open_nursery() as nursery:

            async def leave() -> None:
                assert (await traded.executor.market_for_exit(TOKEN)).closed is None

            nursery.start_soon(leave)
            await trio.sleep(1)
            taken = True
        assert (await traded.executor.market(TOKEN)).closed is None


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (b"{}", "token 7"),
        (b"\xff", "token 7"),
        (b'{"t":[{"t":"8"}],"mts":0.01,"mos":5,"nr":false,"v":"v1"}', "other tokens"),
        (b'{"t":[{"t":"7"}],"mts":0,"mos":5,"nr":false,"v":"v1"}', "a price"),
        (b'{"t":[{"t":"7"}],"mos":5,"nr":false,"v":"v1"}', "no tick"),
        (b'{"t":[{"t":"7"}],"mts":0.01,"mos":5,"v":"v1"}', "several questions"),
        (b'{"t":[{"t":"7"}],"mts":0.01,"mos":5,"nr":false,"v":"v4"}', "v1 or v2"),
        (b'{"t":[{"t":"7"}],"mts":0.01,"mos":5,"nr":false,"v":"v1","fd":{"r":2,"e":1}}', "ratio"),
        (b'{"t":[{"t":"7"}],"mts":0.01,"mos":5,"nr":false,"v":"v1","fd":{"r":0.1,"e":9}}', "exponent"),
        (b'{"t":[{"t":"7"}],"mts":0.01,"mos":5,"nr":false,"v":"v1","fd":{"e":1}}', "no rate"),
    ],
)
def test_terms_that_cannot_be_are_not_believed(row: bytes, says: str) -> None:
    """An order made by them would be refused, or would be for another exchange."""
    with pytest.raises(OrderNotSent, match=says):
        read_terms(row, TOKEN)


@pytest.mark.parametrize(
    ("changes", "token", "exchange"),
    [
        ({"v": "v1", "nr": False}, TOKEN, "v2"),
        ({"v": "v1", "nr": True}, TOKEN, "v2-neg-risk"),
        ({"v": "v2"}, TOKEN, "v3"),
        ({"nr": True}, TokenId(1 << 200 | 1), "v3"),
        ({"nr": True}, TokenId((1 << 255) - 19), "v2-neg-risk"),
    ],
)
def test_the_market_says_which_exchange(changes: dict[str, Any], token: TokenId, exchange: str) -> None:
    """By its generation; where that is not told, by what the token's id looks like."""
    row = {"t": [{"t": str(token)}], "mts": 0.01, "mos": 5, **changes}
    assert read_terms(msgspec.json.encode(row), token).exchange == exchange


async def test_nobody_can_tell_about_a_venue_that_is_away(autojump_clock: Clock) -> None:
    """Within the time that a person has set; an order is certainly not sent."""
    async with open_traded(timeout_s=2.0) as traded:
        order = await _order(traded)
        traded.server.away = True
        traded.server.cut()
        traded.executor.terms.forget(TOKEN)
        for call in (partial(traded.executor.market, TOKEN), partial(traded.executor.submit, order)):
            began = trio.current_time()
            with pytest.raises(OrderNotSent):
                await call()
            assert trio.current_time() - began <= 2.0


async def test_a_caller_that_gives_up_hears_before_that(autojump_clock: Clock) -> None:
    """So it is known whether the order may be there, and not cut off in the middle."""
    async with open_traded() as traded:
        traded.server.faults.stall, traded.server.faults.path = True, "POST /order"
        order = await _order(traded)
        with trio.fail_after(1.0), pytest.raises(OrderUncertain):
            await traded.executor.submit(order)


async def test_wallets_are_made_ready_before_their_first_order(autojump_clock: Clock) -> None:
    """Their API keys are there, and one that may only leave buys nothing."""
    async with open_traded(wallets=(_WALLET,), faults={"standing": Standing.CLOSED_ONLY}) as traded:
        await trio.sleep(5)
        sale, purchase = await _order(traded, side=Side.SELL), await _order(traded, 2)
        assert traded.kinds == ["venue-stopped"]
        with pytest.raises(OrderNotSent, match="no entries of this wallet"):
            await traded.executor.submit(purchase)
        assert (await traded.executor.submit(sale)).shares


async def test_a_tier_is_known_before_the_first_order_and_the_time_again_every_ten_minutes(
    autojump_clock: Clock,
) -> None:
    """A burst of first orders goes as fast as the venue lets this signer; and clocks run apart."""
    async with open_traded(wallets=(_WALLET,), faults={"tier": Tier.GOLD}) as traded:
        await trio.sleep(5)
        (signer,) = traded.executor._signers.values()
        assert (signer.limits.orders.bucket.per_s, _posts(traded)) == (400, [])
        before = traded.asked("/time")
        await trio.sleep(590)
        assert traded.asked("/time") == before
        await trio.sleep(20)
        assert traded.asked("/time") == before + 1


def test_without_native_code_it_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""

    async def open_it() -> None:
        async with open_traded():
            raise AssertionError("it opened")

    monkeypatch.setattr(native, "_WHY", ImportError("no coincurve", name="coincurve"))
    with pytest.RaisesGroup(pytest.RaisesExc(PluginError, match="coincurve is not installed"), flatten_subgroups=True):
        trio.run(open_it, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_over_a_socket() -> None:
    """The same over loopback, with time as it is."""
    wall = anchored_wall_clock()
    async with open_traded(open_clob_venue, wall=wall) as traded:
        intent = evolve(sample_intent(), leader_time=int(wall()))
        order = await _order(traded, intent=intent)
        assert (await traded.executor.submit(order)).status is Status.FILLED
        _check_recorded(traded, order, await traded.executor.find(order))


async def _rest(traded: Traded, number: int = 1) -> Order:
    """Let an order rest under the market."""
    intent = evolve(sample_intent(), order_type="GTC", limit_price=Price(400_000))
    order = await _order(traded, number, intent=intent)
    assert (await traded.executor.submit(order)).status is Status.RESTING
    return order


async def _looks(traded: Traded, order: Order, for_s: float, every_s: float = 2.0) -> list[ExecutionReport | None]:
    """Look an order up for a while; returns what each look said, once where it was the same."""
    said: list[ExecutionReport | None] = []
    for _ in range(int(for_s / every_s)):
        report = await traded.executor.find(order)
        said += [] if said and said[-1] == report else [report]
        await trio.sleep(every_s)
    return said


@pytest.mark.parametrize("late_s", [5, 30, 55])
async def test_an_order_that_rested_has_all_its_fills_however_late_they_are_told(
    autojump_clock: Clock, late_s: int
) -> None:
    """Its row says that it is over, and empty, before anything of it was counted. No exit waits for it meanwhile."""
    async with open_traded(faults={"counts_lag_s": late_s, "trades_lag_s": late_s}) as traded:
        order = await _rest(traded)
        await trio.sleep(300)
        traded.server.clob.trading.trade_against(order.order_id, 3_000_000)
        await traded.executor.cancel(order)
        said = await _looks(traded, order, 150)
        assert [one and (one.status, one.off_book, one.shares) for one in said] == [
            (Status.RESTING, True, NO_SHARES),
            (Status.RESTING, True, Shares.parse(3)),
            (Status.PARTIAL, False, Shares.parse(3)),
        ]
        assert sum(fill.shares for fill in traded.server.clob.record.fills(order.order_id)) == 3_000_000


async def test_what_was_matched_right_before_an_order_was_over_is_not_lost_behind_what_was_counted_before(
    autojump_clock: Clock,
) -> None:
    """Its row, and its trades, agree for half a minute about less than there is."""
    async with open_traded(faults={"counts_lag_s": 30, "trades_lag_s": 30}) as traded:
        order = await _rest(traded)
        traded.server.clob.trading.trade_against(order.order_id, 3_000_000)
        await _looks(traded, order, 120)
        traded.server.clob.trading.trade_against(order.order_id, 2_000_000)
        await traded.executor.cancel(order)
        said = await _looks(traded, order, 120)
        assert [one and (one.status, one.off_book, one.shares) for one in said] == [
            (Status.RESTING, True, Shares.parse(3)),
            (Status.RESTING, True, Shares.parse(5)),
            (Status.PARTIAL, False, Shares.parse(5)),
        ]


@pytest.mark.parametrize("how", ["called off", "taken off by the venue", "in part"])
async def test_an_order_that_rested_ends_a_minute_after_its_last_sign_of_life(autojump_clock: Clock, how: str) -> None:
    """Not after it was sent: that may have been hours ago."""
    async with open_traded() as traded:
        order = await _rest(traded)
        await _looks(traded, order, 120)
        if how == "in part":
            traded.server.clob.trading.trade_against(order.order_id, 3_000_000)
            await trio.sleep(10)
        if how == "taken off by the venue":
            placed = traded.server.clob.orders.by_id[order.order_id]
            traded.server.clob.orders.end(placed, "CANCELED_NOT_ENOUGH_BALANCE")
        else:
            await traded.executor.cancel(order)
        began = trio.current_time()
        report = await traded.executor.find(order)
        assert report is not None
        assert report.off_book
        while not report.proven:
            await trio.sleep(1)
            report = await traded.executor.find(order)
            assert report is not None
        assert report.status is (Status.PARTIAL if how == "in part" else Status.KILLED)
        took_s = trio.current_time() - began
        assert 60 <= took_s <= 62
        fills = traded.server.clob.record.fills(order.order_id)
        assert sum(fill.shares for fill in fills) == report.shares.micro
