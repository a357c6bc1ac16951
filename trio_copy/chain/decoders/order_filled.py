"""`OrderFilled` of Polymarket's exchanges: V1, V2 and V3, binary, neg-risk and combos.

Each filled order has an event of its own whose topic 2 is the order's owner. Topic 3 is only a label: the exchange
itself when the owner was the taker, the taker's wallet when the owner was a maker; reading a trade of the leader out
of topic 3 would count it twice, and in mint and merge matches with the wrong token. `OrdersMatched` repeats the
taker's event and is not read. Layouts: the exchanges' ABI; topic hashes are keccak of the canonical signatures.
"""

from collections.abc import Sequence

from attrs import frozen

from trio_copy.chain.decoders.words import address_topic, expect_shape, topic_address, words
from trio_copy.errors import UndecodableLog
from trio_copy.model.fills import Fill, NotAFill, Role, Side
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.logs import RawLog
from trio_copy.model.settings import setting
from trio_copy.model.units import Shares, Usd
from trio_copy.ports import LogFilter

# OrderFilled(bytes32,address,address,uint8,uint256,uint256,uint256,uint256,bytes32,bytes32)
V2_TOPIC = "0xd543adfd945773f1a62f74f0ee55a5e3b9b1a28262980ba90b1a89f2ea84d8ee"
# OrderFilled(bytes32,address,address,uint256,uint256,uint256,uint256,uint256)
V1_TOPIC = "0xd0a08e8c493f9c94f29311604c9de1b4e8c8d4c06bd0c789af57f2d65bfec0f6"

EXCHANGE_V2 = Address("0xe111180000d2663c0091e4f400237545b87b996b")
NEG_RISK_EXCHANGE_V2 = Address("0xe2222d279d744050d28e00520010520000310f59")
EXCHANGE_V3 = Address("0xe3333700ca9d93003f00f0f71f8515005f6c00aa")


@frozen(kw_only=True)
class OrderFilledSettings:
    """Where orders are matched."""

    exchanges: tuple[Address, ...] = setting(
        (EXCHANGE_V2, NEG_RISK_EXCHANGE_V2, EXCHANGE_V3),
        unit="list of addresses",
        why="Only these contracts are believed; anybody may emit a log that looks like a fill. Default: Polymarket's three.",
    )


@frozen
class OrderFilledDecoder:
    exchanges: frozenset[Address]
    """Empty believes every contract: for reading files, not for trading."""
    topics: frozenset[str] = frozenset({V1_TOPIC, V2_TOPIC})

    def filters(self, leaders: Sequence[Address]) -> tuple[LogFilter, ...]:
        owners = tuple(address_topic(leader) for leader in leaders)
        return (LogFilter(addresses=tuple(sorted(self.exchanges)), topics=((V2_TOPIC, V1_TOPIC), None, owners)),)

    def decode(self, log: RawLog) -> tuple[Fill, ...] | NotAFill:
        if self.exchanges and log.address not in self.exchanges:
            raise UndecodableLog("unknown-contract", f"order-filled log of {log.address}")
        if log.topics[0] == V2_TOPIC:
            expect_shape(log, "order-filled-v2", topics=4, data_bytes=224)
            side_word, token, gave, got, fee, _, _ = words(log.data)
            if side_word > 1:
                raise UndecodableLog("order-filled-v2", f"expected side 0 or 1, got {side_word}")
            side = Side.SELL if side_word else Side.BUY
            fee_value: Usd | Shares = Usd(fee)
        else:
            expect_shape(log, "order-filled-v1", topics=4, data_bytes=160)
            gave_asset, got_asset, gave, got, fee = words(log.data)
            # Asset id 0 is the collateral; exactly one of the two is.
            if (gave_asset == 0) == (got_asset == 0):
                raise UndecodableLog("order-filled-v1", "expected exactly one asset to be the collateral")
            side, token = (Side.BUY, got_asset) if gave_asset == 0 else (Side.SELL, gave_asset)
            fee_value = Shares(fee) if side is Side.BUY else Usd(fee)
        shares, notional = (got, gave) if side is Side.BUY else (gave, got)
        if not shares:
            return NotAFill(kind="empty")
        counterparty = topic_address(log.topics[3], "order-filled")
        return (
            Fill(
                chain_id=log.chain_id,
                exchange=log.address,
                owner=topic_address(log.topics[2], "order-filled"),
                counterparty=counterparty,
                role=Role.TAKER if counterparty == log.address else Role.MAKER,
                side=side,
                token_id=TokenId(token),
                shares=Shares(shares),
                notional=Usd(notional),
                fee=fee_value,
                order_hash=log.topics[1],
                tx_hash=log.tx_hash,
                log_index=log.log_index,
                nth=log.nth,
                block_number=log.block_number,
                block_hash=log.block_hash,
                block_time=log.block_time,
            ),
        )
