"""Receipts are read whole or not at all, and a missing one proves nothing."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_copy.errors import ConnectionLost, RpcError
from trio_copy.model.ids import Address, ChainId, Hash32
from trio_copy.model.logs import RawLog
from trio_copy.transactions.bloom import bloom_over
from trio_copy_onchain.tx.answers import Told
from trio_copy_onchain.tx.receipts import (
    Failure,
    Receipt,
    Standing,
    read_known,
    read_receipt,
    read_used,
    standing,
    why_failed,
)
from trio_copy_onchain.tx.reverts import Lacks

POLYGON = ChainId(137)
OURS, BLOCK = Hash32("0x" + "ab" * 32), Hash32("0x" + "b1" * 32)
TOKEN, WALLET = Address("0x" + "70" * 20), Address("0x" + "3a" * 20)
_LOG = {
    "address": TOKEN.upper().replace("0X", "0x"), "topics": ["0x" + "dd" * 32, "0x" + "00" * 32], "data": "0x0102",
    "blockNumber": "0x10", "blockHash": BLOCK, "transactionHash": OURS, "transactionIndex": "0x0", "logIndex": "0x3",
    "removed": False,
}  # fmt: skip
_WHOLE = {
    "transactionHash": OURS, "transactionIndex": "0x0", "blockHash": BLOCK, "blockNumber": "0x10", "from": WALLET,
    "to": TOKEN, "cumulativeGasUsed": "0x5208", "gasUsed": "0x5208", "contractAddress": None, "logs": [_LOG],
    "logsBloom": "0x", "status": "0x1", "effectiveGasPrice": "0x77359400", "type": "0x2",
}  # fmt: skip
_READ = Receipt(
    tx_hash=OURS, block_number=16, block_hash=BLOCK, succeeded=True, gas_used=21_000, price=2 * 10**9,
    logs=(
        RawLog(
            chain_id=POLYGON, address=TOKEN, topics=(Hash32("0x" + "dd" * 32), Hash32("0x" + "00" * 32)), data=b"\1\2",
            block_number=16, block_hash=BLOCK, block_time=None, tx_hash=OURS, log_index=3,
        ),
    ),
)  # fmt: skip


_BLOOM = bloom_over([TOKEN, *_READ.logs[0].topics])


def _told(**changes: Any) -> bytes:
    return msgspec.json.encode({**_WHOLE, **changes})


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, _READ),
        ({"status": "0x0", "logs": []}, evolve(_READ, succeeded=False, logs=())),
        ({"status": 1, "blockNumber": 16, "gasUsed": 21_000}, _READ),
        ({"transactionHash": OURS.upper().replace("0X", "0x")}, _READ),
        ({"effectiveGasPrice": None}, evolve(_READ, price=None)),
        ({"logs": [{**_LOG, "removed": None}]}, _READ),
        ({"logs": [{**_LOG, "data": ""}]}, evolve(_READ, logs=(evolve(_READ.logs[0], data=b""),))),
        ({"logsBloom": f"0x{_BLOOM:0512x}"}, evolve(_READ, whole=True)),
        ({"logsBloom": "0x" + "0" * 512}, _READ),  # some chains leave it empty
        ({"logsBloom": "0x"}, _READ),
    ],
)
def test_a_receipt_is_read(changes: dict[str, Any], expected: Receipt) -> None:
    """Numbers in either form, hashes in either case."""
    assert read_receipt(_told(**changes), OURS, POLYGON) == expected


@pytest.mark.parametrize(
    "result",
    [
        b"", b"{}", b"[]", b'"0x1"', b"[" * 100_000, b"\xff", b"true",
        _told(transactionHash="0x" + "cd" * 32), _told(transactionHash=None), _told(status=None), _told(status="0x2"),
        _told(status="0x"[:1]), _told(blockNumber=None), _told(blockNumber="0x" + "f" * 17), _told(blockHash="0x12"),
        _told(gasUsed="-0x1"), _told(gasUsed=-1), _told(effectiveGasPrice="much"), _told(logs=None), _told(logs=[{}]),
        _told(logs=[_LOG] * 5_001), _told(logs=[{**_LOG, "removed": True}]),
        _told(logs=[{**_LOG, "transactionHash": "0x" + "cd" * 32}]), _told(logs=[{**_LOG, "blockHash": "0x" + "cd" * 32}]),
        _told(logs=[{**_LOG, "topics": ["0x" + "00" * 32] * 5}]), _told(logs=[{**_LOG, "topics": ["0x00"]}]),
        _told(logs=[{**_LOG, "topics": ["0x" + "00" * 31 + "  "]}]), _told(blockHash="0x" + "00" * 31 + "\N{FULLWIDTH DIGIT ONE}0"),
        _told(logs=[{**_LOG, "topics": ["0x" + "0 " * 32]}]),
        _told(logs=[{**_LOG, "data": "0x012"}]), _told(logs=[{**_LOG, "data": "0102"}]), _told(logs=[{**_LOG, "data": "0x0 1 "}]),
        _told(logs=[{**_LOG, "data": "0x" + "00" * ((1 << 20) + 1)}]), _told(logs=[_LOG, {**_LOG, "address": "0x12"}]),
        _told(logs=[{**_LOG, "logIndex": None}]),
        _told(logs=[], logsBloom=f"0x{_BLOOM:0512x}"), _told(logsBloom="0x" + "1" * 512), _told(logsBloom="0x" + "?" * 512),
    ],
)  # fmt: skip
def test_a_receipt_that_cannot_be_read_whole_is_refused(result: bytes) -> None:
    """Another's, half a one, a log that is taken back, or anything else: `ValueError`, and nothing is added up."""
    with pytest.raises(ValueError, match="receipt: "):
        read_receipt(result, OURS, POLYGON)


