"""Who hears that a transaction was mined, and whose are looked at first when a block comes."""

from collections.abc import Callable, Sequence
from typing import Any

import trio
import trio.testing

from tests.builders import NOW
from tests.onchain.executing import ALICE, KeptJournal, Signing, SigningFor
from tests.onchain.operating import BOUND, bind, fee_clock, operator_on
from tests.onchain.scripted_chain import KEY, OTHER_KEY, ScriptedChain
from trio_copy.model.ids import Address, IntentKey
from trio_copy.model.orders import Wallet
from trio_copy_onchain.fleet.balances import Balances
from trio_copy_onchain.operators import Operators

WALLET = Wallet(follower=ALICE, address=KEY.address, name="main")


def _operators(chain: ScriptedChain, signing: Sequence[Signing], wall: Callable[[], float]) -> Operators:
    signers: Any = SigningFor(signing)
    operators = Operators(
        chain=chain.asked,
        fees=fee_clock(chain),
        signers=signers,
        wall=wall,
        patience_s=10,
        poll_s=0.5,
        in_flight=16,
        on_trouble=lambda kind, detail: None,
        on_news=lambda key: None,
        at=lambda point: None,
        balances=Balances(),
    )
    operators.open_journal(KeptJournal())
    return operators


async def test_whoever_waits_for_a_block_hears_of_it_and_nobody_else_is_told(nursery: trio.Nursery) -> None:
    """He answers for it. When it is final he is gone: then whoever asks for it is told."""
    chain, news = ScriptedChain(names=("node-1",), unfinalized=2), list[IntentKey]()
    operator = operator_on(chain, news.append)
    ours, heard = bind(operator.nonces), operator.line.news_of(BOUND)
    nursery.start_soon(heard.wait)
    await trio.testing.wait_all_tasks_blocked()
    chain.mine(ours)
    await operator.look(trio.current_time() + 5)
    assert heard.is_set()
    assert not news
    chain.mine_empty(3)
    await operator.look(trio.current_time() + 5)
    assert news == [BOUND]


async def test_what_somebody_has_waited_for_too_long_is_told() -> None:
    """He is gone, and nobody else would ask before long."""
    chain, news = ScriptedChain(names=("node-1",), unfinalized=2), list[IntentKey]()
    operator = operator_on(chain, news.append)
    ours = bind(operator.nonces)
    with trio.move_on_after(0):
        await operator.line.news_of(BOUND).wait()
    chain.mine(ours)
    await operator.look(trio.current_time() + 5)
    assert news == [BOUND]


async def test_gas_is_counted_although_nobody_asks_for_its_order_any_more() -> None:
    """What was cancelled is over for its order as soon as that is final, whether or not a node shows the receipt by then."""
    chain = ScriptedChain(names=("node-1",), unfinalized=0)
    operators = _operators(chain, [Signing(KEY)], lambda: 10.0)
    ((operator, _),) = operators.of(WALLET)
    ours = bind(operator.nonces)
    chain.lie("node-1", "eth_getTransactionReceipt", None)
    chain.mine(ours)
    await operator.look(trio.current_time() + 5)
    assert BOUND in operator.nonces.unpaid
    operators._forget()
    del chain.instead["node-1", "eth_getTransactionReceipt"]
    await operator.look(trio.current_time() + 5)
    assert operator.gas.transactions == 1
    operators._forget()
    assert not operator.busy


async def test_a_receipt_that_no_node_ever_shows_is_not_waited_for_for_ever() -> None:
    chain, now = ScriptedChain(names=("node-1",), unfinalized=0), [10.0]
    operators = _operators(chain, [Signing(KEY)], lambda: now[0])
    ((operator, _),) = operators.of(WALLET)
    ours = bind(operator.nonces)
    chain.lie("node-1", "eth_getTransactionReceipt", None)
    chain.mine(ours)
    await operator.look(trio.current_time() + 5)
    now[0] = 100_000.0  # it was signed at 0
    operators._forget()
    assert not operator.busy


async def test_what_waits_for_a_block_is_looked_at_before_what_waits_to_be_final(
    clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """With a block come trades to be copied: what has time lets them go first."""
    chain, looked = ScriptedChain(names=("node-1",), unfinalized=10), list[tuple[float, Address]]()
    operators = _operators(chain, [Signing(KEY), Signing(OTHER_KEY)], lambda: NOW)
    (settles, _), (waits, _) = operators.of(WALLET)
    mined, _ = bind(settles.nonces, KEY), bind(waits.nonces, OTHER_KEY)
    chain.mine(mined)
    await settles.look(trio.current_time() + 5)

    def count(params: Sequence[object]) -> object:
        looked.append((trio.current_time(), Address(str(params[0]))))
        return chain.count("node-1", params)

    chain.instead["node-1", "eth_getTransactionCount"] = count
    nursery.start_soon(operators.run_looks)
    await trio.sleep(2)
    looked.clear()
    began = trio.current_time()
    chain.mine_empty(1)
    await trio.sleep(1)
    first = {address: min(at for at, whose in looked if whose == address) for _, address in looked}
    assert first[waits.address] - began <= 0.5  # with the next poll
    assert first[settles.address] - first[waits.address] >= 0.1
