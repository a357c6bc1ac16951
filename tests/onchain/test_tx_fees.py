"""Fees: never over the cap, never below what pools take, and a replacement is one that nodes take."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_copy.model.ids import ChainId
from trio_copy_onchain.tx.fees import (
    GWEI,
    FeeHistory,
    Fees,
    cap_of_calls,
    fees_now,
    floor_of,
    higher,
    read_history,
    replaces,
)

_POLYGON = floor_of(ChainId(137))


def _told(**changes: Any) -> bytes:
    told = {
        "oldestBlock": "0x10",
        "baseFeePerGas": ["0x1", "0x2", hex(30 * GWEI)],
        "gasUsedRatio": [0.5, 0.1],
        "reward": [[hex(26 * GWEI)], [hex(40 * GWEI)]],
    }
    return msgspec.json.encode({**told, **changes})


@pytest.mark.parametrize(
    "changes, tips",
    [
        ({}, (26 * GWEI, 40 * GWEI)),
        ({"reward": None}, ()),
        ({"reward": []}, ()),
        ({"reward": [None, [], ["0x0"], ["0x5"]]}, (5,)),
        ({"reward": [["-0x5"], [-5], ["0x_5"], ["five"], ["0x" + "f" * 65], [7, "rest"]]}, (7,)),
        ({"baseFeePerGas": ["nonsense", hex(30 * GWEI)]}, (26 * GWEI, 40 * GWEI)),
    ],
)
def test_a_history_is_read_as_far_as_it_can_be_read(changes: dict[str, Any], tips: tuple[int, ...]) -> None:
    """Rewards that are none are left out, and those of blocks in which nothing was paid."""
    assert read_history(_told(**changes)) == FeeHistory(base_fee=30 * GWEI, tips=tips)


@pytest.mark.parametrize(
    "result",
    [
        b"null", b"[]", b"{}", b"", b"{", b'"0x1"', b"[" * 100_000,
        _told(baseFeePerGas=[]), _told(baseFeePerGas=["-0x1"]), _told(baseFeePerGas=[-1]), _told(baseFeePerGas=None),
        _told(baseFeePerGas=["0x1"] * 2000), _told(reward=[["0x1"]] * 2000), _told(reward=["0x1"]),
        _told(baseFeePerGas=["0x1" + "0" * 64]),
    ],
)  # fmt: skip
def test_a_history_without_a_base_fee_is_refused(result: bytes) -> None:
    """Whatever it is, it raises `ValueError`, and nothing else."""
    with pytest.raises(ValueError, match="fee history"):
        read_history(result)


@pytest.mark.parametrize(
    "base, tips, cap, expected",
    [
        (30, (26, 40, 33), 500, (33, 93)),  # the median, and room for twice the base fee
        (30, (), 500, (25, 85)),
        (30, (1, 2, 3), 500, (25, 85)),  # the chain's floor
        (30, (26, 30, 10**60), 500, (30, 90)),  # one block says what cannot be
        (30, (10**60,) * 3, 500, (470, 500)),  # they all do
        (30, (26,), 80, (26, 80)),  # the cap leaves less room
        (30, (26,), 55, (25, 55)),
        (30, (26,), 54, None),  # not even the floor
        (10**60, (26,), 500, None),
        (0, (26,), 500, (26, 26)),
    ],
)
def test_what_is_paid_now(base: int, tips: tuple[int, ...], cap: int, expected: tuple[int, int] | None) -> None:
    """In gwei: a median tip over Polygon's floor, twice the base fee, and all of it within the cap."""
    history = FeeHistory(base_fee=base * GWEI, tips=tuple(tip * GWEI for tip in tips))
    fees = fees_now(history, floor=_POLYGON, cap=cap * GWEI)
    wanted = None if expected is None else Fees(tip=expected[0] * GWEI, max_fee=expected[1] * GWEI)
    assert fees == wanted


