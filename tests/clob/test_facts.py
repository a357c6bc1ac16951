"""What the source `polymarket` makes of what three servers say about tokens."""

import pytest
import trio.testing
from attrs import evolve

from tests.builders import NOW
from tests.clob.opened import Sized, open_venue
from trio_copy.errors import MarketsUnavailable
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import TokenId
from trio_copy.model.units import Price, Ratio, Shares
from trio_copy.testing.market_server.faults import Ids

Clock = trio.testing.MockClock


async def test_facts_come_from_three_servers_and_say_all_that_is_known(clock: Clock) -> None:
    """Question, answer, event, category, date, generation, tick, minimum and fee of each token."""
    async with open_venue() as venue:
        for fact in list(venue.server.venue.facts.values())[:2]:
            venue.server.venue.put([evolve(fact, event="fed", slug="fed-cuts", category="Politics", ends_at=NOW + 5)])
        facts = {fact.token_id: fact for fact in await venue.source.facts(venue.tokens)}

        assert facts == venue.server.venue.facts
        assert facts[venue.tokens[0]] == evolve(
            venue.market.facts[0],
            event="fed",
            slug="fed-cuts",
            category="Politics",
            ends_at=NOW + 5,
            neg_risk=False,
            exchange=2,
            tick=Price(10_000),
            minimum=Shares(5_000_000),
            fee_rate=Ratio(40_000),
            fee_exponent=1,
        )
        assert venue.requests("clob") == 0  # what Gamma says of a hundred questions at once is not asked one by one
        assert venue.troubles == []


@pytest.mark.parametrize("exchange", [2, 3])
async def test_the_generation_decides_which_ids_count(clock: Clock, exchange: int) -> None:
    """Gamma names a question of exchange V3 by 31 bytes, and its tokens in another list."""
    async with open_venue() as venue:
        fact = TokenFacts(
            token_id=TokenId(1 << 248),
            condition_id="0x" + "ab" * 31 + "00",
            exchange=exchange,
            ends_at=NOW,
            question="?",
        )
        venue.server.venue.put([fact])
        (told,) = await venue.source.facts([fact.token_id])

        assert told == venue.server.venue.facts[fact.token_id]
        assert told.exchange == exchange


async def test_a_question_that_gamma_does_not_list_yet_gets_its_terms_from_the_clob(clock: Clock) -> None:
    """New markets are listed over minutes; tick, minimum and fee are asked for where orders would go."""
    async with open_venue() as venue:
        venue.server.faults.unlisted = True
        facts = await venue.source.facts(venue.tokens)

        assert [fact.tick for fact in facts] == [Price(10_000)] * 8
        assert [fact.fee_rate for fact in facts] == [Ratio(40_000)] * 8
        assert venue.server.http.requests["/clob/clob-markets"] == 4


async def test_what_is_closed_is_asked_for_as_such(clock: Clock) -> None:
    """Gamma hides closed questions from those who do not ask for them."""
    async with open_venue() as venue:
        condition = venue.market.facts[0].condition_id
        venue.server.venue.put([evolve(venue.market.facts[0], ends_at=NOW - 9)])
        venue.server.venue.decide(condition, (1_000_000, 0))
        (fact,) = await venue.source.facts(venue.tokens[:1])

        assert fact.ends_at == NOW - 9
        assert venue.server.http.requests["/gamma/markets"] == 1


async def test_nothing_is_said_of_tokens_that_nobody_knows(clock: Clock) -> None:
    """Unknown is not an error."""
    async with open_venue() as venue:
        assert list(await venue.source.facts([TokenId(7), TokenId(8)])) == []
        assert list(await venue.source.facts([])) == []
        assert venue.server.http.requests == {"/data/v2/tokens": 1}


@pytest.mark.parametrize(("host", "ids"), [("data", Ids.WRONG), ("data", Ids.TWICE)])
async def test_answers_about_others_are_left_out(clock: Clock, host: str, ids: Ids) -> None:
    """Facts that nobody asked for, or that are told twice and differ, are nobody's."""
    async with open_venue() as venue:
        venue.server.faults.host, venue.server.faults.ids = host, ids

        assert list(await venue.source.facts(venue.tokens)) == []
        assert venue.kinds == ["markets-unreadable"]


@pytest.mark.parametrize("host", ["gamma", "clob"])
async def test_terms_of_other_tokens_are_not_taken(clock: Clock, host: str) -> None:
    """A date or a fee is believed only where it names the token that it is for."""
    async with open_venue() as venue:
        venue.server.faults.host, venue.server.faults.ids = host, Ids.WRONG
        venue.server.faults.unlisted = host == "clob"
        facts = await venue.source.facts(venue.tokens)

        assert len(facts) == 8
        assert {(fact.ends_at, fact.category) for fact in facts} == {(None, "")}
        if host == "clob":
            assert {fact.tick for fact in facts} == {None}
        assert "markets-unreadable" in venue.kinds


async def test_text_of_outside_cannot_move_a_cursor(clock: Clock) -> None:
    """A question is shown on terminals: control characters and endless texts are not."""
    async with open_venue() as venue:
        fact = venue.market.facts[0]
        venue.server.venue.put([evolve(fact, question="\x1b[2J\x07Win?\n" + "x" * 10_000, outcome="Y\x00es")])
        (told,) = await venue.source.facts([fact.token_id])

        assert told.question.startswith("[2J Win? xxx")
        assert len(told.question) <= 300
        assert told.question.isprintable()
        assert told.outcome == "Y es"


async def test_thousands_of_tokens_take_few_calls(clock: Clock) -> None:
    """Fifty tokens or questions a call, within the pace, however many are wanted at once."""
    async with open_venue() as venue:
        facts = Sized(1000).facts()
        venue.server.venue.put(facts)
        began = trio.current_time()
        told = await venue.source.facts([fact.token_id for fact in facts])

        assert {fact.token_id for fact in told} == {fact.token_id for fact in facts}
        assert venue.server.http.requests == {"/data/v2/tokens": 40, "/gamma/markets": 20}
        assert trio.current_time() - began < 10


async def test_one_server_that_does_not_answer_makes_the_facts_unavailable(clock: Clock) -> None:
    """Half of the facts would be taken for all of them."""
    for host in ("data", "gamma", "clob"):
        async with open_venue(patience_s=2.0, timeout_s=1.0) as venue:
            venue.server.faults.host, venue.server.faults.stall = host, True
            venue.server.faults.unlisted = host == "clob"
            with pytest.raises(MarketsUnavailable, match="no whole answer within 1 s"):
                await venue.source.facts(venue.tokens)
