"""`trio-copy decode`: logs as people quote them, in every form, of any length, and nothing dropped in silence."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trio_copy.chain import rpc
from trio_copy.cli import main
from trio_copy.cli.quoted import as_a_node_says, values_in
from trio_copy.errors import ConfigError, UndecodableLog
from trio_copy.model.ids import ChainId

Capture = pytest.CaptureFixture[str]
EXCHANGE = "0xe111180000d2663c0091e4f400237545b87b996b"
LEADER, HASH = "0x" + "0" * 24 + "1" * 40, "0x" + "c" * 64
NODE: dict[str, Any] = {
    "address": EXCHANGE,
    "topics": [
        "0xd543adfd945773f1a62f74f0ee55a5e3b9b1a28262980ba90b1a89f2ea84d8ee",
        "0x" + "a1".rjust(64, "0"),
        LEADER,
        "0x" + EXCHANGE[2:].rjust(64, "0"),
    ],
    "data": "0x" + "".join(f"{word:064x}" for word in (0, 777, 50_000_000, 100_000_000, 0, 0, 0)),
    "blockNumber": "0x56a1d06",
    "blockHash": "0x" + "b" * 64,
    "transactionHash": HASH,
    "transactionIndex": "0x0",
    "logIndex": "0x0",
    "removed": False,
}


def but(**changes: Any) -> dict[str, Any]:
    """The same log as somebody else writes it; None leaves a field out."""
    return {name: value for name, value in {**NODE, **changes}.items() if value is not None}


NUMBER = 0x56A1D06
SHAPES: dict[str, dict[str, Any]] = {
    "explorers write zero as 0x": but(logIndex="0x", transactionIndex="0x", timeStamp="0x6a64696e", removed=None),
    "web3.py writes numbers": but(blockNumber=NUMBER, logIndex=0, transactionIndex=0, blockTimestamp=1785000302),
    "web3.py's bytes without 0x": but(
        topics=[topic[2:] for topic in NODE["topics"]], data=NODE["data"][2:], transactionHash=HASH[2:]
    ),
    "ethers 6 says index": but(_type="log", blockNumber=NUMBER, index=0, logIndex=None, transactionIndex=0),
    "ethers 5 writes numbers": but(blockNumber=NUMBER, logIndex=0, transactionIndex=0),
    "tables write decimal digits": but(blockNumber=str(NUMBER), logIndex="0", block_timestamp="1785000302"),
    "tables have snake case": but(
        blockNumber=None, logIndex=None, transactionHash=None, block_number=NUMBER, log_index=0, transaction_hash=HASH
    ),
    "tables have four columns for topics": but(topics=[*NODE["topics"], None, None]),
    "removed is text": but(removed="false"),
    "removed is null": {**NODE, "removed": None},
    "a time of zero": but(blockTimestamp="0x0"),
    "upper case": but(address="0x" + EXCHANGE[2:].upper(), data="0x" + NODE["data"][2:].upper()),
    "fields that nobody knows": but(l1BatchNumber="0x1", weight=1e300, more={"a": [1]}),
}
FORMS: dict[str, Callable[[dict[str, Any]], str]] = {
    "one": json.dumps,
    "pretty": lambda log: json.dumps(log, indent=1),
    "array": lambda log: json.dumps([log]),
    "lines": lambda log: "\n" + json.dumps(log) + "\n\n",
    "receipt": lambda log: json.dumps({"status": 1, "logs": [log]}, indent=2),
    "receipt that says where": lambda log: json.dumps(
        {"blockNumber": NUMBER, "blockHash": "0x" + "b" * 64, "transactionHash": HASH, "logs": [_without_place(log)]}
    ),
    "receipts of a block": lambda log: json.dumps({"jsonrpc": "2.0", "id": 1, "result": [{"logs": [log]}]}),
    "RPC answer": lambda log: json.dumps({"jsonrpc": "2.0", "id": 1, "result": [log]}),
    "batch of RPC answers": lambda log: json.dumps([{"id": 1, "result": [log]}, {"id": 2, "result": []}]),
    "notification": lambda log: json.dumps(
        {"method": "eth_subscription", "params": {"subscription": "0x1", "result": log}}
    ),
    "explorer": lambda log: json.dumps({"status": "1", "message": "OK", "result": [log]}, indent=1),
}


def _without_place(log: dict[str, Any]) -> dict[str, Any]:
    gone = ("block", "transactionHash", "transaction_hash")
    return {name: value for name, value in log.items() if not name.startswith(gone)}


def decoded(path: Path, text: str, capsys: Capture, *options: str) -> tuple[int, list[dict[str, Any]], str]:
    path.write_text(text)
    code = main(["decode", str(path), *options])
    output = capsys.readouterr()
    return code, [json.loads(line) for line in output.out.splitlines()], output.err


@pytest.mark.parametrize("shape", SHAPES)
def test_every_way_of_writing_a_log_means_the_same(tmp_path: Path, capsys: Capture, shape: str) -> None:
    """Numbers, names and bytes as each library and explorer writes them give the fill that the node's own form gives."""
    _, expected, _ = decoded(tmp_path / "logs", json.dumps(NODE), capsys)
    assert len(expected) == 1
    assert expected[0]["kind"] == "trade"
    code, fills, said = decoded(tmp_path / "logs", json.dumps([SHAPES[shape]]), capsys, "--strict")
    assert (code, fills) == (0, expected)
    assert "1 fill; logs that are no fills: 0 (none); dropped: 0 (none)" in said


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_opened(tmp_path: Path, capsys: Capture, form: str) -> None:
    """Whatever holds logs gives the same fills."""
    _, expected, _ = decoded(tmp_path / "logs", json.dumps(NODE), capsys)
    for log in (NODE, SHAPES["explorers write zero as 0x"], SHAPES["ethers 6 says index"]):
        assert decoded(tmp_path / "logs", FORMS[form](log), capsys, "--strict")[:2] == (0, expected)


