"""What a market source told, in a recording and out of it again."""

import gzip
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field

from tests.builders import NOW, POLYGON
from trio_copy.clock import wall_clock_from
from trio_copy.engine.market_source.prices import Prices
from trio_copy.engine.market_source.told_lines import FactsAnswered, MarketsOpened, SeenBook
from trio_copy.engine.recordings import recorded_markets
from trio_copy.engine.recordings.recorded_lines import Told, header_line, line_of, moment_of, tells_of_a_book
from trio_copy.engine.recordings.recorded_markets import RecordedMarkets, RecordingMarkets
from trio_copy.engine.recordings.recording import Recorder, read_books, read_recording
from trio_copy.errors import ConfigError, MarketsUnavailable
from trio_copy.model.books import Book, Level, PricesLost, Quote, SeenPrice
from trio_copy.model.catalog import Catalog, TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.resolutions import Decided
from trio_copy.model.units import Price, Ratio, Shares
from trio_copy.testing.markets import MemoryMarkets

Clock = trio.testing.MockClock
ONE, TWO, LARGEST = TokenId(1), TokenId(2), TokenId((1 << 256) - 1)


def book(ask: str, token: TokenId = ONE, at: float = NOW) -> Book:
    asks = (Level(Price.parse(ask), Shares.parse("100.000001")), Level(Price.parse("0.99"), Shares.parse("1")))
    return Book(token_id=token, bids=(), asks=asks, at=at, tick=Price.parse("0.01"), minimum=Shares.parse("5"))


def asked(at: float, seen: Book | None, token: TokenId = ONE, *, failed: bool = False) -> SeenBook:
    return SeenBook(token_id=token, asked_at=at, book=seen, failed=failed)


TOLD: list[Told] = [
    MarketsOpened("polymarket"),
    SeenPrice(token_id=LARGEST, quote=Quote(bid=Price.parse("0.4"), ask=None, bid_shares=Shares.parse("7")), at=NOW),
    PricesLost(frozenset({ONE, LARGEST})),
    FactsAnswered(frozenset()),
    FactsAnswered(frozenset({TWO, LARGEST})),
    FactsAnswered(frozenset(), failed=True),
    TokenFacts(token_id=ONE, condition_id="0xab"),
    TokenFacts(
        token_id=ONE, condition_id="0xab", question="Rain?", opposite=LARGEST, neg_risk=False, fee_rate=Ratio(0)
    ),
    Decided(condition_id="0xab", payouts=((1 << 256) - 1, 0)),
    asked(NOW - 0.5, book("0.5", LARGEST), LARGEST),
    asked(NOW - 0.5, None),
    asked(NOW - 5.0, None, failed=True),
]


@pytest.mark.parametrize("told", TOLD, ids=[f"{number}-{type(one).__name__}" for number, one in enumerate(TOLD)])
def test_what_was_told_is_read_back_as_it_was(told: Told) -> None:
    """To the last digit, also of the largest token; lines of books are known without being read."""
    line = line_of(told, NOW)
    assert line is not None
    moment = moment_of(line)
    assert (moment.at, moment.seen) == (NOW, told)
    assert tells_of_a_book(line) == isinstance(told, SeenBook)


@pytest.mark.parametrize(
    "line",
    [
        b'{"at":1,"lost":["1e9"]}',
        b'{"at":1,"lost":["' + b"9" * 100 + b'"]}',
        b'{"at":1,"price":{"bid":"0.5","ask":null},"token":""}',
        b'{"at":1,"token":"-1","asked":1}',
        b'{"at":1,"token":"1","asked":1,"book":{"at":1,"bids":[["5"]]}}',
        b'{"at":1,"token":"1","asked":1,"book":{"at":1,"bids":[["0.5","1"]]}}',
        b'{"at":1,"token":"1","asked":1,"book":{"at":1,"bids":[' + b'["5","1"],' * 10_000 + b'["5","1"]]}}',
        b'{"at":1,"decided":{"condition":"0x","payouts":["-1"]}}',
        b'{"at":1,"decided":{"condition":"0x","payouts":[1]}}',
        b'{"at":1,"facts":{"token_id":"x","condition_id":"0x"}}',
        b'{"at":1,"facts":[]}',
        b'{"at":1,"stranger":1}',
    ],
)
def test_a_line_that_is_none_is_refused(line: bytes) -> None:
    """A recording is a file that anybody may have made."""
    with pytest.raises(ValueError, match=r"."):
        moment_of(line)


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    """By file and number, wherever it is read."""
    path = tmp_path / "bad.rec"
    path.write_bytes(gzip.compress(header_line(POLYGON, 1.0) + b'\n{"at":1,"token":"1","asked":1,"book":7}\n'))
    for read in (lambda: list(read_recording(path)[1]), lambda: list(read_books(path))):
        with pytest.raises(ConfigError, match=r"bad.rec:2: not a line of a recording: "):
            read()


