"""The guard judges each order of `clob` twice, with what it may do, and counts it before it leaves."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from attrs import evolve

from tests.builders import POLYGON
from tests.clob.traded import KEY, WALLET, Traded, open_traded, posts, prepared
from tests.plugins.stores import in_place
from trio_copy.clock import wall_clock_from
from trio_copy.config.wallets import WalletPolicy, WalletTable
from trio_copy.errors import ExecutorError, OrderNotSent
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import OrderId
from trio_copy.model.orders import Status
from trio_copy.model.units import NO_SHARES, Usd
from trio_copy.signing.arming import arm, limits_of
from trio_copy.signing.guard import DAY_S
from trio_copy.signing.signers import open_signers
from trio_copy.testing.samples import sample_intent

Clock = trio.testing.MockClock


async def test_what_the_guard_refuses_is_an_order_of_nothing_that_says_why(autojump_clock: Clock) -> None:
    """It has no bytes that anybody could send."""
    async with open_traded() as traded:
        traded.signer.refuses = Reason(code=Code.GUARD_REFUSED, control="max_order_usd", value="5.1", limit="5")
        order = await prepared(traded)
        assert (order.shares, order.body, order.refused) == (NO_SHARES, b"", traded.signer.refuses)


async def test_what_the_guard_does_not_let_go_reaches_nobody(autojump_clock: Clock) -> None:
    """Signed and placed, it is certainly not at the venue; nor is what is not the body of its order."""
    async with open_traded() as traded:
        order, other = await prepared(traded, 1), await prepared(traded, 2)
        for spoiled in (
            evolve(order, body=other.body),
            evolve(order, body=b"{}"),
            evolve(order, order_id=OrderId("0x")),
        ):
            with pytest.raises(OrderNotSent, match=r"expected the (frozen )?body of"):
                await traded.executor.submit(spoiled)
        assert (await traded.executor.submit(other)).status is Status.FILLED
        posted = len(posts(traded))
        traded.signer.refuses = Reason(code=Code.GUARD_REFUSED, control="max_hour_usd", value="251", limit="250")
        with pytest.raises(OrderNotSent) as refused:
            await traded.executor.submit(order)
        assert refused.value.reason == traded.signer.refuses
        assert len(posts(traded)) == posted


async def test_an_order_of_a_process_that_died_is_judged_and_counted_before_it_leaves(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """It was placed, and died before it had counted it; its successor has another journal, and the bytes alone."""
    wall = wall_clock_from(sample_intent().leader_time)
    policy = WalletPolicy(max_hour_usd=Usd.parse(8))
    arm(tmp_path, KEY.address, limits_of(policy, POLYGON), wall() + DAY_S)

    @asynccontextmanager
    async def process() -> AsyncGenerator[Traded, None]:
        async with (
            open_signers(
                folder=tmp_path,
                wallets={"hot": WalletTable(key="env:HOT", address=KEY.address, policy=policy)},
                keys={"hot": KEY},
                chain_id=POLYGON,
                wall=wall,
                in_thread=in_place,
                on_trouble=lambda kind, detail: None,
            ) as signers,
            open_traded(wall=wall, signers=signers.only(frozenset({"hot"}), orders=True)) as traded,
        ):
            yield traded

    wallet = evolve(WALLET, name="hot")
    async with process() as dies:
        orders = [await prepared(dies, number, wallet=wallet) for number in (1, 2)]
    assert _keys_in_journal(tmp_path) == []
    async with process() as traded:
        for _ in range(2):
            assert (await traded.executor.submit(orders[0])).status is Status.FILLED
        with pytest.raises(OrderNotSent, match="max_hour_usd"):
            await traded.executor.submit(orders[1])
    assert _keys_in_journal(tmp_path) == [orders[0].key]


def _keys_in_journal(folder: Path) -> list[str]:
    lines = [line for path in folder.glob("signed-*") for line in path.read_bytes().splitlines()]
    return [msgspec.json.decode(line)[2] for line in lines]


async def test_the_guard_is_told_what_the_order_may_do(autojump_clock: Clock) -> None:
    """A purchase's cash, a sale's none; chain, contract and maker as they are signed."""
    async with open_traded() as traded:
        for number, side in enumerate(Side):
            order = await prepared(traded, number, side=side)
            wanted, digest = traded.signer.wanted[-1]
            assert (wanted.max_cost, wanted.maker, wanted.side) == (order.max_cost, KEY.address, side)
            assert (wanted.chain_id, wanted.limit_price, wanted.key) == (137, order.limit_price, order.key)
            assert f"0x{digest.hex()}" == order.order_id


async def test_a_wallet_that_nobody_signs_for_sends_nothing(autojump_clock: Clock) -> None:
    """Neither is it looked up: nobody may ask in its name."""
    async with open_traded() as traded:
        order = evolve(await prepared(traded), wallet=evolve(WALLET, name="another"))
        with pytest.raises(OrderNotSent, match="nobody signs for the wallet another"):
            await traded.executor.submit(order)
        with pytest.raises(ExecutorError, match="nobody signs"):
            await traded.executor.find(order)
