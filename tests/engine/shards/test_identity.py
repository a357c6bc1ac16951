"""A fill is known by what the chain says of it, whatever numbers nodes give it. Virtual time, real WebSockets."""

from collections import Counter

import msgspec
import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import LEADER, hash_of
from tests.harness import World, make_test_plan, open_world, running_engine
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2
from trio_copy.model.fills import Side
from trio_copy.model.ids import TokenId
from trio_copy.model.logs import RawLog
from trio_copy.model.units import NO_USD, Shares, Usd
from trio_copy.testing.devnet import DevTx
from trio_copy.testing.devnet.encode import order_filled_log
from trio_copy.testing.devnet.wire import log_object

Clock = trio.testing.MockClock


def match(number: int, *fills: int, order: int = 1) -> DevTx:
    """A transaction in which one order of the leader is filled several times, by so many shares each."""
    return DevTx(
        tx_hash=hash_of(number),
        logs=tuple(
            order_filled_log(
                exchange=EXCHANGE_V2,
                order_hash=hash_of(1000 + order),
                owner=LEADER,
                counterparty=EXCHANGE_V2,
                side=Side.BUY,
                token_id=TokenId(1),
                shares=Shares(shares * 1_000_000),
                notional=Usd(shares * 500_000),
                fee=NO_USD,
            )
            for shares in fills
        ),
    )


def tell(world: World, log: RawLog, node: int = 0, **changes: object) -> None:
    """Let a node's subscription bring a log, with fields of its own choice."""
    result = {**log_object(log), **changes}
    params = {"subscription": "0x2", "result": result}
    world.nodes[node].send_to_all(
        msgspec.json.encode({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})
    )


async def pass_blocks(world: World, count: int = 4) -> None:
    for _ in range(count):
        await trio.sleep(1)
        world.chain.mine()


def bought(world: World, follower: str = "alice") -> Counter[str]:
    """The sizes that a follower bought, a tenth of the leader's."""
    return Counter(
        str(finished.report.shares)
        for finished in world.recorder.finished
        if finished.task.follower == follower and finished.report is not None
    )


async def test_two_numbers_for_one_log_are_one_fill(clock: Clock) -> None:
    """A subscription numbers from zero, eth_getLogs by the block: one log, one copy."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.nodes[0].faults.silent_logs = True
        world.chain.mine(match(1, 10), match(2, 20, order=2))
        for log in world.chain.head.logs:
            tell(world, log, logIndex="0x0")
            tell(world, log, logIndex="0x215")
        await pass_blocks(world)
    assert bought(world) == Counter({"1": 1, "2": 1})


async def test_a_log_that_the_subscription_lost_is_a_fill_of_its_own(clock: Clock) -> None:
    """Of two fills of one order in one transaction the second is seen first: both are copied, each with its amount."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.nodes[0].faults.silent_logs = True
        world.chain.mine(match(1, 40, 100))
        tell(world, world.chain.head.logs[1], logIndex="0x0")
        await pass_blocks(world)
    assert bought(world) == Counter({"4": 1, "10": 1})


async def test_equal_fills_of_one_transaction_count_as_often_as_the_chain_says(clock: Clock) -> None:
    """The same order filled three times by the same amount is three fills, though a subscription may tell one twice."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.nodes[0].faults.each_log_twice = True
        world.chain.mine(match(1, 30, 30, 30))
        await pass_blocks(world)
    assert bought(world) == Counter({"3": 3})


async def test_a_second_trade_beside_the_first_ones_return_is_copied(clock: Clock) -> None:
    """A reorg mines a trade again, behind another one of the same order and amount: two trades, two copies."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        first = match(1, 30)
        world.chain.mine(first)
        await world.recorder.wait_copies(2)
        world.chain.reorg(1, [(match(2, 30), first), ()])
        await pass_blocks(world)
    assert bought(world) == Counter({"3": 2})


async def test_a_trade_under_another_hash_is_adopted_once_its_block_is_whole(clock: Clock) -> None:
    """The first transaction is not in the block: then the other one is the same trade, sent again."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.chain.mine(match(1, 30))
        await world.recorder.wait_copies(2)
        world.chain.reorg(1, [(match(2, 30),), ()])
        await pass_blocks(world)
    assert bought(world) == Counter({"3": 1})
    assert world.recorder.admissions[-1] == "adopted"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((match(1, 30, 30),), (match(2, 30), match(3, 30))),
        ((match(1, 30), match(2, 30)), (match(3, 30, 30),)),
        ((match(1, 30), match(2, 30)), (match(3, 30), match(4, 30))),
    ],
    ids=["divided", "joined", "moved"],
)
@pytest.mark.parametrize("depth", [2, 4])
async def test_equal_fills_come_back_each_for_itself(
    clock: Clock, before: tuple[DevTx, ...], after: tuple[DevTx, ...], depth: int
) -> None:
    """A reorg divides two equal fills of one order anew among transactions: they stay two trades."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.chain.mine(*before)
        await pass_blocks(world, depth - 1)
        await world.recorder.wait_copies(4)
        world.chain.reorg(depth, [after, *[()] * depth])
        await pass_blocks(world)
    assert bought(world) == Counter({"3": 2})
    assert world.recorder.admissions == ["admitted"] * 2 + ["adopted"] * 2


async def test_a_removed_log_is_recognised_under_another_number(clock: Clock) -> None:
    """What a node takes back it may number anew as well."""
    plan = make_test_plan(engine={"workers": 1}, executor={"latency_ms": 3000})
    async with open_world() as world, running_engine(world, plan):
        world.nodes[0].faults.silent_logs = world.nodes[0].faults.silent_heads = True
        world.chain.mine(match(1, 10))
        log = world.chain.head.logs[0]
        tell(world, log, logIndex="0x0")
        await world.recorder.wait_until(lambda: bool(world.recorder.admitted))
        tell(world, evolve(log, log_index=7), removed=True)
        await world.recorder.wait_until(lambda: bool(world.recorder.retracted))


async def test_a_trade_whose_name_was_given_away_is_copied_when_it_returns_later(clock: Clock) -> None:
    """A reorg mines a second equal trade first, and the first one some blocks later: two trades, two copies."""
    async with open_world() as world, running_engine(world, make_test_plan()) as service:
        first = match(1, 30)
        world.chain.mine(first)
        await world.recorder.wait_copies(2)
        world.chain.reorg(1, [(match(2, 30),), ()])
        await pass_blocks(world)
        assert world.recorder.admissions[-1] == "adopted"
        world.chain.mine(first)
        await pass_blocks(world)
        service.pool.want_rescan()
        await pass_blocks(world, 2)
    assert bought(world) == Counter({"3": 2})


async def test_what_only_a_subscription_knew_is_taken_back_with_its_block(clock: Clock) -> None:
    """eth_getLogs did not know the fill, its block was sealed, and nobody says that a reorg took it: it is one trade."""
    async with open_world() as world, running_engine(world, make_test_plan()):
        world.nodes[0].faults.empty_logs = 1
        world.nodes[0].faults.without_removed = True
        world.chain.mine(match(1, 30))
        await world.recorder.wait_copies(2)
        await trio.sleep(1)
        world.chain.reorg(1, [(), ()])
        await pass_blocks(world, 2)
        world.chain.mine(match(2, 30))
        await pass_blocks(world)
    assert bought(world) == Counter({"3": 1})
