"""Opens what an engine is connected to: real nodes, a devnet inside this process, or a real node for one run."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import trio
from attrs import define, evolve, frozen

from trio_copy.chain.dial import dial_network
from trio_copy.cli.world import PLAY_USD, World
from trio_copy.clock import WallClock
from trio_copy.config import DevnetSettings, EndpointSettings
from trio_copy.engine.plan import Plan, at_home
from trio_copy.model.catalog import Catalog
from trio_copy.model.ids import Address, ChainId
from trio_copy.native import SecretKey
from trio_copy.signing.fleets import FleetKeys
from trio_copy.testing.devnet import Devnet, NodeFaults, ScriptedMarket, open_devnet, open_virtual_devnet
from trio_copy.testing.devnet.market import seeded_market
from trio_copy.testing.devnet.words import take_faults
from trio_copy.testing.market_server import (
    MarketServer,
    open_market_server,
    open_virtual_market_server,
)

if TYPE_CHECKING:
    from trio_copy.testing.clob_venue import ClobServer

_BLOCKS_KEPT = 10_000
"""Of the devnet beside an engine, which reads its newest ones alone: a demonstration that runs for days takes no more."""
_REORG_DEPTH = 2
_PAST_BLOCK_S = 300.0
"""Blocks of the past are longer than real ones: a week is two thousand of them, and made within a few seconds."""
_SERVED = "polymarket"
"""The market source whose venue a devnet serves as well, so that a demonstration goes the same way as mainnet."""
_SIZES = (40, 80, 200, 600)
"""Shares at the best prices of the venue inside the process: few enough for copies to be seen to walk its books."""


@frozen(kw_only=True)
class Grounds:
    """Where what lives inside the process can be reached."""

    devnet: Callable[[ChainId, WallClock], AbstractAsyncContextManager[Devnet]]
    venue: Callable[[WallClock], AbstractAsyncContextManager[MarketServer]]
    """One that is only asked."""
    clob_venue: Callable[[WallClock], AbstractAsyncContextManager["ClobServer"]]
    """One that takes orders."""


def _open_clob_venue(wall: WallClock) -> AbstractAsyncContextManager["ClobServer"]:
    from trio_copy.testing.clob_venue import (
        open_clob_venue,
    )  # not above: what reads signatures takes a second to import

    return open_clob_venue(wall)


def _open_virtual_clob_venue(wall: WallClock) -> AbstractAsyncContextManager["ClobServer"]:
    from trio_copy.testing.clob_venue import open_virtual_clob_venue  # not above: as above

    return open_virtual_clob_venue(wall)


LOOPBACK = Grounds(devnet=open_devnet, venue=open_market_server, clob_venue=_open_clob_venue)
IN_MEMORY = Grounds(devnet=open_virtual_devnet, venue=open_virtual_market_server, clob_venue=_open_virtual_clob_venue)
"""For virtual time: no socket, no thread."""


@asynccontextmanager
async def open_world(
    plan: Plan,
    wall: WallClock,
    grounds: Grounds = LOOPBACK,
    keys: Mapping[str, SecretKey] | None = None,
    fleets: Mapping[str, FleetKeys] | None = None,
) -> AsyncGenerator[World, None]:
    """Open what the plan's configuration asks for; a devnet plays its script while the block runs.

    Beside a devnet, nothing reaches a venue outside: what moves money trades at one inside the process, where the wallets of
    `keys` have their paper money. The same goes for a node that is started for the run; there some wallets have fleets.

    Raises:
        ConfigError: what the run brings along cannot be had, or the script is wrong.
        ChainError: the node does not start.
    """
    settings = plan.settings
    if settings.anvil is not None:
        from trio_copy.cli.anvil import open_anvil_world  # not above: it brings a node and contracts along

        owners = {name: [key.address] for name, key in (keys or {}).items()}
        for name, wallet in settings.wallet.items():
            if fleets and wallet.fleet is not None and wallet.fleet in fleets:
                owners[name] = [key.address for key in fleets[wallet.fleet].of(wallet)]
        async with open_anvil_world(plan, settings.anvil, owners) as world:
            yield world
        return
    if settings.devnet is None:
        yield World(endpoints=settings.endpoint, dial=dial_network, quotes=None, plan=plan, catalog=Catalog())
        return
    async with open_scripted_devnet(plan, wall, settings.devnet, grounds.devnet) as (devnet, market):
        devnet.chain.kept = _BLOCKS_KEPT
        async with AsyncExitStack() as stack:
            server: MarketServer | None = None
            if any(one.plugin.name in at_home(settings) for one in plan.executors):
                server = clob = await stack.enter_async_context(grounds.clob_venue(wall))
                plan = _trading_at(clob, plan, keys or {})
            elif plan.markets is not None and plan.markets.plugin.name == _SERVED:
                server = await stack.enter_async_context(grounds.venue(wall))
            if server is not None:
                yield _served(server, plan, devnet, market)
                return
        catalog, endpoint = Catalog(), EndpointSettings(name="devnet", url=devnet.url)
        catalog.put(market.facts)
        yield World(endpoints=(endpoint,), dial=devnet.dial, quotes=market, plan=plan, catalog=catalog)


def _served(server: MarketServer, plan: Plan, devnet: Devnet, market: ScriptedMarket) -> World:
    """Let a venue follow the script, and what is asked and traded there find it."""
    server.venue.sizes = _SIZES
    server.venue.follow(market)
    devnet.chain.on_block.append(lambda block: server.venue.follow(market))
    if plan.markets is not None and plan.markets.plugin.name == _SERVED:
        addresses = evolve(plan.markets.settings, **server.addresses)
        plan = evolve(plan, markets=evolve(plan.markets, settings=addresses))
    return World(
        endpoints=(EndpointSettings(name="devnet", url=devnet.url),),
        dial=devnet.dial,
        quotes=None,
        plan=plan,
        catalog=Catalog(),
        open_socket=server.open_socket,
    )


def _trading_at(server: "ClobServer", plan: Plan, keys: Mapping[str, SecretKey]) -> Plan:
    """Return a plan that trades at a venue, whatever addresses it had, and fill its wallets there."""
    for name, key in keys.items():
        wallet = plan.settings.wallet[name]
        assert wallet.address is not None
        kind, cash = int(wallet.signature_type), wallet.paper_usd or PLAY_USD
        server.clob.wallets.put(wallet.address, owner=key.address, signature_type=kind, cash=cash.micro)
    addresses = {
        "clob_url": server.address,
        "geoblock_url": f"{server.address}/api/geoblock",
        "user_url": server.user_url,
    }
    executors = (
        evolve(one, settings=evolve(one.settings, **addresses)) if one.plugin.name in at_home(plan.settings) else one
        for one in plan.executors
    )
    return evolve(plan, executors=tuple(executors))


@asynccontextmanager
async def open_scripted_devnet(
    plan: Plan,
    wall: WallClock,
    script: DevnetSettings,
    open_net: Callable[[ChainId, WallClock], AbstractAsyncContextManager[Devnet]] = open_devnet,
    past_s: float = 0.0,
) -> AsyncGenerator[tuple[Devnet, ScriptedMarket], None]:
    """Serve a chain on which the leaders of a plan trade by a script while the block runs, and have for `past_s` before.

    Raises:
        ConfigError: the script names a fault that is none; nothing was opened.
    """
    check_script(script)
    leaders: list[Address] = sorted({table.leader for table in plan.settings.follow})
    # A store that remembers earlier runs would take the same transactions for duplicates.
    salt = f"{wall():.3f}" if plan.store.plugin.durable else ""
    market = seeded_market(leaders, script.seed, script.fills_per_block, script.noise_per_block, salt)
    clock = _BlockClock(wall, past_s)
    async with open_net(plan.settings.chain.chain_id, clock) as devnet, trio.open_nursery() as nursery:
        market.noise_per_block = 0  # nobody could have seen it
        while clock.behind_s > 0:
            clock.behind_s -= _PAST_BLOCK_S
            devnet.chain.mine(*market.next_block())
        clock.behind_s, market.noise_per_block = 0.0, script.noise_per_block
        take_faults(devnet.node.faults, "devnet.faults", script.faults)
        nursery.start_soon(_play, devnet, market, script)
        yield devnet, market
        nursery.cancel_scope.cancel()


@define
class _BlockClock:
    """Tells what time it is on the chain: behind ours, while its past is mined."""

    wall: WallClock
    behind_s: float

    def __call__(self) -> float:
        return self.wall() - self.behind_s


def check_script(script: DevnetSettings) -> None:
    """Raise `ConfigError` where a fault of the script is none."""
    take_faults(NodeFaults(), "devnet.faults", script.faults)


async def _play(devnet: Devnet, market: ScriptedMarket, script: DevnetSettings) -> None:
    """Mine the script: trades in every block, one reorg, one cut connection."""
    number = 0
    while True:
        await trio.sleep(script.block_every_s)
        number += 1
        txs = market.next_block() if market.leaders else []
        devnet.chain.mine(*txs, *([market.decide()] if number == script.decide_at_block else []))
        if number == script.reorg_at_block:
            await trio.sleep(script.block_every_s / 2)
            # The same transactions are mined again, one block later: their fills are adopted, not copied again.
            dropped = devnet.chain.blocks[-_REORG_DEPTH:]
            devnet.chain.reorg(_REORG_DEPTH, [(), *(block.txs for block in dropped)])
        if number == script.drop_at_block:
            devnet.node.drop_connections()
