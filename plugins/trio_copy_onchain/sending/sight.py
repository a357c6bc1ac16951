"""What the chain shows of one operator's transactions, and what has to be asked for that."""

from collections.abc import Iterable, Mapping
from math import inf

import trio
from attrs import define, evolve, field

from trio_copy.model.ids import Address, Hash32
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.asking.counts import Counts
from trio_copy_onchain.tx import commands as c
from trio_copy_onchain.tx.nonces import Nonces
from trio_copy_onchain.tx.receipts import Receipt
from trio_copy_onchain.tx.sendings import Binding

_DENIED_S = 180.0
"""Some nodes keep no receipts: one that another denies for so long is believed, of what the blocks hold."""
_SELDOM_S = 60.0
_KNOWN_AFTER_S = 3.0
"""Sooner, nobody asks whether nodes still have what they took."""


@define(eq=False, kw_only=True)
class Sight:
    address: Address
    chain: Chain
    receipts: dict[Hash32, Receipt] = field(factory=dict)
    """Of what is mined, and of what has ended."""
    known: frozenset[Hash32] = frozenset()
    """What some node has, mined or not."""
    doubted: dict[Hash32, float] = field(factory=dict)
    """What is mined as one node shows it, while another one has another block there and nothing of it; since when, or since it
    was sent again, by Trio's clock."""
    _explained_to: int = 0
    """A final block before the last look in which nothing of ours was used for good without an explanation; 0 before the first
    one: however long nobody has looked, a chain of fast blocks has made many."""
    _tellers: frozenset[str] = frozenset()
    """Nodes that have told all counts, when they were asked last."""
    _missing: dict[Hash32, tuple[float, float]] = field(factory=dict)
    """Since when receipts of what is final are missing, and when they were asked for last, by Trio's clock."""
    _final_before: int = 0
    """The final block of the look before."""

    async def look(self, nonces: Nonces, now: float, until: float) -> c.See:
        """Say what the chain shows of all that is open; `now` in Unix seconds. Raises `ChainError` where no node answers."""
        counts = await self.chain.counts(self.address, until)
        self._tellers = counts.tellers
        receipts = await self._receipts(nonces, counts, until)
        await self._look_for_known(
            nonces, [one for one, receipt in receipts.items() if receipt is not None], now, until
        )
        self.receipts.update({tx_hash: one for tx_hash, one in receipts.items() if one is not None})
        return c.See(
            latest=counts.latest,
            foremost=counts.foremost,
            pending=counts.pending,
            final=counts.final,
            final_block=counts.final_block,
            receipts=receipts,
        )

    async def explain(self, see: c.See, nonces: Nonces, until: float) -> c.See:
        """Say the same, and by what the nonces were used of which nobody has told. Raises nothing."""
        contested = {
            binding.nonce
            for binding in (*nonces.bindings.values(), *nonces.freed.values())
            if any(receipt is not None and receipt.contested for receipt in _of(binding, see.receipts))
        }
        used = await self.chain.used(
            self.address, nonces.unexplained, self._explained_to, see.final_block, until, contested
        )
        return evolve(see, used=used)

    def all_is_explained(self, see: c.See) -> None:
        """Take note that nothing is left to be explained of what was final in the look before.

        Nonces and the final block are asked for side by side: a block that became final in between may hold what this look
        has not counted.
        """
        self._explained_to, self._final_before = self._final_before, see.final_block

    async def receipt(self, tx_hash: Hash32, until: float) -> Receipt | None:
        """Return the receipt of something that has used a nonce for good; None where no node shows it yet, or one contests it."""
        if tx_hash not in self.receipts:
            await self.receipts_of([tx_hash], until)
        return self.receipts.get(tx_hash)

    async def receipts_of(self, hashes: Iterable[Hash32], until: float) -> None:
        """Ask for the receipts that are missing of what is final. Raises nothing."""
        now = trio.current_time()
        missing = [one for one in hashes if one not in self.receipts and self._is_due(one, now)]
        if missing:
            found = await self._standing(await self.chain.receipts(missing, until, self._tellers), until)
            for tx_hash in missing:
                receipt, (since, _) = found.get(tx_hash), self._missing.get(tx_hash, (now, now))
                # By now each node has it: one that denies it is right, or keeps none, as is to be believed after a while. What
                # used the nonce is known from the blocks.
                late = receipt is not None and not receipt.elsewhere and now - since >= _DENIED_S
                if receipt is not None and (late or not receipt.contested):
                    self.chain.keep_no_receipts(receipt.denied_by if late else ())
                    self.receipts[tx_hash] = receipt
                    self._missing.pop(tx_hash, None)
                else:
                    self._missing[tx_hash] = since, now

    def _is_due(self, tx_hash: Hash32, now: float) -> bool:
        """Tell whether to ask for a missing receipt: the longer it is missing, the more seldom."""
        since, last = self._missing.get(tx_hash, (now, -inf))
        return now - last >= min((now - since) / 4, _SELDOM_S)

    def took_back(self, binding: Binding) -> None:
        """Forget where the transactions of a nonce were: a reorg took them back."""
        for sending in binding.sendings:
            self.receipts.pop(sending.hash, None)

    def keep(self, followed: Iterable[Hash32]) -> None:
        """Forget the receipts of all others."""
        kept = set(followed)
        self.receipts = {tx_hash: one for tx_hash, one in self.receipts.items() if tx_hash in kept}
        self._missing = {tx_hash: one for tx_hash, one in self._missing.items() if tx_hash in kept}

    async def _receipts(self, nonces: Nonces, counts: Counts, until: float) -> Mapping[Hash32, Receipt | None]:
        """Return the receipts of what may be mined.

        Of what is mined already, and not final, only its block is asked for, which many have in common: while that stands,
        so does what it holds. What is about to be final is read once more where one node alone may have told it.
        """
        seen: dict[Hash32, Receipt] = {}
        for binding in nonces.bindings.values():
            mined = binding.mined
            receipt = None if mined is None else self.receipts.get(mined.hash)
            if receipt is not None and (receipt.everywhere or binding.nonce >= counts.final):
                seen[receipt.tx_hash] = receipt
        blocks = {receipt.block_hash: receipt.block_number for receipt in seen.values()}
        standing = await self.chain.standing(blocks, until)
        there = {tx_hash: receipt for tx_hash, receipt in seen.items() if receipt.block_hash in standing}
        told = await self.chain.receipts(nonces.hashes_mined(counts.foremost, there), until, counts.tellers)
        now = trio.current_time()
        fallen = (told.get(tx_hash) for tx_hash in seen if tx_hash not in there)
        self.doubted = {
            one.tx_hash: self.doubted.get(one.tx_hash, now) for one in fallen if one is not None and one.contested
        }
        return {**there, **await self._standing(told, until, counts.final_block)}

    async def _standing(
        self, told: Mapping[Hash32, Receipt | None], until: float, final_block: int | None = None
    ) -> Mapping[Hash32, Receipt | None]:
        """Leave out what is to be final, by its number, and whose block does not stand: some nodes go on showing what a reorg took back.

        Nobody else would contradict a node that is asked alone. Where nobody tells of the block, it is asked for again.
        """
        final = [
            one for one in told.values() if one is not None and (final_block is None or one.block_number <= final_block)
        ]
        standing = await self.chain.standing({one.block_hash: one.block_number for one in final}, until)
        fallen = {one.tx_hash for one in final if one.block_hash not in standing}
        return {tx_hash: one for tx_hash, one in told.items() if tx_hash not in fallen}

    async def _look_for_known(self, nonces: Nonces, mined: Iterable[Hash32], now: float, until: float) -> None:
        """Ask who still has what was sent a while ago; what was sent just now, those have who took it."""
        there = set(mined)
        waits = [one.newest for one in nonces.bindings.values() if one.mined is None]
        old = [one.hash for one in waits if now - one.at >= _KNOWN_AFTER_S]
        young = {one.hash for one in waits if now - one.at < _KNOWN_AFTER_S}
        found = await self.chain.known(old, until) if old else frozenset()
        self.known = frozenset(found | (self.known & young) | (there & young))


def _of(binding: Binding, receipts: Mapping[Hash32, Receipt | None]) -> Iterable[Receipt | None]:
    return (receipts.get(sending.hash) for sending in binding.sendings)
