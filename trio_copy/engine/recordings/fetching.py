"""Reads leaders' fills of the past into a recording, from any archive node, and goes on where an earlier call ended."""

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec
import trio
from attrs import define, frozen

from trio_copy.chain.backfill import RangeReader
from trio_copy.chain.dial import Dial
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.fetch import LogFetcher
from trio_copy.chain.filters import FilterBoard, build_filters
from trio_copy.chain.history import HistoryReader
from trio_copy.chain.patience import Patience, PatientPool
from trio_copy.chain.requests import keep_requests
from trio_copy.chain.session import open_session
from trio_copy.clock import WallClock, utc_date
from trio_copy.config import ChainSettings, EndpointSettings
from trio_copy.engine.recordings.fetched import FetchedFile, Kept, open_fetched
from trio_copy.engine.recordings.fetching_markets import At, PastMarkets
from trio_copy.engine.recordings.recorded_lines import Fetched
from trio_copy.engine.recordings.recording import read_recording
from trio_copy.engine.supervisor import Backoff, RestartBudget, keep_running
from trio_copy.entropy import Entropy
from trio_copy.errors import ChainError, ConfigError, RestartBudgetExhausted
from trio_copy.model.ids import Address
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.ports import Decoder, LogFilter, Markets

_TRIES, _TRIES_S = 8, 120.0
"""Connections in vain, with nobody else connected, before the call ends: somebody watches it."""
_AHEAD_S = 300.0
"""A head that is younger than this is none."""


@frozen(kw_only=True)
class History:
    """What is wanted of the past."""

    path: Path
    leaders: Sequence[Address]
    since: float | None
    """Unix seconds; None goes on with what is there."""
    until: float | None
    """Unix seconds, excluded; None reads up to what no reorg can change any more."""
    endpoints: Sequence[EndpointSettings]
    chain: ChainSettings
    decoders: Sequence[Decoder]
    markets: str = ""
    """Which market source is asked what else was known; empty for none."""


@frozen(kw_only=True)
class Read:
    """What a call has brought."""

    start: int
    """The first block that was read."""
    end: BlockRef
    """The last one that the file knows of."""
    logs: int
    resumed: bool
    unknown: int = 0
    """Tokens of which the market source does not know what they are about."""


@frozen(kw_only=True)
class FetchWorld:
    """What reading the past takes from the world."""

    dial: Dial
    wall: WallClock
    entropy: Entropy
    markets: Markets | None = None
    on_trouble: Callable[[str, str], None] = lambda kind, detail: None
    on_progress: Callable[[int, int], None] = lambda done, total: None
    """Hears how many blocks of how many are read."""


async def fetch_history(history: History, world: FetchWorld) -> Read:
    """Read up to the end, and write down what was read as it comes. Cancelled, it keeps every piece that was whole.

    Raises:
        ConfigError: the file is of something else, or cannot be written.
        WrongChain: a node serves another chain.
        RestartBudgetExhausted: no node could be reached.
        ChainError: no node gave a usable answer for three minutes.
        MarketsUnavailable: the market source does not answer.
    """
    chain, past = history.chain, None if world.markets is None else _past_markets(history, world, world.markets)
    decoders = history.decoders if past is None else past.asked
    filters = build_filters(decoders, history.leaders, chain.leaders_per_subscription)
    fetched = Fetched(leaders=tuple(sorted(history.leaders)), filters=_digest(filters), markets=history.markets)
    pool = PatientPool(
        [Endpoint(endpoint) for endpoint in history.endpoints],
        world.on_trouble,
        settings=chain,
        entropy=world.entropy,
        on_trouble=world.on_trouble,
    )
    board = FilterBoard()
    board.replace(filters)
    ranges = RangeReader(pool, LogFetcher(chain, pool, board), chain.max_range_blocks)
    with open_fetched(history.path, chain.chain_id, fetched) as (file, kept):
        async with trio.open_nursery() as nodes:
            budget = RestartBudget(_TRIES, _TRIES_S)
            for endpoint in pool.endpoints:
                nodes.start_soon(_keep_connected, endpoint, pool, chain, world, budget, name=f"node {endpoint.name}")
            reading = _Reading(
                history=history, world=world, reader=HistoryReader(pool, ranges, Patience(pool)), file=file, past=past
            )
            read = await reading.run(kept)
            nodes.cancel_scope.cancel()
    return read


