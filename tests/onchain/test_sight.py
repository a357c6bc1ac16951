"""What has used a nonce is looked for in every block in which it may have been; what is sure is not asked for again."""

from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

from tests.onchain.operating import BOUND, bind, operator_on
from tests.onchain.scripted_chain import FEES, KEY, ScriptedChain, sent
from trio_copy.errors import RpcError
from trio_copy.transactions.transaction import Signed
from trio_copy_onchain.sending.sight import Sight
from trio_copy_onchain.tx import events as e
from trio_copy_onchain.tx.fees import Fees
from trio_copy_onchain.tx.nonces import Nonces
from trio_copy_onchain.tx.sendings import End, Fate, Sending


async def test_a_block_that_becomes_final_during_a_look_is_looked_through_by_the_next() -> None:
    """The nonces were counted before it, and the newest final block after: it holds what another sent with our nonce."""
    chain = ScriptedChain(names=("node-1",), unfinalized=0)
    sight, nonces, _ = _bound(chain)
    chain.mine_empty(3)
    await _look(sight, nonces)
    foreign = sent(0, fees=Fees(tip=FEES.tip, max_fee=2 * FEES.max_fee))
    chain.mine(foreign)
    chain.lie("node-1", "eth_getTransactionCount", "0x0")
    await _look(sight, nonces)
    del chain.instead["node-1", "eth_getTransactionCount"]
    chain.mine_empty(1)
    see = await sight.look(nonces, 0.0, trio.current_time() + 5)
    nonces.apply(nonces.decide(see))
    assert nonces.unexplained == [0]
    assert (await sight.explain(see, nonces, trio.current_time() + 5)).used == {0: foreign.hash}


@pytest.mark.parametrize(("behind", "asked_again"), [(0, 0), (1, 2)], ids=["told by both", "told by one"])
async def test_a_receipt_is_as_sure_as_its_block_once_every_node_has_told_it(behind: int, asked_again: int) -> None:
    """Told by one node alone, it is read once more before anything is final."""
    chain = ScriptedChain(unfinalized=2)
    chain.behind["node-2"] = behind
    sight, nonces, ours = _bound(chain)
    chain.mine(ours)
    await _look(sight, nonces)
    told = chain.questions("eth_getTransactionReceipt")
    chain.mine_empty(3)
    chain.behind.clear()
    await _look(sight, nonces)
    assert chain.questions("eth_getTransactionReceipt") - told == asked_again
    (ended,) = nonces.ended.values()
    assert ended.end == End(fate=Fate.LANDED, hash=ours.hash)


async def test_a_receipt_that_every_node_told_is_nothing_once_its_block_is_gone() -> None:
    chain = ScriptedChain(unfinalized=2)
    sight, nonces, ours = _bound(chain)
    chain.mine(ours)
    await _look(sight, nonces)
    assert nonces.bindings[0].mined is not None
    chain.instead["node-2", "eth_getBlockByNumber"] = lambda params: {**_block(chain, params), "hash": "0x" + "ee" * 32}
    for node in chain.names:
        chain.lie(node, "eth_getTransactionReceipt", None)
    chain.mine_empty(3)
    see = await sight.look(nonces, 0.0, trio.current_time() + 5)
    assert see.receipts == {ours.hash: None}
    nonces.apply(nonces.decide(see))
    assert not nonces.ended


async def test_a_key_that_is_forgotten_while_its_gas_is_counted_ends_no_look() -> None:
    chain = ScriptedChain(names=("node-1",), unfinalized=0)
    operator = operator_on(chain)
    ours, told = bind(operator.nonces), list[bool]()
    chain.mine(ours)

    def receipt(params: Sequence[object]) -> object:
        told.append(BOUND in operator.nonces.ended)
        if not told[-1]:
            return None  # written down late: what a block holds tells its end
        operator.forget([BOUND])
        return chain.receipt("node-1", params)

    chain.instead["node-1", "eth_getTransactionReceipt"] = receipt
    await operator.look(trio.current_time() + 5)
    assert told == [False, True]
    assert operator.binding(BOUND) is None
    await operator.look(trio.current_time() + 5)


async def test_a_receipt_that_one_node_denies_for_long_is_believed_of_what_the_blocks_hold(
    clock: trio.testing.MockClock,
) -> None:
    """Some nodes keep no receipts. Meanwhile they are asked for it more and more seldom."""
    chain = ScriptedChain(unfinalized=0)
    sight, nonces, ours = _bound(chain)
    chain.lie("node-2", "eth_getTransactionReceipt", None)
    chain.mine(ours)
    see = await sight.look(nonces, 0.0, trio.current_time() + 5)
    nonces.apply(nonces.decide(see))
    assert nonces.unexplained == [0]
    nonces.apply(nonces.decide(await sight.explain(see, nonces, trio.current_time() + 5)))
    (ended,) = nonces.ended.values()
    assert ended.end == End(fate=Fate.LANDED, hash=ours.hash)
    sight.receipts.clear()
    before = chain.questions("eth_getTransactionReceipt")
    for _ in range(170):
        assert await sight.receipt(ours.hash, trio.current_time() + 5) is None
        await trio.sleep(1)
    assert chain.questions("eth_getTransactionReceipt") - before < 80
    await trio.sleep(60)
    assert await sight.receipt(ours.hash, trio.current_time() + 5) is not None


