"""Prices over the market channel: what is told, and what happens to a channel that fails."""

import msgspec
import pytest
import trio
import trio.testing

from tests.clob.opened import Sized, listen, open_venue, quote
from trio_copy.model.books import PricesLost, Quote, SeenPrice
from trio_copy.model.ids import TokenId
from trio_copy.model.units import Price
from trio_copy.testing.market_server import book_around

Clock = trio.testing.MockClock


@pytest.mark.parametrize("lone_objects", [False, True])
@pytest.mark.parametrize("json_numbers", [False, True])
async def test_prices_are_told_as_they_change(clock: Clock, lone_objects: bool, json_numbers: bool) -> None:
    """The first price comes with the subscription, later ones with each change, with what is offered there."""
    async with open_venue() as venue:
        venue.server.faults.lone_objects, venue.server.faults.json_numbers = lone_objects, json_numbers
        async with listen(venue.source, venue.tokens) as listening:
            for _ in range(5):
                await listening.until({token: venue.quote(token) for token in venue.tokens})
                venue.step()
                await trio.sleep(1)
            assert listening.losses == 0
        assert venue.troubles == []


async def test_wanted_tokens_come_and_go(clock: Clock) -> None:
    """On the same connection; what is not wanted any more is not told, and comes anew when it is wanted again."""
    async with open_venue() as venue, listen(venue.source, venue.tokens[:2]) as listening:
        for wanted in (venue.tokens[2:6], venue.tokens[5:], venue.tokens):
            await listening.want.send(frozenset(wanted))
            await venue.server.channel.wait_subscribed(frozenset(wanted))
            await trio.sleep(1)
            assert {token: listening.quotes[token] for token in wanted} == {
                token: venue.quote(token) for token in wanted
            }
        assert venue.server.channel.handshakes == 1
        assert listening.losses == 0


async def test_nothing_wanted_means_no_connection(clock: Clock) -> None:
    """A connection that nobody needs is not held."""
    async with open_venue() as venue, listen(venue.source, venue.tokens) as listening:
        await venue.server.channel.wait_subscribed(frozenset(venue.tokens))
        await listening.want.send(frozenset())
        await trio.sleep(300)
        assert venue.server.channel.subscribed == []
        await listening.want.send(frozenset(venue.tokens[:1]))
        await venue.server.channel.wait_subscribed(frozenset(venue.tokens[:1]))


async def test_many_tokens_take_several_connections(clock: Clock) -> None:
    """Two hundred on each."""
    async with open_venue() as venue:
        facts = Sized(225).facts()
        tokens = [fact.token_id for fact in facts]
        venue.server.venue.put(facts)
        for token in tokens:
            venue.server.venue.set_quote(token, quote("0.4", "0.6"))
        async with listen(venue.source, tokens, room=10) as listening:
            await listening.until({token: venue.quote(token) for token in tokens})
            assert sorted(map(len, venue.server.channel.subscribed)) == [50, 200, 200]


async def test_a_dropped_connection_is_told_and_comes_up_again(clock: Clock) -> None:
    """What was told is taken back at once, and told anew; no person hears of a hiccup."""
    async with open_venue() as venue, listen(venue.source, venue.tokens) as listening:
        told = {token: venue.quote(token) for token in venue.tokens}
        for losses in (1, 2, 3):
            await listening.until(told)
            venue.server.channel.drop_connections()
            await listening.until({})
            assert listening.losses == losses
        await listening.until(told)
        assert venue.troubles == []


async def test_a_channel_that_stays_away_is_told_once_and_once_that_it_is_back(clock: Clock) -> None:
    """It is asked again for as long as it takes, and less and less often."""
    async with open_venue() as venue, listen(venue.source, venue.tokens) as listening:
        told = {token: venue.quote(token) for token in venue.tokens}
        await listening.until(told)
        venue.server.faults.refuse_channel = 403
        venue.server.channel.drop_connections()
        await trio.sleep(3600)
        assert listening.quotes == {}
        assert venue.kinds == ["markets-away"]
        assert "region or datacentre is blocked" in venue.troubles[0][1]
        assert venue.server.channel.handshakes < 150
        venue.server.faults.clear()
        await listening.until(told)
        assert venue.kinds == ["markets-away", "markets-back"]


@pytest.mark.parametrize(("fault", "within_s"), [("deaf", 60), ("mute", 160)])
async def test_a_silent_channel_is_given_up(clock: Clock, fault: str, within_s: float) -> None:
    """Thirty seconds without a word, or two minutes of nothing but PONG: what was told may not hold any more."""
    async with open_venue() as venue, listen(venue.source, venue.tokens) as listening:
        told = {token: venue.quote(token) for token in venue.tokens}
        await listening.until(told)
        setattr(venue.server.faults, fault, True)
        with trio.fail_after(within_s):
            await listening.until({})
        await trio.sleep(600)
        assert venue.kinds == ["markets-away"]
        venue.server.faults.clear()
        await listening.until(told)
        assert venue.kinds == ["markets-away", "markets-back"]


async def test_a_quiet_market_is_not_a_trouble(clock: Clock) -> None:
    """Where nothing changes the channel is opened anew now and then, and tells the same; where no book is, nothing."""
    async with open_venue() as venue:
        unknown = [TokenId(5), TokenId(6)]
        async with listen(venue.source, venue.tokens) as listening, listen(venue.source, unknown) as nothing:
            await trio.sleep(1000)
            await listening.until({token: venue.quote(token) for token in venue.tokens})
            assert nothing.heard == []
        assert venue.troubles == []


