"""JSON-RPC 2.0 without I/O: bytes in, checked values out.

Whatever a node sends is hostile: every length, digit and type is checked here, once, and what fails is a
`MalformedFrame` or an `UndecodableLog` that the caller counts. Nodes write the same thing in many ways, and what is
plain is read (`chain/fields.py`); nothing is guessed or repaired.
"""

from contextlib import suppress
from typing import Any

import msgspec
from attrs import frozen

from trio_copy.chain.fields import (
    Number,
    read_bloom,
    read_data,
    read_flag,
    read_hex,
    read_number,
    read_place,
    read_time,
    read_topics,
)
from trio_copy.errors import MalformedFrame, PendingLog, RpcError, UndecodableLog
from trio_copy.model.ids import Address, ChainId, Hash32
from trio_copy.model.logs import BlockRef, RawLog
from trio_copy.ports import LogFilter

_LONGEST_DETAIL = 200
_LONGEST_DATA = 4096
"""Letters of what a node adds to an error: why a call reverts stands there, and not in its message."""
_LONGEST_SUBSCRIPTION = 256
_LONGEST_DIGITS = 18
_BAD_JSON = (msgspec.MsgspecError, ValueError, RecursionError)


@frozen
class Reply:
    id: int
    result: msgspec.Raw


@frozen
class ErrorReply:
    id: int | None
    """None where the answer does not say which request it belongs to: then no open one can trust to be answered."""
    error: RpcError


@frozen
class Notification:
    subscription: str
    result: msgspec.Raw


@frozen
class SubscriptionEnded:
    """The node says that it brings nothing more of a subscription, because it fell behind for instance."""

    subscription: str
    error: RpcError


@frozen
class Unreadable:
    """Something that is no answer and cannot be read, such as a notification of another kind."""

    detail: str


Frame = Reply | ErrorReply | Notification | SubscriptionEnded | Unreadable


class _Params(msgspec.Struct):
    subscription: Number
    result: msgspec.Raw


class _Plain(msgspec.Struct):
    """A frame as it should be: nearly all of them, read in one go."""

    id: int | None = None
    method: str | None = None
    params: _Params | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: None = None


class _Odd(msgspec.Struct):
    """Any object: each field is looked at by itself."""

    id: msgspec.Raw = msgspec.Raw(b"null")
    method: msgspec.Raw = msgspec.Raw(b"null")
    params: msgspec.Raw = msgspec.Raw(b"null")
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw = msgspec.Raw(b"null")


class _EndedParams(msgspec.Struct):
    subscription: Number
    error: msgspec.Raw


class _Error(msgspec.Struct):
    code: msgspec.Raw = msgspec.Raw(b"null")
    message: msgspec.Raw = msgspec.Raw(b"null")
    data: msgspec.Raw = msgspec.Raw(b"null")


class _WireLog(msgspec.Struct, rename="camel", gc=False):
    address: str
    topics: list[str] | None
    data: str | None
    block_number: Number | None
    block_hash: str | None
    transaction_hash: str
    log_index: Number | None
    removed: bool | Number | None = False
    block_timestamp: Any = None


class _WireBlock(msgspec.Struct, rename="camel", gc=False):
    number: Number | None
    hash: str | None
    parent_hash: str
    timestamp: Number
    logs_bloom: str | None = None


_plain_decoder = msgspec.json.Decoder(_Plain)
_odd_decoder = msgspec.json.Decoder(_Odd)
_ended_decoder = msgspec.json.Decoder(_EndedParams)
_error_decoder = msgspec.json.Decoder(_Error)
_word_decoder: msgspec.json.Decoder[int | float | str | None] = msgspec.json.Decoder(int | float | str | None)
_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_logs_decoder = msgspec.json.Decoder(list[msgspec.Raw] | None)
_log_decoder = msgspec.json.Decoder(_WireLog)
_block_decoder = msgspec.json.Decoder(_WireBlock | None)
_number_decoder = msgspec.json.Decoder(Number)
_encoder = msgspec.json.Encoder()


