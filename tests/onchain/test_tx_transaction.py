"""Transactions are the bytes that eth-account signs, and nothing else is read as one."""

import random
from contextlib import suppress
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_copy.model.ids import Address, ChainId
from trio_copy.native import SecretKey
from trio_copy.recursion import same_recursion_limit
from trio_copy.transactions import rlp
from trio_copy.transactions.transaction import Transaction, read_signed

with same_recursion_limit():
    from eth_account.typed_transactions.dynamic_fee_transaction import DynamicFeeTransaction

OURS = Transaction(
    chain_id=ChainId(137), nonce=7, tip=25 * 10**9, max_fee=80 * 10**9, gas=240_000, to=Address("0x" + "ab" * 20),
    value=0, data=bytes.fromhex("a9059cbb") + bytes(64),
)  # fmt: skip
KEY = SecretKey(b"\x11" * 32)
_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x100, 2**32)


def _some(random: random.Random, bits: int) -> int:
    return random.choice((random.choice(_EDGES), random.getrandbits(random.randrange(1, bits + 1))))


def _random(random: random.Random) -> Transaction:
    tip, more = _some(random, 100), _some(random, 100)
    return Transaction(
        chain_id=ChainId(random.choice((1, 100, 137, 80002, 2**40))),
        nonce=_some(random, 63),
        tip=tip,
        max_fee=tip + more,
        gas=_some(random, 40),
        to=Address("0x" + random.randbytes(20).hex()),
        value=_some(random, 200),
        data=random.randbytes(random.choice((0, 1, 4, 36, 55, 56, 57, 255, 256, 420, 1000))),
    )


def test_two_thousand_random_transactions_are_eth_accounts_to_the_byte() -> None:
    """Raw bytes are those of eth-account, also where r or s begins with a zero byte; of every eighth the digest as well."""
    dice, short = random.Random(1), 0
    for number in range(2_000):
        key, ours = SecretKey(dice.randbytes(32)), _random(dice)
        signature = key.sign(ours.digest)
        signed = ours.signed({ours.digest: signature}.__getitem__)
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
        official = DynamicFeeTransaction.from_dict(
            {
                "type": 2, "chainId": ours.chain_id, "nonce": ours.nonce, "maxPriorityFeePerGas": ours.tip,
                "maxFeePerGas": ours.max_fee, "gas": ours.gas, "to": bytes.fromhex(ours.to[2:]), "value": ours.value,
                "data": ours.data,
            }
        )  # fmt: skip
        official.dictionary.update(v=signature[64] - 27, r=r, s=s)
        assert signed.raw == b"\x02" + official.payload()
        short += r >> 248 == 0 or s >> 248 == 0
        if number % 8 == 0:
            assert ours.digest == bytes(official.hash())
            assert read_signed(signed.raw) == (ours, key.address)
    assert short > 5


def test_a_signed_transaction_is_known_by_the_hash_of_its_bytes() -> None:
    """The hash is the chain's own, and the same fields are the same transaction again."""
    with same_recursion_limit():
        from eth_account import Account
        from eth_utils.address import to_checksum_address

    official = Account.sign_transaction(
        {
            "type": 2, "chainId": 137, "nonce": 7, "maxPriorityFeePerGas": OURS.tip, "maxFeePerGas": OURS.max_fee,
            "gas": OURS.gas, "to": to_checksum_address(OURS.to), "value": 0, "data": OURS.data,
        },
        b"\x11" * 32,
    )  # fmt: skip
    signed = OURS.signed(KEY.sign)
    assert (signed.raw, signed.hash) == (bytes(official.raw_transaction), "0x" + official.hash.hex())
    assert OURS.signed(KEY.sign) == signed


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"nonce": -1}, "nonce: expected a number from 0"),
        ({"nonce": 2**64}, "below 2\\*\\*64"),
        ({"gas": 2**64}, "gas: expected"),
        ({"tip": -1}, "tip: expected"),
        ({"max_fee": 2**256}, "max_fee: expected"),
        ({"max_fee": OURS.tip - 1}, "at least the tip"),
        ({"value": 2**256}, "value: expected"),
    ],
)
def test_what_the_chain_has_no_room_for_is_never_signed(changes: dict[str, Any], expected: str) -> None:
    """Numbers out of range raise at once."""
    with pytest.raises(ValueError, match=expected):
        evolve(OURS, **changes)


