"""An order that may have arrived is never said to be refused or not sent, and nothing is sent after its deadline."""

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clob.scripted_clob import PAGE, Says, matched, open_bench, refusal
from tests.clob.sends import BALANCE, KILL, RESTARTS, answered, end_of
from tests.clob.sent_orders import OURS, make_order
from trio_copy.errors import OrderNotSent, OrderUncertain

Clock = trio.testing.MockClock


@pytest.mark.parametrize(
    ("says", "not_yet"),
    [
        ([RESTARTS], True),
        (answered("the market is not yet ready to process new orders"), True),
        ([refusal(425, "service not ready", **{"retry-after": "60"})], True),
        ([RESTARTS, refusal(503, "Trading is currently cancel-only.")], False),
        ([RESTARTS, Says(403, PAGE)], False),
        ([refusal(503, "Trading is currently cancel-only.")], False),
        ([refusal(401, "Unauthorized/Invalid api key")], False),
    ],
    ids=lambda value: str(value)[:70],
)
async def test_a_venue_that_is_not_ready_takes_the_same_bytes_in_a_moment(
    clock: Clock, says: list[Says], *, not_yet: bool
) -> None:
    """Whoever sends hears that it is worth to go on until the deadline; nothing that was stopped is."""
    async with open_bench(*says) as bench:
        for _ in range(2):
            with pytest.raises(OrderNotSent) as refused:
                await bench.post(make_order(), 10.0)
            assert refused.value.not_yet is not_yet
        assert bench.kinds.count("venue-goes-on") == 0


_ANY = {
    "sure": [RESTARTS, refusal(401, "Unauthorized"), refusal(400, KILL), refusal(400, BALANCE), Says(403, PAGE)],
    "unsure": [
        Says(does="close"),
        Says(does="stall"),
        Says(200, matched().body, does="cut"),
        refusal(500, "Internal server error"),
        refusal(429, "Too Many Requests", **{"retry-after": "1"}),
        refusal(400, "context canceled"),
        refusal(400, "a rule of yesterday"),
        Says(200, b"what"),
    ],
    "there": [matched(), matched("", "", status="delayed"), refusal(400, f"order {OURS} is invalid. Duplicated.")],
}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([(kind, says) for kind, all_ in _ANY.items() for says in all_]), min_size=1, max_size=5),
    st.sampled_from([0.5, 3.0, 10.0]),
)
def test_nothing_that_may_have_arrived_is_reported_as_refused(said: list[tuple[str, Says]], within_s: float) -> None:
    """Whatever comes in whatever order: refused, or not sent, is only what no earlier copy may have become."""

    async def main() -> tuple[str, int]:
        async with open_bench(*(says for _, says in said)) as bench:
            ended, _ = await end_of(bench, within_s=within_s)
            return ended, len(bench.posts)

    ended, posts = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    kinds = [said[min(number, len(said) - 1)][0] for number in range(posts)]
    if ended in ("not sent", "rejected", "killed"):
        assert set(kinds) <= {"sure"}
    assert (ended in ("filled", "unknown")) is ("there" in kinds)
    assert ended != "uncertain" or "unsure" in kinds


async def test_a_venue_that_fails_is_asked_until_the_deadline_and_not_later(clock: Clock) -> None:
    """With pauses that grow; then nobody can say what became of it."""
    for within_s, most in ((1.0, 6), (10.0, 14)):
        async with open_bench(refusal(500, "Internal server error")) as bench:
            began = trio.current_time()
            assert (await end_of(bench, within_s=within_s))[0] == "uncertain"
            assert trio.current_time() - began <= within_s
            assert 3 <= len(bench.posts) <= most


async def test_a_venue_that_stalls_does_not_take_longer_than_the_deadline(clock: Clock) -> None:
    """However little time there is."""
    for within_s in (0.5, 5.0, 9.5):
        async with open_bench(Says(does="stall")) as bench:
            began = trio.current_time()
            assert await end_of(bench, within_s=within_s) == ("uncertain", "no whole answer in time")
            assert trio.current_time() - began <= within_s + 1e-6
            assert len(bench.posts) == (1 if within_s < 4 else 2 if within_s < 8 else 3)


async def test_what_never_left_is_not_sent(clock: Clock) -> None:
    """A venue that takes no connection has nothing; once it does, the order goes."""
    async with open_bench(matched()) as bench:
        await bench.signer.key(trio.current_time() + 1)
        await bench.transport.aclose()
        bench.transport._closed = False
        bench.clob.away = True
        assert await end_of(bench) == ("not sent", "connection refused")

        async def come_back() -> None:
            await trio.sleep(3)
            bench.clob.away = False

        async with trio.open_nursery() as nursery:
            nursery.start_soon(come_back)
            assert (await end_of(bench))[0] == "filled"


async def test_a_connection_that_the_venue_has_closed_is_no_doubt(clock: Clock) -> None:
    """It closes them when it likes; an order takes another one, and one answer is enough."""
    async with open_bench(refusal(400, KILL)) as bench:
        bench.clob.cut_idle = True
        await bench.signer.key(trio.current_time() + 1)
        for _ in range(3):
            await trio.sleep(1)
            assert (await end_of(bench))[0] == "killed"
        assert len(bench.posts) == 3


async def test_an_order_that_its_guard_cannot_count_in_time_is_certainly_not_sent(clock: Clock) -> None:
    """A disk that hangs makes no order uncertain."""
    async with open_bench(matched()) as bench:
        bench.release_s = 11.0
        assert await end_of(bench, within_s=10.0) == ("not sent", "its guard could not write it down in time")
        assert (bench.posts, bench.released) == ([], [])


async def test_a_key_that_is_refused_proves_nothing_of_an_earlier_send(clock: Clock) -> None:
    """Whoever guards the key lets nobody ask any more: the first copy of the bytes may be there all the same."""
    async with open_bench(Says(500, b"oops"), refusal(401, "Unauthorized/Invalid api key")) as bench:
        await bench.signer.key(trio.current_time() + 5)

        def refuse(_timestamp: int) -> dict[str, str]:
            raise OrderNotSent("no API key: the guard says no")

        bench.signer.level1 = refuse
        with pytest.raises(OrderUncertain):
            await bench.post(make_order())
        assert len(bench.posts) == 2


async def test_an_order_is_cancelled_where_it_is_sent(clock: Clock) -> None:
    """Whoever cancels the sending leaves nothing open behind; it may be at the venue."""
    async with open_bench(Says(does="stall")) as bench:
        with trio.move_on_after(1.0) as scope:
            await bench.post(make_order())
        assert scope.cancelled_caught
        bench.clob.says[0] = matched()
        assert (await end_of(bench))[0] == "filled"