@pytest.mark.parametrize(
    "before, cap, asked, now, expected",
    [
        ((8, 80), 1000, 0, None, (9, 90)),
        ((9, 81), 1000, 0, None, (11, 92)),  # an eighth, rounded up
        ((0, 0), 1000, 0, None, (1, 1)),
        ((1, 3), 1000, 0, None, (2, 4)),
        ((8, 80), 90, 0, None, (9, 90)),
        ((8, 80), 89, 0, None, None),
        ((8, 80), 1000, 50, None, (50, 122)),  # what the node asks for is paid on top
        ((8, 80), 1000, 10**60, None, None),
        ((8, 80), 1000, 0, (40, 300), (40, 300)),  # it has become dearer meanwhile
        ((8, 80), 1000, 0, (2, 20), (9, 90)),
        ((8, 80), 100, 0, (40, 60), (40, 100)),  # of what others pay, as much as the cap allows
        ((8, 80), 90, 0, (200, 300), (90, 90)),
    ],
)
def test_a_replacement_pays_an_eighth_more(
    before: tuple[int, int], cap: int, asked: int, now: tuple[int, int] | None, expected: tuple[int, int] | None
) -> None:
    """In both fields, rounded up; over the cap there is none."""
    market = None if now is None else Fees(tip=now[0], max_fee=now[1])
    raised = higher(Fees(tip=before[0], max_fee=before[1]), cap=cap, least_tip=asked, now=market)
    assert raised == (None if expected is None else Fees(tip=expected[0], max_fee=expected[1]))


_AMOUNTS = st.integers(0, 10**30)


@given(base=_AMOUNTS, cap=st.integers(0, 10**30), bumps=st.integers(0, 8))
def test_whatever_was_paid_for_a_call_it_can_be_cancelled_within_the_cap(base: int, cap: int, bumps: int) -> None:
    """At once, or after it was made dearer as often as the cap of calls allows."""
    history = FeeHistory(base_fee=base, tips=(base // 7,))
    fees = fees_now(history, floor=1, cap=cap_of_calls(cap))
    for _ in range(bumps):
        if fees is not None:
            fees = higher(fees, cap=cap_of_calls(cap)) or fees
    assert fees is None or higher(fees, cap=cap) is not None


@given(tip=_AMOUNTS, more=_AMOUNTS, cap=_AMOUNTS, asked=st.integers(0, 10**12))
def test_every_replacement_is_taken_and_within_the_cap(tip: int, more: int, cap: int, asked: int) -> None:
    """Nodes ask for a tenth more in both fields; a replacement of a replacement is one as well."""
    fees: Fees | None = Fees(tip=tip, max_fee=tip + more)
    for _ in range(3):
        assert fees is not None
        raised = higher(fees, cap=cap, least_tip=asked)
        if raised is None:
            uncapped = higher(fees, cap=10**60, least_tip=asked)
            assert uncapped is not None
            assert uncapped.max_fee > cap
            return
        assert fees.max_fee < raised.max_fee <= cap
        assert raised.tip >= asked
        assert raised.tip * 10 >= fees.tip * 11
        assert raised.max_fee * 10 >= fees.max_fee * 11
        assert replaces(raised, fees)
        assert not replaces(fees, raised)
        fees = raised


@given(base=_AMOUNTS, tips=st.lists(_AMOUNTS, max_size=5), floor=st.integers(1, 10**12), cap=_AMOUNTS)
def test_fees_are_bounded_whatever_nodes_tell(base: int, tips: list[int], floor: int, cap: int) -> None:
    """The cap is never passed, the floor always kept, and what is left out could not have been paid."""
    fees = fees_now(FeeHistory(base_fee=base, tips=tuple(tips)), floor=floor, cap=cap)
    if fees is None:
        assert cap < base + floor
    else:
        assert floor <= fees.tip <= fees.max_fee <= cap
        assert fees.max_fee >= base + fees.tip


@pytest.mark.parametrize("tip, max_fee", [(2, 1), (-1, 5)])
def test_a_tip_is_part_of_what_is_paid(tip: int, max_fee: int) -> None:
    """A tip above the whole, or below nothing, is no fee."""
    with pytest.raises(ValueError, match="expected a tip"):
        Fees(tip=tip, max_fee=max_fee)


def test_polygons_pools_take_no_tip_below_25_gwei() -> None:
    """On other chains any tip is one."""
    assert [floor_of(ChainId(chain)) for chain in (137, 80002, 100)] == [25 * GWEI, 25 * GWEI, 1]


@pytest.mark.parametrize(("tip", "max_fee", "taken"), [(9, 90, True), (8, 90, False), (9, 89, False), (90, 90, True)])
def test_one_field_alone_replaces_nothing(tip: int, max_fee: int, taken: bool) -> None:
    assert replaces(Fees(tip=tip, max_fee=max_fee), Fees(tip=8, max_fee=80)) is taken
