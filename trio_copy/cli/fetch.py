"""`trio-copy fetch FILE`"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import trio
from attrs import evolve, frozen
from cyclopts import Parameter

from trio_copy.chain.decoders.order_filled import OrderFilledDecoder, OrderFilledSettings
from trio_copy.chain.dial import dial_network
from trio_copy.cli.opened import Conf, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.progress import progress
from trio_copy.cli.queries import When, utc
from trio_copy.cli.recorded import follows_of_store
from trio_copy.cli.redact import Redact
from trio_copy.cli.sources import open_planned, source_of
from trio_copy.cli.troubles import Troubles
from trio_copy.clock import anchored_wall_clock
from trio_copy.config import ChainSettings, EndpointSettings, checked_address, read_url
from trio_copy.engine.plan import PlannedMarkets
from trio_copy.engine.recordings.fetched import read_kept
from trio_copy.engine.recordings.fetching import FetchWorld, History, Read, fetch_history
from trio_copy.entropy import system_entropy
from trio_copy.errors import ConfigError
from trio_copy.model.counts import counted
from trio_copy.model.ids import Address, ChainId
from trio_copy.ports import Decoder
from trio_copy.registry import discover
from trio_copy.telemetry.redaction import Redactor

_POLYGON = ChainId(137)
_RANGE_BLOCKS = 10_000
"""The widest range that public nodes answer; those that refuse it are asked for less."""


def fetch(
    file: Annotated[Path, Parameter(help="The recording; one that this command began is gone on with.")],
    /,
    *,
    leader: Annotated[
        tuple[str, ...],
        Parameter(help="A wallet whose fills are read; several if you like. Default: those that --conf follows."),
    ] = (),
    since: Annotated[
        str | None,
        Parameter(help="From here on: 2026-11-22, 2026-11-22T14:30 (UTC), or 30d for thirty days ago."),
    ] = None,
    until: Annotated[
        str | None, Parameter(help="Up to here, like --since. Default: what no reorg can change any more.")
    ] = None,
    url: Annotated[
        tuple[str, ...],
        Parameter(help="An archive node, ws:// or wss://, env:NAME or file:PATH; two are compared with each other."),
    ] = (),
    market_data: Annotated[
        bool,
        Parameter(
            negative=(),
            help="Also what tokens are about, what they cost, and how questions were decided, by the venue.",
        ),
    ] = False,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Read what leaders traded in the past from any archive node, into a recording that `replay` and `backtest` play.

    Nodes are asked for as many blocks at once as they answer, and as often as chain.requests_per_s and they themselves
    allow. The same command goes on where it ended, also after a Ctrl-C. With --url and without --conf, Polymarket's
    exchanges on Polygon are read. What cannot be true is refused: asked again, of another node if there is one.

    With --market-data, the market source of the configuration is asked about everything that the leaders traded, or
    Polymarket: a backtest then has names, filters by question, prices that rules of your own fire by, and redemptions.
    """
    asked = _asked(url, conf, redactor)
    when, problems = When.present(), []
    leaders = list[Address]()
    for text in leader:
        try:
            leaders.append(checked_address(text))
        except ValueError as error:
            problems.append(f"--leader: {error}")
    if problems:
        raise ConfigError(problems)
    if not leaders:
        kept = read_kept(file)
        leaders = list(asked.leaders) if kept is None else [Address(one) for one in kept.fetched.leaders]
    if not leaders:
        raise ConfigError(["--leader: expected a wallet whose fills are to be read, or a --conf with follows"])
    history = History(
        path=file,
        leaders=tuple(dict.fromkeys(leaders)),
        since=None if since is None else when.read(since, "--since"),
        until=None if until is None else when.read(until, "--until"),
        endpoints=asked.endpoints,
        chain=asked.chain,
        decoders=asked.decoders,
        markets=asked.markets.name if market_data else "",
    )
    if history.since is not None and history.until is not None and history.since >= history.until:
        raise ConfigError([f"--until: expected a time after --since, got {until}"])
    with Troubles() as troubles, progress("fetching", None) as tell:
        world = FetchWorld(
            dial=dial_network,
            wall=anchored_wall_clock(),
            entropy=system_entropy(),
            on_trouble=troubles.note,
            on_progress=tell,
        )
        read = trio.run(_fetch, history, world, asked.markets if market_data else None)
    if read.end.number < read.start:
        out(f"{file}: nothing new: it reaches block {read.end.number} of {utc(read.end.time)}")
        return 0
    what = f"{counted(read.logs, 'log')} of blocks {read.start} to {read.end.number}, up to {utc(read.end.time)}"
    out(f"{file}: {'added ' if read.resumed else ''}{what}")
    if read.unknown:
        out(f"note: of {counted(read.unknown, 'token')} that were traded, the market source knows nothing")
    return 0


async def _fetch(history: History, world: FetchWorld, markets: PlannedMarkets | None) -> Read:
    if markets is None:
        return await fetch_history(history, world)
    async with open_planned(markets, world.wall, world.entropy, world.on_trouble) as source:
        return await fetch_history(history, evolve(world, markets=source))


@frozen
class _Asked:
    """Whom to ask, and for what."""

    endpoints: Sequence[EndpointSettings]
    chain: ChainSettings
    decoders: Sequence[Decoder]
    leaders: Sequence[Address]
    markets: PlannedMarkets
    """Asked about markets, where that is wanted."""


def _asked(urls: Sequence[str], conf: Path | None, redactor: Redactor) -> _Asked:
    """Find the nodes, and what they are asked for. Raises `ConfigError`."""
    endpoints = []
    for number, text in enumerate(urls, 1):
        try:
            endpoints.append(EndpointSettings(name=f"node-{number}", url=read_url(text, redactor.learn)))
        except ValueError as error:
            raise ConfigError([f"--url: {error}"]) from None
    if endpoints and conf is None:
        chain = ChainSettings(chain_id=_POLYGON, max_range_blocks=_RANGE_BLOCKS)
        exchanges = frozenset(OrderFilledSettings().exchanges)
        return _Asked(endpoints, chain, [OrderFilledDecoder(exchanges)], (), source_of(None, discover()))
    plan = find_plan(conf, redactor)
    settings = plan.settings
    nodes = endpoints or settings.endpoint
    if not nodes:
        raise ConfigError([f"{plan.path}: expected an [[endpoint]], or a node with --url"])
    followed = {follow.leader for follow in (*settings.follows(), *follows_of_store(plan))}
    markets = source_of(plan, plan.registry)
    return _Asked(nodes, settings.chain, tuple(plan.decoders.values()), sorted(followed), markets)