async def test_a_node_that_keeps_no_receipts_is_waited_for_once(clock: trio.testing.MockClock) -> None:
    """What it denied for so long of a final block it denies of every one; until it shows a receipt, and is believed again."""
    chain = ScriptedChain(unfinalized=0)
    sight, nonces, first = _bound(chain)
    await _look(sight, nonces)
    second, third = sent(1), sent(2)
    chain.lie("node-2", "eth_getTransactionReceipt", None)
    chain.mine(first)
    while await sight.receipt(first.hash, trio.current_time() + 5) is None:  # noqa: ASYNC110  virtual time
        await trio.sleep(1)
    assert trio.current_time() > 180
    chain.mine(second)
    assert await sight.receipt(second.hash, trio.current_time() + 5) is not None

    chain.instead["node-2", "eth_getTransactionReceipt"] = lambda params: (
        None if params[0] == third.hash else chain.receipt("node-2", params)
    )
    await sight.chain.receipts([first.hash], trio.current_time() + 5)
    chain.mine(third)
    assert await sight.receipt(third.hash, trio.current_time() + 5) is None


async def test_a_receipt_from_a_block_that_a_reorg_took_back_ends_nothing() -> None:
    """Some nodes go on showing them. Asked alone, as where there is one or the others are away, nobody contradicts such a node."""
    chain = ScriptedChain(names=("node-1",), unfinalized=2)
    sight, nonces, ours = _bound(chain)
    dearer = sent(0, fees=Fees(tip=2 * FEES.tip, max_fee=2 * FEES.max_fee))
    sending = Sending(
        nonce=0, hash=dearer.hash, raw=dearer.raw, fees=Fees(tip=2 * FEES.tip, max_fee=2 * FEES.max_fee), at=0.0
    )
    nonces.apply([e.Replaced(sending=sending)])
    chain.mine(ours)
    await _look(sight, nonces)
    _take_back(chain, ours)
    chain.mine(dearer)
    await _look(sight, nonces)
    chain.mine_empty(3)
    see = await sight.look(nonces, 0.0, trio.current_time() + 5)
    nonces.apply(nonces.decide(see))
    nonces.apply(nonces.decide(await sight.explain(see, nonces, trio.current_time() + 5)))
    (ended,) = nonces.ended.values()
    assert ended.end == End(fate=Fate.LANDED, hash=dearer.hash)


async def test_a_receipt_of_an_earlier_block_is_not_that_of_the_one_which_has_it_now() -> None:
    """The same bytes, mined twice: what they exchanged the first time has not happened."""
    chain = ScriptedChain(names=("node-1",), unfinalized=2)
    sight, nonces, ours = _bound(chain)
    chain.mine(ours)
    await _look(sight, nonces)
    _take_back(chain, ours)
    chain.mine_empty(1)
    chain.mine(ours)
    chain.mine_empty(3)
    see = await sight.look(nonces, 0.0, trio.current_time() + 5)
    nonces.apply(nonces.decide(see))
    assert nonces.unexplained == [0]
    nonces.apply(nonces.decide(await sight.explain(see, nonces, trio.current_time() + 5)))
    (ended,) = nonces.ended.values()
    assert ended.end == End(fate=Fate.LANDED, hash=ours.hash)
    sight.receipts.clear()
    assert await sight.receipt(ours.hash, trio.current_time() + 5) is None
    chain.instead.clear()
    told = await sight.receipt(ours.hash, trio.current_time() + 5)
    assert told is not None
    assert told.block_number == 2


async def test_a_receipt_whose_block_nobody_tells_of_ends_nothing_before_somebody_does() -> None:
    """An answer that does not come says nothing for it."""
    chain = ScriptedChain(names=("node-1",), unfinalized=2)
    sight, nonces, ours = _bound(chain)
    chain.mine(ours)
    chain.mine_empty(3)
    chain.instead["node-1", "eth_getBlockByNumber"] = lambda params: (
        chain.block("node-1", params) if params[0] == "finalized" else RpcError(-32000, "busy")
    )
    nonces.apply(nonces.decide(await sight.look(nonces, 0.0, trio.current_time() + 5)))
    assert not nonces.ended
    assert nonces.unexplained == [0]
    chain.instead.clear()
    await _look(sight, nonces)
    (ended,) = nonces.ended.values()
    assert ended.end == End(fate=Fate.LANDED, hash=ours.hash)


def _take_back(chain: ScriptedChain, ours: Signed) -> None:
    """Take the newest block off the chain; the node goes on showing its receipt of one transaction."""
    old = chain.receipt("node-1", [ours.hash])
    chain.blocks.pop()
    chain.dev.reorg(1, ())
    chain.instead["node-1", "eth_getTransactionReceipt"] = lambda params: (
        old if params[0] == ours.hash else chain.receipt("node-1", params)
    )


def _bound(chain: ScriptedChain) -> tuple[Sight, Nonces, Signed]:
    """Return what looks at an operator whose first nonce is bound, and the transaction that was signed for it."""
    nonces = Nonces()
    return Sight(address=KEY.address, chain=chain.asked), nonces, bind(nonces)


def _block(chain: ScriptedChain, params: Sequence[object]) -> Any:
    return chain.block("node-2", params)


async def _look(sight: Sight, nonces: Nonces) -> None:
    see = await sight.look(nonces, 0.0, trio.current_time() + 5)
    nonces.apply(nonces.decide(see))
    assert not nonces.unexplained
    sight.all_is_explained(see)
