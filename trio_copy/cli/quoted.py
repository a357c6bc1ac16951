"""Logs as people quote them: what nodes, explorers, web3.py and ethers write, brought into a node's own form.

Read is what can mean one thing only. Whatever else it is stays as it was, so that the one reader of logs refuses it.
"""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, TypeVar

import msgspec

from trio_copy.config.lines import beginning_of, bounded_lines
from trio_copy.errors import ConfigError

_T = TypeVar("_T")
VALUE_MOST = 32 << 20
"""Bytes of one line, or of one document over several lines: some 30,000 logs, or as many lines of that as there are."""
_DEPTH_MOST = 8
_ZERO_HASH = "0x" + "0" * 64
_ABSENT = {"blockHash": _ZERO_HASH, "blockNumber": "0x0", "transactionHash": _ZERO_HASH, "logIndex": "0x0"}
"""Where a log stands; logs that people quote, and pending ones, often lack some of it."""
_PLACE = ("blockNumber", "logIndex", "blockTimestamp", "blockHash", "transactionHash")
_NAMES = {
    "index": "logIndex",  # ethers 6
    "log_index": "logIndex",
    "block_number": "blockNumber",
    "block_hash": "blockHash",
    "transaction_hash": "transactionHash",
    "tx_hash": "transactionHash",
    "timeStamp": "blockTimestamp",  # Etherscan
    "block_timestamp": "blockTimestamp",
    # A node's own names come last, and win where there are two.
    **{name: name for name in ("address", "topics", "data", "removed", *_PLACE)},
}
_QUANTITIES = _PLACE[:3]
_BYTES = ("address", "data", "blockHash", "transactionHash")
_OF_RECEIPT = ("blockHash", "blockNumber", "transactionHash")
_DIGITS, _HEX = re.compile(r"[0-9]{1,20}"), re.compile(r"([0-9a-fA-F]{2})+")


def values_in(file: BinaryIO, name: object) -> Iterator[object]:
    """Yield what may be logs, one by one, from an array, lines, receipts or RPC answers; None for what is no JSON.

    Raises:
        ConfigError: no JSON at all, or a line or a document that is too long to be held in memory.
    """
    begun = False
    for number, line in bounded_lines(file.readline, name, VALUE_MOST):
        if not line.strip():
            continue
        raw = _json(line)
        if raw is None and not begun:
            yield from _document(line, number, file, name)
            return
        begun = True
        yield from _logs_in(raw)


def _document(first: bytes, number: int, file: BinaryIO, name: object) -> Iterator[object]:
    text = first + file.read(VALUE_MOST + 1 - len(first))
    if len(text) > VALUE_MOST:
        raise ConfigError(
            [
                f"{name}:{number}: expected a line of JSON, or one document of at most {VALUE_MOST:,} bytes, got a longer"
                " one; write one log a line"
            ]
        )
    whole = _json(text)
    if whole is not None:
        yield from _logs_in(whole)
        return
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        raise ConfigError([f"{name}: expected JSON: an array, lines, a receipt; got {beginning_of(text)}"])
    for line in lines:
        yield from _logs_in(_json(line))


def _json(text: bytes) -> msgspec.Raw | None:
    return _read(text, msgspec.Raw)


def _read(text: msgspec.Raw | bytes, form: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(text, type=form)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _logs_in(raw: msgspec.Raw | None, parent: dict[str, Any] | None = None, depth: int = 0) -> Iterator[object]:
    """Walk into what holds logs without building it whole. What is no object is None, and counted as no log."""
    if raw is None or depth > _DEPTH_MOST:
        yield None
    elif _opens(raw) == b"[":
        items = _read(raw, list[msgspec.Raw])
        for item in (None,) if items is None else items:
            yield from _logs_in(item, parent, depth + 1)
    else:
        fields = _read(raw, dict[str, msgspec.Raw]) or {}
        logs, result, params = (fields.get(name, msgspec.Raw()) for name in ("logs", "result", "params"))
        if _opens(logs) == b"[":
            place = {key: _read(fields[key], object) for key in _OF_RECEIPT if key in fields}
            yield from _logs_in(logs, place, depth + 1)
        elif _opens(result) in (b"[", b"{"):
            yield from _logs_in(result, None, depth + 1)
        elif _opens(params) == b"{":
            yield from _logs_in(params, None, depth + 1)
        else:
            log = _read(raw, dict[str, Any])
            # What a receipt says of its logs is said for those that do not say it themselves.
            yield log and {**(parent or {}), **{name: value for name, value in log.items() if value is not None}}


def _opens(raw: msgspec.Raw) -> bytes:
    return bytes(memoryview(raw)[:1])


def as_a_node_says(entry: dict[str, Any]) -> dict[str, Any]:
    """Bring a log that somebody quotes into the form of a node's answer; what is absent becomes zero."""
    log: dict[str, Any] = dict(_ABSENT)
    for name, known in _NAMES.items():
        if entry.get(name) is not None:
            log[known] = entry[name]
    for name in _QUANTITIES:
        if name in log:
            log[name] = _quantity(log[name])
    if log.get("blockTimestamp") == "0x0":
        del log["blockTimestamp"]  # no block was made then: whoever wrote it did not know
    for name in _BYTES:
        if name in log:
            log[name] = _bytes(log[name])
    topics = log.get("topics")
    if isinstance(topics, list):
        while topics and topics[-1] is None:  # tables have four columns for them
            topics = topics[:-1]
        log["topics"] = [_bytes(topic) for topic in topics]
    if log.get("removed") in ("true", "false"):
        log["removed"] = log["removed"] == "true"
    return log


def _quantity(value: object) -> object:
    """Write a number as a node does. Explorers write zero as 0x, libraries write numbers, tables decimal digits."""
    if isinstance(value, bool) or (isinstance(value, int) and value < 0):
        return value
    if isinstance(value, int):
        return hex(value)
    if value == "0x":
        return "0x0"
    return hex(int(value)) if isinstance(value, str) and _DIGITS.fullmatch(value) else value


def _bytes(value: object) -> object:
    """Put 0x before bytes that some libraries write without."""
    return f"0x{value}" if isinstance(value, str) and _HEX.fullmatch(value) else value
