"""ERC-1155 transfers of outcome tokens, for venues that leave no better trace.

A transfer says who moved what, not why. The operator and the two ends tell, in this order:

    nothing                                      empty
    an exchange is the operator or an end        part of a trade that `order-filled` reads; never counted here
    to the sender himself                        empty
    by an adapter, several ids of equal value    from it or 0x0: a split; to it or 0x0: a merge
    by an adapter, otherwise                     to it or 0x0: a redemption
    from 0x0, several ids of equal value         a split of collateral into a full set
    from 0x0, otherwise                          a mint: the recipient bought
    to 0x0, several ids of equal value           a merge of a full set
    to 0x0, otherwise                            a redemption
    one id, by an operator listed in `venues`    a trade: the sender sold, the recipient bought
    anything else                                a plain move, or liquidity that leaves a pool

What is no trade is an act of somebody only where the log proves it: he was the operator himself, or an adapter split,
merged or redeemed for him, which it does for nobody but its caller. Shares that others send are no act of whoever gets
them. Transfers carry no price. Decision 0019 says what stays undecided.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from attrs import frozen

from trio_copy.chain.decoders.order_filled import EXCHANGE_V2, EXCHANGE_V3, NEG_RISK_EXCHANGE_V2
from trio_copy.chain.decoders.words import address_topic, array_at, expect_shape, topic_address, words
from trio_copy.errors import UndecodableLog
from trio_copy.model.counts import counted
from trio_copy.model.fills import Fill, Kind, NotAFill, Role, Side
from trio_copy.model.ids import ZERO_ADDRESS, Address, TokenId
from trio_copy.model.logs import RawLog
from trio_copy.model.settings import setting
from trio_copy.model.units import NO_USD, Shares
from trio_copy.ports import LogFilter

# TransferSingle(address,address,address,uint256,uint256)
SINGLE_TOPIC = "0xc3d58168c5ae7397731d063d5bbf3d657854427343f4c083240f7aacaa2d0f62"
# TransferBatch(address,address,address,uint256[],uint256[])
BATCH_TOPIC = "0x4a39dc06d4c0dbc64b70af90fd698a233a518aa5d07e595d983b8c0526c8f7fb"

CONDITIONAL_TOKENS = Address("0x4d97dcd97ec945f40cf65f87097ace5ea0476045")
POSITION_MANAGER = Address("0x006f54f7f9a22e0000cc2ab60031000000ae9fef")
EXCHANGES = (
    EXCHANGE_V2,
    NEG_RISK_EXCHANGE_V2,
    EXCHANGE_V3,
    Address("0x4bfb41d5b3570defd03c39a9a4d8de6bd8b8982e"),  # V1
    Address("0xc5d563a36ae78145c45a50134d48a1215220f80a"),  # V1, neg-risk
    # The modules of Protocol V2 mint and burn for the exchange and for the Router alike: whose act it was is not told.
    Address("0x1000008dd9001b968442c1000017eae6e0da00ba"),  # BinaryModule
    Address("0x200000900045e3b6259600682756002200028933"),  # NegRiskModule
    Address("0x30000034706c7d8e12009dab006be20000c031a8"),  # CombinatorialModule
)
ADAPTERS = (
    Address("0xada100db00ca00073811820692005400218fce1f"),  # CtfCollateralAdapter
    Address("0xada100874d00e3331d00f2007a9c336a65009718"),  # the one before it, which the exchange also uses
    Address("0xada2005600dec949baf300f4c6120000bdb6eaab"),  # NegRiskCtfCollateralAdapter
    Address("0xada200001000ef00d07553cee7006808f895c6f1"),  # the one before it
    Address("0xd91e80cf2e7be2e162c6513ced06f1dd0da35296"),  # NegRiskAdapter
    Address("0x12121212006e4cd160d18e3f00711da5c3372600"),  # Router of Protocol V2
    Address("0xa1200000d0002264c9a1698e001292d00e1b00af"),  # AutoRedeemer, for those who approved it
)
_KINDS = {"split": Kind.SPLIT, "merge": Kind.MERGE, "redeem": Kind.REDEMPTION, "move": Kind.TRANSFER}


@frozen(kw_only=True)
class Erc1155Settings:
    """Which share ledgers are read, and whose transfers are trades."""

    contracts: tuple[Address, ...] = setting(
        (CONDITIONAL_TOKENS, POSITION_MANAGER),
        unit="list of addresses",
        why="Only these share ledgers are believed. Default: both of Polymarket's, one of them is not enough.",
    )
    venues: tuple[Address, ...] = setting(
        (),
        unit="list of addresses",
        why="Operators whose transfers are trades, such as an AMM pool; transfers by anybody else are plain moves.",
    )
    exchanges: tuple[Address, ...] = setting(
        EXCHANGES,
        unit="list of addresses",
        why="What passes through these belongs to a trade that order-filled reads, and is never counted a second time.",
    )
    adapters: tuple[Address, ...] = setting(
        ADAPTERS,
        unit="list of addresses",
        why="Contracts that split, merge and redeem for their caller: what they take or give is an act of that wallet.",
    )
    moves: bool = setting(
        False,
        unit="true or false",
        why="Also report splits, merges, redemptions and transfers that a leader made himself, for filters.kinds.",
    )


@frozen
class Erc1155Decoder:
    contracts: frozenset[Address]
    """Empty believes every contract: for reading files, not for trading."""
    venues: frozenset[Address]
    exchanges: frozenset[Address] = frozenset(EXCHANGES)
    adapters: frozenset[Address] = frozenset(ADAPTERS)
    moves: bool = False
    """Whether what is no trade but the leader's own act is reported too."""
    topics: frozenset[str] = frozenset({SINGLE_TOPIC, BATCH_TOPIC})

    def filters(self, leaders: Sequence[Address]) -> tuple[LogFilter, ...]:
        owners = tuple(address_topic(leader) for leader in leaders)
        addresses, events = tuple(sorted(self.contracts)), (SINGLE_TOPIC, BATCH_TOPIC)
        return (
            LogFilter(addresses=addresses, topics=(events, None, owners)),
            LogFilter(addresses=addresses, topics=(events, None, None, owners)),
        )

    def decode(self, log: RawLog) -> tuple[Fill, ...] | NotAFill:
        if self.contracts and log.address not in self.contracts:
            raise UndecodableLog("unknown-contract", f"transfer log of {log.address}")
        moved = _moved(log)
        operator, sender, recipient = (topic_address(topic, "transfer") for topic in log.topics[1:4])
        name = self._name(operator, sender, recipient, moved)
        kind = Kind.TRADE if name is None else _KINDS.get(name)
        if kind is None or (name is not None and not self.moves):
            return NotAFill(kind=name or "empty")
        # An adapter acts for its caller alone; anybody else's hand proves nothing about what a wallet wanted.
        for_others = kind is Kind.TRADE or (operator in self.adapters and kind is not Kind.TRANSFER)
        fills = tuple(
            _fill(log, nth, operator, TokenId(token), Shares(shares), side, owner, other, kind)
            for nth, (token, shares) in _counted(log, moved)
            if shares
            for side, owner, other in ((Side.SELL, sender, recipient), (Side.BUY, recipient, sender))
            if owner != ZERO_ADDRESS and owner not in self.venues and owner not in self.adapters
            if for_others or operator == owner
        )
        return NotAFill(kind=name) if name is not None and not fills else fills

    def _name(
        self, operator: Address, sender: Address, recipient: Address, moved: Sequence[tuple[int, int]]
    ) -> str | None:
        """Name what is not a trade; None for a trade."""
        if not any(shares for _, shares in moved):
            return "empty"
        if not self.exchanges.isdisjoint((operator, sender, recipient)):
            return "exchange"
        if sender == recipient:
            return "empty"
        full_set = len(moved) > 1 and len({shares for _, shares in moved}) == 1
        if operator in self.adapters:
            if recipient == ZERO_ADDRESS or (recipient in self.adapters and sender != ZERO_ADDRESS):
                return "merge" if full_set else "redeem"
            return "split" if full_set and (sender == ZERO_ADDRESS or sender in self.adapters) else "move"
        if sender == ZERO_ADDRESS:
            return "split" if full_set else None
        if recipient == ZERO_ADDRESS:
            return "merge" if full_set else "redeem"
        return None if operator in self.venues and len(moved) == 1 else "move"


