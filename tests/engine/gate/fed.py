"""A gate that is fed by hand, before the shards of a rig."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing
from attrs import define, evolve, field

from tests.builders import LEADER, POLYGON, hash_of
from tests.engine.rig import Rig
from tests.harness import World
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2, OrderFilledDecoder
from trio_copy.chain.feed import SCAN, Armed, FeedItem, Sealed, SeenLog
from trio_copy.config import EngineSettings
from trio_copy.engine.gate.deciding import Deciding
from trio_copy.engine.gate.gate import Gate, alone
from trio_copy.engine.gate.reader import LogReader
from trio_copy.engine.gate.recent import Recent
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import shard_lease
from trio_copy.model.decisions import End
from trio_copy.model.logs import RawLog
from trio_copy.testing.devnet import DevChain, DevTx

FOLLOWERS = ("alice", "bob", "carol")
DEADLINE_S = 300.0


@define(eq=False)
class Feed:
    """A chain, and a gate that hears of it as a test wants."""

    rig: Rig
    chain: DevChain
    gate: Gate
    _send: trio.MemorySendChannel[FeedItem]
    _txs: World = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._txs = World(self.chain, [], self.rig.wall)

    async def tell(self, *items: FeedItem) -> None:
        for item in items:
            await self._send.send(item)
        await trio.testing.wait_all_tasks_blocked()

    async def arm(self, number: int) -> None:
        """Begin to read behind a block, as the owner of all shards that are held."""
        await self.tell(Armed(self.chain.blocks[number].ref, None, self.rig.shard.checkpoint))

    async def read(self, first: int, source: str = "node") -> None:
        """Bring every log from a block on, and seal each block."""
        for block in self.chain.blocks[first:]:
            await self.bring(*block.logs, source=source)
            await self.tell(Sealed(block.ref))

    async def bring(self, *logs: RawLog, source: str = "node") -> None:
        await self.tell(*(SeenLog(log, source, self.rig.wall()) for log in logs))

    async def mine(self, *txs: DevTx) -> None:
        """Let a block pass, with all its logs."""
        self.chain.mine(*txs)
        await self.read(len(self.chain.blocks) - 1)

    async def reorg(self, *txs: DevTx) -> None:
        """Put the newest block away and another one in its place."""
        (dropped,) = self.chain.reorg(1, [txs])
        await self.bring(*(evolve(log, removed=True) for log in dropped.logs), source=SCAN)
        await self.read(len(self.chain.blocks) - 1, source=SCAN)

    def buy(self, **changes: Any) -> DevTx:
        return self._txs.buy(LEADER, **changes)


@asynccontextmanager
async def gate_at(rig: Rig, chain: DevChain | None = None, *, warm: bool = False) -> AsyncGenerator[Feed, None]:
    send, receive = trio.open_memory_channel[FeedItem](0)
    decoder = OrderFilledDecoder(frozenset({EXCHANGE_V2}))
    gate = Gate(
        reader=LogReader(
            decoders=dict.fromkeys(decoder.topics, decoder),
            book=rig.book,
            quarantine=lambda kind, detail: None,
            on_fill=lambda fill, signal_id, source: None,
        ),
        book=rig.book,
        deciding=Deciding(
            book=rig.book, catalog=Catalog(), settings=EngineSettings(deadline_s=DEADLINE_S), wall=rig.wall
        ),
        store=rig.store,
        shards=rig.holder.shards,
        shard_of=alone,
        observer=rig.recorder,
        wall=rig.wall,
        recent=Recent(keeps=warm),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.run, receive)  # noqa: ASYNC113  what is sent waits in the channel
        yield Feed(rig, chain or DevChain(POLYGON, rig.wall), gate, send)
        nursery.cancel_scope.cancel()


@define
class Stuck:
    """A market that a test keeps from answering."""

    rig: Rig
    asked: int = 0
    answers: trio.Event = field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.rig.execution.markets.ask = self.market

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rig.executor, name)

    async def market(self, token_id: Any) -> Any:
        self.asked += 1
        await self.answers.wait()
        return await self.rig.executor.market(token_id)


def bought(rig: Rig) -> list[str]:
    """Who bought, in order; each as often as he did."""
    return sorted(one.task.follower for one in rig.recorder.finished if one.outcome.end is End.FILLED)


async def begin_second_shard(rig: Rig) -> None:
    """Let another shard be held beside the first."""
    lease = await rig.store.control.acquire(shard_lease(1), "me", 600.0)
    assert lease is not None
    await rig.holder.begin(1, lease)


async def pause_shard(rig: Rig) -> None:
    """Give the only shard up, in good order: from now on it is nobody's."""
    await rig.holder.end(0)
    await rig.store.control.release(rig.lease)


async def take_shard(rig: Rig) -> None:
    lease = await rig.store.control.acquire(shard_lease(0), "one who was warm", 30.0)
    assert lease is not None
    await rig.holder.begin(0, lease)


async def comes_back(feed: Feed, trade: DevTx, *, other_tx: bool) -> None:
    feed.chain.mine(evolve(trade, tx_hash=hash_of(999)) if other_tx else trade)
    await feed.read(len(feed.chain.blocks) - 1, source=SCAN)
    assert feed.rig.recorder.admissions[-1] == "adopted"
