"""The gas of what has ended: what it has cost is counted once its receipt tells."""

from collections.abc import Collection

from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.model.ids import Address, Hash32, IntentKey
from trio_copy_onchain.sending.gas_book import GasBook
from trio_copy_onchain.sending.line import Line
from trio_copy_onchain.sending.sight import Sight
from trio_copy_onchain.tx import commands as c
from trio_copy_onchain.tx.receipts import cost_of
from trio_copy_onchain.tx.sendings import Sending
from trio_copy_onchain.wallets.kinds import moved_by

_OWED_S = 86_400.0
"""A receipt that no node has shown for so long none will show: its gas is not counted then."""


@define(eq=False, kw_only=True)
class Owed:
    """Of one operator."""

    address: Address
    line: Line
    sight: Sight
    book: GasBook
    wall: WallClock
    _fillers: dict[Hash32, Sending] = field(factory=dict)
    """What has used nonces that were nobody's: it has no key under which it would be kept."""

    @property
    def hashes(self) -> Collection[Hash32]:
        """Return those of what no key keeps."""
        return self._fillers.keys()

    def note_filler(self, filler: Sending) -> None:
        """Take note of what has used a nonce that was nobody's."""
        self._fillers[filler.hash] = filler

    def owes(self, key: IntentKey) -> bool:
        """Tell whether the gas of something that has ended is not counted yet: its receipt is still waited for, for a day."""
        nonces = self.line.nonces
        ended = nonces.ended.get(key) if key in nonces.unpaid else None
        return ended is not None and self.wall() - ended.newest.at < _OWED_S

    async def count(self, until: float) -> None:
        """Ask for the receipts that are missing, and count what they tell. Raises nothing."""
        nonces, fillers = self.line.nonces, self._fillers
        unpaid = dict(nonces.unpaid)
        await self.sight.receipts_of([*unpaid.values(), *fillers], until)
        receipts = self.sight.receipts
        for key, tx_hash in unpaid.items():
            # Forgotten, or bound anew, while its receipt was asked for: others look beside us.
            receipt, ended = receipts.get(tx_hash), nonces.ended.get(key)
            if receipt is not None and ended is not None:
                wei = cost_of(ended.sending(tx_hash), receipt)
                if self.line.do(c.Pay(key=key, wei=wei)):
                    call = ended.call
                    self.book.pay(wei, self.address if call is None else moved_by(self.address, call.to, call.data))
        for tx_hash in [one for one in fillers if one in receipts]:
            self.book.pay(cost_of(fillers.pop(tx_hash), receipts[tx_hash]), self.address)
        self.line.put()
