"""Whatever a node sends is checked before it is believed."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import POLYGON, hash_of
from trio_copy.chain import rpc
from trio_copy.errors import MalformedFrame, PendingLog, UndecodableLog

LOG: dict[str, Any] = {
    "address": "0x" + "AB" * 20,
    "topics": [hash_of(1)],
    "data": "0x0102",
    "blockNumber": "0xa",
    "blockHash": hash_of(2),
    "blockTimestamp": "0x6a6b6545",
    "transactionHash": hash_of(3),
    "transactionIndex": "0x0",
    "logIndex": "0x1",
    "removed": False,
    "somethingNew": [1],
}


NO_NUMBERS: list[Any] = [
    *("12", "", "x", "0x-1", "-0x1", "0x1_0", " 0x1", "0x1 ", "0x 1", "0xg", "0x\u0663", "0x" + "f" * 70),
    *(-1, 1.5, 10.0, True, False, [], {}, 2**256, hex(2**256)),
]
"""What nobody can plainly read as a number."""


def decode(**changes: Any) -> Any:
    return rpc.decode_log(json.dumps({**LOG, **changes}).encode(), POLYGON)


def test_a_good_log_is_read_whole() -> None:
    """Addresses are lower-case inside, unknown fields are ignored."""
    log = decode()

    assert (
        log.address,
        log.data,
        log.block_number,
        log.log_index,
        log.block_time,
    ) == ("0x" + "ab" * 20, b"\x01\x02", 10, 1, 0x6A6B6545)


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "0x12"},
        {"address": None},
        {"address": "0x" + "zz" * 20},
        {"topics": ["0x12"]},
        {"topics": [None]},
        {"topics": [hash_of(1)] * 5},
        {"topics": "0x"},
        {"data": "0x123"},
        {"data": "0x 12 "},
        {"data": "12"},
        {"data": 12},
        {"blockHash": hash_of(1)[:-1]},
        {"logIndex": None},
        {"transactionHash": hash_of(1) + "0"},
        {"removed": "yes"},
        {"removed": 2},
        {"removed": 0.5},
        *({name: value} for name in ("blockNumber", "logIndex") for value in NO_NUMBERS if value is not None),
        {"blockNumber": 2**63},
        {"logIndex": hex(2**63)},
    ],
)
def test_a_bad_log_is_refused_and_named(changes: dict[str, Any]) -> None:
    """Wrong lengths, digits and types never become a log; no sign, fraction or foreign digit is guessed at."""
    with pytest.raises(UndecodableLog, match="malformed-log"):
        decode(**changes)


@pytest.mark.parametrize(
    "changes",
    [{"blockHash": None}, {"blockNumber": None}, {"blockHash": None, "logIndex": None}],
)
def test_a_log_of_no_block_yet_is_told_apart(changes: dict[str, Any]) -> None:
    """It is no fault of its node, and it comes again with its block."""
    with pytest.raises(PendingLog, match="pending-log"):
        decode(**changes)


def test_a_number_that_is_no_json_is_refused() -> None:
    """NaN and Infinity are no numbers."""
    for word in (b"NaN", b"Infinity", b"1e400", b"0x10"):
        with pytest.raises(UndecodableLog):
            rpc.decode_log(json.dumps(LOG).encode().replace(b'"0xa"', word), POLYGON)


@pytest.mark.parametrize(
    ("changes", "read"),
    [
        ({"blockNumber": 10}, {"block_number": 10}),
        ({"blockNumber": "0X0A"}, {"block_number": 10}),
        ({"blockNumber": "0x00a"}, {"block_number": 10}),
        ({"logIndex": "0x"}, {"log_index": 0}),
        ({"logIndex": 0}, {"log_index": 0}),
        ({"removed": None}, {"removed": False}),
        ({"removed": True}, {"removed": True}),
        *(({"removed": value}, {"removed": True}) for value in (1, "0x1", "true")),
        *(({"removed": value}, {"removed": False}) for value in (0, "0x0", "0x", "false")),
        ({"topics": None}, {"topics": ()}),
        ({"topics": []}, {"topics": ()}),
        ({"data": "0x"}, {"data": b""}),
        ({"data": None}, {"data": b""}),
        ({"data": ""}, {"data": b""}),
        ({"data": "0XFF"}, {"data": b"\xff"}),
        ({"address": "0X" + "AB" * 20}, {"address": "0x" + "ab" * 20}),
        ({"blockHash": hash_of(0xABC).upper()}, {"block_hash": hash_of(0xABC)}),
        ({"blockTimestamp": 0x6A6B6545}, {"block_time": 0x6A6B6545}),
        ({"blockTimestamp": None}, {"block_time": None}),
        ({"blockTimestamp": "0x0"}, {"block_time": None}),
        ({"blockTimestamp": "0x"}, {"block_time": None}),
        ({"blockTimestamp": 0}, {"block_time": None}),
        ({"blockTimestamp": 1_590_824_835}, {"block_time": None}),
        ({"blockTimestamp": 1_590_824_836}, {"block_time": 1_590_824_836}),
        ({"blockTimestamp": 1_764_000_000_000}, {"block_time": None}),
        ({"blockTimestamp": hex(2**70)}, {"block_time": None}),
        *(({"blockTimestamp": value}, {"block_time": None}) for value in NO_NUMBERS),
        ({"blockTimestamp": "1764000000"}, {"block_time": None}),
        ({"blockTimestamp": "2026-11-27T20:00:00Z"}, {"block_time": None}),
    ],
)
def test_what_is_plain_is_read(changes: dict[str, Any], read: dict[str, Any]) -> None:
    """Nodes write the same in many ways; a time that is none, or cannot be read, is left to the block's header."""
    log = decode(**changes)

    assert read == {name: getattr(log, name) for name in read}