def test_a_mark_in_front_is_read_over(tmp_path: Path, capsys: Capture) -> None:
    """Programs of Windows put it before UTF-8."""
    expected = decoded(tmp_path / "logs", json.dumps([NODE]), capsys)
    assert expected == decoded(tmp_path / "logs", "\ufeff" + json.dumps([NODE]), capsys, "--strict")


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        (but(logIndex="0xzz"), "malformed-log"),
        (but(logIndex=-1), "malformed-log"),
        (but(logIndex=1.5), "malformed-log"),
        (but(logIndex=True), "malformed-log"),
        (but(logIndex=[0]), "malformed-log"),
        (but(blockNumber="12a"), "malformed-log"),  # hexadecimal without 0x, or a typing error?
        (but(data="0x123"), "malformed-log"),
        (but(data=None), "malformed-log"),
        (but(topics="0x"), "malformed-log"),
        (but(topics=[7]), "malformed-log"),
        (but(removed="maybe"), "malformed-log"),
        (but(data="0x" + "00" * 32), "order-filled-v2"),
        (None, "malformed"),
        ("Max rate limit reached", "malformed"),
    ],
)
def test_what_is_dropped_is_said_and_strict_fails(tmp_path: Path, capsys: Capture, broken: Any, kind: str) -> None:
    """A log that cannot be read is counted by kind, never guessed at, and --strict makes it exit code 1."""
    text = json.dumps([NODE, broken])
    for options, expected in (((), 0), (("--strict",), 1)):
        code, fills, said = decoded(tmp_path / "logs", text, capsys, *options)
        assert (code, len(fills)) == (expected, 1)
        assert f"dropped: 1 (1 {kind})" in said


def test_logs_of_other_kinds_are_no_loss(tmp_path: Path, capsys: Capture) -> None:
    """Other events, removed logs and contracts that are not believed are named, and are no failure."""
    other = but(topics=["0x" + "e" * 64])
    code, fills, said = decoded(tmp_path / "logs", json.dumps([NODE, other, but(removed=True)]), capsys, "--strict")
    assert (code, len(fills)) == (0, 1)
    assert "logs that are no fills: 2 (1 other-event, 1 removed); dropped: 0 (none)" in said


def test_a_document_too_long_is_refused_and_lines_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """One document is held in memory and therefore bounded; lines have no end, each is bounded."""
    monkeypatch.setattr("trio_copy.cli.quoted.VALUE_MOST", 4000)
    line = json.dumps(NODE).encode() + b"\n"
    assert len(list(values_in(io.BytesIO(line * 50), "file"))) == 50
    pretty = b"[\n" + b",\n".join([json.dumps(NODE).encode()] * 50) + b"]"
    with pytest.raises(ConfigError, match="file:1: expected a line of JSON, or one document of at most 4,000 bytes"):
        list(values_in(io.BytesIO(pretty), "file"))
    with pytest.raises(ConfigError, match="file:3: expected a line of at most 4,000 bytes, got a longer one"):
        list(values_in(io.BytesIO(line * 2 + b'"' + b"x" * 5000), "file"))


_NASTY = [None, True, 0, -1, 2**64, 10**400, 1.5, 1e308, "", "0x", "0", "0x0", "a" * 64, "0x" + "f" * 64, "٣"]
_JSON = st.recursive(
    st.sampled_from(_NASTY),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["logs", "result", "x"]), inner),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from([*NODE, "index", "timeStamp", "log_index"]), _JSON))
def test_nothing_that_is_quoted_can_crash(changes: dict[str, Any]) -> None:
    """Any values in any fields are a log or a refusal, through every container."""
    for entry in values_in(io.BytesIO(json.dumps([{**NODE, **changes}]).encode()), "file"):
        if isinstance(entry, dict):
            try:
                rpc.decode_log(json.dumps(as_a_node_says(entry)).encode(), ChainId(137))
            except UndecodableLog as error:
                assert error.kind == "malformed-log"


@pytest.mark.parametrize(
    "bomb", [b"[" * 100_000, b'{"result":' * 100_000, b"[" * 50 + b"]" * 50, b"\xff\xfe\x00", b'"\xff"', b"1e999"]
)
def test_no_nesting_can_crash(bomb: bytes) -> None:
    """Depth is refused, or counted as no log."""
    try:
        assert list(values_in(io.BytesIO(bomb), "file")) in ([], [None])
    except ConfigError as error:
        assert "expected JSON" in str(error)
