"""Finds on the chain what was sent for an order that is older than the journal: it was lost, and the books were not.

Nothing is concluded from not finding it. What is in no final block may still be in a pool, or come back from one.
"""

from collections.abc import Sequence

from trio_copy.model.ids import IntentKey
from trio_copy.ports import Nodes
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.asking.finding import Finder
from trio_copy_onchain.markets import Terms
from trio_copy_onchain.placing import Body
from trio_copy_onchain.sending.operator import Operator
from trio_copy_onchain.tx.sendings import Sending

_EARLIER_S = 120
"""A node's clock and ours may differ by so much: the search begins before the order did."""


async def rebuild(
    chain: Chain, operators: Sequence[Operator], key: IntentKey, body: Body, terms: Terms, until: float
) -> Operator | None:
    """Let the operator who sent an order's transaction follow it again; None where none is found.

    Raises:
        ChainError: no node answers.
    """
    by_address = {operator.address: operator for operator in operators}
    finder = Finder(
        chain=chain, filters=(terms.venue.trades_of(body.wallet),), operators=by_address.keys(), keys=(key,)
    )
    looked = await finder.look(await _block_at(chain.nodes, int(body.since) - _EARLIER_S, until), until)
    for written in looked.found:
        operator, transaction = by_address[written.sender], written.transaction
        sending = Sending.found(written.signed, transaction, at=operator.wall())
        await operator.adopt(key, body.until, sending, until)
        return operator
    return None


async def _block_at(nodes: Nodes, time: int, until: float) -> int:
    """Return the last block up to a moment, in Unix seconds; 0 where all are younger."""
    low, high = 0, (await nodes.block("latest", until)).number
    while low < high:
        middle = (low + high + 1) // 2
        block = await nodes.block(hex(middle), until)
        low, high = (middle, high) if block.time <= time else (low, middle - 1)
    return low
