"""A real node takes our transactions, and what it says is read as it is meant."""

from pathlib import Path

import msgspec
import pytest
import trio
from attrs import define, evolve

from tests.builders import POLYGON
from trio_copy.errors import ChainError
from trio_copy.model.ids import Address, ChainId
from trio_copy.native import SecretKey, keccak
from trio_copy.testing.anvil import Chain, open_chain, open_node
from trio_copy.transactions.transaction import Signed, Transaction
from trio_copy_onchain.tx.answers import Before, Told, read_estimate, read_sending
from trio_copy_onchain.tx.fees import GWEI, Fees, fees_now, higher, read_history
from trio_copy_onchain.tx.receipts import Receipt, Standing, read_known, read_receipt, read_used, standing, why_failed
from trio_copy_onchain.tx.reverts import Lacks
from trio_copy_onchain.tx.sendings import doing_nothing
from trio_copy_onchain.tx.texts import Row

pytestmark = pytest.mark.anvil

KEY, POOR = SecretKey(b"\x33" * 32), SecretKey(b"\x44" * 32)
FEES = Fees(tip=2 * GWEI, max_fee=20 * GWEI)


@define
class Node:
    chain: Chain

    async def ask(self, method: str, *params: object) -> Told:
        try:
            return await self.chain.session.request(method, *params)
        except ChainError as error:
            return error

    async def told(self, method: str, *params: object) -> msgspec.Raw:
        return await self.chain.session.request(method, *params)

    async def row(self, signed: Signed) -> Row:
        return read_sending(await self.ask("eth_sendRawTransaction", "0x" + signed.raw.hex()), signed.hash).row

    async def receipt(self, signed: Signed) -> Receipt:
        """Wait until it is mined: the node may answer a moment before."""
        with trio.fail_after(10):
            while True:
                told = await self.told("eth_getTransactionReceipt", signed.hash)
                receipt = read_receipt(told, signed.hash, POLYGON)
                if receipt is not None:
                    return receipt
                await trio.sleep(0.01)


def _nothing(nonce: int, fees: Fees = FEES, key: SecretKey = KEY) -> Transaction:
    return doing_nothing(POLYGON, key.address, nonce, fees)


def _transfer(token: Address, amount: int) -> Transaction:
    data = keccak(b"transfer(address,uint256)")[:4] + bytes(12) + bytes.fromhex(token[2:]) + amount.to_bytes(32)
    return Transaction(
        chain_id=POLYGON, nonce=0, tip=FEES.tip, max_fee=FEES.max_fee, gas=200_000, to=token, data=data
    )  # fmt: skip


async def test_a_real_node_takes_what_we_sign_and_is_understood(tmp_path: Path) -> None:
    """Transactions, receipts, who used a nonce, fees, reverts, and the node's own words for each row that it has."""
    async with open_node(tmp_path) as anvil, open_chain(anvil) as chain:
        node = Node(chain)
        await node.told("anvil_setBalance", KEY.address, hex(10**18))
        token = await chain.deploy("TestUSDC")

        # A transfer that has no money: refused before, and within a block where the gas is given.
        transfer = _transfer(token, 5)
        call = {"from": KEY.address, "to": token, "data": "0x" + transfer.data.hex()}
        refused = read_estimate(await node.ask("eth_estimateGas", call, "latest"))
        assert (refused.before, refused.words, refused.lacks) == (Before.REJECTED, "tUSD: balance", Lacks.BALANCE)
        failing = transfer.signed(KEY.sign)
        assert await node.row(failing) is Row.SENT
        receipt = await node.receipt(failing)
        assert standing(receipt, [True]) is Standing.FAILED
        trace = await node.ask("debug_traceTransaction", failing.hash, {"tracer": "callTracer"})
        replay = await node.ask("eth_call", call, hex(receipt.block_number))
        for traced, replayed in ((trace, None), (None, replay)):
            failure = why_failed(receipt, transfer.gas, traced, replayed)
            assert (failure.words, failure.killed, failure.out_of_gas) == ("tUSD: balance", False, False)

        # One that has some.
        await chain.do(chain.accounts[0], token, "mint(address,uint256)", KEY.address, 5)
        estimate = read_estimate(await node.ask("eth_estimateGas", call, "latest"))
        assert estimate.before is Before.READY
        done = evolve(transfer, nonce=1, gas=estimate.gas * 2).signed(KEY.sign)
        assert await node.row(done) is Row.SENT
        receipt = await node.receipt(done)
        assert standing(receipt, []) is Standing.DONE
        assert ([log.address for log in receipt.logs], receipt.gas_used > 21_000) == ([token], True)
        block = await node.told("eth_getBlockByNumber", hex(receipt.block_number), True)
        assert read_used(block, KEY.address) == {1: done.hash}
        short = evolve(transfer, nonce=2, gas=23_000).signed(KEY.sign)
        assert await node.row(short) is Row.SENT
        receipt = await node.receipt(short)
        assert why_failed(
            receipt, 22_000, await node.ask("debug_traceTransaction", short.hash, {"tracer": "callTracer"}), None
        ).out_of_gas

        # Nothing is mined from here on: the node's words for each row.
        history = read_history(await node.told("eth_feeHistory", "0x4", "latest", [50]))
        now = fees_now(history, floor=GWEI, cap=500 * GWEI)
        assert now is not None
        assert FEES.tip in history.tips
        await node.told("evm_setAutomine", False)
        pending = _nothing(3).signed(KEY.sign)
        dearer = higher(FEES, cap=500 * GWEI)
        assert dearer is not None
        poor = read_sending(
            await node.ask("eth_sendRawTransaction", "0x" + (_nothing(0, key=POOR).signed(POOR.sign)).raw.hex()),
            pending.hash,
        )
        said = [
            (pending, Row.SENT),
            (pending, Row.SENT),
            (evolve(_nothing(3), gas=30_000).signed(KEY.sign), Row.IN_ITS_PLACE),
            (_nothing(3, dearer).signed(KEY.sign), Row.SENT),
            (_nothing(2).signed(KEY.sign), Row.NONCE_USED),
            (evolve(_nothing(4), gas=20_000).signed(KEY.sign), Row.WRONG),
            (evolve(_nothing(4), gas=3 * 10**9).signed(KEY.sign), Row.WRONG),
            (evolve(_nothing(4), chain_id=ChainId(1)).signed(KEY.sign), Row.WRONG),
            (evolve(_nothing(4), value=10**18).signed(KEY.sign), Row.NO_FUNDS),
        ]
        assert [await node.row(signed) for signed, _ in said] == [row for _, row in said]
        assert poor.row is Row.NO_FUNDS
        await node.told("anvil_setNextBlockBaseFeePerGas", hex(50 * GWEI))
        await node.told("evm_mine")
        assert await node.row(_nothing(3).signed(KEY.sign)) is Row.UNDERPRICED
        # What became too cheap was dropped with the block.
        assert not read_known(await node.told("eth_getTransactionByHash", pending.hash), pending.hash)
