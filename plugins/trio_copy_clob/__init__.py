"""Polymarket: the market source `polymarket`, for what can be had without a key, and the executor `clob`, which trades there."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

from attrs import frozen

from trio_copy.hookspecs import hookimpl
from trio_copy.model.settings import setting, within
from trio_copy.ports import (
    Contracts,
    Executor,
    ExecutorContext,
    ExecutorPlugin,
    Finding,
    Markets,
    MarketsContext,
    MarketsPlugin,
)
from trio_copy_clob.addresses import address_of

_HTTP = address_of("https", "http")
_WEBSOCKET = address_of("wss", "ws")


@frozen(kw_only=True)
class PolymarketSettings:
    """Where Polymarket is, how long it is waited for, and how much of its limits is used."""

    data_url: str = setting(
        "https://data-api.polymarket.com",
        unit="https URL; http for this machine only",
        why="Says which question a token belongs to, and how questions were decided.",
        check=_HTTP,
    )
    gamma_url: str = setting(
        "https://gamma-api.polymarket.com",
        unit="as above",
        why="Says when a question ends, and what it is about.",
        check=_HTTP,
    )
    clob_url: str = setting("https://clob.polymarket.com", unit="as above", why="Has the books.", check=_HTTP)
    prices_url: str = setting(
        "wss://ws-subscriptions-clob.polymarket.com/ws/market",
        unit="wss URL; ws for this machine only",
        why="Tells prices as they change.",
        check=_WEBSOCKET,
    )
    timeout_s: float = setting(
        10.0, unit="seconds", why="An answer that is not whole after so long is given up.", check=within(0.1, 300.0)
    )
    patience_s: float = setting(
        30.0,
        unit="seconds",
        why="How long one question is asked again and again before the venue counts as away.",
        check=within(0.0, 3600.0),
    )
    limits_used: float = setting(
        0.25,
        unit="ratio",
        why="How much of what the venue lets one address of the internet ask is used; less where several programs share one.",
        check=within(0.001, 1.0),
    )


@frozen(kw_only=True)
class ClobSettings:
    """Where orders go, how long one is tried, and how much of the venue's limits is used."""

    clob_url: str = setting(
        "https://clob.polymarket.com",
        unit="https URL; http for this machine only",
        why="Takes orders, and says what they may be.",
        check=_HTTP,
    )
    geoblock_url: str = setting(
        "https://polymarket.com/api/geoblock",
        unit="as above",
        why="Says whether the place that this machine is seen from is blocked; asked once where orders are refused there.",
        check=_HTTP,
    )
    timeout_s: float = setting(
        5.0,
        unit="seconds",
        why="How long one order is sent again where that is safe, and one question is waited for; then the order is looked up.",
        check=within(0.1, 60.0),
    )
    limits_used: float = setting(
        0.5,
        unit="ratio",
        why="How much of what the venue lets one address of the internet send and ask is used; less where programs share one.",
        check=within(0.001, 1.0),
    )


@asynccontextmanager
async def open_clob(context: ExecutorContext) -> AsyncGenerator[Executor, None]:
    """Open the executor; it trades as soon as the venue answers. Raises `PluginError` where what signs is not installed."""
    from trio_copy_clob.executor import open_executor  # not above: as below

    async with open_executor(context) as executor:
        yield executor


async def examine_clob(context: ExecutorContext, contracts: Contracts) -> Sequence[Finding]:
    """Look at wallets before they trade; see `ports.executor.Examine`."""
    from trio_copy_clob.examining.examine import examine  # not above: as below

    return await examine(context, contracts)


@asynccontextmanager
async def open_polymarket(context: MarketsContext) -> AsyncGenerator[Markets, None]:
    """Open the source; it answers as soon as the venue does."""
    from trio_copy_clob.source import open_source  # not above: `check` needs the settings, and no client

    async with open_source(context) as source:
        yield source


@hookimpl
def trio_copy_register_markets(register: Callable[[MarketsPlugin], None]) -> None:
    register(MarketsPlugin(name="polymarket", open=open_polymarket, settings=PolymarketSettings))


@hookimpl
def trio_copy_register_executors(register: Callable[[ExecutorPlugin], None]) -> None:
    register(
        ExecutorPlugin(
            name="clob", open=open_clob, settings=ClobSettings, moves_money=True, rests=True, examine=examine_clob
        )
    )