def recorder(troubles: list[str]) -> Recorder:
    return Recorder(Path("-"), POLYGON, lambda: NOW, troubles.append)


def test_what_no_json_holds_is_left_out_and_said_once() -> None:
    """A source may tell anything; what cannot be written down stops neither the recording nor a trade."""
    troubles: list[str] = []
    one = recorder(troubles)
    for _ in range(3):
        one.note(TokenFacts(token_id=ONE, condition_id="0xab", question="half of a letter: \ud800"))
    one.note(TokenFacts(token_id=ONE, condition_id="0xab"))
    assert one.lines == 1
    assert len(troubles) == 1


async def test_what_came_of_asking_for_books_is_written_down(clock: Clock) -> None:
    """A book, no book, no answer, and the patience of whoever asked."""
    source, troubles = MemoryMarkets(), list[str]()
    one = recorder(troubles)
    recording = RecordingMarkets(source, one)
    source.move(book("0.5"))
    await recording.books([ONE, TWO])
    source.go(away=True)
    with pytest.raises(MarketsUnavailable):
        await recording.books([ONE])
    with trio.CancelScope() as scope:
        scope.cancel()
        await recording.books([TWO])
    seen = [moment_of(line).seen for line in one._waiting]
    assert seen == [
        asked(NOW, book("0.5")),
        asked(NOW, None, TWO),
        asked(NOW, None, failed=True),
        asked(NOW, None, TWO, failed=True),
    ]


async def test_what_came_of_asking_for_facts_is_written_down(clock: Clock) -> None:
    """Who was unknown, and that nobody answered; facts themselves are written as the catalog learns them."""
    source = MemoryMarkets()
    one = recorder([])
    source.tell(TokenFacts(token_id=ONE, condition_id="0xab"))
    await RecordingMarkets(source, one).facts([ONE, TWO])
    source.go(away=True)
    with pytest.raises(MarketsUnavailable):
        await RecordingMarkets(source, one).facts([ONE])
    seen = [moment_of(line).seen for line in one._waiting]
    assert seen == [FactsAnswered(frozenset({TWO})), FactsAnswered(frozenset(), failed=True)]


@define
class Watching:
    """Hears what a source tells, as an engine would."""

    catalog: Catalog
    heard: list[object] = field(factory=list)

    def hear(self, told: object) -> None:
        self.heard.append(told)
        if isinstance(told, TokenFacts):
            self.catalog.put([told])


async def test_facts_are_known_when_they_were(clock: Clock) -> None:
    """An answer comes with the last of what was told then; without one it is given up after a while; away is away."""
    source = played()
    watch: Any = Watching(source.catalog)
    facts = TokenFacts(token_id=ONE, condition_id="0xab")

    async def tell_after(seconds: float, told: Told) -> None:
        await trio.sleep(seconds)
        source.tell(told, watch)

    async def asked_for(tokens: list[TokenId]) -> tuple[float, list[TokenFacts]]:
        began = trio.current_time()
        found = list(await source.facts(tokens))
        return round(trio.current_time() - began, 3), found

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell_after, 0.3, FactsAnswered(frozenset({TWO})))
        nursery.start_soon(tell_after, 0.4, facts)
        assert await asked_for([ONE, TWO]) == (0.4, [facts])
    assert await asked_for([ONE, TWO]) == (0.0, [facts])
    assert await asked_for([LARGEST]) == (recorded_markets._PATIENCE_S, [])
    await tell_after(0.0, FactsAnswered(frozenset(), failed=True))
    with pytest.raises(MarketsUnavailable):
        await source.facts([ONE])
    assert watch.heard == [FactsAnswered(frozenset({TWO})), facts, FactsAnswered(frozenset(), failed=True)]


