"""What tokens cost in the past, as the venue tells it, and as it might."""

import msgspec
import pytest
import trio
import trio.testing

from tests.builders import NOW
from tests.clob.opened import Venue, open_venue
from trio_copy.errors import MarketsUnavailable
from trio_copy.model.books import PastPrice
from trio_copy.model.units import Price
from trio_copy.ports import PastPrices
from trio_copy.testing.market_server import venue as served
from trio_copy.testing.market_server.faults import Body, Order
from trio_copy_clob.wire import PastPriceRow, past_price_of

Clock = trio.testing.MockClock


def past_of(venue: Venue) -> PastPrices:
    assert isinstance(venue.source, PastPrices)
    return venue.source


async def test_the_last_price_of_each_minute_is_told(clock: Clock) -> None:
    """Up to the end of what was asked for; a day is one request."""
    async with open_venue() as venue:
        token = venue.tokens[0]
        venue.server.venue.past[token] = [(NOW + 20 * number, 500_000 + number) for number in range(4 * 1440)]
        found = await past_of(venue).past_prices(token, NOW, NOW + 86_400)
        assert [one.at for one in found[:2]] == [NOW + 40 - NOW % 60 % 20, NOW + 100 - NOW % 60 % 20]
        assert found[-1].at < NOW + 86_400
        assert len(found) == 1440
        assert venue.server.http.requests["/clob/prices-history"] == 1


@pytest.mark.parametrize(
    ("text", "price"),
    [("0.5", 500_000), ("0", 0), ("1", 1_000_000), ("0.123456789", 123_457), ("4.9999999999e-1", 500_000)],
)
def test_a_price_is_read_to_the_nearest_millionth(text: str, price: int) -> None:
    """Middles are worked out in floating point somewhere else."""
    row = msgspec.json.decode(f'{{"t":1,"p":{text}}}', type=PastPriceRow)
    assert past_price_of(row.p) == Price(price)


async def test_what_cannot_be_is_left_out_and_said(clock: Clock) -> None:
    """Of prices that are none, nothing is believed; an answer that is none is no answer; nobody's token has no past."""
    async with open_venue(patience_s=1.0) as venue:
        source, token = past_of(venue), venue.tokens[0]
        venue.server.venue.past[token] = [(NOW + 60.0, 1_500_000), (NOW + 120.0, 400_000)]
        assert await source.past_prices(token, NOW, NOW + 600) == [PastPrice(NOW + 120.0, Price(400_000))]
        assert venue.kinds == ["markets-unreadable"]
        venue.server.faults.order = Order.UNREADABLE
        assert await source.past_prices(token, NOW, NOW + 600) == []
        venue.server.faults.body = Body.GARBAGE
        with pytest.raises(MarketsUnavailable):
            await source.past_prices(token, NOW, NOW + 600)


async def test_a_venue_remembers_so_much(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The market server's memory is bounded, as everything that may run for a week."""
    monkeypatch.setattr(served, "_PAST_MOST", 3)
    async with open_venue() as venue:
        for _ in range(30):
            venue.step()
            await trio.sleep(1)
        assert max(map(len, venue.server.venue.past.values())) == 3
