"""What has used a nonce is looked for in every block in which it may have been."""

import trio

from tests.onchain.scripted_chain import FEES, KEY, ScriptedChain, sent
from trio_copy.model.ids import IntentKey
from trio_copy_onchain.sending.sight import Sight
from trio_copy_onchain.tx import events as e
from trio_copy_onchain.tx.fees import Fees
from trio_copy_onchain.tx.nonces import Nonces
from trio_copy_onchain.tx.sendings import Binding, Sending


async def test_a_block_that_becomes_final_during_a_look_is_looked_through_by_the_next() -> None:
    """The nonces were counted before it, and the newest final block after: it holds what another sent with our nonce."""
    chain = ScriptedChain(names=("node-1",), unfinalized=0)
    sight, nonces = Sight(address=KEY.address, chain=chain.asked), Nonces()
    ours = sent(0)
    sending = Sending(nonce=0, hash=ours.hash, raw=ours.raw, fees=FEES, at=0.0)
    nonces.apply([e.Bound(binding=Binding(nonce=0, key=IntentKey("ab" * 32), until=1e12, sendings=(sending,)))])
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


async def _look(sight: Sight, nonces: Nonces) -> None:
    see = await sight.look(nonces, 0.0, trio.current_time() + 5)
    nonces.apply(nonces.decide(see))
    assert not nonces.unexplained
    sight.all_is_explained(see)
