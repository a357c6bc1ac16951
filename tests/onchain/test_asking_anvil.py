"""Each question is put to a real node, over the connections that executors have."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import evolve

from tests.builders import POLYGON
from tests.onchain.deployed import DEADLINE, Deployed, Market
from tests.onchain.deployed import KEY as INTENT
from trio_copy.chain.dial import dial_network
from trio_copy.chain.nodes import open_nodes
from trio_copy.chain.pacing import Pace
from trio_copy.config import ChainSettings, EndpointSettings
from trio_copy.engine.supervisor import Backoff
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import RpcError
from trio_copy.model.fills import Side
from trio_copy.model.ids import ZERO_ADDRESS, Address
from trio_copy.model.units import Price
from trio_copy.native import SecretKey, keccak
from trio_copy.ports import LogFilter
from trio_copy.testing.anvil import Node, calldata
from trio_copy.transactions.calls import Call
from trio_copy.transactions.transaction import Transaction
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.asking.finding import Finder
from trio_copy_onchain.tx.answers import Before
from trio_copy_onchain.tx.fees import GWEI, Fees, higher
from trio_copy_onchain.tx.reverts import Lacks, Revert
from trio_copy_onchain.tx.sendings import doing_nothing
from trio_copy_onchain.tx.texts import PRICE_REASONS, Row
from trio_copy_onchain.venues.abi import address_topic, topic
from trio_copy_onchain.venues.seam import Swap

pytestmark = pytest.mark.anvil

KEY = SecretKey(b"\x55" * 32)
FEES = Fees(tip=2 * GWEI, max_fee=20 * GWEI)
_TO_FINALITY = 70


def _soon() -> float:
    return trio.current_time() + 10


@asynccontextmanager
async def open_asked(node: Node) -> AsyncGenerator[Chain, None]:
    settings, entropy = ChainSettings(chain_id=POLYGON), seeded_entropy(1)
    async with open_nodes(
        dial=dial_network,
        endpoints=[EndpointSettings(name="anvil", url=node.url)],
        paces={"anvil": Pace()},
        chain=settings,
        entropy=entropy,
        quarantine=lambda kind, detail: None,
        on_trouble=lambda kind, detail: None,
        next_wait=lambda: Backoff(0.25, 30.0, entropy).next_wait,
    ) as nodes:
        yield Chain(nodes=nodes, chain_id=POLYGON)


@pytest.fixture
async def asked(venues: tuple[Node, Deployed], market: Market) -> AsyncGenerator[Chain, None]:
    await market.ask("anvil_setBalance", KEY.address, hex(10**18))
    async with open_asked(venues[0]) as chain:
        yield chain


def _nothing(nonce: int, fees: Fees = FEES) -> Transaction:
    return doing_nothing(POLYGON, KEY.address, nonce, fees)


def _transfer(market: Market, amount: int) -> Call:
    data = keccak(b"transfer(address,uint256)")[:4] + bytes(12) + bytes.fromhex(KEY.address[2:]) + amount.to_bytes(32)
    return Call(to=market.deployed.amms[0].usdc, data=data)


async def test_what_is_sent_is_followed_until_it_is_final(asked: Chain, market: Market) -> None:
    """Sent, waiting, replaced, mined, final: and at last it is known by which transaction each nonce was used."""
    await market.ask("evm_setAutomine", False)
    dearer = higher(FEES, cap=10**15)
    assert dearer is not None
    first, second, next_one = [
        transaction.signed(KEY.sign) for transaction in (_nothing(0), _nothing(0, dearer), _nothing(1))
    ]
    for signed, row in ((first, Row.SENT), (first, Row.SENT), (next_one, Row.SENT), (second, Row.SENT)):
        assert (await asked.send(signed.raw, signed.hash, _soon())).row is row
    hashes = [first.hash, second.hash, next_one.hash]
    before = await asked.counts(KEY.address, _soon())
    assert (before.latest, before.pending, before.final) == (0, 2, 0)
    assert await asked.receipts(hashes, _soon()) == dict.fromkeys(hashes)
    assert await asked.known(hashes, _soon()) == {second.hash, next_one.hash}

    await market.ask("evm_mine")
    receipts = await asked.receipts(hashes, _soon())
    assert [None if one is None else one.succeeded for one in map(receipts.get, hashes)] == [None, True, True]
    mined = await asked.counts(KEY.address, _soon())
    assert (mined.latest, mined.pending, mined.final) == (2, 2, 0)
    assert await asked.known(hashes, _soon()) == {second.hash, next_one.hash}

    await market.ask("anvil_mine", hex(_TO_FINALITY))
    final = await asked.counts(KEY.address, _soon())
    assert (final.latest, final.final) == (2, 2)
    assert final.final_block > before.final_block
    receipt = receipts[second.hash]
    assert receipt is not None
    since = receipt.block_number - 5
    assert await asked.used(KEY.address, [0, 1, 2], since, final.final_block, _soon()) == {
        0: second.hash,
        1: next_one.hash,
    }
    assert await asked.used(KEY.address, [0, 1], receipt.block_number, final.final_block, _soon()) == {}
    assert (await asked.send(first.raw, first.hash, _soon())).row is Row.NONCE_USED


async def test_a_call_is_tried_before_it_is_sent_and_explained_after_it_failed(asked: Chain, market: Market) -> None:
    transfer = _transfer(market, 5)
    refused = await asked.estimate(KEY.address, transfer, PRICE_REASONS, _soon())
    assert (refused.before, refused.words, refused.lacks) == (Before.REJECTED, "tUSD: balance", Lacks.BALANCE)
    assert await asked.call(transfer, _soon(), sender=KEY.address) == Revert(reason="tUSD: balance")
    killed = await asked.estimate(KEY.address, transfer, {"tusd: balance"}, _soon())
    assert killed.before is Before.KILLED

    transaction = Transaction(
        chain_id=POLYGON, nonce=0, tip=FEES.tip, max_fee=FEES.max_fee, gas=200_000, to=transfer.to, data=transfer.data
    )
    for sent, words, out_of_gas in (
        (transaction, "tUSD: balance", False),
        (evolve(transaction, nonce=1, gas=23_000), "out of gas", True),
    ):
        signed = sent.signed(KEY.sign)
        await asked.send(signed.raw, signed.hash, _soon())
        receipt = await market.receipt(signed.hash)
        assert not receipt.succeeded
        why = await asked.why(receipt, sent, KEY.address, PRICE_REASONS, _soon())
        assert (why.words, why.killed, why.out_of_gas) == (words, False, out_of_gas)

    usdc = market.deployed.amms[0].usdc
    await market.chain.do(market.chain.accounts[0], usdc, "mint(address,uint256)", KEY.address, 5)
    ready = await asked.estimate(KEY.address, transfer, PRICE_REASONS, _soon())
    assert ready.before is Before.READY
    assert ready.gas > 21_000


async def test_contracts_fees_and_coin_are_read(asked: Chain, market: Market) -> None:
    """Several answers of contracts come from one block; where one refuses, that is said."""
    usdc = market.deployed.amms[0].usdc
    decimals = Call(to=usdc, data=keccak(b"decimals()")[:4])
    assert [int.from_bytes(answer) for answer in await asked.read([decimals] * 3, _soon())] == [6, 6, 6]
    assert [int.from_bytes(answer) for answer in await asked.read([decimals], _soon())] == [6]
    assert await asked.read([], _soon()) == []
    with pytest.raises(RpcError) as refused:
        await asked.read([decimals, _transfer(market, 1 << 200)], _soon())
    assert refused.value.reverted
    assert await asked.balance(KEY.address, _soon()) == 10**18
    signed = _nothing(0).signed(KEY.sign)
    await asked.send(signed.raw, signed.hash, _soon())
    await market.receipt(signed.hash)
    assert FEES.tip in (await asked.fee_history(50.0, _soon())).tips


async def test_what_was_bought_for_a_key_is_found_by_the_logs_of_the_venue(asked: Chain, market: Market) -> None:
    """By the wallet itself, and by an owner through a Safe; with the bytes that were signed, which are known to be used."""
    maker, safe, owner = market.deployed.makers[0], market.deployed.safe, market.chain.accounts[0]
    usdc = market.deployed.amms[0].usdc
    await market.chain.do(owner, usdc, "mint(address,uint256)", safe, 10**8)
    approve = bytes.fromhex(calldata("approve(address,uint256)", (maker.maker, 10**8))[2:])
    start = int(await market.ask("eth_blockNumber"), 16) + 1
    await market.receipt(await market.send(_by_safe(owner, safe, Call(to=usdc, data=approve)), owner))
    for wallet, operator in ((market.wallet, market.wallet), (safe, owner)):
        swap = Swap(wallet=wallet, side=Side.BUY, cash=10**6, limit=Price(999_999), deadline=DEADLINE)
        trade = maker.call(swap)
        outer = trade if wallet == operator else _by_safe(owner, safe, trade)
        await market.receipt(await market.send(outer, operator))
        receipt = await market.receipt(await market.send(outer.marked(INTENT), operator))
        bought = topic("FPMMBuy(address,uint256,uint256,uint256,uint256)")
        named = LogFilter(addresses=(maker.maker,), topics=((bought,), (address_topic(wallet),)))
        finder = Finder(chain=asked, filters=(named,), operators={operator}, keys={INTENT})
        looked = await finder.look(start, _soon())
        (found,) = looked.found
        assert (found.signed.hash, found.sender, found.key) == (receipt.tx_hash, operator, INTENT)
        assert looked.through < receipt.block_number
        await market.ask("anvil_mine", hex(_TO_FINALITY))
        looked = await finder.look(start, _soon())
        assert (looked.found, looked.through >= receipt.block_number) == ((found,), True)
        nonce = found.transaction.nonce
        used = await asked.used(operator, [nonce], start - 1, looked.through, _soon())
        assert used == {nonce: found.signed.hash}
        assert (await asked.send(found.signed.raw, found.signed.hash, _soon())).row is not Row.FOREIGN


def _by_safe(owner: Address, safe: Address, call: Call) -> Call:
    """Return the Safe's own transaction, signed by being sent by its owner."""
    execute = "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"
    signature = bytes(12) + bytes.fromhex(owner[2:]) + bytes(32) + b"\1"
    arguments = (call.to, call.value, call.data, 0, 0, 0, 0, ZERO_ADDRESS, ZERO_ADDRESS, signature)
    return Call(to=safe, data=bytes.fromhex(calldata(execute, arguments)[2:]))
