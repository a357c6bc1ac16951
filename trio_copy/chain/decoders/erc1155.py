"""ERC-1155 transfers of outcome tokens, for venues that leave no better trace.

A transfer says who moved what, not why. The operator and the counterpart tell:

    from 0x0, several ids of equal value      a split of collateral into a full set; not a trade
    from 0x0, otherwise                       a mint: the recipient bought
    to 0x0, several ids of equal value        a merge of a full set; not a trade
    to 0x0, otherwise                         a redemption; not a trade
    one id, by an operator listed in `venues` a trade: the sender sold, the recipient bought
    anything else                             a plain move, or liquidity that leaves a pool; not a trade

Transfers carry no price. Polymarket's exchanges are read by `order-filled`; do not list them here, or every fill there
would count twice.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from attrs import frozen

from trio_copy.chain.decoders.words import address_topic, array_at, expect_shape, topic_address, words
from trio_copy.errors import UndecodableLog
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
        name = self._kind(operator, sender, recipient, moved)
        # A transfer by somebody else's hand belongs to a trade, which another decoder reads.
        own = operator in (sender, recipient) or name in ("split", "merge", "redeem")
        kind = Kind.TRADE if name is None else _KINDS.get(name)
        if kind is None or (name is not None and not (self.moves and own)):
            return NotAFill(kind=name or "empty")
        return tuple(
            _fill(log, nth, operator, TokenId(token), Shares(shares), side, owner, other, kind)
            for nth, (token, shares) in _counted(log, moved)
            if shares
            for side, owner, other in ((Side.SELL, sender, recipient), (Side.BUY, recipient, sender))
            if owner != ZERO_ADDRESS and owner not in self.venues
        )

    def _kind(
        self, operator: Address, sender: Address, recipient: Address, moved: Sequence[tuple[int, int]]
    ) -> str | None:
        """Name what is not a trade; None for a trade."""
        full_set = len(moved) > 1 and len({shares for _, shares in moved}) == 1
        if not any(shares for _, shares in moved):
            return "empty"
        if sender == ZERO_ADDRESS:
            return "split" if full_set else None
        if recipient == ZERO_ADDRESS:
            return "merge" if full_set else "redeem"
        return None if operator in self.venues and sender != recipient and len(moved) == 1 else "move"


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
        raise UndecodableLog("transfer-batch", f"expected equal arrays, got {len(tokens)} ids, {len(shares_of)} values")
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
