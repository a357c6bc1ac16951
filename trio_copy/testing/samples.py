"""Signals, tasks and orders to try a backend with."""

from attrs import evolve

from trio_copy.model.decisions import CopyTask, OrderIntent
from trio_copy.model.fills import Role, Side
from trio_copy.model.ids import Address, ChainId, FollowerId, TokenId, order_signal_id, task_id
from trio_copy.model.orders import Order, Wallet
from trio_copy.model.signals import Signal
from trio_copy.model.units import NO_USD, Price, Rounding, Shares
from trio_copy.testing.devnet.chain import fake_hash

EXECUTOR = "sample"
LEADER = Address("0x" + "1e" * 20)
_EXCHANGE = Address("0x" + "ec" * 20)
_CHAIN = ChainId(137)
_HALF = Price(500_000)
_WHEN = 1_764_000_000


def sample_signal(
    number: int, *, side: Side = Side.BUY, block: int = 1, tx: int | None = None, nth: int = 0, now: float = 0.0
) -> Signal:
    """A trade of 100 shares at half a dollar; `number` names the leader's order, `tx` the transaction.

    `nth` tells the equal fills of the order within that transaction apart.
    """
    order_hash, tx_hash = fake_hash("order", number), fake_hash("tx", number if tx is None else tx)
    shares = Shares(100_000_000)
    return Signal(
        signal_id=order_signal_id(_CHAIN, _EXCHANGE, order_hash, tx_hash, (100_000_000, 50_000_000, 0), nth),
        chain_id=_CHAIN,
        exchange=_EXCHANGE,
        leader=LEADER,
        role=Role.TAKER,
        side=side,
        token_id=TokenId(7),
        shares=shares,
        price=_HALF,
        notional=shares.at(_HALF, Rounding.NEAREST),
        order_hash=order_hash,
        tx_hash=tx_hash,
        block_number=block,
        block_hash=fake_hash("block", block),
        block_time=int(now),
        seen_at=now,
        nth=nth,
    )


def sample_intent(side: Side = Side.BUY) -> OrderIntent:
    """Ten shares at half a dollar, two per cent of slippage allowed; the leader traded at `_WHEN`."""
    shares = Shares(10_000_000)
    limit = _HALF.raised_bps(200, Rounding.DOWN) if side is Side.BUY else _HALF.lowered_bps(200, Rounding.UP)
    return OrderIntent(
        side=side,
        token_id=TokenId(7),
        shares=shares,
        price=_HALF,
        limit_price=limit,
        max_cost=shares.at(limit, Rounding.UP) if side is Side.BUY else NO_USD,
        leader_time=_WHEN,
    )


def sample_task(signal: Signal, follower: str = "alice", *, deadline: float = 1e12) -> CopyTask:
    name = FollowerId(follower)
    return CopyTask(
        task_id=task_id(signal.signal_id, name),
        signal=signal,
        follower=name,
        executor=EXECUTOR,
        intent=evolve(sample_intent(signal.side), leader_time=signal.leader_time),
        deadline=deadline,
    )


def sample_order(task: CopyTask, body: bytes = b"body") -> Order:
    return Order(
        key=task.key,
        order_id=fake_hash("order-id", task.key, body),  # type: ignore[arg-type]  # any text names an order
        executor=EXECUTOR,
        wallet=Wallet(follower=task.follower, address=None),
        side=task.intent.side,
        token_id=task.intent.token_id,
        shares=task.intent.shares,
        limit_price=task.intent.limit_price,
        body=body,
    )
