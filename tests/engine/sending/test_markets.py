"""What a venue says about a token is asked once for all who need it, and is never older than a moment."""

from collections.abc import Awaitable, Callable

import trio
import trio.testing
from attrs import define, field

from trio_copy.engine.sending.markets import Markets
from trio_copy.errors import ContractBroken, OrderNotSent
from trio_copy.model.books import Quote
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import Market
from trio_copy.model.units import NO_SHARES, Price

Clock = trio.testing.MockClock
SLOW_S = 1.0


@define
class Venue:
    """Takes a second to answer; each answer has another fee, so that they can be told apart."""

    asked: list[TokenId] = field(factory=list)
    errors: list[OrderNotSent] = field(factory=list)

    async def market(self, token_id: TokenId) -> Market:
        self.asked.append(token_id)
        fee_bps = len(self.asked)
        await trio.sleep(SLOW_S)
        if self.errors:
            raise self.errors.pop(0)
        return Market(token_id=token_id, tick=Price(1), minimum=NO_SHARES, fee_bps=fee_bps)


async def ask_all(markets: Markets, *tokens: int) -> list[int | str]:
    """Ask at the same time; returns the answers' fees, or what was raised, in the order of the questions."""
    answers: list[int | str] = [""] * len(tokens)

    async def ask(number: int) -> None:
        try:
            answers[number] = (await markets.of(TokenId(tokens[number]))).fee_bps
        except OrderNotSent as error:
            answers[number] = f"{type(error).__name__}: {error}"

    async with trio.open_nursery() as nursery:
        for number in range(len(tokens)):
            nursery.start_soon(ask, number)
    return answers


async def test_those_who_ask_at_once_share_an_answer(clock: Clock) -> None:
    """One question a token, and nobody waits for another token's answer."""
    venue = Venue()
    began = trio.current_time()
    fees = await ask_all(Markets(venue.market), 1, 2, 1, 1)
    assert fees[0] == fees[2] == fees[3] != fees[1]
    assert sorted(venue.asked) == [1, 2]
    assert trio.current_time() - began == SLOW_S


async def test_an_answer_serves_for_a_moment(clock: Clock) -> None:
    """A tenth of a second later it is still good; half a second later it is asked anew."""
    venue = Venue()
    markets = Markets(venue.market)
    assert await ask_all(markets, 1) == [1]
    await trio.sleep(0.1)
    assert await ask_all(markets, 1) == [1]
    await trio.sleep(0.4)
    assert await ask_all(markets, 1) == [2]


async def test_what_has_changed_is_asked_anew(clock: Clock) -> None:
    """More is known of a token than a moment ago; who waits for an answer that is under way gets it."""
    venue = Venue()
    markets = Markets(venue.market)
    assert await ask_all(markets, 1) == [1]
    assert await ask_all(markets, 2) == [2]
    markets.forget(TokenId(1))
    assert await ask_all(markets, 2) == [2]
    assert await ask_all(markets, 1) == [3]
    markets.forget(TokenId(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_all, markets, 1)
        await trio.sleep(SLOW_S / 2)
        markets.forget(TokenId(1))
        assert await ask_all(markets, 1) == [5]
    assert len(venue.asked) == 5


async def test_a_refusal_is_told_to_all_who_wait_and_is_not_kept(clock: Clock) -> None:
    """Its kind stays what it is; whoever comes later asks again."""
    for error in (OrderNotSent("nobody listens"), ContractBroken("nonsense")):
        venue = Venue(errors=[error])
        markets = Markets(venue.market)
        assert await ask_all(markets, 1, 1) == [f"{type(error).__name__}: {error}"] * 2
        assert await ask_all(markets, 1) == [2]


async def test_one_who_is_cancelled_leaves_the_question_to_the_next(clock: Clock) -> None:
    """The others are not left waiting for an answer that nobody brings."""
    venue = Venue()
    markets = Markets(venue.market)
    async with trio.open_nursery() as nursery:

        async def give_up() -> None:
            with trio.move_on_after(SLOW_S / 2):
                await markets.of(TokenId(1))

        nursery.start_soon(give_up)
        await trio.testing.wait_all_tasks_blocked()
        assert await ask_all(markets, 1, 1) == [2, 2]
    assert len(venue.asked) == 2


async def test_only_the_last_answers_are_kept(clock: Clock) -> None:
    """New markets come every day; what was said of old ones is forgotten."""
    markets = Markets(Venue().market)
    await ask_all(markets, *range(600))
    assert len(markets) == 256


async def test_a_side_is_not_served_what_the_other_was_told_and_it_cannot_use(clock: Clock) -> None:
    """An exit may be told of no prices, which an entry looks at; and what is closed to an entry is asked again by an exit."""
    told: list[str] = []
    quote: Quote | None = None
    closed: str | None = None

    def asked_as(who: str) -> Callable[[TokenId], Awaitable[Market]]:
        async def ask(token_id: TokenId) -> Market:
            await trio.lowlevel.checkpoint()
            told.append(who)
            return Market(token_id=token_id, tick=Price(1), minimum=NO_SHARES, fee_bps=0, quote=quote, closed=closed)

        return ask

    async def ask_both(first: bool) -> list[str]:
        markets = Markets(asked_as("entry"), asked_as("exit"))
        told.clear()
        for exits in (first, not first):
            await markets.of(TokenId(1), exits=exits)
        return list(told)

    assert await ask_both(True) == ["exit", "entry"]
    assert await ask_both(False) == ["entry"]
    quote = Quote(bid=Price(1), ask=Price(2))
    assert await ask_both(True) == ["exit"]
    closed = "no orders are taken"
    assert await ask_both(False) == ["entry", "exit"]
