"""Frames as a node sends them."""

import msgspec

from trio_copy.chain.decoders.order_filled import EXCHANGE_V2
from trio_copy.cli.synthetic import POLYGON, leader_buys, synthetic_address
from trio_copy.testing.devnet import DevChain
from trio_copy.testing.devnet.wire import log_object

LEADER = synthetic_address("leader", 0)


def frames(count: int, now: float) -> list[bytes]:
    """Notifications of different fills of one leader."""
    chain = DevChain(POLYGON, lambda: now)
    for number in range(count):
        chain.mine(leader_buys(LEADER, number, exchange=EXCHANGE_V2))
    return [
        msgspec.json.encode(
            {
                "jsonrpc": "2.0",
                "method": "eth_subscription",
                "params": {"subscription": "0x1", "result": log_object(block.logs[0])},
            }
        )
        for block in chain.blocks[1:]
    ]
