"""`trio-copy decode FILE`"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from trio_copy.chain import rpc
from trio_copy.chain.decoders.erc1155 import Erc1155Decoder
from trio_copy.chain.decoders.order_filled import OrderFilledDecoder
from trio_copy.cli.numbers import expect_positive
from trio_copy.cli.printer import out
from trio_copy.engine.plan import load_plan
from trio_copy.errors import ConfigError, UndecodableLog
from trio_copy.model.fills import Fill, NotAFill
from trio_copy.model.ids import ChainId
from trio_copy.model.logs import EqualLogs
from trio_copy.model.resolutions import Resolution
from trio_copy.model.signals import fill_signal_id
from trio_copy.ports import Decoder
from trio_copy.telemetry.render import fill_object

_ZERO_HASH = "0x" + "0" * 64
_ABSENT = {"blockHash": _ZERO_HASH, "blockNumber": "0x0", "transactionHash": _ZERO_HASH, "logIndex": "0x0"}
"""Where a log stands; logs that people quote, and pending ones, often lack some of it."""


def decode(
    file: Annotated[
        Path,
        Parameter(
            help="A JSON array, JSON lines, a receipt or an RPC answer; - is standard input.", allow_leading_hyphen=True
        ),
    ],
    /,
    *,
    conf: Annotated[Path | None, Parameter(help="Decode with this configuration's decoders and contracts.")] = None,
    chain_id: Annotated[int, Parameter(help="Chain the logs come from.")] = 137,
) -> int:
    """Decode raw logs and print one JSON object per fill.

    Amounts are integers of 1e-6, the price a decimal string. Logs that are no fills are counted on standard error.
    Without --conf every contract is believed, and transfers are trades only when they are mints.
    """
    expect_positive(chain_id=chain_id)
    decoders = _decoders(conf)
    equals = EqualLogs()
    others: Counter[str] = Counter()
    fills = 0
    for entry in _entries(_read(file), file):
        decoded = _decode_one(entry, decoders, ChainId(chain_id), equals)
        if isinstance(decoded, str):
            others[decoded] += 1
            continue
        for fill in decoded:
            written = fill_object(fill, fill_signal_id(fill))
            out(msgspec.json.encode(written).decode())
            fills += 1
    if not fills and others.total() == others["malformed"]:
        raise ConfigError([f"{file}: expected logs, found none"])
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(others.items())) or "none"
    sys.stderr.write(f"{fills} fills; logs that are no fills: {others.total()} ({kinds})\n")
    return 0


def _decoders(conf: Path | None) -> dict[str, Decoder]:
    found: list[Decoder] = [OrderFilledDecoder(frozenset()), Erc1155Decoder(frozenset(), frozenset())]
    if conf is not None:
        found = list(load_plan(conf).decoders.values())
    return {topic: decoder for decoder in found for topic in decoder.topics}


def _read(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror or error}"]) from None


def _entries(text: bytes, file: Path) -> Iterator[object]:
    """Yield what may be logs, from whichever form the text has."""
    try:
        values = [msgspec.json.decode(text)]
    except (msgspec.DecodeError, RecursionError) as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise ConfigError([f"{file}: expected JSON: an array, lines, a receipt; got: {error}"]) from None
        values = [_line(line) for line in lines]
    for value in values:
        yield from _logs_in(value)


def _line(line: bytes) -> object:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return None  # counted as malformed, like any other value that is no log


def _logs_in(value: object) -> Iterator[object]:
    match value:
        case list():
            for item in value:
                yield from _logs_in(item)
        case {"logs": list() as logs}:
            yield from logs
        case {"result": (dict() | list()) as result} | {"params": {"result": dict() as result}}:
            yield from _logs_in(result)
        case _:
            yield value


def _decode_one(
    entry: object, decoders: dict[str, Decoder], chain_id: ChainId, equals: EqualLogs
) -> tuple[Fill, ...] | str:
    """Return the fills of an entry, or the kind of what it is instead."""
    if not isinstance(entry, dict):
        return "malformed"
    complete: dict[str, Any] = {**_ABSENT, **{key: value for key, value in entry.items() if value is not None}}
    try:
        log = rpc.decode_log(msgspec.json.encode(complete), chain_id)
        decoder = decoders.get(log.topics[0]) if log.topics else None
        if decoder is None:
            return "other-event"
        if log.removed:
            return "removed"
        decoded = decoder.decode(equals.numbered(log))
    except UndecodableLog as error:
        return error.kind
    if isinstance(decoded, Resolution):
        return "resolution"
    return decoded.kind if isinstance(decoded, NotAFill) else decoded
