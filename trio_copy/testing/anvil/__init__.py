"""A real node with real venues on it: anvil, and contracts as they were published. Fetched by npm when they are needed first."""

from trio_copy.testing.anvil.amm import Amm, deploy_amm
from trio_copy.testing.anvil.node import Node, open_node
from trio_copy.testing.anvil.pools import PoolMarket, Uniswap, deploy_outcome, deploy_pool, deploy_uniswap
from trio_copy.testing.anvil.safes import Safes, deploy_safes
from trio_copy.testing.anvil.sending import MAX, Chain, Reverted, calldata, open_chain

__all__ = [
    "MAX",
    "Amm",
    "Chain",
    "Node",
    "PoolMarket",
    "Reverted",
    "Safes",
    "Uniswap",
    "calldata",
    "deploy_amm",
    "deploy_outcome",
    "deploy_pool",
    "deploy_safes",
    "deploy_uniswap",
    "open_chain",
    "open_node",
]
