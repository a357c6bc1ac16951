"""Signers for tests of executors: a key, and neither a journal nor an arming."""

from collections.abc import Mapping, Sequence

import trio
from attrs import define, field

from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Reason
from trio_copy.model.ids import Address, IntentKey
from trio_copy.model.orders import Wallet
from trio_copy.native import SecretKey
from trio_copy.ports.signing import Access, Purpose, Signer, Spending
from trio_copy.signing.access import digest_of
from trio_copy.transactions.relayed import Relayed
from trio_copy.transactions.transaction import Transaction


@define(eq=False)
class FakeSigner:
    """Signs and releases whatever it is asked to, and remembers what that was."""

    _key: SecretKey
    refuses: Reason | None = None
    """Why it signs and releases nothing, if so."""
    wanted: list[tuple[Spending, bytes]] = field(factory=list)
    """What it was asked to sign, with the digests."""
    released: list[tuple[Spending, bytes]] = field(factory=list)
    """What left, with the digests."""
    transactions: list[tuple[Transaction, Purpose]] = field(factory=list)
    """What it was asked to sign for the chain."""
    relayed: list[tuple[Relayed, Purpose]] = field(factory=list)
    """What it was asked to sign for a relayer."""

    @property
    def address(self) -> Address:
        return self._key.address

    def sign(self, wanted: Spending, digest: bytes) -> bytes | Reason:
        self.wanted.append((wanted, digest))
        return self._key.sign(digest) if self.refuses is None else self.refuses

    def sign_access(self, access: Access) -> bytes | Reason:
        return self._key.sign(digest_of(access)) if self.refuses is None else self.refuses

    def sign_transaction(self, transaction: Transaction, purpose: Purpose) -> bytes | Reason:
        self.transactions.append((transaction, purpose))
        return self._key.sign(transaction.digest) if self.refuses is None else self.refuses

    def sender_of(self, key: IntentKey) -> Address | None:
        return None

    def sign_relayed(self, relayed: Relayed, purpose: Purpose) -> bytes | Reason:
        self.relayed.append((relayed, purpose))
        return self._key.sign(relayed.digest) if self.refuses is None else self.refuses

    async def release(self, wanted: Spending, digest: bytes) -> None:
        if self.refuses is not None:
            raise OrderNotSent(self.refuses.because, self.refuses)
        self.released.append((wanted, digest))
        await trio.lowlevel.checkpoint()


@define(eq=False)
class FakeSigners:
    """Signers by the name of their wallet, as an executor gets them."""

    by_name: Mapping[str, Signer]
    fleets: Mapping[str, Sequence[Signer]] = field(factory=dict)
    """By the name of the wallet, its operators; of any other its own signer is the only one."""

    def of(self, wallet: Wallet) -> Signer | None:
        return self.by_name.get(wallet.name)

    def operators(self, wallet: Wallet) -> Sequence[Signer]:
        if wallet.name in self.fleets:
            return self.fleets[wallet.name]
        signer = self.of(wallet)
        return () if signer is None else (signer,)
