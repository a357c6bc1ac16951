"""Our venue: a market server that takes orders, as Polymarket's CLOB does, for whoever writes an executor.

    async with open_virtual_clob_venue(wall) as server:
        server.clob.market.follow(market)                     # facts and books of a scripted market
        server.clob.put_wallet(address, usd=1000)             # who may trade, and with what
        ...                                                   # an executor at server.address
        server.clob.record.fills(order_id)                    # what truly happened
        server.faults.lose_reply = True                       # and so on: see faults.py

Over loopback with `open_clob_venue`, as a process of its own with `python -m trio_copy.testing.clob_venue --port 0`; in memory,
under a virtual clock, with `open_virtual_clob_venue` and its `open_socket`. It reads signatures by eth-account, which comes
with `pip install 'trio-copy[live]'`. Amounts are integers of millionths, times are those of the clock it is given.
"""

from trio_copy.testing.clob_venue.core import ClobVenue
from trio_copy.testing.clob_venue.faults import ClobFaults, Later, Mode, OrderAnswer, Settles, Standing, Tier
from trio_copy.testing.clob_venue.network import ClobServer, open_clob_venue, open_virtual_clob_venue
from trio_copy.testing.clob_venue.record import Accepted, Answered, Ended, Filled, Settled, VenueRecord, read_record
from trio_copy.testing.clob_venue.wallets import VenueWallet

__all__ = [
    "Accepted",
    "Answered",
    "ClobFaults",
    "ClobServer",
    "ClobVenue",
    "Ended",
    "Filled",
    "Later",
    "Mode",
    "OrderAnswer",
    "Settled",
    "Settles",
    "Standing",
    "Tier",
    "VenueRecord",
    "VenueWallet",
    "open_clob_venue",
    "open_virtual_clob_venue",
    "read_record",
]