def test_a_log_may_lack_what_has_a_plain_default() -> None:
    """Older nodes send neither a time nor `removed`."""
    short = {name: value for name, value in LOG.items() if name not in ("blockTimestamp", "removed", "somethingNew")}
    log = rpc.decode_log(json.dumps(short).encode(), POLYGON)

    assert (log.block_time, log.removed) == (None, False)


BLOCK: dict[str, Any] = {
    "number": "0xa",
    "hash": hash_of(2),
    "parentHash": hash_of(1),
    "timestamp": "0x6a6b6545",
    "logsBloom": "0x" + "0" * 511 + "1",
}


def decode_block(**changes: Any) -> Any:
    return rpc.decode_block(msgspec.Raw(json.dumps({**BLOCK, **changes}).encode()))


@pytest.mark.parametrize(
    ("changes", "read"),
    [
        ({}, {"number": 10, "time": 0x6A6B6545, "bloom": 1}),
        ({"number": 10, "timestamp": 0x6A6B6545}, {"number": 10, "time": 0x6A6B6545}),
        ({"number": "0x", "timestamp": "0x0"}, {"number": 0, "time": 0}),
        ({"logsBloom": None}, {"bloom": 2**2048 - 1}),
        ({"logsBloom": "0x0"}, {"bloom": 2**2048 - 1}),
    ],
)
def test_a_header_is_read_where_it_is_plain(changes: dict[str, Any], read: dict[str, Any]) -> None:
    """A bloom that is missing proves nothing, so it excludes no log."""
    block = decode_block(**changes)

    assert read == {name: getattr(block, name) for name in read}


@pytest.mark.parametrize(
    "changes",
    [
        {"timestamp": "0x0"},
        {"timestamp": 1},
        {"timestamp": 1_764_000_000_000},
        {"timestamp": None},
        {"timestamp": 1.5},
        {"number": -1},
        {"number": True},
        {"hash": "0x1"},
        {"parentHash": "0x1"},
        {"logsBloom": "0x" + "0" * 513},
        {"logsBloom": "0x" + "-" + "0" * 511},
        {"logsBloom": "0x" + "_" * 512},
    ],
)
def test_a_header_that_cannot_be_believed_is_refused(changes: dict[str, Any]) -> None:
    """Its time is what every log of the block is as old as: without one, old fills would look fresh."""
    with pytest.raises(MalformedFrame):
        decode_block(**changes)


@given(st.binary(max_size=300))
def test_no_bytes_can_crash_the_frame_reader(frame: bytes) -> None:
    """Garbage is a MalformedFrame, nothing else."""
    try:
        rpc.decode_frame(frame)
    except MalformedFrame:
        return


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "method", "params", "result", "error", "subscription", "code", "message", "data"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(ANY_JSON)
def test_no_json_can_crash_the_readers(value: Any) -> None:
    """Any JSON is a frame, a block, logs, a text or a clean refusal, and what an error says is short."""
    raw = msgspec.Raw(json.dumps(value).encode())
    for read in (rpc.decode_block, rpc.split_logs, rpc.decode_subscription, rpc.decode_quantity):
        with suppress(MalformedFrame):
            read(raw)
    with suppress(MalformedFrame):
        frame = rpc.decode_frame(bytes(raw))
        assert not isinstance(frame, rpc.ErrorReply) or len(frame.error.message) <= 300


