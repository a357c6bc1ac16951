"""Small values for tests, with only the interesting part spelled out."""

from typing import Any

from attrs import evolve

from trio_copy.copying.sizing import size
from trio_copy.model.decisions import CopyTask, OrderIntent
from trio_copy.model.fills import Role, Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.follows import Follow, Terms
from trio_copy.model.ids import Address, ChainId, FollowerId, Hash32, TokenId, order_signal_id, task_id
from trio_copy.model.layers import Layer, assembled, layer, leaves
from trio_copy.model.signals import Signal
from trio_copy.model.units import NO_USD, Price, Ratio, Rounding, Shares, Usd

POLYGON = ChainId(137)
EXCHANGE = Address("0x" + "e1" * 20)
LEADER = Address("0x" + "aa" * 20)
OTHER_LEADER = Address("0x" + "bb" * 20)
ALICE = FollowerId("alice")
TOKEN = TokenId(777)
NOW = 1_764_000_000.0


def hash_of(number: int) -> Hash32:
    return Hash32(f"0x{number:064x}")


def make_signal(number: int = 1, *, price: str | None = "0.5", shares: str = "100", **changes: Any) -> Signal:
    """A BUY of 100 shares at half a dollar, seen at NOW; `number` sets its identity."""
    exact = None if price is None else Price.parse(price)
    amount = Shares.parse(shares)
    signal = Signal(
        signal_id=order_signal_id(
            POLYGON, EXCHANGE, hash_of(number), hash_of(number + 1000), (amount.micro, None, 0), 0
        ),
        chain_id=POLYGON,
        exchange=EXCHANGE,
        leader=LEADER,
        role=Role.TAKER,
        side=Side.BUY,
        token_id=TOKEN,
        shares=amount,
        price=exact,
        notional=None if exact is None else amount.at(exact, Rounding.NEAREST),
        order_hash=hash_of(number),
        tx_hash=hash_of(number + 1000),
        block_number=10,
        block_hash=hash_of(10),
        block_time=int(NOW),
        seen_at=NOW,
    )
    return evolve(signal, **changes)


_PATHS = {path.split(".")[-1]: path for path in leaves(FollowSettings)}
"""Settings by their last name, which is enough to tell nearly all of them apart."""


def make_layer(**changes: Any) -> Layer:
    """A tenth of the leader's size and no minimum, unless changed by a setting's last name or by path."""
    values = {"size.ratio": Ratio.parse("0.1"), "size.minimum_usd": NO_USD}
    return layer({**values, **{_PATHS.get(name, name): value for name, value in changes.items()}})


def make_settings(**changes: Any) -> FollowSettings:
    settings: FollowSettings = assembled(dict(make_layer(**changes)), FollowSettings)
    return settings


def make_terms(follower: str = "alice", **changes: Any) -> Terms:
    return Terms(FollowerId(follower), make_settings(**changes))


def make_follow(follower: str = "alice", leader: Address = LEADER, **changes: Any) -> Follow:
    return Follow(follower=FollowerId(follower), leader=leader, own=make_layer(**changes))


def make_intent(signal: Signal, **changes: Any) -> OrderIntent:
    sized = size(signal, make_settings(**changes), None)
    assert isinstance(sized, OrderIntent)
    return sized


def make_task(signal: Signal, follower: str = "alice", executor: str = "sim", **changes: Any) -> CopyTask:
    name = FollowerId(follower)
    task = CopyTask(
        task_id=task_id(signal.signal_id, name),
        signal=signal,
        follower=name,
        executor=executor,
        intent=make_intent(signal),
        deadline=NOW + 5,
    )
    return evolve(task, **changes)


def usd(text: str) -> Usd:
    return Usd.parse(text)
