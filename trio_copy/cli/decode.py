"""`trio-copy decode FILE`"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from trio_copy.chain import rpc
from trio_copy.chain.decoders.erc1155 import Erc1155Decoder
from trio_copy.chain.decoders.order_filled import OrderFilledDecoder
from trio_copy.cli.numbers import expect_positive
from trio_copy.cli.output import out_json
from trio_copy.cli.quoted import as_a_node_says, values_in
from trio_copy.cli.redact import Redact
from trio_copy.engine.plan import load_plan
from trio_copy.errors import ConfigError, UndecodableLog
from trio_copy.files import open_promptly
from trio_copy.model.counts import counted
from trio_copy.model.fills import Fill, NotAFill
from trio_copy.model.ids import ChainId
from trio_copy.model.logs import EqualLogs
from trio_copy.model.resolutions import Resolution
from trio_copy.model.signals import fill_signal_id
from trio_copy.ports import Decoder
from trio_copy.telemetry.redaction import Redactor
from trio_copy.telemetry.render import fill_object

_EQUALS_KEPT = 100_000
"""Logs of one transaction stand together in whatever people quote."""
_NO_LOG = "malformed"
_NOT_BELIEVED = "unknown-contract"


def decode(
    file: Annotated[
        Path,
        Parameter(
            help="A JSON array, JSON lines, a receipt or an RPC answer; - is standard input.", allow_leading_hyphen=True
        ),
    ],
    /,
    *,
    redactor: Redact,
    conf: Annotated[Path | None, Parameter(help="Decode with this configuration's decoders and contracts.")] = None,
    chain_id: Annotated[int, Parameter(help="Chain the logs come from.")] = 137,
    strict: Annotated[bool, Parameter(negative=(), help="Exit with 1 when anything could not be read.")] = False,
) -> int:
    """Decode raw logs and print one JSON object per fill.

    Amounts are integers of 1e-6, the price a decimal string. Logs that are no fills, and what could not be read, are
    counted on standard error by kind. Logs of nodes, explorers, web3.py and ethers are read.
    Without --conf every contract is believed, and transfers are trades only when they are mints.
    """
    expect_positive(chain_id=chain_id)
    decoders = _decoders(conf, redactor)
    equals = EqualLogs(kept=_EQUALS_KEPT)
    others: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    fills = 0
    for entry in _entries(file):
        try:
            decoded = _decode_one(entry, decoders, ChainId(chain_id), equals)
        except UndecodableLog as error:
            (others if error.kind == _NOT_BELIEVED else dropped)[error.kind] += 1
            continue
        if isinstance(decoded, str):
            others[decoded] += 1
            continue
        for fill in decoded:
            out_json(fill_object(fill, fill_signal_id(fill)))
            fills += 1
    if not fills and not others and dropped.total() == dropped[_NO_LOG]:
        raise ConfigError([f"{file}: expected logs, found none"])
    sys.stderr.write(
        f"{counted(fills, 'fill')}; logs that are no fills: {_by_kind(others)}; dropped: {_by_kind(dropped)}\n"
    )
    return 1 if strict and dropped else 0


def _by_kind(counts: Counter[str]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "none"
    return f"{counts.total()} ({kinds})"


def _decoders(conf: Path | None, redactor: Redactor) -> dict[str, Decoder]:
    found: list[Decoder] = [OrderFilledDecoder(frozenset()), Erc1155Decoder(frozenset(), frozenset())]
    if conf is not None:
        found = list(load_plan(conf, redactor).decoders.values())
    return {topic: decoder for decoder in found for topic in decoder.topics}


def _entries(file: Path) -> Iterator[object]:
    if str(file) == "-":
        yield from values_in(sys.stdin.buffer, file)
        return
    try:
        with open(file, "rb", opener=open_promptly) as opened:
            yield from values_in(opened, file)
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror or error}"]) from None


def _decode_one(
    entry: object, decoders: dict[str, Decoder], chain_id: ChainId, equals: EqualLogs
) -> tuple[Fill, ...] | str:
    """Return the fills of an entry, or the kind of what it is instead. Raises `UndecodableLog` where it is dropped."""
    if not isinstance(entry, dict):
        raise UndecodableLog(_NO_LOG, "expected an object")
    log = rpc.decode_log(msgspec.json.encode(as_a_node_says(entry)), chain_id)
    decoder = decoders.get(log.topics[0]) if log.topics else None
    if decoder is None:
        return "other-event"
    if log.removed:
        return "removed"
    decoded = decoder.decode(equals.numbered(log))
    if isinstance(decoded, Resolution):
        return "resolution"
    return decoded.kind if isinstance(decoded, NotAFill) else decoded
