"""A chain, a node and a market inside the process: a real WebSocket, real event encodings, scripted trouble."""

from trio_copy.testing.devnet.chain import DevChain, DevLog, DevTx
from trio_copy.testing.devnet.manners import NodeFaults
from trio_copy.testing.devnet.market import ScriptedMarket
from trio_copy.testing.devnet.network import Devnet, open_devnet, open_virtual_devnet
from trio_copy.testing.devnet.node import DevNode

__all__ = [
    "DevChain",
    "DevLog",
    "DevNode",
    "DevTx",
    "Devnet",
    "NodeFaults",
    "ScriptedMarket",
    "open_devnet",
    "open_virtual_devnet",
]
