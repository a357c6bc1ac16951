"""Finds on the chain what was sent for keys where nobody has it written down any more.

The logs of a venue name the wallet, whoever sent the transaction for it; behind the transaction's call stands the key. What
was refused within its block wrote no log and is not found: nothing came of it.
"""

from collections.abc import Collection, Sequence
from functools import partial

from attrs import define, field, frozen

from trio_copy.errors import ChainError
from trio_copy.model.ids import Address, Hash32, IntentKey
from trio_copy.ports import LogFilter
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.asking.questions import side_by_side
from trio_copy_onchain.asking.written import Written

_BLOCKS_AT_ONCE = 2_000
_TRANSACTIONS_AT_ONCE = 16


@frozen(kw_only=True)
class Looked:
    found: tuple[Written, ...]
    """What operators sent for the keys, final or not; its hash tells the way from here."""
    through: int
    """The last final block up to which everything was looked at: nothing of a key that is not found was mined by then."""


@define(eq=False, kw_only=True)
class Finder:
    """One search. Asked again, or after it was cancelled, it reads no transaction that it has read."""

    chain: Chain
    filters: Sequence[LogFilter]
    """Together they bring a log of each transaction by which the wallets trade."""
    operators: Collection[Address]
    """Who may have sent it: anybody can write a key behind a call."""
    keys: Collection[IntentKey]
    _found: dict[Hash32, Written] = field(factory=dict)
    _seen: set[Hash32] = field(factory=set)

    async def look(self, start: int, until: float) -> Looked:
        """Look from a block on up to the head, as far as there is time; `until` is Trio time.

        Raises:
            ChainError: not even the first blocks could be read.
        """
        nodes = self.chain.nodes
        final = await self.chain.final_block(until)
        head = (await nodes.block("latest", until)).number
        at = start
        while at <= head:
            # What is final is looked at by itself: at the head there may be logs of transactions that no node has any more.
            stop = min(final if at <= final else head, at + _BLOCKS_AT_ONCE - 1)
            try:
                await self._look_between(at, stop, until)
            except ChainError:
                if at == start:
                    raise
                break
            at = stop + 1
        return Looked(found=tuple(self._found.values()), through=min(final, at - 1))

    async def _look_between(self, start: int, stop: int, until: float) -> None:
        for log_filter in self.filters:
            logs = await self.chain.nodes.logs(log_filter, start, stop, until)
            hashes = [tx_hash for tx_hash in dict.fromkeys(log.tx_hash for log in logs) if tx_hash not in self._seen]
            for first in range(0, len(hashes), _TRANSACTIONS_AT_ONCE):
                some = hashes[first : first + _TRANSACTIONS_AT_ONCE]
                for written in await side_by_side([partial(self.chain.written, tx, until) for tx in some]):
                    if written is not None and written.sender in self.operators and written.key in self.keys:
                        self._found[written.signed.hash] = written
                self._seen.update(some)
