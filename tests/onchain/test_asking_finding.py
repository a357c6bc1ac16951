"""What was sent for a key is found on the chain, whatever nodes say; what is not there is not made up."""

from collections.abc import Sequence
from typing import Any

import pytest
import trio

from tests.builders import POLYGON, hash_of
from tests.onchain.scripted_chain import FEES, KEY, OTHER_KEY, ScriptedChain, sent
from trio_copy.errors import ChainError, ConnectionLost
from trio_copy.model.ids import Address, Hash32, IntentKey
from trio_copy.native import SecretKey
from trio_copy.ports import LogFilter
from trio_copy.testing.devnet.chain import DevLog
from trio_copy.transactions.calls import Call
from trio_copy.transactions.transaction import Signed, Transaction
from trio_copy_onchain.asking.finding import Finder
from trio_copy_onchain.asking.written import read_written

VENUE, TOPIC = Address("0x" + "c0" * 20), hash_of(1)
NAMED = Hash32("0x" + "00" * 12 + KEY.address[2:])
FILTER = LogFilter(addresses=(VENUE,), topics=((TOPIC,), (NAMED,)))
LOG = DevLog(address=VENUE, topics=(TOPIC, NAMED), data=b"")
INTENT = IntentKey("ab" * 32)


def _traded(nonce: int, key: SecretKey = KEY, intent: IntentKey = INTENT) -> Signed:
    call = Call(to=VENUE, data=b"\1\2\3\4").marked(intent)
    transaction = Transaction(
        chain_id=POLYGON, nonce=nonce, tip=FEES.tip, max_fee=FEES.max_fee, gas=10**6, to=call.to, data=call.data
    )
    return transaction.signed(key.sign)


def _finder(chain: ScriptedChain, operator: Address = KEY.address) -> Finder:
    return Finder(chain=chain.asked, filters=(FILTER, FILTER), operators={operator}, keys={INTENT})


def _soon() -> float:
    return trio.current_time() + 5.0


def _chain(*traded: Signed) -> ScriptedChain:
    """Five blocks, the trades in the third one, and two more before anything of it is final."""
    chain = ScriptedChain()
    chain.mine_empty(2)
    chain.mine(*traded, logs=[LOG])
    chain.mine_empty(2)
    return chain


async def test_what_an_operator_sent_for_a_key_is_found_with_its_bytes() -> None:
    """Not what others sent, nor what was for another key, nor what no log of the venue names."""
    chain = _chain(_traded(4), _traded(0, OTHER_KEY), _traded(5, intent=IntentKey("cd" * 32)), sent(6))
    looked = await _finder(chain).look(0, _soon())
    (found,) = looked.found
    assert (found.signed, found.sender, found.transaction.nonce) == (_traded(4), KEY.address, 4)
    assert (found.key, looked.through) == (INTENT, 3)
    assert (await _finder(chain, OTHER_KEY.address).look(0, _soon())).found[0].signed == _traded(0, OTHER_KEY)
    late = await _finder(chain).look(4, _soon())
    assert (late.found, late.through) == ((), 3)


async def test_nothing_is_read_twice_in_one_search() -> None:
    chain = _chain(_traded(4))
    finder = _finder(chain)
    first = await finder.look(0, _soon())
    assert await finder.look(0, _soon()) == first
    assert chain.questions("eth_getTransactionByHash") == 1


def _altered(**changes: object) -> object:
    chain = ScriptedChain()
    return chain.shown(_traded(4)) | changes


@pytest.mark.parametrize(
    "answer",
    [
        None, "nonsense", {}, _altered(input="0x01020304"), _altered(r="0x0"), _altered(s="0x" + "f" * 64),
        _altered(nonce="0x7"), _altered(type="0x0"), _altered(accessList=[{}]), _altered(to=None), _altered(yParity="0x5"),
        _altered(hash=hash_of(9)), _altered(gas="0x" + "f" * 64), _altered(yParity=None), ConnectionLost("away"),
    ],
)  # fmt: skip
async def test_one_node_alone_can_neither_hide_a_transaction_nor_make_it_another(answer: object) -> None:
    """What it shows must have the hash; where no node shows that, nobody says that there is nothing."""
    chain = _chain(_traded(4))
    chain.lie("node-1", "eth_getTransactionByHash", answer)
    assert [one.signed for one in (await _finder(chain).look(0, _soon())).found] == [_traded(4)]


async def test_where_no_node_shows_a_transaction_nothing_is_said_of_its_blocks() -> None:
    chain = _chain(_traded(4))
    for node in chain.names:
        chain.lie(node, "eth_getTransactionByHash", None)
    with pytest.raises(ChainError):
        await _finder(chain).look(0, _soon())


async def test_a_log_at_the_head_of_what_no_node_has_any_more_does_not_hide_what_is_final() -> None:
    chain = _chain(_traded(4))
    gone = sent(9)
    chain.mine(gone, logs=[LOG])

    def told(node: str) -> Any:
        def of(params: Sequence[object]) -> object:
            return None if params[0] == gone.hash else chain.transaction(node, params)

        return of

    for node in chain.names:
        chain.instead[node, "eth_getTransactionByHash"] = told(node)
    looked = await _finder(chain).look(0, _soon())
    assert ([one.signed for one in looked.found], looked.through) == ([_traded(4)], 4)


def test_a_transaction_is_proven_by_its_hash() -> None:
    with pytest.raises(ValueError, match="expected 0x0"):
        read_written(b'{"hash":"%s"}' % hash_of(2).encode(), hash_of(1), POLYGON)
    assert read_written(b'{"hash":"%s","type":"0x0"}' % hash_of(1).encode(), hash_of(1), POLYGON) is None