def _moved(log: RawLog) -> list[tuple[int, int]]:
    if log.topics[0] == SINGLE_TOPIC:
        expect_shape(log, "transfer-single", topics=4, data_bytes=64)
        token, shares = words(log.data)
        return [(token, shares)]
    if len(log.topics) != 4 or len(log.data) < 64 or len(log.data) % 32:
        raise UndecodableLog("transfer-batch", f"expected 4 topics and two arrays, got {len(log.data)} data bytes")
    values = words(log.data)
    tokens, shares_of = array_at(values, 0, "transfer-batch"), array_at(values, 1, "transfer-batch")
    if len(tokens) != len(shares_of):
        raise UndecodableLog(
            "transfer-batch",
            f"expected equal arrays, got {counted(len(tokens), 'id')}, {counted(len(shares_of), 'value')}",
        )
    return list(zip(tokens, shares_of, strict=True))


def _counted(log: RawLog, moved: Sequence[tuple[int, int]]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield what a log moves, each with its place among the equal moves of this log and of those before it."""
    equal, before = Counter(moved), Counter[tuple[int, int]]()
    for move in moved:
        yield log.nth * equal[move] + before[move], move
        before[move] += 1


def _fill(
    log: RawLog,
    nth: int,
    operator: Address,
    token_id: TokenId,
    shares: Shares,
    side: Side,
    owner: Address,
    other: Address,
    kind: Kind,
) -> Fill:
    return Fill(
        chain_id=log.chain_id,
        exchange=log.address,
        owner=owner,
        counterparty=other,
        role=Role.UNKNOWN,
        side=side,
        token_id=token_id,
        shares=shares,
        notional=None,
        fee=NO_USD,
        order_hash=None,
        tx_hash=log.tx_hash,
        log_index=log.log_index,
        nth=nth,
        operator=operator,
        block_number=log.block_number,
        block_hash=log.block_hash,
        block_time=log.block_time,
        kind=kind,
    )
