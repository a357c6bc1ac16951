"""Puts our venue on a network: over loopback, or over streams in memory where time is virtual."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio
from attrs import define, field

from trio_copy.testing.clob_venue.core import POLYGON, ClobVenue
from trio_copy.testing.clob_venue.faults import ClobFaults
from trio_copy.testing.clob_venue.http import ClobHttp
from trio_copy.testing.clob_venue.private import PrivateSide
from trio_copy.testing.clob_venue.record import VenueRecord
from trio_copy.testing.clob_venue.user_channel import UserChannel
from trio_copy.testing.market_server.network import MarketServer


@define(eq=False, kw_only=True)
class ClobServer(MarketServer):
    """A market server that takes orders as well."""

    faults: ClobFaults
    clob: ClobVenue
    orders: ClobHttp = field(init=False)
    user_channel: UserChannel = field(init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.orders = ClobHttp(self.clob, self.http, PrivateSide(self.clob))
        self.user_channel = UserChannel(venue=self.clob.market, keys=self.clob.keys, faults=self.faults)
        self.clob.orders.on_order.append(self.user_channel.order_changed)
        self.clob.settlement.on_trade.append(self.user_channel.trade_changed)

    @property
    def address(self) -> str:
        """The address of every service over HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def addresses(self) -> Mapping[str, Any]:
        """The addresses of the source `polymarket`, as its settings name them."""
        services = dict.fromkeys(("data_url", "gamma_url", "clob_url"), self.address)
        return {**services, "prices_url": f"ws://127.0.0.1:{self.port}/ws/market"}

    @property
    def user_url(self) -> str:
        """The address of the user channel."""
        return f"ws://127.0.0.1:{self.port}/ws/user"

    async def _serve_socket(self, stream: trio.abc.Stream, path: str) -> None:
        await (self.user_channel if path == "/ws/user" else self.channel).serve(stream)

    async def _serve_http(self, stream: trio.abc.Stream, first: bytes) -> None:
        await self.orders.serve(stream, first)


def open_clob_venue(
    now: Callable[[], float], port: int = 0, *, record: Path | None = None, chain_id: int = POLYGON
) -> AbstractAsyncContextManager[ClobServer]:
    """Serve our venue without markets and wallets on a loopback port, by default a free one, while the block runs."""
    return _open(partial(ClobServer.on_loopback, port=port), now, record, chain_id)


def open_virtual_clob_venue(
    now: Callable[[], float], *, record: Path | None = None, chain_id: int = POLYGON
) -> AbstractAsyncContextManager[ClobServer]:
    """Serve our venue over memory streams: no kernel, so a mock clock may drive it. Take its `open_socket`."""
    return _open(ClobServer.in_memory, now, record, chain_id)


@asynccontextmanager
async def _open(
    serve: Callable[[ClobServer], AbstractAsyncContextManager[trio.Nursery]],
    now: Callable[[], float],
    record: Path | None,
    chain_id: int,
) -> AsyncGenerator[ClobServer, None]:
    clob = ClobVenue(now=now, record=VenueRecord(file=record), chain_id=chain_id)
    server = ClobServer(venue=clob.market, faults=clob.faults, clob=clob)
    try:
        async with serve(server) as nursery:
            nursery.start_soon(clob.agenda.run)  # noqa: ASYNC113  what is entered before it runs waits for it
            yield server
    finally:
        clob.record.close()
