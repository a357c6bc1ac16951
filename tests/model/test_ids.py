"""Identities are pure functions: equal facts, equal names, everywhere and for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import EXCHANGE, LEADER, POLYGON, hash_of
from trio_copy.model.ids import (
    ZERO_ADDRESS,
    FollowerId,
    SignalId,
    TokenId,
    intent_key,
    order_signal_id,
    parse_address,
    salt,
    task_id,
    transfer_signal_id,
)


def test_identities_never_change() -> None:
    """These are written into stores and sent to venues: a change of the derivation would copy everything again."""
    signal = order_signal_id(POLYGON, EXCHANGE, hash_of(1), hash_of(2), (3, 4, 5), 0)
    task = task_id(signal, FollowerId("alice"))
    key = intent_key(task, 0)

    assert (signal[:16], task[:16], key[:16], salt(key)) == (
        "58a2c083cf072fc5",
        "0fde4fba7f01b0cf",
        "59ed6eeaa000e956",
        98876302991360,
    )


@given(st.text(alphabet="0123456789abcdef", min_size=64, max_size=64))
def test_a_salt_fits_a_json_number(key: str) -> None:
    """JavaScript and many JSON readers lose bits above 2^53."""
    assert 0 <= salt(key) < 2**48  # type: ignore[arg-type]  # any hex text


def test_a_follower_and_an_attempt_change_the_identity() -> None:
    """Two followers of one signal, and two attempts of one task, never share an order."""
    signal = SignalId("s")
    tasks = {task_id(signal, FollowerId(name)) for name in ("alice", "bob")}
    keys = {intent_key(task, attempt) for task in tasks for attempt in (0, 1)}

    assert len(tasks) == 2
    assert len(keys) == 4


def test_one_transfer_between_two_leaders_is_two_signals() -> None:
    """The seller's SELL and the buyer's BUY are different trades."""
    facts = (POLYGON, EXCHANGE, hash_of(1), ZERO_ADDRESS, LEADER, EXCHANGE, TokenId(1))
    filled = (3, None, 0)

    assert transfer_signal_id(*facts, "BUY", filled, 0) != transfer_signal_id(*facts, "SELL", filled, 0)


@pytest.mark.parametrize("text", ["", "0x", "0x12", "0x" + "g" * 40, "0x" + "1" * 41, "1" * 42, "0X" + " " * 40])
def test_what_is_no_address_is_refused(text: str) -> None:
    """The error says what was expected and shows what was there."""
    with pytest.raises(ValueError, match="expected an address"):
        parse_address(text)


def test_addresses_are_lower_case_inside() -> None:
    """One spelling, so that comparing is comparing text."""
    assert parse_address("0x" + "AB" * 20) == "0x" + "ab" * 20
