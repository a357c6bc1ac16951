"""How a node writes blocks, logs and errors, in each of its manners."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.testing.devnet.manners import Bloom, ErrorShape, HeaderTime, LogTime, NodeFaults, Numbering

_OFFSET = 1000
_YEAR_S = 365 * 24 * 3600
_EXTRA: dict[str, Any] = {"l1BatchNumber": None, "logType": "", "x-cost": [1, {"unit": "CU"}], "topic0": 5}
_HONEST = NodeFaults()


class Refused(Exception):
    """Becomes an error object."""

    def __init__(self, message: str, code: int = -32005, wait_s: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.wait_s = wait_s


def numbered(block: Sequence[RawLog], told: Sequence[RawLog], numbering: Numbering) -> Iterator[tuple[RawLog, int]]:
    """Yield the logs that a source tells of a block, each with the number that this source gives it."""
    starts: dict[str, int] = {}
    for log in block:
        starts.setdefault(log.tx_hash, log.log_index)
    for place, log in enumerate(told):
        match numbering:
            case Numbering.BLOCK:
                yield log, log.log_index
            case Numbering.TRANSACTION:
                yield log, log.log_index - starts[log.tx_hash]
            case Numbering.TOLD:
                yield log, place
            case Numbering.ZERO:
                yield log, 0
            case Numbering.SHARED:
                yield log, log.log_index // 2
            case Numbering.OFFSET:
                yield log, log.log_index + _OFFSET


def log_object(
    log: RawLog, faults: NodeFaults = _HONEST, *, index: int | None = None, removed: bool = False
) -> dict[str, Any]:
    taken_back = removed or log.removed
    written: dict[str, Any] = {
        "address": log.address,
        "topics": list(log.topics),
        "data": "0x" + log.data.hex(),
        "blockNumber": _quantity(log.block_number, faults),
        "blockHash": log.block_hash,
        "transactionHash": log.tx_hash,
        "transactionIndex": _quantity(0, faults),
        "logIndex": _quantity(log.log_index if index is None else index, faults),
        "removed": None if faults.null_removed and not taken_back else taken_back,
    }
    if log.block_time is not None and not faults.without_time:
        written["blockTimestamp"] = _log_time(log.block_time - faults.time_lag_s, faults)
    if faults.extra_fields:
        written |= _EXTRA
    if faults.unreadable_logs:
        written["topics"] = "".join(log.topics)
    return _upper(written) if faults.upper_case else written


def block_object(block: BlockRef, faults: NodeFaults = _HONEST) -> dict[str, Any]:
    written: dict[str, Any] = {
        "number": _quantity(block.number, faults),
        "hash": block.hash,
        "parentHash": block.parent,
        "timestamp": _header_time(block.time - faults.time_lag_s, faults),
    }
    match faults.bloom:
        case Bloom.TOLD:
            written["logsBloom"] = f"0x{block.bloom:0512x}"
        case Bloom.FULL:
            written["logsBloom"] = "0x" + "f" * 512
        case Bloom.EMPTY:
            written["logsBloom"] = "0x" + "0" * 512
        case Bloom.MISSING:
            pass
    if faults.extra_fields:
        written |= _EXTRA
    return _upper(written) if faults.upper_case else written


def error_frame(request_id: object, refused: Refused, faults: NodeFaults) -> bytes:
    """Write an error in answer to a request."""
    if faults.error_shape is ErrorShape.TEXT_BODY:
        return str(refused).encode()
    error: dict[str, Any] = {"code": refused.code, "message": str(refused)}
    if refused.wait_s is not None:
        error["message"] += f", retry after {refused.wait_s}s"
        error["data"] = {"retry_after": refused.wait_s}
    match faults.error_shape:
        case ErrorShape.NULL_ID:
            request_id = None
        case ErrorShape.NULL_MESSAGE:
            error["message"] = None
        case ErrorShape.TEXT_CODE:
            error["code"] = str(refused.code)
        case ErrorShape.PLAIN:
            pass
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "error": error})


def _quantity(value: int, faults: NodeFaults) -> str | int:
    if faults.json_numbers:
        return value
    return "0x" if faults.empty_zero and value == 0 else hex(value)


def _log_time(seconds: int, faults: NodeFaults) -> str | int | None:
    match faults.log_time:
        case LogTime.TOLD:
            return _quantity(seconds, faults)
        case LogTime.ZERO:
            return "0x0"
        case LogTime.EMPTY:
            return "0x"
        case LogTime.NULL:
            return None
        case LogTime.NUMBER:
            return seconds
        case LogTime.FUTURE:
            return hex(seconds + 10 * _YEAR_S)


def _header_time(seconds: int, faults: NodeFaults) -> str | int:
    match faults.header_time:
        case HeaderTime.TOLD:
            return _quantity(seconds, faults)
        case HeaderTime.ZERO:
            return "0x0"
        case HeaderTime.NUMBER:
            return seconds
        case HeaderTime.FUTURE:
            return hex(seconds + 10 * _YEAR_S)
        case HeaderTime.TEXT:
            return "yesterday"


def _upper(written: dict[str, Any]) -> dict[str, Any]:
    return {name: _upper_value(value) for name, value in written.items()}


def _upper_value(value: object) -> object:
    if isinstance(value, list):
        return [_upper_value(entry) for entry in value]
    return "0x" + value[2:].upper() if isinstance(value, str) and value.startswith("0x") else value