@given(
    st.dictionaries(st.sampled_from([*LOG, *BLOCK]), ANY_JSON, max_size=4), st.integers(0, 500), st.binary(max_size=4)
)
def test_no_field_and_no_cut_can_crash_the_readers(changes: dict[str, Any], at: int, scar: bytes) -> None:
    """A good log or header with other fields, or with bytes cut out and put in, is read or cleanly refused."""
    for good in (LOG, BLOCK):
        whole = json.dumps({**good, **changes}).encode()
        for raw in (whole, whole[:at] + scar + whole[at + 2 :], whole[:at]):
            with suppress(UndecodableLog):
                rpc.decode_log(raw, POLYGON)
            with suppress(MalformedFrame):
                rpc.decode_block(msgspec.Raw(raw))


def test_replies_errors_and_notifications_are_told_apart() -> None:
    """The three kinds of frames a node may send."""
    assert rpc.decode_frame('{"id":1,"result":null}') == rpc.Reply(1, msgspec.Raw(b"null"))
    error = rpc.decode_frame('{"id":1,"error":{"code":-32005,"message":"range"}}')
    assert isinstance(error, rpc.ErrorReply)
    assert error.error.code == -32005
    notification = rpc.decode_frame('{"method":"eth_subscription","params":{"subscription":"0x1","result":{}}}')
    assert notification == rpc.Notification("0x1", msgspec.Raw(b"{}"))


@pytest.mark.parametrize(
    "frame",
    [
        '{"id":7,"result":"0x1"}',
        '{"id":"7","result":"0x1"}',
        '{"id":7.0,"result":"0x1"}',
        '{"id":7,"result":"0x1","error":null}',
        '{"id":7,"method":"eth_chainId","result":"0x1"}',
        '{"id":7,"params":[],"result":"0x1"}',
        '[{"id":7,"result":"0x1"}]',
        ' [ {"id":"7","result":"0x1"} ] ',
    ],
)
def test_a_plain_answer_is_one_however_it_is_written(frame: str) -> None:
    """Ids come back as text, and single answers as batches of one."""
    assert rpc.decode_frame(frame) == rpc.Reply(7, msgspec.Raw(b'"0x1"'))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ('{"id":7,"error":{"code":-32005,"message":"range"}}', (7, -32005, "range")),
        ('{"id":"7","error":{"code":-32005,"message":"range"}}', (7, -32005, "range")),
        ('[{"id":7,"error":{"code":-32005,"message":"range"}}]', (7, -32005, "range")),
        ('{"id":null,"error":{"code":-32005,"message":"range"}}', (None, -32005, "range")),
        ('{"error":{"code":-32005,"message":"range"}}', (None, -32005, "range")),
        ('{"id":"x","error":{"code":1,"message":"m"}}', (None, 1, "m")),
        ('{"id":1.5,"error":{"code":1,"message":"m"}}', (None, 1, "m")),
        ('{"id":true,"error":{"code":1,"message":"m"}}', (None, 1, "m")),
        ('{"id":7,"error":{"code":"-32005","message":"range"}}', (7, -32005, "range")),
        ('{"id":7,"error":{"code":"RATE","message":"slow down"}}', (7, 0, "RATE: slow down")),
        ('{"id":7,"error":{"code":429.0,"message":"m"}}', (7, 429, "m")),
        ('{"id":7,"error":{"code":null,"message":"m"}}', (7, 0, "m")),
        ('{"id":7,"error":{"message":"m"}}', (7, 0, "m")),
        ('{"id":7,"error":{"code":-32000,"message":null}}', (7, -32000, "")),
        ('{"id":7,"error":{"code":-32000,"message":null,"data":"try 0x1"}}', (7, -32000, "try 0x1")),
        ('{"id":7,"error":{"code":-32000,"message":{"a":1}}}', (7, -32000, '{"a":1}')),
        ('{"id":7,"error":{"code":-32000}}', (7, -32000, "")),
        ('{"id":7,"error":"rate limited"}', (7, 0, "rate limited")),
        ('{"id":7,"error":429}', (7, 0, "429")),
        ('{"id":7,"error":[]}', (7, 0, "[]")),
        ('{"id":7,"error":{},"result":"0x1"}', (7, 0, "{}")),
        ('{"id":7,"error":{"code":0,"message":""}}', (7, 0, '{"code":0,"message":""}')),
        ('{"id":7,"error":false,"result":"0x1"}', (7, 0, "false")),
        ('{"id":7}', (7, 0, "an answer without result and error")),
        ('{"id":7,"error":null}', (7, 0, "an answer without result and error")),
        ('{"result":"0x1"}', (None, 0, "an answer that does not say which request it belongs to")),
        ('{"id":7,"error":{"code":1,"message":"' + "x" * 1000 + '"}}', (7, 1, "x" * 300)),
    ],
)
def test_what_cannot_be_a_success_is_an_error(frame: str, expected: tuple[int | None, int, str]) -> None:
    """Whatever an error looks like, the request it names fails with it, or all of them where it names none."""
    reply = rpc.decode_frame(frame)

    assert isinstance(reply, rpc.ErrorReply)
    assert expected == (reply.id, reply.error.code, reply.error.message)