def _signed_by(fields: list[rlp.Item]) -> bytes:
    return b"\x02" + rlp.encode(fields)


_GOOD: list[rlp.Item] = [137, 7, 25, 80, 21000, b"\xab" * 20, 0, b"\x01\x02", [], 1, 5, 6]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x02",
        b"\x01" + rlp.encode(_GOOD),
        rlp.encode(_GOOD),
        b"\x02" + rlp.encode(b"text"),
        _signed_by(_GOOD[:-1]),
        _signed_by([*_GOOD, 1]),
        _signed_by([*_GOOD[:5], b"\xab" * 19, *_GOOD[6:]]),
        _signed_by([*_GOOD[:8], [[b"\xab" * 20, []]], *_GOOD[9:]]),
        _signed_by([*_GOOD[:8], b"", *_GOOD[9:]]),
        _signed_by([b"\x00\x89", *_GOOD[1:]]),
        _signed_by([*_GOOD[:9], 2, *_GOOD[10:]]),
        _signed_by([*_GOOD[:10], b"\x01" * 33, 6]),
        _signed_by([*_GOOD[:10], 0, 0]),
        _signed_by([[], *_GOOD[1:]]),
        OURS.signed(KEY.sign).raw[:-1],
        OURS.signed(KEY.sign).raw + b"\0",
    ],
)
def test_what_is_no_transaction_of_ours_is_refused(raw: bytes) -> None:
    """Bytes that are cut, go on, are of another type or are written otherwise raise `ValueError`, and nothing else."""
    with pytest.raises(ValueError, match=r"expected"):
        read_signed(raw)


@pytest.mark.parametrize(
    "raw",
    [
        "c28100",  # a byte below 0x80 with a head
        "c2817f",
        "c2b800",  # a length that would fit into the head
        "f839b837" + "00" * 55,
        "f83bb90038" + "00" * 56,
        "f800",
        "c383aabb",  # less than is announced
        "c2b9",
        "c1",
        "c0c0",
        "c3c2c1c0",  # lists in lists of lists
    ],
)
def test_rlp_is_read_in_its_one_way_only(raw: str) -> None:
    """What could be written in another way, and so have another hash, is not read."""
    with pytest.raises(ValueError, match="expected"):
        rlp.decode_list(bytes.fromhex(raw))


_TEXTS = st.binary(max_size=70)


@settings(max_examples=60)
@given(st.lists(_TEXTS | st.lists(_TEXTS, max_size=4), max_size=6))
def test_rlp_reads_what_it_writes(members: list[bytes | list[bytes]]) -> None:
    """Lists of bytes, and lists of these, come back as they went."""
    assert rlp.decode_list(rlp.encode(members)) == members


@settings(max_examples=120)
@given(st.binary(max_size=80))
def test_no_bytes_whatever_break_the_reading(raw: bytes) -> None:
    """Arbitrary bytes are a transaction, or a `ValueError`."""
    for tried in (raw, b"\x02" + raw, b"\x02" + rlp.encode([raw])):
        with suppress(ValueError):
            assert read_signed(tried)[0].tip >= 0


@settings(max_examples=60)
@given(st.data())
def test_a_changed_byte_is_never_the_same_transaction_of_the_same_key(data: st.DataObject) -> None:
    """Flip anything in signed bytes, and it is refused, or another transaction, or somebody else's."""
    raw = bytearray(OURS.signed(KEY.sign).raw)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        read = read_signed(bytes(raw))
    except ValueError:
        return
    assert read != (OURS, KEY.address)
