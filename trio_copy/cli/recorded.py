"""Plays a recording through the engine, on paper: what `replay` and `backtest` have in common.

As fast as it goes, time is virtual and chance is seeded: the same recording and settings give the same figures each time.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import trio
from attrs import define, evolve, frozen

from trio_copy.chain.feed import FeedItem
from trio_copy.cli.opened import imported_follows
from trio_copy.cli.pnl import Profit, read_profits
from trio_copy.clock import WallClock, wall_clock_from
from trio_copy.config import PluginTable
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.market_source.told_lines import MarketsOpened
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan, PlannedMarkets, make_plan
from trio_copy.engine.recordings.recorded_lines import Moment, SeenQuote, Told
from trio_copy.engine.recordings.recorded_markets import RecordedMarkets
from trio_copy.engine.recordings.recording import RecordedQuotes, read_books, read_recording
from trio_copy.engine.seams import Seams
from trio_copy.engine.service import Service
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import ConfigError, ConnectionLost, StoreError
from trio_copy.model.catalog import Catalog, TokenFacts
from trio_copy.model.follows import Follow
from trio_copy.model.settings import NoSettings
from trio_copy.telemetry.observer import Observer, Observers
from trio_copy.testing.virtual import run_virtually

_SETTLE_S = 300.0
"""Virtual time that is left at the end for whatever is still under way."""
_SEED = 1
_STRIDE_S = 60.0
"""Virtual time in which nothing is under way and nothing can happen is passed in steps as long as this: an engine that looks
every second whether there is something to do would make a month of it take as long as a minute for each day."""
_WORK_S = 1.0
_MOMENTS_TOGETHER = 1000


@frozen(kw_only=True)
class Recorded:
    """A recording, and the engine that is to be run on it."""

    plan: Plan
    path: Path
    follows: tuple[Follow, ...]
    """Those that commands have put into the plan's store."""
    started_at: float
    """Unix seconds of the first moment."""
    ended_at: float
    """Unix seconds of the last one."""
    moments: int
    markets: bool = False
    """Whether a market source has told something."""
    quotes: bool = False
    """Whether executors have asked somebody else what is bid and asked."""


@frozen(kw_only=True)
class Played:
    profits: Sequence[Profit]
    """By follower."""


def recorded(file: Path, plan: Plan, *, verb: str) -> Recorded:
    """Put a recording and a plan together; what the plan's follows would do is kept in memory and changes nothing.

    Raises:
        ConfigError: it is no recording of this chain, or an executor would move money.
    """
    if plan.moves_money:
        raise ConfigError(
            [f"{verb}: expected executors that only simulate, got one that moves money; use another configuration"]
        )
    chain_id, moments = read_recording(file)
    if chain_id != plan.settings.chain.chain_id:
        raise ConfigError([f"{file}: expected a recording of chain {plan.settings.chain.chain_id}, got {chain_id}"])
    first = last = next(moments, None)
    if first is None or last is None:
        raise ConfigError([f"{file}: the recording holds nothing"])
    count, kinds = 1, {type(first.seen)}
    for count, last in enumerate(moments, 2):  # noqa: B007  of use only at the end
        kinds.add(type(last.seen))
    memory = PluginTable(name="memory", plugin="memory", options={})
    on_paper = make_plan(evolve(plan.settings, store=memory, shards=None, markets=()), plan.registry, plan.redactor)
    return Recorded(
        plan=on_paper,
        path=file,
        follows=follows_of_store(plan),
        started_at=first.at,
        ended_at=last.at,
        moments=count,
        markets=MarketsOpened in kinds,
        quotes=SeenQuote in kinds,
    )


def follows_of_store(plan: Plan) -> tuple[Follow, ...]:
    """Return the follows that commands have put into the plan's store; of one that does not answer they are left out."""
    try:
        return imported_follows(plan)
    except StoreError as error:
        sys.stderr.write(f"the follows in the store are left out: {error}\n")
        return ()