@pytest.mark.parametrize(
    "frame", ["", "{", "[]", "{}", "rate limited", '"text"', "5", "null", "[[]]", "[5]", "[{},{}]"]
)
def test_what_is_no_answer_at_all_is_malformed(frame: str) -> None:
    """Plain words, batches of several, empty things."""
    with pytest.raises(MalformedFrame):
        rpc.decode_frame(frame)


@pytest.mark.parametrize(
    "frame",
    [
        '{"method":"eth_subscription","params":{"subscription":"0x1"}}',
        '{"method":"eth_subscription","params":{"subscription":null,"result":1}}',
        '{"method":"eth_subscription","params":{"subscription":"' + "x" * 257 + '","result":1}}',
        '{"method":"net_hello"}',
        '{"method":"net_hello","params":[1],"id":7}',
    ],
)
def test_what_is_no_answer_fails_no_request(frame: str) -> None:
    """A notification that cannot be read says nothing about requests."""
    assert isinstance(rpc.decode_frame(frame), rpc.Unreadable)


@pytest.mark.parametrize(
    ("error", "says"),
    [('"subscription lagged"', "subscription lagged"), ('{"code":-32000,"message":"closed"}', "closed"), ("null", "")],
)
def test_the_end_of_a_subscription_is_read(error: str, says: str) -> None:
    """Some nodes end a subscription that fell behind, and say so in place of a result."""
    frame = '{"method":"eth_subscription","params":{"subscription":"0x1","error":%s}}'
    ended = rpc.decode_frame(frame % error)

    assert isinstance(ended, rpc.SubscriptionEnded)
    assert (ended.subscription, says in ended.error.message) == ("0x1", True)


@pytest.mark.parametrize("changes", [{"hash": None}, {"number": None}, {"hash": None, "number": None}])
def test_a_block_that_is_not_mined_yet_is_none(changes: dict[str, Any]) -> None:
    """Nodes show the block that they would build."""
    assert rpc.decode_block(msgspec.Raw(json.dumps({**BLOCK, **changes}).encode())) is None


def test_no_logs_may_be_written_as_null() -> None:
    """Some nodes have no empty list."""
    assert list(rpc.split_logs(msgspec.Raw(b"null"))) == []


def test_deeply_nested_json_is_refused() -> None:
    """A bomb of brackets does not reach the interpreter's recursion limit."""
    with pytest.raises(MalformedFrame):
        rpc.decode_frame("[" * 100_000)


def test_nesting_inside_a_result_is_refused_too() -> None:
    """What the frame reader passes on undecoded is bounded where it is decoded."""
    bomb = msgspec.Raw(b'{"x":' + b"[" * 100_000)
    for read in (rpc.decode_block, rpc.split_logs, rpc.decode_subscription):
        with pytest.raises(MalformedFrame):
            read(bomb)
    with pytest.raises(UndecodableLog):
        rpc.decode_log(bomb, POLYGON)
    with pytest.raises(MalformedFrame):
        rpc.decode_subscription(msgspec.Raw(b'"\xff"'))


def test_an_unknown_block_is_none() -> None:
    """Nodes answer null for blocks they do not have."""
    assert rpc.decode_block(msgspec.Raw(b"null")) is None


def test_why_a_call_reverts_is_kept() -> None:
    """It stands in the data, and is longer than any message."""
    data = "0x08c379a0" + "00" * 1000
    told = {"jsonrpc": "2.0", "id": 1, "error": {"code": 3, "message": "execution reverted", "data": data}}
    reply = rpc.decode_frame(msgspec.json.encode(told))
    assert isinstance(reply, rpc.ErrorReply)
    assert (reply.error.data, reply.error.reverted) == (f'"{data}"', True)
