"""From calls to acts: a wallet that is a contract makes them together, an account one after the other."""

from collections.abc import Sequence
from contextlib import suppress

from attrs import frozen

from trio_copy.errors import ChainError
from trio_copy.model.ids import Address, ChainId, IntentKey
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.native import keccak
from trio_copy.ports import Act, Deed, Paid, PlannedAct
from trio_copy.records import write_plain
from trio_copy.transactions.calls import Call
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.venues import abi
from trio_copy_onchain.wallets.seam import WalletKind

_SAFE_NONCE = abi.function("nonce")
_GAS_OF_CALL = 200_000
"""More than an approval, a split or a redemption takes."""
_GAS_BESIDE = 21_000
_PERCENTILE = 60.0


@frozen(kw_only=True)
class Step:
    """A call, and what a person is told of it."""

    words: str
    call: Call
    deed: Deed


@frozen(kw_only=True)
class Maker:
    """Makes the acts of one wallet."""

    chain: Chain
    wallet: Wallet
    address: Address
    kind: WalletKind
    until: float

    async def acts(
        self, steps: Sequence[Step], deed: Deed, state: Sequence[object], pays: tuple[Paid, ...] = ()
    ) -> list[PlannedAct]:
        """Return the acts of some steps; what is paid is booked with the last of them.

        `state` is what the chain says now of what the deed is about: what is done once is not done again under its key, and
        what is wanted again when it has changed is another act.
        """
        if not steps:
            return []
        rows = [tuple(steps)] if self.kind.approves else [(step,) for step in steps]
        price = await self._price()
        last = len(rows) - 1
        return [
            PlannedAct(
                words=tuple(step.words for step in row),
                act=Act(
                    key=_key(self.chain.chain_id, self.address, row, state),
                    wallet=self.wallet,
                    deed=deed if len(row) > 1 else row[0].deed,
                    calls=tuple(step.call for step in row),
                    until=0,
                ),
                pays=pays if place == last else (),
                gas_wei=price * self._gas([step.call for step in row]),
            )
            for place, row in enumerate(rows)
        ]

    async def counter(self) -> int:
        """Return what grows with everything that the wallet does; 0 of a kind that counts nothing.

        Raises:
            ChainError: nobody tells.
        """
        match self.wallet.signature_type:
            case SignatureType.EOA:
                return (await self.chain.counts(self.address, self.until)).latest
            case SignatureType.SAFE:
                (told,) = await self.chain.read((Call(to=self.address, data=_SAFE_NONCE()),), self.until)
                return int.from_bytes(told)
            case _:
                return 0

    def _gas(self, calls: Sequence[Call]) -> int:
        return _GAS_BESIDE + _GAS_OF_CALL * len(calls) + self.kind.gas_around(calls)

    async def _price(self) -> int:
        """Return what a unit of gas may cost at most; 0 where nobody tells."""
        with suppress(ChainError):
            history = await self.chain.fee_history(_PERCENTILE, self.until)
            return 2 * history.base_fee + max(history.tips, default=0)
        return 0


def _key(chain_id: ChainId, wallet: Address, steps: Sequence[Step], state: Sequence[object]) -> IntentKey:
    calls = [[step.call.to, step.call.data.hex(), str(step.call.value)] for step in steps]
    return IntentKey(keccak(write_plain(["act", chain_id, wallet, calls, list(map(str, state))])).hex())
