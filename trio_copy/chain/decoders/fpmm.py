"""`FPMMBuy` and `FPMMSell` of Gnosis' fixed product market makers.

The events name an outcome by its index, not by its token id, so each pool has to be configured with its tokens. What
the event calls investment includes the fee, and what it calls return is after the fee; a `Fill` counts both before it.
"""

from collections.abc import Mapping, Sequence

from attrs import frozen

from trio_copy.chain.decoders.words import address_topic, expect_shape, topic_address, words
from trio_copy.errors import UndecodableLog
from trio_copy.model.fills import Fill, NotAFill, Role, Side
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.logs import RawLog
from trio_copy.model.settings import setting
from trio_copy.model.units import Shares, Usd
from trio_copy.ports import LogFilter

# FPMMBuy(address,uint256,uint256,uint256,uint256)
BUY_TOPIC = "0x4f62630f51608fc8a7603a9391a5101e58bd7c276139366fc107dc3b67c3dcf8"
# FPMMSell(address,uint256,uint256,uint256,uint256)
SELL_TOPIC = "0xadcf2a240ed9300d681d9a3f5382b6c1beed1b7e46643e0c7b42cbe6e2d766b4"


@frozen(kw_only=True)
class FpmmPool:
    """One market maker and the tokens of its outcomes."""

    address: Address = setting(None, unit="address", why="The pool's contract.")
    tokens: tuple[TokenId, ...] = setting(
        (), unit="list of token ids, as strings", why="One for each outcome, in the order of their indexes."
    )


@frozen(kw_only=True)
class FpmmSettings:
    """Which pools are read."""

    pools: tuple[FpmmPool, ...] = setting(
        (), unit="list of tables", why="Only these contracts are believed; their events do not name the token."
    )


@frozen
class FpmmDecoder:
    pools: Mapping[Address, tuple[TokenId, ...]]
    topics: frozenset[str] = frozenset({BUY_TOPIC, SELL_TOPIC})

    def filters(self, leaders: Sequence[Address]) -> tuple[LogFilter, ...]:
        if not self.pools:
            return ()
        owners = tuple(address_topic(leader) for leader in leaders)
        return (LogFilter(addresses=tuple(sorted(self.pools)), topics=((BUY_TOPIC, SELL_TOPIC), owners)),)

    def decode(self, log: RawLog) -> tuple[Fill, ...] | NotAFill:
        tokens = self.pools.get(log.address)
        if tokens is None:
            raise UndecodableLog("unknown-contract", f"fpmm log of {log.address}, which is no configured pool")
        expect_shape(log, "fpmm", topics=3, data_bytes=96)
        money, fee, shares = words(log.data)
        outcome = int(log.topics[2], 16)
        if outcome >= len(tokens):
            raise UndecodableLog("fpmm", f"expected an outcome under {len(tokens)}, got {outcome}")
        side = Side.BUY if log.topics[0] == BUY_TOPIC else Side.SELL
        notional = money - fee if side is Side.BUY else money + fee
        if notional < 0:
            raise UndecodableLog("fpmm", f"expected a fee of at most {money}, got {fee}")
        if not shares:
            return NotAFill(kind="empty")
        return (
            Fill(
                chain_id=log.chain_id,
                exchange=log.address,
                owner=topic_address(log.topics[1], "fpmm"),
                counterparty=log.address,
                role=Role.TAKER,
                side=side,
                token_id=tokens[outcome],
                shares=Shares(shares),
                notional=Usd(notional),
                fee=Usd(fee),
                order_hash=None,
                tx_hash=log.tx_hash,
                log_index=log.log_index,
                nth=log.nth,
                block_number=log.block_number,
                block_hash=log.block_hash,
                block_time=log.block_time,
            ),
        )
