"""Good frames to begin with: real logs, and heads, answers and errors as nodes write them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.builders import LEADER, NOW, POLYGON
from tests.harness import World
from trio_copy.chain.decoders import erc1155, fpmm, order_filled
from trio_copy.chain.decoders.pool import SWAP_TOPIC
from trio_copy.chain.decoders.resolutions import NEG_RISK_MODULE, OTHER_TOPIC, RESOLUTION_TOPIC, RESOLVED_TOPIC
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.model.units import Shares, Usd
from trio_copy.testing.devnet import DevChain, DevLog, NodeFaults
from trio_copy.testing.devnet.chain import DevTx, fake_hash
from trio_copy.testing.devnet.encode import (
    fpmm_log,
    module_resolution_log,
    order_filled_v1_log,
    pool_log,
    transfer_batch_log,
    transfer_single_log,
)
from trio_copy.testing.devnet.wire import Refused, block_object, error_frame, log_object

POOL = Address("0x" + "fb" * 20)
POOL_TOKENS = (TokenId(11), TokenId(12))
SWAP_POOL = Address("0x" + "fc" * 20)
SUBSCRIPTION = "0x1"
_DATA = Path(__file__).parents[1] / "data"
_HOMES = {
    order_filled.V1_TOPIC: order_filled.EXCHANGE_V2,
    order_filled.V2_TOPIC: order_filled.EXCHANGE_V2,
    erc1155.SINGLE_TOPIC: erc1155.CONDITIONAL_TOKENS,
    erc1155.BATCH_TOPIC: erc1155.CONDITIONAL_TOKENS,
    RESOLUTION_TOPIC: erc1155.CONDITIONAL_TOKENS,
    RESOLVED_TOPIC: NEG_RISK_MODULE,
    OTHER_TOPIC: NEG_RISK_MODULE,
    fpmm.BUY_TOPIC: POOL,
    fpmm.SELL_TOPIC: POOL,
    SWAP_TOPIC: SWAP_POOL,
}
"""Contracts that the decoders know; logs of test deployments are moved there."""


def leaders() -> list[Address]:
    """Return every wallet that trades in the corpus, so that its fills become signals."""
    found = {
        Address("0x" + topic[-40:])
        for log in _real_logs()
        for topic in log["topics"][1:]
        if topic.startswith("0x" + "0" * 24)
    }
    return sorted(found | {LEADER})


def frames() -> list[bytes]:
    """Return the corpus, the same each time."""
    return [json.dumps(frame).encode() if isinstance(frame, dict) else frame for frame in _frames()]


def _frames() -> Iterator[dict[str, Any] | bytes]:
    logs = [*_real_logs(), *_made_logs()]
    for log in logs:
        yield _notification(log)
    for at in range(0, len(logs), 8):
        yield _reply(logs[at : at + 8])
    for faults in (NodeFaults(), NodeFaults(json_numbers=True, extra_fields=True), NodeFaults(upper_case=True)):
        block = _chain().head
        yield _notification(block_object(block.ref, faults))
        yield _reply(block_object(block.ref, faults))
        yield _reply([log_object(log, faults) for log in block.logs])
        yield _notification(log_object(block.logs[0], faults, removed=True))
    results: tuple[object, ...] = ("0x89", "0x1", True, None, [], {}, 7)
    yield from map(_reply, results)
    for shape in ("plain", "null_id", "text_body", "null_message", "text_code"):
        yield error_frame(1, Refused("block range is too wide", wait_s=2), NodeFaults(error_shape=shape))  # type: ignore[arg-type]
    yield b"[]"
    yield b"{}"


def _notification(result: object) -> dict[str, Any]:
    params = {"subscription": SUBSCRIPTION, "result": result}
    return {"jsonrpc": "2.0", "method": "eth_subscription", "params": params}


def _reply(result: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": result}


def _real_logs() -> list[dict[str, Any]]:
    events = json.loads((_DATA / "polygon_events.json").read_text())["events"]
    matches = json.loads((_DATA / "exchange_v2_matches.json").read_text())["scenarios"]
    pools = json.loads((_DATA / "ctf_fpmm_logs.json").read_text())["logs"]
    logs = [
        *(event["log"] for event in events),
        *(entry["raw"] for scenario in matches for entry in scenario["logs"]),
        *(entry["log"] for entry in pools),
    ]
    return [_whole(log) for log in logs if log["topics"] and log["topics"][0] in _HOMES]


def _whole(log: dict[str, Any]) -> dict[str, Any]:
    """Move a log to a contract that is known, and give it the fields that its file left out."""
    there = {
        "blockNumber": "0x10",
        "blockHash": fake_hash("block", log["topics"]),
        "blockTimestamp": hex(int(NOW)),
        "transactionHash": fake_hash("tx", log["topics"], log["data"]),
        "transactionIndex": "0x0",
        "logIndex": "0x0",
        "removed": False,
    }
    return {
        **there,
        **{name: value for name, value in log.items() if value is not None},
        "address": _HOMES[log["topics"][0]],
    }


def _chain() -> DevChain:
    chain = DevChain(POLYGON, lambda: NOW)
    world = World(chain, [], lambda: NOW)
    chain.mine(world.buy(), world.buy(fills=(100, 100, 40)), DevTx(tx_hash=fake_hash("tx"), logs=tuple(_emitted())))
    return chain


def _made_logs() -> list[dict[str, Any]]:
    return [log_object(log) for log in _chain().head.logs]


def _emitted() -> Iterator[DevLog]:
    yield order_filled_v1_log(
        exchange=order_filled.EXCHANGE_V2,
        order_hash=Hash32("0x" + "0d" * 32),
        owner=LEADER,
        counterparty=order_filled.EXCHANGE_V2,
        side=Side.SELL,
        token_id=TokenId(5),
        shares=Shares(100_000_000),
        notional=Usd(50_000_000),
        fee=1,
    )
    yield transfer_single_log(
        contract=erc1155.CONDITIONAL_TOKENS,
        operator=LEADER,
        sender=POOL,
        recipient=LEADER,
        token_id=TokenId(5),
        shares=Shares(100_000_000),
    )
    moved = [(TokenId(5), Shares(1_000_000)), (TokenId(6), Shares(2_000_000))]
    yield transfer_batch_log(
        contract=erc1155.CONDITIONAL_TOKENS, operator=LEADER, sender=LEADER, recipient=POOL, moved=moved
    )
    for side in (Side.BUY, Side.SELL):
        yield fpmm_log(
            pool=POOL, owner=LEADER, side=side, outcome=1, money=Usd(5_000_000), fee=Usd(1), shares=Shares(9_000_000)
        )
    for amounts in ((-9 * 10**18, 5_000_000), (9 * 10**18, -5_000_000)):
        yield pool_log(pool=SWAP_POOL, sender=POOL, recipient=LEADER, amounts=amounts)
    condition = Hash32("0x02" + "ab" * 16 + "0003" + "00" * 8 + "0000" + "0001" + "00")
    yield module_resolution_log(module=NEG_RISK_MODULE, condition_id=condition, payouts=(1_000_000, 0))
    event, other = condition[:60] + "00" * 3, condition[:60] + "0003" + "00"
    yield DevLog(address=NEG_RISK_MODULE, topics=(OTHER_TOPIC, event, other), data=b"")
