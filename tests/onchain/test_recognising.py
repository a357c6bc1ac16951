"""One transaction of several that were signed for a nonce is known, after a journal was lost, and another one is mined."""

from attrs import evolve

from tests.builders import POLYGON
from tests.onchain.operating import BOUND, bind, operator_on
from tests.onchain.scripted_chain import FEES, KEY, OTHER_KEY, ScriptedChain, sent
from trio_copy.transactions.transaction import Signed
from trio_copy_onchain.sending.operator import Operator
from trio_copy_onchain.tx.fees import Fees
from trio_copy_onchain.tx.sendings import End, Fate, doing_nothing

_DEARER = Fees(tip=2 * FEES.tip, max_fee=2 * FEES.max_fee)
_UNTIL = float("inf")


def _mined(used: Signed) -> tuple[ScriptedChain, Operator]:
    """Return an operator whose first nonce is bound, and used for good by what it does not know."""
    chain = ScriptedChain(unfinalized=2)
    operator = operator_on(chain)
    bind(operator.nonces)
    chain.mine_empty(1)
    chain.mine(used)
    chain.mine_empty(3)
    return chain, operator


async def test_what_makes_the_very_call_of_its_key_is_its_own() -> None:
    """It has landed, and its gas counts: taken for another's, it would be undone in the books, or done once more."""
    dearer = sent(0, fees=_DEARER)
    _, operator = _mined(dearer)
    await operator.look(_UNTIL)
    assert operator.nonces.ended[BOUND].end == End(fate=Fate.LANDED, hash=dearer.hash)
    await operator.look(_UNTIL)
    assert operator.gas.transactions == 1


async def test_what_makes_another_call_is_not() -> None:
    other = evolve(doing_nothing(POLYGON, KEY.address, 0, _DEARER), to=OTHER_KEY.address).signed(KEY.sign)
    _, operator = _mined(other)
    await operator.look(_UNTIL)
    assert operator.nonces.ended[BOUND].end == End(fate=Fate.DISPLACED, hash=other.hash)


async def test_what_no_node_shows_is_not_concluded() -> None:
    """It is asked for again, until one does."""
    dearer = sent(0, fees=_DEARER)
    chain, operator = _mined(dearer)
    for node in chain.names:
        chain.lie(node, "eth_getTransactionByHash", None)
    await operator.look(_UNTIL)
    assert not operator.nonces.ended
    chain.instead.clear()
    await operator.look(_UNTIL)
    assert operator.nonces.ended[BOUND].end == End(fate=Fate.LANDED, hash=dearer.hash)


async def test_what_is_recognised_is_made_dearer_from_the_newest_of_our_own() -> None:
    _, operator = _mined(sent(0, fees=Fees(tip=FEES.tip // 2, max_fee=FEES.max_fee // 2)))
    newest = operator.nonces.bindings[0].newest
    await operator.look(_UNTIL)
    assert operator.nonces.ended[BOUND].newest == newest
