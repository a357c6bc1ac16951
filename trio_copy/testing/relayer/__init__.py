"""Our relayer: it carries what wallets signed, as Polymarket's does, refuses in its words, and has faults by name.

Over loopback, or in memory under a virtual clock. What it carries goes to whatever chain it is given: see `RelayedChain`.
"""

from trio_copy.testing.relayer.chain import Carry, CountingChain, RelayedChain
from trio_copy.testing.relayer.core import Relayer, State, Taken
from trio_copy.testing.relayer.faults import RelayerFaults, Settles
from trio_copy.testing.relayer.keys import BuilderKey, RelayerKey
from trio_copy.testing.relayer.network import RelayerServer, open_relayer, open_virtual_relayer
from trio_copy.testing.relayer.requests import Inner, Submitted

__all__ = [
    "BuilderKey",
    "Carry",
    "CountingChain",
    "Inner",
    "RelayedChain",
    "Relayer",
    "RelayerFaults",
    "RelayerKey",
    "RelayerServer",
    "Settles",
    "State",
    "Submitted",
    "Taken",
    "open_relayer",
    "open_virtual_relayer",
]
