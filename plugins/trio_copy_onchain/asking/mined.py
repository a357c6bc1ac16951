"""Which receipt holds, of what several nodes say. Pure."""

from collections.abc import Collection, Hashable

from attrs import evolve

from trio_copy.errors import AnswerTooLarge, ChainError, ConnectionLost, NoAnswer
from trio_copy_onchain.tx.receipts import Receipt


class Undecided(Exception):
    """Nodes have not said enough, or contradict each other."""


def agreed(told: Collection[Receipt | ChainError | None], *, denied: bool = False) -> Receipt | None:
    """Return the receipt that most nodes have; of two that as many have, the one in the later block: the other is older news.

    None where all that are connected have none. `denied` says whether the word of one counts that has none.

    Raises:
        Undecided: one that is connected has not answered, or of one block they say different things: one of them lies.
    """
    receipts = [receipt for receipt in told if isinstance(receipt, Receipt)]
    if not receipts:
        if any(answer is None for answer in told) and all(answer is None or _is_away(answer) for answer in told):
            return None
        raise Undecided
    by_block = {receipt.block_hash: _content(receipt) for receipt in receipts}
    if any(_content(receipt) != by_block[receipt.block_hash] for receipt in receipts):
        raise Undecided
    blocks = [receipt.block_hash for receipt in receipts]
    # Whose price is told comes first: not every node tells it.
    found = max(
        receipts,
        key=lambda one: (blocks.count(one.block_hash), one.block_number, one.block_hash, one.price is not None),
    )
    # A lone node has nobody who would have told otherwise.
    everywhere = 1 < len(told) == blocks.count(found.block_hash)
    elsewhere, there = len(by_block) > 1, blocks.count(found.block_hash)
    # Two that agree outvote one that has none: some nodes keep no receipts.
    contested = elsewhere or (denied and there == 1)
    return evolve(found, everywhere=everywhere, contested=contested, elsewhere=elsewhere)


def _is_away(answer: object) -> bool:
    """Tell whether a node was not connected, or is not any more. One that is and says nothing may have a receipt."""
    return isinstance(answer, ConnectionLost) and not isinstance(answer, NoAnswer | AnswerTooLarge)


def _content(receipt: Receipt) -> Hashable:
    """Return what nodes agree on: they number logs each in their own way."""
    logs = tuple((log.address, log.topics, log.data) for log in receipt.logs)
    return receipt.block_number, receipt.succeeded, receipt.gas_used, logs