def played(*books: tuple[float, SeenBook]) -> RecordedMarkets:
    return RecordedMarkets(wall=wall_clock_from(NOW), catalog=Catalog(), books_read=iter(books))


async def test_a_book_comes_as_it_came_then(clock: Clock) -> None:
    """After as long; twice at one moment, each its own; and where nobody answered, nobody answers."""
    source = played(
        (NOW + 1.2, asked(NOW + 1, book("0.5"))),
        (NOW + 1.3, asked(NOW + 1, book("0.6"))),
        (NOW + 9.0, asked(NOW + 4, None, failed=True)),
        (NOW + 9.1, asked(NOW + 9, None)),
    )
    began = trio.current_time()
    await trio.sleep(1)
    came = dict[float, list[Book]]()

    async def ask() -> None:
        books = await source.books([ONE])
        came[round(trio.current_time() - began, 3)] = list(books)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
    assert came == {1.2: [book("0.5")], 1.3: [book("0.6")]}
    await trio.sleep(2.7)
    with pytest.raises(MarketsUnavailable):
        await source.books([ONE])
    assert trio.current_time() - began == pytest.approx(9.0)
    assert await source.books([ONE]) == []


async def test_asked_at_another_moment_it_is_what_came_last(clock: Clock) -> None:
    """Of other settings, an order comes at another time: the book of a minute ago is better than none, an older one is not."""
    source = played((NOW + 2.5, asked(NOW + 2, book("0.5"))), (NOW + 200, asked(NOW + 200, book("0.9"))))
    assert await source.books([ONE, TWO]) == []
    await trio.sleep(30)
    assert await source.books([ONE, TWO]) == [book("0.5")]
    await trio.sleep(32.6)
    assert await source.books([ONE]) == []
    assert not source._asked


async def test_the_nearer_of_two_moments_counts(clock: Clock) -> None:
    """A rule looked at another moment of the second than it did then: the book of just before is nearer than one of later."""
    source = played((NOW + 5.0, asked(NOW + 5.0, book("0.5"))), (NOW + 5.9, asked(NOW + 5.9, book("0.9"))))
    await trio.sleep(5.2)
    assert await source.books([ONE]) == [book("0.5")]
    await trio.sleep(0.5)
    assert await source.books([ONE]) == [book("0.9")]


async def test_a_machine_that_took_time_to_think_asked_later(clock: Clock) -> None:
    """What plays takes no time: the question of half a second later is the one."""
    source = played((NOW + 0.7, asked(NOW + 0.5, book("0.5"))))
    assert await source.books([ONE]) == [book("0.5")]
    assert trio.current_time() == pytest.approx(0.7)
    assert await source.books([ONE]) == [book("0.5")]  # by somebody who then had waited for the same answer
    assert trio.current_time() == pytest.approx(0.7)


async def test_a_token_that_was_only_let_go_may_be_told_again(clock: Clock) -> None:
    """Nobody wanted its price for a while, which is no word of a source that it cannot tell it: whoever comes waits for one."""
    heard: list[object] = []
    prices = Prices(heard.append)
    send, receive = trio.open_memory_channel[SeenPrice | PricesLost](1)
    quote = Quote(bid=Price.parse("0.4"), ask=Price.parse("0.5"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(prices.run, receive)
        await trio.testing.wait_all_tasks_blocked()
        prices.want({ONE})
        prices.take(SeenPrice(token_id=ONE, quote=quote, at=NOW))
        prices.want(frozenset())
        assert heard[1:] == [PricesLost(frozenset({ONE}))]
        prices.take(PricesLost(frozenset({ONE})))  # as whoever plays this tells it
        prices.want({ONE})
        assert prices.may_tell(ONE)
        prices.take(PricesLost(frozenset({ONE})))
        assert not prices.may_tell(ONE)
        assert len(heard) == 3
        await send.aclose()
