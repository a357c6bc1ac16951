"""What the exchanges' logs say that was filled of an order. Pure.

Each filled order has a log of its own, `OrderFilled`: topic 1 is its id, topic 2 its owner, and topic 3 the exchange itself
where the owner took, else the wallet of whoever did.
"""

from collections.abc import Collection, Iterable, Sequence

from attrs import frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, Hash32, OrderId
from trio_copy.model.logs import RawLog
from trio_copy.model.orders import Order
from trio_copy.ports import LogFilter

ORDER_FILLED = Hash32("0xd543adfd945773f1a62f74f0ee55a5e3b9b1a28262980ba90b1a89f2ea84d8ee")
"""OrderFilled(bytes32,address,address,uint8,uint256,uint256,uint256,uint256,bytes32,bytes32) of the exchanges V2 and V3."""
_LOG_BYTES = 7 * 32
_PADDING = "0x" + "0" * 24


@frozen(kw_only=True)
class SeenFill:
    """What the chain says that an order was filled."""

    shares: int
    paid: int
    """Both in millionths."""
    fee: int
    deep: bool
    """Whether its block is buried deep enough."""


@frozen
class _Filled:
    """The words of a log."""

    buys: bool
    token: int
    shares: int
    paid: int
    fee: int


def of_orders(exchanges: Iterable[Address], order_ids: Collection[OrderId]) -> LogFilter:
    """Ask for the fills of orders."""
    return LogFilter(addresses=tuple(sorted(exchanges)), topics=((ORDER_FILLED,), tuple(sorted(order_ids))))


def of_makers(exchanges: Iterable[Address], takers: Collection[Hash32]) -> LogFilter:
    """Ask for the fills of those who were taken by wallets."""
    return LogFilter(addresses=tuple(sorted(exchanges)), topics=((ORDER_FILLED,), None, None, tuple(sorted(takers))))


def bought_by_taking(logs: Iterable[RawLog]) -> list[RawLog]:
    """Return the logs whose cost may be overstated; see `fills_of`."""
    return [log for log in logs if _took(log) and (words := _words(log)) is not None and words.buys]


def fills_of(
    order: Order, logs: Sequence[RawLog], makers: Sequence[RawLog], exchanges: Collection[Address], deepest: int
) -> tuple[SeenFill, ...]:
    """Read the fills of one order out of the logs of several. Anybody may write a log that looks like a fill.

    A taker's log names what the exchange was handed of his cash, and of that it may have given something back: what he paid
    follows from the logs of those whom he took, in the same transaction. `deepest` is the last block that counts as final.

    Raises:
        ValueError: a log of an exchange about this order cannot be one.
    """
    wallet = order.wallet.address
    fills: list[SeenFill] = []
    mined: dict[Hash32, Hash32] = {}
    for log in logs:
        if log.address not in exchanges or log.topics[:2] != (ORDER_FILLED, Hash32(order.order_id)):
            continue
        told = _words(log)
        if told is None:
            raise ValueError(f"its log in block {log.block_number} cannot be read")
        if wallet is not None and log.topics[2] != _PADDING + wallet[2:]:
            raise ValueError(f"its log in block {log.block_number} names another owner")
        if told.token != order.token_id or told.buys != (order.side is Side.BUY):
            raise ValueError(f"its log in block {log.block_number} is of another token, or side")
        if mined.setdefault(log.tx_hash, log.block_hash) != log.block_hash:
            continue  # two nodes, and a reorg between them: a transaction is mined once
        paid = _paid(log, told, makers) if told.buys and _took(log) else told.paid
        fills.append(SeenFill(shares=told.shares, paid=paid, fee=told.fee, deep=log.block_number <= deepest))
    return tuple(fills)


def _paid(log: RawLog, told: _Filled, makers: Iterable[RawLog]) -> int:
    """Add up what a taker paid to each maker; his own figure where that cannot be told.

    Who sold the same token got his price; who bought the other one paid the rest of a dollar for each share.
    """
    before = [one for one in makers if _made(one, log)]
    shares = paid = 0
    # From his log back: another order of his, taken in the same transaction, comes with its own makers before it.
    for one in sorted(before, key=lambda one: -one.log_index):
        made = _words(one)
        if made is None or shares >= told.shares:
            break
        shares += made.shares
        paid += made.shares - made.paid if made.buys else made.paid
    return paid if shares == told.shares and paid <= told.paid else told.paid


def _made(one: RawLog, log: RawLog) -> bool:
    same = (one.address, one.block_hash, one.tx_hash) == (log.address, log.block_hash, log.tx_hash)
    return same and one.topics[3:] == log.topics[2:3] and one.log_index < log.log_index


def _took(log: RawLog) -> bool:
    return log.topics[3:] == (_PADDING + log.address[2:],)


def _words(log: RawLog) -> _Filled | None:
    """Read a log; None where it is none."""
    if len(log.topics) != 4 or len(log.data) != _LOG_BYTES:
        return None
    side, token, gave, got, fee = (int.from_bytes(log.data[start : start + 32]) for start in range(0, 160, 32))
    if side > 1:
        return None
    shares, paid = (gave, got) if side else (got, gave)
    return _Filled(buys=not side, token=token, shares=shares, paid=paid, fee=fee)