def encode_request(request_id: int, method: str, params: object) -> bytes:
    return _encoder.encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def decode_frame(frame: str | bytes) -> Frame:
    """Tell answers and notifications apart; what they bring stays undecoded.

    An answer that cannot be a success is an `ErrorReply`, whatever it looks like: its caller should know at once.

    Raises:
        MalformedFrame: not JSON, or neither an answer nor a notification.
    """
    try:
        plain = _plain_decoder.decode(frame)
        if plain.params is not None and plain.method == "eth_subscription":
            return Notification(_subscription(plain.params.subscription), plain.params.result)
    except _BAD_JSON as error:
        return _decode_odd(frame, error)
    if plain.id is None or plain.result is msgspec.UNSET:
        return _decode_odd(frame, None)
    return Reply(plain.id, plain.result)


def _decode_odd(frame: str | bytes | msgspec.Raw, why: Exception | None) -> Frame:
    try:
        odd = _odd_decoder.decode(frame)
    except _BAD_JSON as error:
        alone = _alone(frame)
        if alone is None:
            raise MalformedFrame(str(error)[:_LONGEST_DETAIL]) from None
        return _decode_odd(alone, None)
    answered, failed = odd.result is not msgspec.UNSET, not _is_null(odd.error)
    if not (answered or failed) and not _is_null(odd.method):
        ended = _ended(odd)
        if ended is not None:
            return ended
        return Unreadable(str(why or "a notification of another kind")[:_LONGEST_DETAIL])
    request_id = _request_id(odd.id)
    if failed:
        return ErrorReply(request_id, _rpc_error(odd.error))
    if odd.result is msgspec.UNSET:
        if request_id is None:
            raise MalformedFrame("neither an answer nor a notification")
        return ErrorReply(request_id, RpcError(0, "an answer without result and error"))
    if request_id is None:
        return ErrorReply(None, RpcError(0, "an answer that does not say which request it belongs to"))
    return Reply(request_id, odd.result)


def _ended(odd: _Odd) -> SubscriptionEnded | None:
    """Read a notification that brings an error in place of a result."""
    if _word(odd.method) != "eth_subscription":
        return None
    try:
        params = _ended_decoder.decode(odd.params)
        return SubscriptionEnded(_subscription(params.subscription), _rpc_error(params.error))
    except _BAD_JSON:
        return None


def _alone(frame: str | bytes | msgspec.Raw) -> msgspec.Raw | None:
    """Return the only member of a batch; we never ask in batches, so more than one of them is no answer to us."""
    try:
        batch = _list_decoder.decode(frame)
    except _BAD_JSON:
        return None
    return batch[0] if len(batch) == 1 and bytes(memoryview(batch[0])[:1]) == b"{" else None


def _request_id(raw: msgspec.Raw) -> int | None:
    match _word(raw):
        case int() as number:
            return number
        case float() as number if number.is_integer() and abs(number) < 10**_LONGEST_DIGITS:
            return int(number)
        case str() as digits if digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_DIGITS:
            return int(digits)
        case _:
            return None


def _rpc_error(raw: msgspec.Raw) -> RpcError:
    try:
        error = _error_decoder.decode(raw)
    except _BAD_JSON:
        return RpcError(0, _text(raw))  # a bare string, a number, a list
    code, message = _word(error.code), _text(error.message) or _text(error.data)
    if not message and code in (None, 0):
        message = _shown(raw)  # so that a person sees at least that the node says nothing
    data = bytes(memoryview(error.data)[:_LONGEST_DATA]).decode(errors="replace")
    match code:
        case int() if abs(code) < 10**_LONGEST_DIGITS:
            return RpcError(code, message, data)
        case float() if code.is_integer() and abs(code) < 10**_LONGEST_DIGITS:
            return RpcError(int(code), message, data)
        case str() if code.removeprefix("-").isdigit() and code.isascii() and len(code) <= _LONGEST_DIGITS:
            return RpcError(int(code), message, data)
        case str() if code:
            return RpcError(0, f"{code[:_LONGEST_DETAIL]}: {message}", data)
        case _:
            return RpcError(0, message, data)


def _word(raw: msgspec.Raw) -> int | float | str | None:
    """Read a number or a text; None for anything else, a truth value too."""
    try:
        return _word_decoder.decode(raw)
    except _BAD_JSON:
        return None


def _text(raw: msgspec.Raw) -> str:
    """Read a text, or show what stands in its place."""
    word = _word(raw)
    if isinstance(word, str):
        return word
    return "" if _is_null(raw) else _shown(raw)


def _shown(raw: msgspec.Raw) -> str:
    """Show JSON as it came, as far as a person would read."""
    return bytes(memoryview(raw)[:_LONGEST_DETAIL]).decode(errors="replace")


