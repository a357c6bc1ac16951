"""An order is called off until somebody answers or the time is up, at the same pace as orders are sent."""

from functools import partial

import pytest
import trio
import trio.testing

from tests.clob.scripted_clob import PAGE, Says, open_bench, refusal
from tests.clob.sends import GTC
from tests.clob.sent_orders import OURS, make_order
from trio_copy.errors import ExecutorError
from trio_copy_clob.pacing import Bucket
from trio_copy_clob.sending.limits import Turns

Clock = trio.testing.MockClock


async def test_what_is_called_off_rests_as_orders_do(clock: Clock) -> None:
    """The limit of an address counts both."""
    limited = refusal(429, "Too Many Requests", **{"retry-after": "5"})
    async with open_bench(limited, Says(200, {"canceled": [OURS]})) as bench, trio.open_nursery() as nursery:
        nursery.start_soon(bench.cancelling.cancel, make_order(body=GTC), bench.signer, trio.current_time() + 8)
        await trio.sleep(1)
        with trio.move_on_after(2) as scope:
            await bench.posting.address_turns.wait(is_exit=True)
        assert scope.cancelled_caught


async def test_what_is_called_off_counts_for_the_address_as_well(clock: Clock) -> None:
    async with open_bench(Says(200, {"canceled": [OURS]})) as bench:
        bench.posting.address_turns = bench.cancelling.address_turns = Turns(Bucket(5, free_at=trio.current_time()))
        for turn in range(10):
            await bench.cancelling.cancel(make_order(body=GTC), bench.signer, trio.current_time() + 8)
            assert len(bench.posts) == turn + 1
        assert trio.current_time() >= 1.7


@pytest.mark.parametrize(
    ("says", "fails", "asked"),
    [
        ([Says(200, {"canceled": [OURS], "not_canceled": {}})], None, 1),
        ([Says(200, {"canceled": [], "not_canceled": {OURS: "already canceled or matched"}})], None, 1),
        ([Says(200, {"canceled": [], "not_canceled": {OURS: "the order is in delayed status"}})], None, 1),
        ([refusal(404, "order not found")], None, 1),
        ([refusal(500, "no"), Says(does="close"), Says(200, {"canceled": [OURS]})], None, 3),
        ([refusal(429, "no", **{"retry-after": "3"}), Says(200, {"canceled": [OURS]})], None, 2),
        ([refusal(400, "Invalid orderID")], "Invalid orderID", 1),
        ([Says(403, PAGE)], "HTTP status 403", 1),
        ([refusal(401, "no")], "a new one as well", None),
        ([Says(does="stall")], "no time left", 1),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_an_order_is_called_off(clock: Clock, says: list[Says], fails: str | None, asked: int | None) -> None:
    """Again and again, until somebody answers or the time is up."""
    async with open_bench(*says) as bench:
        began = trio.current_time()
        cancel = partial(bench.cancelling.cancel, make_order(body=GTC), bench.signer, began + 8)
        if fails is None:
            await cancel()
        else:
            with pytest.raises(ExecutorError, match=fails):
                await cancel()
        assert asked is None or len(bench.posts) == asked
        assert {(one.method, one.body) for one in bench.posts} == {("DELETE", b'{"orderID":"%s"}' % OURS.encode())}
        assert trio.current_time() <= began + 8 + 1e-6
