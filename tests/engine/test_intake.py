"""What the intake does when shards come: it tells the gate of each, or begins to read anew."""

from typing import Any

import trio
import trio.testing
from attrs import define, field

from tests.engine.gate.fed import gate_at
from tests.engine.rig import Rig, open_rig
from trio_copy.chain.feed import Armed, FeedItem, Joined
from trio_copy.engine.intake import Intake
from trio_copy.model.control import shard_lease

Clock = trio.testing.MockClock
_NOT_READ: Any = None
"""What has no part in waiting for shards."""


@define
class News:
    """Tells of shards that came, as who leases them does."""

    gained: int = 0
    _news: trio.Event = field(factory=trio.Event)

    async def wait_news(self) -> None:
        await self._news.wait()

    def ring(self) -> None:
        self.gained += 1
        self._news.set()
        self._news = trio.Event()


async def take(rig: Rig, number: int) -> None:
    lease = await rig.store.control.acquire(shard_lease(number), "somebody", 30.0)
    assert lease is not None
    await rig.holder.begin(number, lease)


async def test_a_shard_that_comes_while_the_feed_is_full_is_told_too(clock: Clock) -> None:
    """The gate is busy when two shards come, one after the other: both are told what they have missed, and read on."""
    async with open_rig(alone=False) as rig, gate_at(rig, warm=True) as feed, trio.open_nursery() as nursery:
        for number in (1, 2):
            await take(rig, number)
        await feed.tell(Armed(feed.chain.head.ref))
        await feed.mine(feed.buy())
        await trio.sleep(1)
        for number in (1, 2):
            await rig.holder.end(number)
        await feed.mine()
        send, receive = trio.open_memory_channel[FeedItem](0)
        intake = Intake(
            plan=_NOT_READ,
            seams=_NOT_READ,
            holder=rig.holder,
            board=_NOT_READ,
            pool=_NOT_READ,
            scanner=_NOT_READ,
            watchdogs=_NOT_READ,
            gate=feed.gate,
            reads=_NOT_READ,
            send=send,
        )
        news: Any = News()
        nursery.start_soon(intake._wait_reason_to_begin_anew, news)
        await trio.testing.wait_all_tasks_blocked()
        for number in (1, 2):
            await take(rig, number)
            news.ring()
            await trio.testing.wait_all_tasks_blocked()  # the first of them waits for room in the feed
        told = []
        with trio.move_on_after(10):
            for _ in (1, 2):
                item = await receive.receive()
                assert isinstance(item, Joined)
                told.append(set(item.shards))
                await feed.tell(item)
        assert [2 in shards for shards in told] == [False, True]
        assert all(shard.armed for shard in rig.holder.shards.values())
        nursery.cancel_scope.cancel()
