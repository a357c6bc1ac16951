"""A venue that can be connected to: what Polymarket answers over HTTP and tells over its market channel, for a scripted market.

    async with open_virtual_market_server(now=wall) as server:
        server.venue.follow(market)                # facts and books of a scripted market
        settings = PolymarketSettings(**server.addresses)
        server.faults.blocked = True               # and so on: see faults.py

Over loopback with `open_market_server`; in memory, under a virtual clock, with `open_virtual_market_server` and its `open_socket`.
"""

from trio_copy.testing.market_server.faults import VenueFaults
from trio_copy.testing.market_server.network import MarketServer, open_market_server, open_virtual_market_server
from trio_copy.testing.market_server.venue import ServedVenue, book_around

__all__ = [
    "MarketServer",
    "ServedVenue",
    "VenueFaults",
    "book_around",
    "open_market_server",
    "open_virtual_market_server",
]
