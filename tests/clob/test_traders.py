"""Who earned most and what they traded, as the venue tells it in pages."""

from collections.abc import Sequence

import pytest
import trio.testing
from attrs import evolve

from tests.builders import LEADER, NOW, OTHER_LEADER
from tests.clob.opened import Venue, open_venue
from trio_copy.errors import MarketsUnavailable
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.model.past_trades import PastTrade
from trio_copy.model.units import Price, Shares
from trio_copy.ports import Traders
from trio_copy.testing.market_server.faults import Body, Ids

Clock = trio.testing.MockClock


def trades(count: int, of: Address = LEADER) -> list[PastTrade]:
    return [
        PastTrade(
            at=NOW - 10_000.0 + number,
            wallet=of,
            token_id=TokenId(1 + number % 3),
            side=Side.BUY if number % 2 else Side.SELL,
            shares=Shares.parse("12.5"),
            price=Price(100_000 + number),
            tx_hash=Hash32(f"0x{number:064x}"),
            maker=number % 4 == 0,
        )
        for number in range(count)
    ]


def traders_of(venue: Venue) -> Traders:
    assert isinstance(venue.source, Traders)
    return venue.source


async def read(venue: Venue, most: int = 5000, wallet: Address = LEADER) -> Sequence[PastTrade]:
    return await traders_of(venue).trades_of(wallet, NOW - 20_000, NOW, most)


async def test_every_page_is_turned_and_makers_are_told_from_takers(clock: Clock) -> None:
    """1,234 trades are three pages, asked for twice: once of everybody, once of takers alone."""
    async with open_venue() as venue:
        venue.server.venue.trades = trades(1234) + trades(50, OTHER_LEADER)
        assert await read(venue) == trades(1234)
        assert venue.server.http.requests["/data/v2/trades"] == 3 + 2
        assert await read(venue, most=100) == trades(1234)[-100:]
        assert await read(venue, wallet=Address("0x" + "11" * 20)) == []


async def test_equal_trades_are_as_many_as_there_were(clock: Clock) -> None:
    """Two that differ in nothing but whose order rested are one of each."""
    async with open_venue() as venue:
        (one,) = trades(1)
        venue.server.venue.trades = [one, one, evolve(one, maker=False)]
        assert sorted(trade.maker is True for trade in await read(venue)) == [False, True, True]


async def test_the_best_come_first(clock: Clock) -> None:
    """As many as are wanted."""
    wallets = [Address(f"0x{number:040x}") for number in range(700)]
    async with open_venue() as venue:
        venue.server.venue.best = wallets
        assert await traders_of(venue).best_wallets(86_400.0, 5) == wallets[:5]
        assert await traders_of(venue).best_wallets(86_400.0 * 40, 600) == wallets[:600]
        periods = [target.partition("time_period=")[2].partition("&")[0] for _, target in venue.server.http.asked]
        assert periods == ["day", "all", "all"]


async def test_what_nobody_asked_for_is_not_believed(clock: Clock) -> None:
    """Another wallet's trades, and wallets that are none, are left out and said; garbage is no answer."""
    async with open_venue(patience_s=1.0) as venue:
        venue.server.venue.trades, venue.server.venue.best = trades(3), [LEADER]
        venue.server.faults.ids = Ids.WRONG
        assert await read(venue) == []
        assert await traders_of(venue).best_wallets(86_400.0, 5) == []
        assert venue.kinds == ["markets-unreadable", "markets-unreadable"]
        venue.server.faults.body = Body.GARBAGE
        with pytest.raises(MarketsUnavailable):
            await read(venue)
