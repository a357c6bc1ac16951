"""How a node writes blocks and logs."""

from typing import Any

from trio_copy.model.logs import BlockRef, RawLog


def log_object(log: RawLog, *, removed: bool = False, with_time: bool = True) -> dict[str, Any]:
    written: dict[str, Any] = {
        "address": log.address,
        "topics": list(log.topics),
        "data": "0x" + log.data.hex(),
        "blockNumber": hex(log.block_number),
        "blockHash": log.block_hash,
        "transactionHash": log.tx_hash,
        "transactionIndex": "0x0",
        "logIndex": hex(log.log_index),
        "removed": removed or log.removed,
    }
    if with_time and log.block_time is not None:
        written["blockTimestamp"] = hex(log.block_time)
    return written


def block_object(block: BlockRef) -> dict[str, Any]:
    return {
        "number": hex(block.number),
        "hash": block.hash,
        "parentHash": block.parent,
        "timestamp": hex(block.time),
        "logsBloom": f"0x{block.bloom:0512x}",
    }
