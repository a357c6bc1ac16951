"""When a look is worth it, and when the last one will do: what was looked up, what was heard, and in which order."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing
from attrs import define, evolve, field

from tests.clob.scripted_clob import open_bench
from tests.clob.sent_orders import OURS, make_order
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy.model.units import Shares
from trio_copy_clob.sending.credentials import VenueSigner
from trio_copy_clob.sending.open_orders import OpenOrders, Step

Clock = trio.testing.MockClock
_GTC = b'{"order":{"timestamp":"1764000000123"},"owner":"","orderType":"GTC","postOnly":false}'


def _report(status: Status = Status.FILLED, shares: str = "20") -> ExecutionReport:
    return ExecutionReport(order_id=OURS, status=status, shares=Shares.parse(shares), settlement=Settlement.PENDING)


@define(eq=False)
class _Known:
    """One order, and what is known of it. Every step is a second after the one before."""

    order: Order
    signer: VenueSigner
    news: list[IntentKey] = field(factory=list)
    orders: OpenOrders = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.orders = OpenOrders(self.news.append)

    def stands(self) -> bool:
        return self.orders.standing(self.order) is not None

    async def look(self, report: ExecutionReport, began_s: float = 0.0) -> None:
        """Learn of a look that began so long ago."""
        await trio.sleep(1)
        self.orders.put(self.order, self.signer, report, trio.current_time() - began_s)

    async def hear(self, step: Step = Step.CHANGED) -> int:
        """Hear of it; returns how much news that was."""
        await trio.sleep(1)
        before = len(self.news)
        assert self.orders.hear(self.signer.address, OURS, step)
        return len(self.news) - before


@asynccontextmanager
async def _sent(**order: Any) -> AsyncGenerator[_Known, None]:
    async with open_bench() as bench:
        known = _Known(make_order(**order), bench.signer)
        known.orders.put(known.order, bench.signer, None)
        yield known


async def test_a_look_will_do_once_the_connection_has_told_something(autojump_clock: Clock) -> None:
    """One from before that proves nothing, nor one over a connection that was lost since; and after a while none does."""
    async with _sent() as known:
        await known.look(_report())
        assert not known.stands()
        assert await known.hear() == 0, "it is known to be matched, and that is no end"
        assert not known.stands()
        await known.look(_report())
        assert known.stands()
        known.orders.hear_no_more(known.signer.address)
        assert not known.stands()
        await known.hear()
        assert not known.stands()
        await known.look(_report())
        await trio.sleep(19)
        assert known.stands()
        await trio.sleep(1)
        assert not known.stands()


async def test_what_was_told_counts_until_a_look_shows_it(autojump_clock: Clock) -> None:
    """One that began before does not, nor one that shows what was known: HTTP may be behind."""
    async with _sent() as known:
        assert await known.hear() == 1
        await known.look(_report())
        assert known.stands()
        assert await known.hear(Step.ENDED) == 1
        assert not known.stands()
        await known.look(_report(shares="15"), began_s=1.5)
        assert not known.stands()
        await known.look(_report(shares="15"))
        assert not known.stands()
        await known.look(_report(shares="10"))
        assert known.stands()


async def test_what_is_on_the_chain_is_news_until_a_look_has_shown_it(autojump_clock: Clock) -> None:
    """From then on it can be sold, which somebody may wait for; after that there is nothing but its end."""
    async with _sent() as known:
        await known.look(_report())
        assert await known.hear(Step.MINED) == 1
        assert not known.stands()
        await known.look(evolve(_report(), settlement=Settlement.MINED))
        assert await known.hear(Step.MINED) == 0
        assert known.stands()
        assert await known.hear(Step.ENDED) == 1
        assert not known.stands()


async def test_a_look_that_shows_one_step_does_not_hide_the_next(autojump_clock: Clock) -> None:
    """HTTP may be two steps behind: what was told and is not shown yet is asked about still."""
    async with _sent() as known:
        await known.hear(Step.MINED)
        await known.look(_report())
        assert not known.stands()
        await known.hear(Step.ENDED)
        await known.look(evolve(_report(), settlement=Settlement.MINED))
        assert not known.stands()


async def test_what_rests_is_looked_up_with_whatever_is_told(autojump_clock: Clock) -> None:
    """Any event may be a fill; and whoever has called it off wants to know."""
    async with _sent(body=_GTC) as known:
        assert known.signer.address in known.orders.at_rest
        await known.look(_report(Status.RESTING, "5"))
        assert await known.hear() == 1
        await known.look(_report(Status.RESTING, "10"))
        assert known.stands()
        await trio.sleep(1)
        known.orders.touch(known.order)
        assert not known.stands()
        await known.look(_report(Status.RESTING, "10"))
        assert not known.stands()
        await known.look(_report(Status.PARTIAL, "10"))
        assert known.stands()
        assert known.signer.address not in known.orders.at_rest


async def test_an_older_look_takes_no_younger_ones_place(autojump_clock: Clock) -> None:
    """Two may be under way at once."""
    async with _sent(body=_GTC) as known:
        await known.hear()
        await known.look(_report(Status.RESTING, "10"))
        await known.look(_report(Status.RESTING, "5"), began_s=1.5)
        assert known.orders.standing(known.order) == _report(Status.RESTING, "10")


async def test_an_end_and_long_silence_are_forgotten(autojump_clock: Clock) -> None:
    """What nobody asks about for ten minutes is somebody else's."""
    async with _sent() as known:
        address = known.signer.address
        await known.look(_report())
        with trio.fail_after(1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(known.orders.by_signer.wait_gone, address)
                await trio.testing.wait_all_tasks_blocked()
                known.orders.put(known.order, known.signer, ExecutionReport(order_id=OURS, status=Status.KILLED))
        assert not known.orders.hear(address, OURS, Step.ENDED)
        await known.look(_report())
        await trio.sleep(599)
        known.orders.forget()
        assert address in known.orders.by_signer
        await trio.sleep(1)
        known.orders.forget()
        assert address not in known.orders.by_signer