async def _keep_connected(
    endpoint: Endpoint, pool: EndpointPool, chain: ChainSettings, world: FetchWorld, budget: RestartBudget
) -> None:
    connect = partial(
        open_session,
        world.dial,
        endpoint.settings.url,
        chain,
        partial(pool.put_aside, endpoint),
        partial(pool.could_read, endpoint, "malformed-frame"),
    )

    def failed(failure: ChainError, wait_s: float) -> None:
        pool.note_lost(endpoint, f"{failure}; again in {wait_s:.2f} s")

    try:
        await keep_running(
            partial(keep_requests, endpoint, connect, chain, pool, Backoff(0.25, 30.0, world.entropy).next_wait),
            backoff=Backoff(0.25, 30.0, world.entropy),
            budget=budget,
            others_alive=lambda: any(other is not endpoint for other in pool.live),
            armed=lambda: False,
            on_failure=failed,
        )
    except RestartBudgetExhausted as error:
        # Whoever fetches has no file of settings before him that says who is meant, and what else he could ask.
        what = "try another node, or this one later: what was read is kept"
        raise RestartBudgetExhausted(f"{endpoint.name}: {error}; {what}") from None


@define(eq=False, kw_only=True)
class _Reading:
    history: History
    world: FetchWorld
    reader: HistoryReader
    file: FetchedFile
    past: PastMarkets | None

    async def run(self, kept: Kept | None) -> Read:
        history, until = self.history, self.history.until
        head = await self.reader.header("latest")
        if head.time > self.world.wall() + _AHEAD_S:
            raise ChainError(f"the node's head is of {utc_date(head.time)}, which is still to come")
        # What a reorg may still change is left to the next call: nothing in the file has to be taken back.
        settled = await self.reader.header(max(0, head.number - history.chain.window_blocks))
        after = await self._beginning(kept, settled)
        stop = settled.number
        if until is not None and until <= settled.time:
            stop = (await self.reader.first_at(until, settled)).number - 1
        start = at = after
        self.world.on_progress(0, max(0, stop - start.number))
        while at.number < stop:
            piece = await self.reader.piece(at, settled, stop)
            logs: Sequence[RawLog] = piece.logs
            told: Sequence[At] = ()
            if self.past is not None:
                logs, told = await self.past.between(at.time, piece.end, piece.logs)
            self.file.add(logs, piece.end, told)
            at = piece.end
            self.world.on_progress(at.number - start.number, stop - start.number)
        if self.past is not None and until is None and at.number > start.number:
            self.file.add((), at, await self.past.decided_by_now(at))
        return Read(
            start=start.number + 1,
            end=at,
            logs=self.file.logs,
            resumed=kept is not None,
            unknown=0 if self.past is None else self.past.unknown,
        )

    async def _beginning(self, kept: Kept | None, settled: BlockRef) -> BlockRef:
        """Return the block after which reading begins."""
        since = self.history.since
        if kept is not None:
            if self.past is not None:
                self.past.recall(read_recording(self.history.path)[1], kept.last.time)
            if since is not None and since <= kept.first.time and kept.first.number:
                raise ConfigError(
                    [
                        f"{self.history.path}: begins at {utc_date(kept.first.time)}, and what is older cannot be put"
                        f" in front of it; expected --since at or after that, or another file"
                    ]
                )
            return await self._still_there(kept.last)
        if since is None:
            raise ConfigError(["--since: expected the time to begin with, such as 30d, for a file that is new"])
        first = await self.reader.first_at(since, settled)
        before = await self.reader.header(max(0, first.number - 1))
        self.file.begin(before)
        return before

    async def _still_there(self, last: BlockRef) -> BlockRef:
        """Make sure that the chain still has the block that the file ends with."""
        now = await self.reader.header(last.number)
        if now.hash != last.hash:
            raise ChainError(
                f"{self.history.path} ends with block {last.number} {last.hash[:10]}.., the node has {now.hash[:10]}..:"
                " one of them is of another chain"
            )
        return last


def _past_markets(history: History, world: FetchWorld, source: Markets) -> PastMarkets:
    return PastMarkets(
        source=source,
        leaders=frozenset(history.leaders),
        decoders=history.decoders,
        now=world.wall(),
        on_trouble=world.on_trouble,
    )


def _digest(filters: Sequence[LogFilter]) -> str:
    wanted = [(sorted(one.addresses), [topic and sorted(topic) for topic in one.topics]) for one in filters]
    return sha256(msgspec.json.encode(wanted)).hexdigest()[:16]
