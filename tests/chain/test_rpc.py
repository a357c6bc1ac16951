"""Whatever a node sends is checked before it is believed."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import POLYGON, hash_of
from trio_copy.chain import rpc
from trio_copy.errors import MalformedFrame, UndecodableLog

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
        {"topics": [hash_of(1)] * 5},
        {"topics": "0x"},
        {"data": "0x123"},
        {"data": "0x 12 "},
        {"data": "12"},
        {"blockNumber": "12"},
        {"blockNumber": "0x-1"},
        {"blockNumber": "0x"},
        {"blockNumber": 12},
        {"logIndex": "0x1_0"},
        {"blockHash": hash_of(1)[:-1]},
        {"transactionHash": hash_of(1) + "0"},
        {"removed": "yes"},
        {"blockNumber": "0x" + "f" * 70},
    ],
)
def test_a_bad_log_is_refused_and_named(changes: dict[str, Any]) -> None:
    """Wrong lengths, digits and types never become a log."""
    with pytest.raises(UndecodableLog, match="malformed-log"):
        decode(**changes)


@given(st.binary(max_size=300))
def test_no_bytes_can_crash_the_frame_reader(frame: bytes) -> None:
    """Garbage is a MalformedFrame, nothing else."""
    try:
        rpc.decode_frame(frame)
    except MalformedFrame:
        return


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["id", "method", "params", "result", "error", "subscription", "code"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=10,
    )
)
def test_no_json_can_crash_the_readers(value: Any) -> None:
    """Any JSON is a frame, a block, logs, a text or a clean refusal."""
    raw = msgspec.Raw(json.dumps(value).encode())
    for read in (rpc.decode_frame, rpc.decode_block, rpc.split_logs, rpc.decode_text, rpc.decode_quantity):
        try:
            read(raw)
        except MalformedFrame:
            continue


def test_replies_errors_and_notifications_are_told_apart() -> None:
    """The three kinds of frames a node may send."""
    assert rpc.decode_frame('{"id":1,"result":null}') == rpc.Reply(1, msgspec.Raw(b"null"))
    error = rpc.decode_frame('{"id":1,"error":{"code":-32005,"message":"range"}}')
    assert isinstance(error, rpc.ErrorReply)
    assert error.error.code == -32005
    notification = rpc.decode_frame('{"method":"eth_subscription","params":{"subscription":"0x1","result":{}}}')
    assert notification == rpc.Notification("0x1", msgspec.Raw(b"{}"))


def test_deeply_nested_json_is_refused() -> None:
    """A bomb of brackets does not reach the interpreter's recursion limit."""
    with pytest.raises(MalformedFrame):
        rpc.decode_frame("[" * 100_000)


def test_nesting_inside_a_result_is_refused_too() -> None:
    """What the frame reader passes on undecoded is bounded where it is decoded."""
    bomb = msgspec.Raw(b'{"x":' + b"[" * 100_000)
    for read in (rpc.decode_block, rpc.split_logs, rpc.decode_text):
        with pytest.raises(MalformedFrame):
            read(bomb)
    with pytest.raises(UndecodableLog):
        rpc.decode_log(bomb, POLYGON)
    with pytest.raises(MalformedFrame):
        rpc.decode_text(msgspec.Raw(b'"\xff"'))


def test_an_unknown_block_is_none() -> None:
    """Nodes answer null for blocks they do not have."""
    assert rpc.decode_block(msgspec.Raw(b"null")) is None
