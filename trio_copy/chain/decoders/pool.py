"""`Swap` of pools like those of Uniswap's third version, where an outcome is an ERC-20 and trades against its collateral.

The event names the recipient of what the pool gave: a leader who trades by a router is that. It names no token and no
fee, so each pool has to be configured with both of its tokens, and what was paid or came counts as it is, fee included.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from attrs import NOTHING, Attribute, frozen

from trio_copy.chain.decoders.words import WORD, address_topic, expect_shape, topic_address, words
from trio_copy.errors import UndecodableLog
from trio_copy.model.fills import Fill, NotAFill, Role, Side
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.logs import RawLog
from trio_copy.model.settings import setting, within
from trio_copy.model.units import MICRO, NO_USD, Shares, Usd
from trio_copy.ports import LogFilter

# Swap(address,address,int256,int256,uint160,uint128,int24)
SWAP_TOPIC = "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
_SIGN, _WHOLE = 1 << 255, 1 << 256


@frozen(kw_only=True)
class PoolTable:
    """One pool, and what it trades."""

    address: Address = setting(NOTHING, unit="address", why="The pool's contract.")
    outcome: Address = setting(
        NOTHING, unit="address", why="The outcome's token; its id is this address, read as a number."
    )
    collateral: Address = setting(NOTHING, unit="address", why="The token that it is paid in.")
    outcome_decimals: int = setting(
        18, unit="decimals", check=within(0, 24), why="Of the outcome's token, as its contract says."
    )
    collateral_decimals: int = setting(
        6, unit="decimals", check=within(0, 24), why="Of the collateral, as its contract says; USDC has 6."
    )

    def __attrs_post_init__(self) -> None:
        if self.outcome == self.collateral:
            raise ValueError(f"expected two tokens, got {self.outcome} as outcome and as collateral")


def _each_once(instance: object, attribute: "Attribute[tuple[PoolTable, ...]]", pools: tuple[PoolTable, ...]) -> None:
    addresses = [pool.address for pool in pools]
    twice = next((address for address in addresses if addresses.count(address) > 1), None)
    if twice is not None:
        raise ValueError(f"expected each pool once, got {twice} twice")


@frozen(kw_only=True)
class PoolSettings:
    """Which pools are read."""

    pools: tuple[PoolTable, ...] = setting(
        (),
        unit="list of tables",
        check=_each_once,
        why="Only these contracts are believed; their events do not name the tokens.",
    )


@frozen
class PoolDecoder:
    pools: Mapping[Address, PoolTable]
    topics: frozenset[str] = frozenset({SWAP_TOPIC})

    def filters(self, leaders: Sequence[Address]) -> tuple[LogFilter, ...]:
        if not self.pools:
            return ()
        owners = tuple(address_topic(leader) for leader in leaders)
        return (LogFilter(addresses=tuple(sorted(self.pools)), topics=((SWAP_TOPIC,), None, owners)),)

    def decode(self, log: RawLog) -> tuple[Fill, ...] | NotAFill:
        pool = self.pools.get(log.address)
        if pool is None:
            raise UndecodableLog("unknown-contract", f"swap log of {log.address}, which is no configured pool")
        expect_shape(log, "pool", topics=3, data_bytes=5 * WORD)
        amounts = [word - _WHOLE if word >= _SIGN else word for word in words(log.data)[:2]]
        # A pool has its tokens in the order of their addresses, and tells what it got; what it gave is below zero.
        outcome, collateral = amounts if pool.outcome < pool.collateral else reversed(amounts)
        if outcome * collateral > 0:
            raise UndecodableLog("pool", f"expected one amount in and one out, got {outcome} and {collateral}")
        shares = abs(outcome) * MICRO // 10**pool.outcome_decimals
        notional = abs(collateral) * MICRO // 10**pool.collateral_decimals
        if not shares or not notional:
            return NotAFill(kind="empty")
        return (
            Fill(
                chain_id=log.chain_id,
                exchange=log.address,
                owner=topic_address(log.topics[2], "pool"),
                counterparty=log.address,
                role=Role.TAKER,
                side=Side.BUY if outcome < 0 else Side.SELL,
                token_id=TokenId(int(pool.outcome, 16)),
                shares=Shares(shares),
                notional=Usd(notional),
                fee=NO_USD,
                order_hash=None,
                tx_hash=log.tx_hash,
                log_index=log.log_index,
                nth=_nth(log),
                block_number=log.block_number,
                block_hash=log.block_hash,
                block_time=log.block_time,
            ),
        )


def _nth(log: RawLog) -> int:
    """Tell swaps of one transaction apart that differ in less than a millionth, of which a fill says nothing."""
    exact = blake2b(log.data[: 2 * WORD], digest_size=4).digest()
    return int.from_bytes(exact) << 16 | log.nth
