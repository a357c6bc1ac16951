"""One of two nodes stands still on a branch that a reorg took back: what is missing on the other one goes out again all the same."""

from collections.abc import Sequence

import trio
import trio.testing
from attrs import define, field

from tests.onchain.operating import bind, operator_on
from tests.onchain.scripted_chain import ScriptedChain
from trio_copy_onchain.sending.operator import Operator

_BRANCH = 3
"""Blocks that a reorg takes back."""


@define(eq=False)
class Sent:
    """What a node is given."""

    raws: list[tuple[str, object]] = field(factory=list)

    def note(self, chain: ScriptedChain, node: str) -> None:
        def take(params: Sequence[object]) -> object:
            self.raws.append((node, params[0]))
            return "0x" + "ab" * 32

        chain.instead[node, "eth_sendRawTransaction"] = take


async def torn() -> tuple[ScriptedChain, Operator, Sent, str]:
    """Let a purchase be mined at both nodes; then node-2 stays where it is, and on node-1's branch the purchase is not."""
    chain, sent = ScriptedChain(unfinalized=6), Sent()
    operator = operator_on(chain)
    ours = bind(operator.nonces)
    chain.mine_empty(8)
    chain.mine(ours)
    chain.mine_empty(1)
    await operator.follow()
    for method in ("eth_getBlockByNumber", "eth_getTransactionReceipt", "eth_getTransactionCount"):
        _stand_still(chain, method)
    for node in chain.names:
        sent.note(chain, node)
    del chain.blocks[-_BRANCH:]
    chain.dev.reorg(_BRANCH, ())
    chain.mine_empty(_BRANCH + 1)
    return chain, operator, sent, "0x" + ours.raw.hex()


def _stand_still(chain: ScriptedChain, method: str) -> None:
    """Let node-2 say for ever what it says of everything now."""
    blocks, dev = list(chain.blocks), list(chain.dev.blocks)

    def then(params: Sequence[object]) -> object:
        now = list(chain.blocks), list(chain.dev.blocks)
        chain.blocks[:], chain.dev.blocks[:] = blocks, dev
        try:
            return answer("node-2", method, params)
        finally:
            chain.blocks[:], chain.dev.blocks[:] = now

    def answer(node: str, asked: str, params: Sequence[object]) -> object:
        instead = chain.instead.pop((node, asked))
        try:
            return chain.says(node, asked, params)
        finally:
            chain.instead[node, asked] = instead

    chain.instead["node-2", method] = then


async def test_what_a_reorg_dropped_goes_out_again_while_one_node_still_shows_it(
    clock: trio.testing.MockClock,
) -> None:
    """The same bytes, once in a while: else all that comes behind it waits as long as that node stands still."""
    chain, operator, sent, raw = await torn()
    for _ in range(30):
        await operator.follow()
        await trio.sleep(1)
        chain.mine_empty(1)
    assert {given for _, given in sent.raws} == {raw}
    assert {node for node, _ in sent.raws} == {"node-1", "node-2"}
    assert len(sent.raws) <= 2 * 30 / operator.patience_s


async def test_what_both_nodes_show_is_not_sent_again(clock: trio.testing.MockClock) -> None:
    chain, sent = ScriptedChain(unfinalized=6), Sent()
    operator = operator_on(chain)
    ours = bind(operator.nonces)
    for node in chain.names:
        sent.note(chain, node)
    chain.mine(ours)
    for _ in range(30):
        await operator.follow()
        await trio.sleep(1)
    assert not sent.raws