@pytest.mark.parametrize("fault", [{"channel_garbage": True}, {"flood": 2000}, {"lying_best": True}])
async def test_what_is_wrong_on_the_channel_does_not_end_it(clock: Clock, fault: dict[str, object]) -> None:
    """Garbage, floods of others' books and contradictions: the rest is heard."""
    async with open_venue() as venue, listen(venue.source, venue.tokens) as listening:
        await listening.until({token: venue.quote(token) for token in venue.tokens})
        for name, value in fault.items():
            setattr(venue.server.faults, name, value)
        venue.step()
        await trio.sleep(5)
        if "lying_best" in fault:
            # The venue's own word for the best prices counts; what is offered there is unknown then.
            assert Quote(bid=None, ask=None) in listening.quotes.values()
        else:
            assert listening.quotes == {token: venue.quote(token) for token in venue.tokens}
        assert listening.losses == 0
        assert venue.server.channel.handshakes == 1


async def test_a_price_that_cannot_be_is_lost_and_not_kept(clock: Clock) -> None:
    """A bid above the ask shows that a price has moved, and not to where: what was told before does not stand."""
    async with open_venue() as venue, listen(venue.source, venue.tokens[:1]) as listening:
        token = venue.tokens[0]
        await listening.until({token: venue.quote(token)})
        venue.server.venue.set_book(book_around(token, quote("0.7", "0.3"), venue.server.venue.now()))
        await listening.until({})
        assert venue.kinds == ["markets-unreadable"]
        venue.server.venue.set_book(book_around(token, quote("0.2", "0.3"), venue.server.venue.now()))
        await listening.until({token: Quote(bid=venue.quote(token).bid, ask=venue.quote(token).ask)})


async def test_an_empty_side_is_told_as_empty(clock: Clock) -> None:
    """The venue writes 0 for no bid and 1 for no ask."""
    async with open_venue() as venue, listen(venue.source, venue.tokens[:1]) as listening:
        token = venue.tokens[0]
        await listening.until({token: venue.quote(token)})
        for bid, ask in (("0.2", None), (None, "0.3"), (None, None), ("0.2", "0.3")):
            venue.server.venue.set_quote(token, quote(bid, ask))
            await listening.until({token: venue.quote(token)})


async def test_whoever_listens_slowly_hears_the_newest(clock: Clock) -> None:
    """Dozens of changes while nobody listens are one price of each token, and memory stays as it is."""
    async with open_venue() as venue:
        want, wanted = trio.open_memory_channel[frozenset[TokenId]](1)
        send, prices = trio.open_memory_channel[SeenPrice | PricesLost](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(venue.source.run_prices, wanted, send)
            await want.send(frozenset(venue.tokens))
            await venue.server.channel.wait_subscribed(frozenset(venue.tokens))
            for _ in range(40):
                venue.step()
                await trio.sleep(0.1)
            heard = []
            with trio.move_on_after(1):
                async for item in prices:
                    heard.append(item)  # noqa: PERF401  what was heard before the time is over counts
            assert len(heard) <= len(venue.tokens) + 1  # one was under way when the others came
            newest = {item.token_id: item.quote for item in heard if isinstance(item, SeenPrice)}
            assert newest == {token: venue.quote(token) for token in venue.tokens}
            await want.aclose()


async def test_it_ends_when_nobody_listens_and_leaves_nothing_open(clock: Clock) -> None:
    """Whichever side goes first; and when it is cancelled in the middle."""
    async with open_venue() as venue:
        for ending in ("prices", "wanted", "cancelled"):
            want, wanted = trio.open_memory_channel[frozenset[TokenId]](1)
            send, prices = trio.open_memory_channel[SeenPrice | PricesLost](0)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(venue.source.run_prices, wanted, send)
                await want.send(frozenset(venue.tokens))
                await prices.receive()
                match ending:
                    case "prices":
                        await prices.aclose()
                    case "wanted":
                        await want.aclose()
                    case _:
                        nursery.cancel_scope.cancel()
            await trio.sleep(1)
            assert venue.server.channel.subscribed == []
            for channel in (want, prices):
                await channel.aclose()


async def test_a_tick_that_changes_is_in_the_facts_at_once(clock: Clock) -> None:
    """The channel says so first; what it says of tokens that it was not asked about is nothing."""
    async with open_venue() as venue, listen(venue.source, venue.tokens[:1]) as listening:
        await listening.until({venue.tokens[0]: venue.quote(venue.tokens[0])})
        for token, tick in ((venue.tokens[0], "0.001"), (venue.tokens[1], "0.001"), (venue.tokens[0], "7")):
            event = {
                "event_type": "tick_size_change",
                "asset_id": str(token),
                "new_tick_size": tick,
                "old_tick_size": "0.01",
            }
            venue.server.channel.send_to_all(msgspec.json.encode(event).decode())
        await trio.sleep(1)
        facts = {fact.token_id: fact.tick for fact in await venue.source.facts(venue.tokens[:2])}
        assert facts == {venue.tokens[0]: Price(1000), venue.tokens[1]: Price(10_000)}
        assert venue.kinds == ["markets-unreadable"]


async def test_a_channel_is_back_also_for_whoever_asks_anew(clock: Clock) -> None:
    """Prices that ended while nobody answered are begun again: the trouble of before ends with the first that is told."""
    async with open_venue() as venue:
        venue.server.faults.refuse_channel = 503
        async with listen(venue.source, venue.tokens):
            await trio.sleep(300)
        assert venue.kinds == ["markets-away"]
        venue.server.faults.clear()
        async with listen(venue.source, venue.tokens) as listening:
            await listening.until({token: venue.quote(token) for token in venue.tokens})
            await trio.testing.wait_all_tasks_blocked()
        assert venue.kinds == ["markets-away", "markets-back"]