def play(
    what: Recorded,
    observers: Sequence[Observer],
    tell: Callable[[int], None],
    *,
    on_moment: Callable[[Moment], None] = lambda moment: None,
    book: FollowBook | None = None,
    catalog: Catalog | None = None,
    speed: float | None = None,
) -> Played:
    """Run the engine on a recording, from its first moment until everything has ended.

    Args:
        observers: hear what the engine does.
        tell: hears how many moments were played.
        on_moment: hears each moment before the engine does.
        book: is filled with who follows whom, for observers that ask; one of the engine's own where there is none.
        catalog: likewise of what the recording tells of tokens.
        speed: times real time; as fast as it goes where there is none.
    """
    book, catalog = FollowBook() if book is None else book, Catalog() if catalog is None else catalog
    playing = _Playing(what, observers, tell, on_moment, book, catalog, strides=speed is None)
    if speed is None:
        return run_virtually(playing.run, seed=_SEED)
    from trio.testing import MockClock  # not above: it brings pytest along

    return trio.run(playing.run, clock=MockClock(rate=speed))


def lasted(seconds: float) -> str:
    """Write how long a recording is in the unit that tells the most."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} seconds"


@define(eq=False)
class _Playing:
    what: Recorded
    observers: Sequence[Observer]
    tell: Callable[[int], None]
    on_moment: Callable[[Moment], None]
    book: FollowBook
    catalog: Catalog
    strides: bool
    """Whether time in which nothing happens may be passed in long steps."""
    _service: Service | None = None
    _source: RecordedMarkets | None = None

    async def run(self) -> Played:
        what, wall = self.what, wall_clock_from(self.what.started_at)
        plan = what.plan
        if what.markets:
            self._source = RecordedMarkets(wall=wall, catalog=self.catalog, books_read=read_books(what.path))
            planned = PlannedMarkets(name="recording", plugin=self._source.plugin, settings=NoSettings())
            plan = evolve(plan, markets=planned)

        async def feed(send: trio.MemorySendChannel[FeedItem]) -> None:
            await self._feed(send, wall)

        seams = Seams(
            dial=_no_nodes,
            wall=wall,
            entropy=seeded_entropy(_SEED),
            observer=Observers(self.observers),
            # Where nobody else was asked, executors ask the market source.
            quotes=RecordedQuotes(wall, read_recording(what.path)[1]) if what.quotes or not what.markets else None,
            catalog=self.catalog,
            book=self.book,
            play=feed,
            throwaway=True,
        )
        async with open_service(plan, seams, ()) as service:
            self._service = service
            if what.follows:
                await service.store.follows.put(what.follows)
                for follow in what.follows:
                    service.book.put(follow)
            await service.run()
            return Played(profits=await read_profits(service.store, "follower"))

    async def _feed(self, send: trio.MemorySendChannel[FeedItem], wall: WallClock) -> None:
        _, moments = read_recording(self.what.path)
        for count, moment in enumerate(moments, 1):
            await self._wait_until(moment.at, wall)
            self.on_moment(moment)
            if isinstance(moment.seen, Told):
                self._tell(moment.seen)
            else:
                await send.send(moment.seen)
            if count % _MOMENTS_TOGETHER == 0:
                self.tell(count)
        assert self._service is not None
        # Time goes on without prices: a rule that looked now would leave by one that nobody would pay any more.
        self._service.exit_rules.leaving = False
        await trio.sleep(_SETTLE_S)

    def _tell(self, told: Told) -> None:
        """Let the engine learn what a market source told the one that was recorded, if that had one."""
        service = self._service
        assert service is not None  # it is it that feeds
        watch = service.housekeeping.market_watch
        if self._source is not None and watch is not None:
            self._source.tell(told, watch)
        elif isinstance(told, TokenFacts):
            service.seams.learn([told])

    async def _wait_until(self, unix_s: float, wall: WallClock) -> None:
        while self.strides and unix_s - wall() > 3 * _WORK_S:
            await trio.sleep(_WORK_S)  # before it is asked what is under way: what was fed last is not taken up yet
            if self._is_idle():
                _jump(min(_STRIDE_S, unix_s - wall() - _WORK_S))
        await trio.sleep(max(0.0, unix_s - wall()))

    def _is_idle(self) -> bool:
        """Tell whether nothing is under way that a step would bring late: no task, no doubt, no rule that watches."""
        service = self._service
        assert service is not None  # it is it that feeds
        if service.book.watched:
            return False
        status = service.status()
        return not (status.left or status.queued or status.unknown)


def _jump(seconds: float) -> None:
    from trio.testing import MockClock  # not above: it brings pytest along

    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, MockClock)
    clock.jump(seconds)


async def _no_nodes(url: str) -> trio.abc.Stream:
    await trio.lowlevel.checkpoint()
    raise ConnectionLost("a replay has no nodes")
