"""JSON-RPC 2.0 without I/O: bytes in, checked values out.

Whatever a node sends is hostile: every length, digit and type is checked here, once, and what fails is a
`MalformedFrame` or an `UndecodableLog` that the caller counts. Nothing is guessed or repaired.
"""

from typing import Any

import msgspec
from attrs import frozen

from trio_copy.errors import MalformedFrame, RpcError, UndecodableLog
from trio_copy.model.ids import Address, ChainId, Hash32
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.ports import LogFilter

_MAX_TOPICS = 4
_MAX_DATA_BYTES = 1 << 20
_MAX_BLOOM_DIGITS = 512
_MAX_TIME = 1 << 40
_BAD_JSON = (msgspec.MsgspecError, ValueError, RecursionError)


@frozen
class Reply:
    id: int
    result: msgspec.Raw


@frozen
class ErrorReply:
    id: int
    error: RpcError


@frozen
class Notification:
    subscription: str
    result: msgspec.Raw


class _Error(msgspec.Struct):
    code: int
    message: str = ""
    data: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class _Params(msgspec.Struct):
    subscription: str
    result: msgspec.Raw


class _Frame(msgspec.Struct):
    id: int | None = None
    method: str | None = None
    params: _Params | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: _Error | None = None


class _WireLog(msgspec.Struct, rename="camel", gc=False):
    address: str
    topics: list[str]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str
    removed: bool = False
    block_timestamp: str | None = None


class _WireBlock(msgspec.Struct, rename="camel", gc=False):
    number: str
    hash: str
    parent_hash: str
    timestamp: str
    logs_bloom: str = "0x0"


_frame_decoder = msgspec.json.Decoder(_Frame)
_log_decoder = msgspec.json.Decoder(_WireLog)
_logs_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_block_decoder = msgspec.json.Decoder(_WireBlock | None)
_text_decoder = msgspec.json.Decoder(str)
_encoder = msgspec.json.Encoder()


def encode_request(request_id: int, method: str, params: object) -> bytes:
    return _encoder.encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def decode_frame(frame: str | bytes) -> Reply | ErrorReply | Notification:
    """Tell replies and notifications apart; their content stays undecoded.

    Raises:
        MalformedFrame: neither of them.
    """
    try:
        decoded = _frame_decoder.decode(frame)
    except _BAD_JSON as error:
        raise MalformedFrame(str(error)[:200]) from None
    if decoded.params is not None and decoded.method == "eth_subscription":
        return Notification(decoded.params.subscription, decoded.params.result)
    if decoded.id is None:
        raise MalformedFrame("neither a reply nor a notification")
    if decoded.error is not None:
        data = bytes(decoded.error.data).decode(errors="replace")
        return ErrorReply(decoded.id, RpcError(decoded.error.code, decoded.error.message, data))
    if decoded.result is msgspec.UNSET:
        raise MalformedFrame("a reply without result and error")
    return Reply(decoded.id, decoded.result)


def filter_params(log_filter: LogFilter) -> dict[str, Any]:
    """Write a filter the way nodes want it."""
    params: dict[str, Any] = {"topics": [list(topic) if topic is not None else None for topic in log_filter.topics]}
    if log_filter.addresses:
        params["address"] = list(log_filter.addresses)
    return params


def decode_text(result: msgspec.Raw) -> str:
    """Read a JSON string, such as a subscription id. Raises `MalformedFrame`."""
    try:
        return _text_decoder.decode(result)
    except _BAD_JSON as error:
        raise MalformedFrame(str(error)) from None


def decode_quantity(result: msgspec.Raw) -> int:
    """Read a hex quantity, such as a chain id. Raises `MalformedFrame`."""
    try:
        return _quantity(decode_text(result))
    except ValueError as error:
        raise MalformedFrame(f"expected a hex quantity: {error}") from None


def decode_block(result: msgspec.Raw) -> BlockRef | None:
    """Read a block header; None where the node does not know the block. Raises `MalformedFrame`."""
    try:
        wire = _block_decoder.decode(result)
        if wire is None:
            return None
        return BlockRef(
            number=_quantity(wire.number),
            hash=Hash32(_hex(wire.hash, 64)),
            parent=Hash32(_hex(wire.parent_hash, 64)),
            time=_time(wire.timestamp),
            bloom=_bloom(wire.logs_bloom),
        )
    except _BAD_JSON as error:
        raise MalformedFrame(f"block: {error}"[:200]) from None


def split_logs(result: msgspec.Raw) -> list[msgspec.Raw]:
    """Split the answer of `eth_getLogs`, so that one bad log does not hide the others. Raises `MalformedFrame`."""
    try:
        return _logs_decoder.decode(result)
    except _BAD_JSON as error:
        raise MalformedFrame(f"logs: {error}"[:200]) from None


def decode_log(raw: msgspec.Raw | bytes, chain_id: ChainId) -> RawLog:
    """Read and check one log entry.

    Raises:
        UndecodableLog: a missing field, a wrong length, a digit that is none.
    """
    try:
        wire = _log_decoder.decode(raw)
        return RawLog(
            chain_id=chain_id,
            address=Address(_hex(wire.address, 40)),
            topics=_topics(wire.topics),
            data=_bytes(wire.data),
            block_number=_quantity(wire.block_number),
            block_hash=Hash32(_hex(wire.block_hash, 64)),
            block_time=None if wire.block_timestamp is None else _time(wire.block_timestamp),
            tx_hash=Hash32(_hex(wire.transaction_hash, 64)),
            log_index=_quantity(wire.log_index),
            removed=wire.removed,
        )
    except _BAD_JSON as error:
        raise UndecodableLog("malformed-log", str(error)[:200]) from None


def _quantity(text: str) -> int:
    # int() would also take signs, spaces and underscores.
    if not text.startswith("0x") or not text[2:].isalnum() or len(text) > 66:
        raise ValueError(f'expected a hex quantity, got "{text[:80]}"')
    return int(text, 16)


def _time(text: str) -> int:
    seconds = _quantity(text)
    if seconds >= _MAX_TIME:
        raise ValueError(f"expected Unix seconds, got {seconds}")
    return seconds


def _bloom(text: str) -> int:
    if len(text) > _MAX_BLOOM_DIGITS + 2:
        raise ValueError(f"expected a bloom of {_MAX_BLOOM_DIGITS} hex digits, got {len(text)}")
    return int(text, 16)


def _hex(text: str, digits: int) -> str:
    if len(text) != digits + 2 or not text.startswith("0x") or len(bytes.fromhex(text[2:])) * 2 != digits:
        raise ValueError(f'expected 0x and {digits} hex digits, got "{text[:80]}"')
    return text.lower()


def _topics(texts: list[str]) -> tuple[Hash32, ...]:
    if len(texts) > _MAX_TOPICS:
        raise ValueError(f"expected at most {_MAX_TOPICS} topics, got {len(texts)}")
    return tuple([Hash32(_hex(text, 64)) for text in texts])


def _bytes(text: str) -> bytes:
    if not text.startswith("0x") or len(text) > 2 * _MAX_DATA_BYTES:
        raise ValueError(f"expected at most {_MAX_DATA_BYTES} bytes of 0x hex data")
    data = bytes.fromhex(text[2:])
    if len(data) * 2 != len(text) - 2:
        raise ValueError("expected hex data without spaces")
    return data
