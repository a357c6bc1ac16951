"""The engine on a real node with the real contracts, over real sockets, with Polygon's chain id."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import define, evolve

from tests.e2e.copying import expect_one_copy_each, open_copying
from tests.harness import Recorder
from trio_copy.config import PluginTable
from trio_copy.engine.service import Service
from trio_copy.model.fills import Side
from trio_copy.testing.anvil import Amm, Node, deploy_amm, open_chain, open_node

pytestmark = pytest.mark.anvil

LIMIT_S = 60


@define(eq=False)
class Stage:
    node: Node
    leader: str
    stranger: str
    recorder: Recorder
    service: Service
    deployed: Amm

    @asynccontextmanager
    async def market(self) -> AsyncGenerator[Amm, None]:
        """Trade over a connection of its own, which may be opened again after the node was away."""
        async with open_chain(self.node) as chain:
            yield evolve(self.deployed, chain=chain)


@asynccontextmanager
async def open_stage(folder: Path, *, decoder: str = "fpmm") -> AsyncGenerator[Stage, None]:
    """A funded market, a leader who may trade on it, and an engine that copies him for everybody."""
    async with open_node(folder) as node:
        async with open_chain(node) as chain:
            amm, leader, stranger = await deploy_amm(chain), chain.accounts[2], chain.accounts[0]
            await amm.prepare_trader(leader)
        options: dict[str, object] = (
            {"pools": [{"address": amm.pool, "tokens": [str(token) for token in amm.tokens]}]}
            if decoder == "fpmm"
            else {"contracts": [amm.ctf], "venues": [amm.pool]}
        )
        table = PluginTable(name=decoder, plugin=decoder, options=options)
        async with open_copying(node.url, leader, table) as (recorder, service):
            yield Stage(node, leader, stranger, recorder, service, amm)


async def test_each_trade_on_a_real_amm_is_copied_once_by_everybody(tmp_path: Path) -> None:
    """A leader buys twice and sells once on a real FPMM: one dry-run copy per follower and fill, at the real prices."""
    with trio.fail_after(LIMIT_S):
        async with open_stage(tmp_path) as stage, stage.market() as amm:
            await amm.buy(stage.stranger, 10)
            await amm.buy(stage.leader, 100)
            await amm.buy(stage.leader, 50, outcome=1)
            await stage.recorder.wait_copies(6)
            await amm.chain.do(
                stage.leader, amm.ctf, "safeTransferFrom(address,address,uint256,uint256,bytes)",
                stage.leader, stage.stranger, amm.tokens[0], 10**6, b"",
            )  # fmt: skip
            await amm.sell(stage.leader, 30)
            await stage.recorder.wait_copies(9)
    expect_one_copy_each(stage.recorder, fills=3)
    assert [signal.side for signal in stage.recorder.admitted] == [Side.BUY, Side.BUY, Side.SELL]
    assert [str(signal.notional) for signal in stage.recorder.admitted] == ["98", "49", "30.612244"]


async def test_real_transfers_tell_a_trade_too(tmp_path: Path) -> None:
    """The same trades, read from the share ledger's TransferSingle alone: no price, so the skip says why."""
    with trio.fail_after(LIMIT_S):
        async with open_stage(tmp_path, decoder="erc1155") as stage, stage.market() as amm:
            await amm.buy(stage.leader, 100)
            await amm.sell(stage.leader, 30)
            await stage.recorder.wait_until(lambda: len(stage.recorder.skips) == 6)
    assert [signal.side for signal in stage.recorder.admitted] == [Side.BUY, Side.SELL]
    assert {"PRICE_UNKNOWN"} == {skip.reason.code.name for skip in stage.recorder.skips}


async def test_a_node_restart_mid_stream_misses_and_doubles_nothing(tmp_path: Path) -> None:
    """Trades before, during the gap and after a restart of the node are each copied once."""
    with trio.fail_after(LIMIT_S):
        async with open_stage(tmp_path) as stage:
            async with stage.market() as amm:
                await amm.buy(stage.leader, 100)
                await stage.recorder.wait_copies(3)
            await stage.node.stop()
            await stage.recorder.wait_until(lambda: "endpoint-lost" in dict(stage.recorder.alerts))
            await stage.node.start()
            async with stage.market() as amm:
                for _ in range(3):
                    await amm.buy(stage.leader, 20)
                await stage.recorder.wait_copies(12)
                await amm.buy(stage.leader, 20, outcome=1)
                await stage.recorder.wait_copies(15)
    expect_one_copy_each(stage.recorder, fills=5)


async def test_a_real_reorg_retracts_and_the_same_transaction_is_adopted(tmp_path: Path) -> None:
    """anvil drops the block of a trade, without telling; the same signed bytes, mined again, are not copied again."""
    with trio.fail_after(LIMIT_S):
        async with open_stage(tmp_path) as stage, stage.market() as amm:
            raw = await amm.chain.sign(stage.leader, amm.pool, "buy(uint256,uint256,uint256)", 100 * 10**6, 0, 0)
            first = await amm.chain.send_raw(raw)
            await stage.recorder.wait_copies(3)
            await amm.chain.session.request("anvil_reorg", 1, [])
            await stage.recorder.wait_until(lambda: len(stage.recorder.retracted) == 1)
            again = await amm.chain.send_raw(raw)
            await stage.recorder.wait_until(lambda: "adopted" in stage.recorder.admissions)
            await amm.buy(stage.leader, 7)
            await stage.recorder.wait_copies(6)
    assert first["transactionHash"] == again["transactionHash"]
    assert first["blockHash"] != again["blockHash"]
    expect_one_copy_each(stage.recorder, fills=2)
    assert stage.service.scanner.reorgs == 1
