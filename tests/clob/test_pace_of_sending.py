"""Orders and questions go as often as the venue takes them, of a signer and of one address, and rest where it asks for it."""

import pytest
import trio
import trio.testing

from tests.clob.scripted_clob import Says, matched, open_bench, refusal
from tests.clob.sends import GTC, end_of, look_up
from tests.clob.sent_orders import make_order, order_row
from trio_copy.errors import ExecutorError
from trio_copy.model.fills import Side
from trio_copy_clob.pacing import Bucket
from trio_copy_clob.sending.limits import Turns

Clock = trio.testing.MockClock


@pytest.mark.parametrize(
    ("says", "rests_all"),
    [
        (refusal(429, "Too Many Requests", **{"retry-after": "5"}), True),
        (refusal(429, "Too Many Requests", **{"Retry-After": "5", "Poly-RateLimit-Remaining": "0"}), False),
        (refusal(425, "service not ready", **{"retry-after": "5"}), True),
        (refusal(500, "Internal server error", **{"retry-after": "5"}), True),
        (refusal(503, "Trading is currently cancel-only.", **{"retry-after": "5"}), False),
        (refusal(400, "the market is not yet ready to process new orders", **{"retry-after": "5"}), False),
    ],
    ids=lambda value: str(value)[:70],
)
async def test_whoever_is_meant_rests_where_the_venue_asks_for_it(clock: Clock, says: Says, *, rests_all: bool) -> None:
    """The one signer whose own bucket it names, or whose order it was; else all who send or call off from here."""
    async with open_bench(says, matched("10", "20")) as bench:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.post, make_order(Side.SELL))
            await trio.sleep(1)
            with trio.move_on_after(2) as scope:
                await bench.posting.address_turns.wait(is_exit=True)
            assert scope.cancelled_caught is rests_all
        assert [round(one.at - began) for one in bench.posts] == [0, 5]


async def test_orders_keep_to_the_tier_that_the_venue_names(clock: Clock) -> None:
    """40 a second for a signer of whom it says nothing; too late in line is not sent."""
    async with open_bench(matched()) as bench:
        ended: list[str] = []

        async def send() -> None:
            ended.append((await end_of(bench, within_s=1.0))[0])

        async with trio.open_nursery() as nursery:
            for _ in range(60):
                nursery.start_soon(send)
        assert 38 <= ended.count("filled") <= 41
        assert ended.count("not sent") == 60 - ended.count("filled")
        bench.clob.says[0] = Says(200, matched().body, {"Poly-RateLimit-Tier": "gold"})
        await bench.post(make_order())
        assert bench.signer.limits.orders.bucket.per_s == 400


async def test_orders_keep_to_what_the_venue_takes_from_one_address(clock: Clock) -> None:
    """Whatever each signer may send."""
    async with open_bench(matched()) as bench:
        bench.posting.address_turns = Turns(Bucket(5, free_at=trio.current_time()))
        ended: list[str] = []

        async def send() -> None:
            ended.append((await end_of(bench, within_s=1.0))[0])

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(send)
        sent = ended.count("filled")
        assert 4 <= sent <= 6
        assert ended.count("not sent") == 20 - sent


async def test_questions_rest_where_the_venue_says_so(clock: Clock) -> None:
    """All of them; and there is a limit to how many are asked at all."""
    async with open_bench(matched()) as bench:
        bench.clob.order = refusal(429, "Too Many Requests", **{"retry-after": "7"})
        with pytest.raises(ExecutorError, match="429"):
            await look_up(bench)
        bench.clob.order = Says(200, order_row("LIVE"))
        asked = len(bench.clob.asked)
        with pytest.raises(ExecutorError, match="too many questions"):
            await bench.looking.look_up(make_order(), bench.signer, trio.current_time() + 3)
        assert len(bench.clob.asked) == asked
        assert await look_up(bench, make_order(body=GTC)) is not None