def _is_null(raw: msgspec.Raw) -> bool:
    return len(raw) == 4 and bytes(raw) == b"null"


def filter_params(log_filter: LogFilter) -> dict[str, Any]:
    """Write a filter the way nodes want it."""
    params: dict[str, Any] = {"topics": [list(topic) if topic is not None else None for topic in log_filter.topics]}
    if log_filter.addresses:
        params["address"] = list(log_filter.addresses)
    return params


def decode_subscription(result: msgspec.Raw) -> str:
    """Read the id of a subscription. Raises `MalformedFrame`."""
    try:
        return _subscription(_number_decoder.decode(result))
    except _BAD_JSON as error:
        raise MalformedFrame(f"expected the id of a subscription: {error}"[:_LONGEST_DETAIL]) from None


def _subscription(name: Number) -> str:
    text = str(name)
    if not text or len(text) > _LONGEST_SUBSCRIPTION:
        raise ValueError(f"expected a name of at most {_LONGEST_SUBSCRIPTION} characters")
    return text


def decode_quantity(result: msgspec.Raw) -> int:
    """Read a quantity, such as a chain id. Raises `MalformedFrame`."""
    try:
        return read_number(_number_decoder.decode(result))
    except _BAD_JSON as error:
        raise MalformedFrame(f"expected a quantity: {error}"[:_LONGEST_DETAIL]) from None


def decode_block(result: msgspec.Raw) -> BlockRef | None:
    """Read a block header; None where the node does not know the block, or shows one that is not mined yet.

    Raises:
        MalformedFrame: not a header, or one whose time is none: nobody else says how old the block's logs are.
    """
    try:
        wire = _block_decoder.decode(result)
        if wire is None or wire.number is None or wire.hash is None:
            return None
        number, time = read_place(wire.number), read_time(wire.timestamp)
        if time is None and number == 0:
            time = read_place(wire.timestamp)  # where a chain begins, zero is usual; that block has no logs
        if time is None:
            raise ValueError(f"expected Unix seconds, got {str(wire.timestamp)[:80]}")
        return BlockRef(
            number=number,
            hash=Hash32(read_hex(wire.hash, 64)),
            parent=Hash32(read_hex(wire.parent_hash, 64)),
            time=time,
            bloom=read_bloom(wire.logs_bloom),
        )
    except _BAD_JSON as error:
        raise MalformedFrame(f"block: {error}"[:_LONGEST_DETAIL]) from None


def split_logs(result: msgspec.Raw) -> list[msgspec.Raw]:
    """Split the answer of `eth_getLogs`, so that one bad log does not hide the others; null is how some write none.

    Raises `MalformedFrame`.
    """
    try:
        return _logs_decoder.decode(result) or []
    except _BAD_JSON as error:
        raise MalformedFrame(f"logs: {error}"[:_LONGEST_DETAIL]) from None


def decode_log(raw: msgspec.Raw | bytes, chain_id: ChainId) -> RawLog:
    """Read and check one log entry.

    Raises:
        PendingLog: it is in no block yet.
        UndecodableLog: a missing field, a wrong length, a digit that is none.
    """
    try:
        wire = _log_decoder.decode(raw)
        if wire.block_hash is None or wire.block_number is None:
            raise PendingLog("pending-log", "expected the block that it is in, got none")
        if wire.log_index is None:
            raise ValueError("expected a log index, got null")
        return RawLog(
            chain_id=chain_id,
            address=Address(read_hex(wire.address, 40)),
            topics=read_topics(wire.topics),
            data=read_data(wire.data),
            block_number=read_place(wire.block_number),
            block_hash=Hash32(read_hex(wire.block_hash, 64)),
            block_time=_time_of_log(wire.block_timestamp, chain_id),
            tx_hash=Hash32(read_hex(wire.transaction_hash, 64)),
            log_index=read_place(wire.log_index),
            removed=read_flag(wire.removed),
        )
    except _BAD_JSON as error:
        raise UndecodableLog("malformed-log", str(error)[:_LONGEST_DETAIL]) from None


def _time_of_log(value: object, chain_id: ChainId) -> int | None:
    """Read a log's own time. Its block's header tells it better, so what is written in another way is as if it were missing."""
    with suppress(ValueError):
        if isinstance(value, (int, str)):
            return read_time(value, chain_id)
    return None
