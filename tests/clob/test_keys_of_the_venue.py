"""API keys of signers: made once, again where refused, given up where the venue says no; a page or a clock refuses nobody."""

import pytest
import trio
import trio.testing

from tests.clob.scripted_clob import PAGE, SIGNER, Says, matched, open_bench, refusal
from tests.clob.sends import GTC, end_of, look_up
from tests.clob.sent_orders import make_order
from trio_copy.errors import ExecutorError
from trio_copy_clob.sending.calling import take_time
from trio_copy_clob.sending.credentials import NoKey
from trio_copy_clob.sending.stops import EGRESS_S, Stop

Clock = trio.testing.MockClock


async def test_a_page_that_wants_a_login_stops_no_signer(clock: Clock) -> None:
    """A proxy that stands before everything says nothing of an API key: what leaves from here rests for a while, and then goes on
    by itself, with the key that it had."""
    async with open_bench(matched(), Says(401, PAGE), matched()) as bench:
        await end_of(bench)
        bench.clob.region = Says(200, {"blocked": False, "country": "IE"})
        for page in (Says(401, PAGE), Says(200, PAGE), Says(does="close")):
            bench.clob.says.appendleft(Says(401, PAGE))
            bench.clob.makes_keys = bench.clob.derives = page
            assert (await end_of(bench))[0] == "not sent"
            assert [one.stop for one in bench.stopping.stops.standing(trio.current_time())] == [Stop.EGRESS]
            assert "refused, by whom cannot be read" in bench.told[-1][1]
            assert "the venue says that IE is not blocked" in bench.told[-1][1]
            assert (await end_of(bench))[0] == "not sent"
            await trio.sleep(EGRESS_S + 1)
        bench.clob.says.popleft()
        assert (await end_of(bench))[0] == "filled"
        assert b'"owner":"key-1"' in bench.posts[-1].body


async def test_a_page_before_one_signer_stops_nobody_else(clock: Clock) -> None:
    """Where the venue itself tells an API key meanwhile, nobody stands between: only whom it is about rests, for a while, and
    asks for no more keys than one."""
    async with open_bench(Says(401, PAGE), Says(401, PAGE), matched()) as bench:
        assert (await end_of(bench))[0] == "not sent"
        stops, now = bench.stopping.stops, trio.current_time()
        assert [one.stop for one in stops.standing(now)] == [Stop.SIGNER]
        assert stops.why(wallet="0xother", signer="0xother", is_exit=False, now=now) is None
        assert bench.clob.keys == 2
        await trio.sleep(EGRESS_S + 1)
        assert (await end_of(bench))[0] == "filled"


async def test_who_refuses_without_a_word_is_asked_about_once_in_a_while(clock: Clock) -> None:
    """However many orders of a signer meet such a page, and however often they are called off: few may ask for keys."""
    async with open_bench(Says(401, PAGE)) as bench:
        for _ in range(5):
            await end_of(bench)
            bench.stopping.stops.lift(Stop.SIGNER, SIGNER)
            with pytest.raises(ExecutorError, match="401"):
                await bench.cancelling.cancel(make_order(body=GTC), bench.signer, trio.current_time() + 8)
        assert len(bench.clob.at("/auth/api-key")) == 2
        assert set(bench.kinds) == {"venue-stopped"}


async def test_a_signer_that_the_venue_gives_no_key_stops_though_it_was_a_page(clock: Clock) -> None:
    """It says so itself, beside its own clock."""
    async with open_bench(matched(), Says(401, b"")) as bench:
        await end_of(bench)
        bench.clob.makes_keys = bench.clob.derives = refusal(400, "Could not derive api key!")
        assert (await end_of(bench))[0] == "not sent"
        standing = bench.stopping.stops.standing(trio.current_time())
        assert [(one.stop, one.until) for one in standing] == [(Stop.SIGNER, None)]


async def test_a_page_that_answers_a_question_changes_no_key(clock: Clock) -> None:
    """Nor does it stop what leaves: it stands there for a moment. Of a cancel it is asked who refuses it, once."""
    async with open_bench(matched()) as bench:
        await end_of(bench)
        bench.clob.order = Says(401, PAGE)
        with pytest.raises(ExecutorError, match="HTTP status 401"):
            await look_up(bench, make_order(body=GTC))
        assert (len(bench.clob.at("/auth/api-key")), bench.told) == (1, [])
        bench.clob.says[0] = Says(401, PAGE)
        with pytest.raises(ExecutorError, match="401"):
            await bench.cancelling.cancel(make_order(body=GTC), bench.signer, trio.current_time() + 8)
        assert (len(bench.clob.at("/auth/api-key")), bench.kinds) == (2, [])
        await trio.sleep(EGRESS_S + 1)
        bench.clob.makes_keys = bench.clob.derives = Says(401, PAGE)
        with pytest.raises(ExecutorError, match="401"):
            await bench.cancelling.cancel(make_order(body=GTC), bench.signer, trio.current_time() + 8)
        assert bench.kinds == ["venue-stopped"]


@pytest.mark.parametrize("off_s", [100.0, -100.0])
async def test_a_wrong_clock_does_not_matter(clock: Clock, off_s: float) -> None:
    """Nor one that becomes wrong: the time is taken with the first key, and anew once a request is refused."""
    async with open_bench(matched(), off_s=off_s) as bench:
        assert (await end_of(bench))[0] == "filled"
        assert len(bench.clob.at("/time")) == 1
        bench.signer.clock.skew_s = 0.0
        assert (await end_of(bench))[0] == "filled"
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
        assert (await end_of(bench))[0] == ends
        assert [one.stop for one in bench.stopping.stops.standing(trio.current_time())] == stopped
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
        assert (await end_of(bench, within_s=4.0))[0] == "not sent"
        assert 2 <= len(bench.clob.at("/auth/api-key")) <= 4
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end_of, bench)
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
        assert (await end_of(bench, within_s=4.0))[0] == "not sent"
        assert bench.told == []
        bench.clob.time = None
        assert (await end_of(bench))[0] == "filled"
        # The same of a key that was good before.
        bench.clob.time, bench.signer.clock.skew_s = _GARBAGE, 0.0
        assert (await end_of(bench, within_s=4.0))[0] == "not sent"
        bench.clob.time = None
        assert (await end_of(bench))[0] == "filled"
        assert bench.told == []


async def test_a_refusal_that_was_given_by_an_older_time_is_asked_for_again(clock: Clock) -> None:
    """The venue's clock has gone on since it was read."""
    async with open_bench(matched(), off_s=100.0) as bench:
        bench.signer.clock.measured_at = bench.signer.wall()
        assert (await end_of(bench))[0] == "filled"
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
        assert (await end_of(bench))[0] == "filled"


async def test_the_time_of_a_venue_that_does_not_tell_it_is_ours(clock: Clock) -> None:
    """Nothing is believed of an answer that is none."""
    async with open_bench(matched()) as bench:
        bench.clob.away = True
        why = await take_time(bench.caller, bench.signer.clock, bench.signer.wall, trio.current_time() + 1)
        assert why == "connection refused"
        assert bench.signer.clock.skew_s == 0.0
        assert SIGNER not in str(why)
