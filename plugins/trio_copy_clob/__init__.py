"""What can be had of Polymarket without a key: facts, books, prices and decisions, as the market source `polymarket`."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from attrs import frozen

from trio_copy.hookspecs import hookimpl
from trio_copy.model.settings import setting, within
from trio_copy.ports import Markets, MarketsContext, MarketsPlugin
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


@asynccontextmanager
async def open_polymarket(context: MarketsContext) -> AsyncGenerator[Markets, None]:
    """Open the source; it answers as soon as the venue does."""
    from trio_copy_clob.source import open_source  # not above: `check` needs the settings, and no client

    async with open_source(context) as source:
        yield source


@hookimpl
def trio_copy_register_markets(register: Callable[[MarketsPlugin], None]) -> None:
    register(MarketsPlugin(name="polymarket", open=open_polymarket, settings=PolymarketSettings))
