"""How the venue is asked: its limits, its refusals, its troubles."""

from typing import Any

import httpx  # noqa: ASYNC127  as the plugin
import pytest
import trio
import trio.testing

from tests.builders import NOW
from tests.clob.opened import open_venue
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import MarketsUnavailable
from trio_copy.testing.market_server.faults import Body
from trio_copy_clob.asking import Asker, Host
from trio_copy_clob.pacing import TOKENS, pace_of
from trio_copy_clob.troubles import Troubles

Clock = trio.testing.MockClock


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
async def test_what_passes_by_itself_is_asked_again(clock: Clock, status: int) -> None:
    """Within the patience of one question; nobody hears of it."""
    async with open_venue() as venue:
        venue.server.faults.status, venue.server.faults.requests = status, 3

        assert len(await venue.source.books(venue.tokens)) == 8
        assert venue.requests("clob") == 4
        assert venue.troubles == []


@pytest.mark.parametrize("body", [Body.GARBAGE, Body.TRUNCATED, Body.CUT, Body.PAGE, Body.CRUMBS])
async def test_an_answer_that_cannot_be_read_is_asked_for_again(clock: Clock, body: Body) -> None:
    """Half an answer is none."""
    async with open_venue() as venue:
        venue.server.faults.body, venue.server.faults.requests = body, 2

        assert len(await venue.source.books(venue.tokens)) == 8
        assert venue.troubles == []


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"body": Body.GARBAGE}, "an answer that cannot be read"),
        ({"body": Body.TRUNCATED}, "an answer that cannot be read"),
        ({"body": Body.CUT}, "in the middle of an answer|without sending complete message body"),
        ({"body": Body.PAGE}, "HTTP status 200: a page"),
        ({"body": Body.CRUMBS}, "an answer in crumbs"),
        ({"body": Body.HUGE}, "an answer of more than 8 MiB"),
        ({"body": Body.ENDLESS_HEAD}, "no HTTP/1.1|more than 8 MiB"),
        ({"body": Body.PACKED}, "a coding that was not asked for"),
        ({"stall": True}, "no whole answer within 0.5 s"),
        ({"drop": True}, "ended without an answer"),
        ({"status": 500}, "HTTP status 500"),
        ({"status": 400}, "HTTP status 400"),
        ({"status": 302}, "HTTP status 302"),
        ({"blocked": True}, "region or datacentre is blocked"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_does_not_pass_is_told_once_and_once_that_it_is_over(
    clock: Clock, fault: dict[str, Any], says: str
) -> None:
    """Each question ends within its patience, with what was wrong; a person hears of the first only."""
    async with open_venue(patience_s=0.7, timeout_s=0.5) as venue:
        for name, value in fault.items():
            setattr(venue.server.faults, name, value)
        for _ in range(3):
            with pytest.raises(BaseExceptionGroup) as caught, trio.fail_after(10):
                async with trio.open_nursery():
                    await venue.source.books(venue.tokens)
            assert caught.group_contains(MarketsUnavailable, match=says)
            await trio.sleep(100)
        assert venue.kinds == ["markets-away"]
        venue.server.faults.clear()
        assert len(await venue.source.books(venue.tokens)) == 8
        assert venue.kinds == ["markets-away", "markets-back"]
        assert venue.server.open_connections <= 4


@pytest.mark.parametrize(
    ("body", "said"), [(b"", "HTTP status 400"), (b"no such thing", "HTTP status 400: no such thing")]
)
async def test_a_refusal_is_told_in_as_many_words_as_it_has(body: bytes, said: str) -> None:
    """One without any ends with its number, and not with a colon."""
    told: list[tuple[str, str]] = []
    refuses = httpx.MockTransport(lambda request: httpx.Response(400, content=body))
    async with httpx.AsyncClient(transport=refuses) as client:
        asker = Asker(
            client=client,
            hosts={"data": Host("https://data.example", "data.example", pace_of("data", 1.0))},
            patience_s=1,
            wall=lambda: NOW,
            entropy=seeded_entropy(1),
            troubles=Troubles(lambda kind, detail: told.append((kind, detail))),
        )
        with pytest.raises(MarketsUnavailable):
            await asker.ask(TOKENS, lambda content: content)
    assert told == [("markets-away", f"data.example: {said}")]


async def test_whoever_is_blocked_does_not_ask_again_at_once(clock: Clock) -> None:
    """Cloudflare's page is not a matter of patience."""
    async with open_venue() as venue:
        venue.server.faults.blocked = True
        for _ in range(2):
            with pytest.raises(MarketsUnavailable):
                await venue.source.books(venue.tokens)
        assert venue.requests("clob") == 2


@pytest.mark.parametrize("told_s", [5, 20])
async def test_the_venue_is_left_alone_for_as_long_as_it_asks(clock: Clock, told_s: int) -> None:
    """`Retry-After` counts for everything that asks this server, and not for the others."""
    async with open_venue() as venue:
        venue.server.faults.host, venue.server.faults.status = "clob", 429
        venue.server.faults.requests, venue.server.faults.retry_after_s = 1, told_s
        await venue.source.books(venue.tokens)
        times = [at for at, target in venue.server.http.asked if target.startswith("/clob")]
        assert told_s <= times[1] - times[0] < told_s + 1

        venue.server.faults.requests, venue.server.faults.retry_after_s = 1, 3000
        with pytest.raises(MarketsUnavailable, match="429"), trio.fail_after(2):
            await venue.source.books(venue.tokens)
        with pytest.raises(MarketsUnavailable, match="left alone"), trio.fail_after(2):
            await venue.source.books(venue.tokens)
        assert await venue.source.facts(venue.tokens)
        await trio.sleep(3001)
        assert await venue.source.books(venue.tokens)


async def test_questions_keep_to_the_pace(clock: Clock) -> None:
    """A quarter of what the venue allows, whoever asks however much at once."""
    async with open_venue() as venue:
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(venue.source.books, venue.tokens)
        times = [at for at, _ in venue.server.http.asked]
        assert len(times) == 50
        assert times[-1] - times[0] == pytest.approx((50 - 12.5) / 12.5, rel=0.05)


async def test_the_market_server_remembers_what_it_was_asked_last(clock: Clock) -> None:
    """However long it is asked: the demonstration may run for days."""
    async with open_venue() as venue:
        for number in range(1_010):
            venue.server.http.answer("GET", f"/data/v2/tokens?token_id={number}", b"", venue.server.faults)
        assert [target for _, target in venue.server.http.asked][::999] == [
            "/data/v2/tokens?token_id=10",
            "/data/v2/tokens?token_id=1009",
        ]
        assert venue.server.http.requests["/data/v2/tokens"] == 1_010


async def test_a_cancelled_question_leaves_nothing_open(clock: Clock) -> None:
    """However many are cancelled, whenever: the next one is answered."""
    async with open_venue(limits_used=1.0) as venue:
        await venue.source.books(venue.tokens)
        open_before = venue.server.open_connections
        venue.server.faults.stall = True
        for number in range(20):
            with trio.move_on_after(0.05 * number):
                await venue.source.books(venue.tokens)
        venue.server.faults.clear()
        assert len(await venue.source.books(venue.tokens)) == 8
        await trio.testing.wait_all_tasks_blocked()
        assert venue.server.open_connections <= open_before + 1


async def test_the_source_opens_without_the_venue(clock: Clock) -> None:
    """A venue that is away holds nothing up, and counts from when it comes."""
    async with open_venue(patience_s=1.0) as venue:
        venue.server.away = True
        venue.server.cut()
        with pytest.raises(MarketsUnavailable, match=r"connection refused|without an answer"):
            await venue.source.facts(venue.tokens)
        venue.server.away = False
        await trio.sleep(60)
        assert len(await venue.source.facts(venue.tokens)) == 8
        assert venue.kinds == ["markets-away", "markets-back"]


async def test_one_server_that_is_away_is_not_back_because_another_answers(clock: Clock) -> None:
    """Also where both stand at one address."""
    async with open_venue(patience_s=1.0, timeout_s=0.5) as venue:
        venue.server.faults.host, venue.server.faults.stall = "clob", True
        for _ in range(3):
            with pytest.raises(MarketsUnavailable):
                await venue.source.books(venue.tokens)
            await venue.source.facts(venue.tokens)
        assert venue.kinds == ["markets-away"]
        venue.server.faults.clear()
        await trio.sleep(60)
        await venue.source.books(venue.tokens)
        assert venue.kinds == ["markets-away", "markets-back"]
