"""Which of the transactions that have used an operator's nonces are its own, though nobody has them written down.

After a journal was lost, one transaction of a key is found on the chain; others may have been signed for the same nonce, and a
reorg lets one of those be mined. Taken for another's, what it did would be taken back in the books, or done once more.
"""

from collections.abc import Sequence

from attrs import evolve

from trio_copy.errors import ChainError
from trio_copy.model.ids import Address
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.tx import commands as c
from trio_copy_onchain.tx.nonces import Nonces
from trio_copy_onchain.tx.sendings import Sending


async def recognised(
    chain: Chain, operator: Address, nonces: Nonces, see: c.See, until: float
) -> tuple[c.See, Sequence[c.Adopt]]:
    """Return what is to be adopted before something is seen: what makes the very call that its nonce was bound for.

    Left out of what is seen is who has used a nonce where no node shows his transaction: it is asked for again. Raises nothing.
    """
    used, ours = dict(see.used), list[c.Adopt]()
    for nonce, tx_hash in see.used.items():
        binding = nonces.bindings.get(nonce)
        if binding is None or binding.key is None or binding.sending(tx_hash) is not None:
            continue
        try:
            written = await chain.written(tx_hash, until)
        except ChainError:
            del used[nonce]
            continue
        if written is not None and written.sender == operator and binding.carries(written.transaction):
            found = Sending.found(written.signed, written.transaction, at=binding.newest.at)
            ours.append(c.Adopt(key=binding.key, until=binding.until, sending=found))
    return evolve(see, used=used), ours