def test_no_receipt_is_no_error() -> None:
    """A node that has none says null."""
    assert read_receipt(b"null", OURS, POLYGON) is None


@pytest.mark.parametrize(
    "receipt, known, expected",
    [
        (_READ, [], Standing.DONE),
        (evolve(_READ, succeeded=False), [False], Standing.FAILED),
        (None, [True, False, None], Standing.PENDING),
        (None, [False, False], Standing.DROPPED),
        (None, [False, None], Standing.UNCLEAR),
        (None, [], Standing.UNCLEAR),
    ],
)
def test_where_a_transaction_stands(receipt: Receipt | None, known: list[bool | None], expected: Standing) -> None:
    """It is dropped where all nodes have answered and none has it."""
    assert standing(receipt, known) is expected


def test_whether_a_node_knows_a_transaction() -> None:
    """Pending or mined it is known; another one, or nonsense, is refused."""
    assert not read_known(b"null", OURS)
    assert read_known(msgspec.json.encode({"hash": OURS, "blockNumber": None}), OURS)
    for result in (msgspec.json.encode({"hash": "0x" + "cd" * 32}), b"{}", b"", b'"0x"'):
        with pytest.raises(ValueError, match="transaction: "):
            read_known(result, OURS)


def test_who_used_which_nonce_is_read_from_a_whole_block() -> None:
    """Only the wallet's own transactions count, in either case of letters; a block that cannot be read proves nothing."""
    mine = {"hash": OURS, "nonce": "0x7", "from": WALLET.upper().replace("0X", "0x"), "to": None}
    others = {"hash": "0x" + "cd" * 32, "nonce": "0x8", "from": TOKEN}
    assert read_used(msgspec.json.encode({"number": "0x10", "transactions": [others, mine]}), WALLET) == {7: OURS}
    for wrong in (None, [OURS], [{**mine, "nonce": None}], [{**mine, "from": "0x"}], [{**mine, "hash": "0x12"}]):
        with pytest.raises(ValueError, match="block: "):
            read_used(msgspec.json.encode({"transactions": wrong}), WALLET)
    with pytest.raises(ValueError, match="block: "):
        read_used(b"null", WALLET)


def _reason(text: str) -> str:
    body = text.encode()
    return "0x08c379a0" + ((0x20).to_bytes(32) + len(body).to_bytes(32) + body + bytes(-len(body) % 32)).hex()


def _trace(reason: str, error: str = "execution reverted") -> bytes:
    return msgspec.json.encode({"type": "CALL", "gasUsed": "0xbb7a", "output": reason, "error": error})


_PRICE, _NO_MONEY = "minimum buy amount not reached", "tUSD: balance"
_KILLED = Failure(words=_PRICE, killed=True)
_UNTOLD = Failure(words="refused within its block, and no node says why", killed=False, untold=True)
_REPLAYED = RpcError(3, "execution reverted", f'"{_reason(_PRICE)}"')


@pytest.mark.parametrize(
    "used, traced, replayed, expected",
    [
        (47_990, _trace(_reason(_PRICE)), None, _KILLED),
        (47_990, None, _REPLAYED, _KILLED),
        (47_990, RpcError(-32601, "no such method"), _REPLAYED, _KILLED),
        (47_990, b"nonsense", _REPLAYED, _KILLED),
        # The trace saw it happen; the replay has the whole block before it.
        (47_990, _trace(_reason(_NO_MONEY)), _REPLAYED, Failure(words=_NO_MONEY, killed=False, lacks=Lacks.BALANCE)),
        (47_990, _trace("0x"), _REPLAYED, _KILLED),
        (100_000, _trace("0x", "out of gas"), None, Failure(words="out of gas", killed=False, out_of_gas=True)),
        (99_000, None, b'"0x"', Failure(words="out of gas", killed=False, out_of_gas=True)),
        (47_990, None, b'"0x"', Failure(words="refused without a word", killed=False)),
        (47_990, _trace("0x"), None, Failure(words="refused without a word", killed=False)),
        (47_990, None, None, _UNTOLD),
        (47_990, None, ConnectionLost("closed"), _UNTOLD),
        (47_990, _trace("0xzz"), None, _UNTOLD),
    ],
)
def test_why_a_transaction_failed(used: int, traced: Told | None, replayed: Told | None, expected: Failure) -> None:
    """A price text is a price, used up gas asks for more, and what nobody tells is a refusal."""
    receipt = evolve(_READ, succeeded=False, gas_used=used)
    assert why_failed(receipt, 100_000, traced, replayed) == expected


@settings(max_examples=80)
@given(
    st.sampled_from([*_WHOLE, *_LOG]),
    st.sampled_from([None, -1, 0, "", "0x", "0xg", [], {}, True, 1e300, "0x" + "f" * 66]),
)
def test_no_receipt_whatever_breaks_the_reading(name: str, put: Any) -> None:
    """Any field may hold anything: the receipt is read, or refused with a `ValueError`."""
    for changed in ({name: put}, {"logs": [{**_LOG, name: put}]}):
        with suppress(ValueError):
            assert read_receipt(_told(**changed), OURS, POLYGON) is not None
