"""Terms of a market: read once, anew where they changed, believed only where they can be, and asked for again where they cannot."""

from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from attrs import define, evolve

from tests.clob.traded import TOKEN, list_token, open_traded, prepared
from trio_copy.errors import OrderNotSent
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import Market, Status
from trio_copy.model.units import Price, Shares
from trio_copy.testing.market_server.faults import Body, Ids
from trio_copy.testing.samples import sample_intent
from trio_copy_clob import terms
from trio_copy_clob.terms import Terms, read_terms

Clock = trio.testing.MockClock


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
        order = await prepared(traded, intent=evolve(sample_intent(), limit_price=Price(510_000)))
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
