"""Swaps at pools as fills of whoever got what the pool gave: both orders of the tokens, all decimals, hostile or not."""

import pytest
from attrs import evolve
from eth_hash.auto import keccak

from tests.builders import LEADER
from tests.chain.test_decoders import make_log
from trio_copy.chain.decoders.pool import SWAP_TOPIC, PoolDecoder, PoolSettings, PoolTable
from trio_copy.chain.decoders.words import address_topic
from trio_copy.chain.filters import passes
from trio_copy.errors import UndecodableLog
from trio_copy.model.fills import Fill, NotAFill, Role, Side
from trio_copy.model.ids import Address
from trio_copy.model.logs import RawLog
from trio_copy.model.signals import fill_signal_id
from trio_copy.model.units import NO_USD, Price, Shares, Usd
from trio_copy.testing.devnet.encode import pool_log

ROUTER, LOW, HIGH, FIRST, SECOND = (Address("0x" + digits * 20) for digits in ("66", "11", "99", "f1", "f2"))
DECODER = PoolDecoder(
    {
        FIRST: PoolTable(address=FIRST, outcome=LOW, collateral=HIGH),
        SECOND: PoolTable(address=SECOND, outcome=HIGH, collateral=LOW, outcome_decimals=6, collateral_decimals=18),
    }
)
SHARE, COIN = 10**18, 10**6


def swap(pool: Address, *amounts: int, recipient: Address = LEADER) -> RawLog:
    log = pool_log(pool=pool, sender=ROUTER, recipient=recipient, amounts=(amounts[0], amounts[1]))
    return make_log(log.topics, log.data, pool)


def fill_of(log: RawLog) -> Fill:
    (fill,) = DECODER.decode(log)  # type: ignore[misc]  # a fill
    return fill


def test_the_topic_is_that_of_the_event() -> None:
    assert "0x" + keccak(b"Swap(address,address,int256,int256,uint160,uint128,int24)").hex() == SWAP_TOPIC


@pytest.mark.parametrize(
    ("log", "outcome", "side"),
    [
        (swap(FIRST, -5 * SHARE, 2 * COIN), LOW, Side.BUY),
        (swap(FIRST, 5 * SHARE, -2 * COIN), LOW, Side.SELL),
        (swap(SECOND, 2 * SHARE, -5 * COIN), HIGH, Side.BUY),
        (swap(SECOND, -2 * SHARE, 5 * COIN), HIGH, Side.SELL),
    ],
)
def test_a_leader_at_a_pool_is_read_from_what_it_gave_him(log: RawLog, outcome: Address, side: Side) -> None:
    """The token id is the outcome's address; everything that was paid counts, for the event names no fee."""
    fill = fill_of(log)
    assert (fill.owner, fill.counterparty, fill.exchange, fill.role) == (LEADER, log.address, log.address, Role.TAKER)
    assert (fill.side, fill.token_id) == (side, int(outcome, 16))
    assert (fill.shares, fill.notional, fill.fee, fill.price) == (
        Shares(5 * COIN),
        Usd(2 * COIN),
        NO_USD,
        Price(400_000),
    )
    (asked,) = DECODER.filters([LEADER])
    assert passes(log, asked)
    assert not passes(swap(log.address, -5, 5, recipient=ROUTER), asked)


def test_amounts_are_floored_to_millionths_and_still_tell_swaps_apart() -> None:
    """Two swaps of a transaction that differ by a unit are two signals; the same swap, told twice, is one."""
    one, other = swap(FIRST, -5 * SHARE - 7, 2 * COIN), swap(FIRST, -5 * SHARE - 8, 2 * COIN)
    assert fill_of(one).shares == fill_of(other).shares == Shares(5 * COIN)
    names = [fill_signal_id(fill_of(log)) for log in (one, other, evolve(one, nth=1), evolve(one, log_index=9))]
    assert len(set(names)) == 3
    assert names[0] == names[3]
    for dust in (swap(FIRST, -(10**12) + 1, 2 * COIN), swap(FIRST, -SHARE, 0), swap(FIRST, 0, 0)):
        assert DECODER.decode(dust) == NotAFill(kind="empty")


@pytest.mark.parametrize(
    ("log", "kind"),
    [
        (swap(ROUTER, -5, 5), "unknown-contract"),
        (swap(FIRST, 5, 5), "pool"),
        (swap(FIRST, -5, -5), "pool"),
        (make_log((SWAP_TOPIC, address_topic(ROUTER), address_topic(LEADER)), bytes(128), FIRST), "pool"),
        (make_log((SWAP_TOPIC, address_topic(ROUTER)), bytes(160), FIRST), "pool"),
        (make_log((SWAP_TOPIC, address_topic(ROUTER), "0x" + "1" * 64), swap(FIRST, -SHARE, COIN).data, FIRST), "pool"),
    ],
)
def test_a_swap_that_is_none_is_put_aside(log: RawLog, kind: str) -> None:
    with pytest.raises(UndecodableLog) as caught:
        DECODER.decode(log)
    assert caught.value.kind == kind


def test_without_pools_nothing_is_asked_for() -> None:
    """An empty list of addresses would mean any contract."""
    assert PoolDecoder({}).filters([LEADER]) == ()


def test_settings_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ValueError, match="expected two tokens"):
        PoolTable(address=FIRST, outcome=LOW, collateral=LOW)
    with pytest.raises(ValueError, match="expected each pool once"):
        PoolSettings(pools=tuple(PoolTable(address=FIRST, outcome=LOW, collateral=token) for token in (HIGH, ROUTER)))
