"""Signers for tests of executors: a key, and neither a journal nor an arming."""

from collections.abc import Mapping, Sequence

import trio
from attrs import Factory, define, field

from trio_copy.config.wallets import WalletPolicy
from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Reason
from trio_copy.model.ids import Address, ChainId, IntentKey
from trio_copy.model.orders import Wallet
from trio_copy.native import SecretKey, keccak
from trio_copy.ports.acting import Act
from trio_copy.ports.signing import NO_BARE_DIGEST, Access, Purpose, Signer, Spending
from trio_copy.signing.access import digest_of
from trio_copy.signing.gas import Nonce
from trio_copy.signing.guard import Guard
from trio_copy.signing.transacting import refusal_of_nonce, refusal_of_nothing
from trio_copy.transactions.calls import Call, call_digest
from trio_copy.transactions.relayed import Relayed
from trio_copy.transactions.transaction import Transaction


def fake_guard(wallet: Address) -> Guard:
    """Return what the fakes of one wallet remember together: bodies and nonces of keys, and no limits."""
    return Guard(name="fake", maker=wallet, chain_id=ChainId(0), policy=WalletPolicy())


@define(eq=False)
class FakeSigner:
    """Signs and releases by the rules that hold for every wallet, and remembers what it was asked for.

    No bare digest for who sends transactions; one body for a key; of a trade, one nonce for each release, and one operator. It
    knows no limits and no arming, and reads no bytes: of what a transaction does, the guard of a real one is the judge.
    """

    _key: SecretKey
    refuses: Reason | None = None
    """Why it signs and releases nothing, if so."""
    signs_orders: bool = False
    """As the executor's plugin says (`ExecutorPlugin.signs_orders`)."""
    wanted: list[tuple[Spending, bytes]] = field(factory=list)
    """What it was asked to sign, with the digests."""
    released: list[tuple[Spending, bytes]] = field(factory=list)
    """What left, with the digests."""
    transactions: list[tuple[Transaction, Purpose]] = field(factory=list)
    """What it was asked to sign for the chain."""
    relayed: list[tuple[Relayed, Purpose]] = field(factory=list)
    """What it was asked to sign for a relayer."""
    armed_at: float = 0.0
    guard: Guard = field(default=Factory(lambda self: fake_guard(self.address), takes_self=True), repr=False)
    """Of an account of its own, where nothing is said; the operators of one wallet have the same one."""

    @property
    def address(self) -> Address:
        return self._key.address

    def sign(self, wanted: Spending, digest: bytes) -> bytes | Reason:
        self.wanted.append((wanted, digest))
        refusal = self.refuses or (None if self.signs_orders else NO_BARE_DIGEST) or self._other_body(wanted, digest)
        if refusal is not None:
            return refusal
        self.guard.pin(wanted.key, digest)
        return self._key.sign(digest)

    def sign_access(self, access: Access) -> bytes | Reason:
        return self._key.sign(digest_of(access)) if self.refuses is None else self.refuses

    def sign_transaction(self, transaction: Transaction, purpose: Purpose) -> bytes | Reason:
        self.transactions.append((transaction, purpose))
        call = Call(to=transaction.to, data=transaction.data, value=transaction.value)
        nonce = Nonce(self.address, transaction.nonce)
        refusal = self.refuses or self._judge(purpose, nonce, refusal_of_nothing(self.guard, call, self.address))
        return self._key.sign(transaction.digest) if refusal is None else refusal

    def sender_of(self, key: IntentKey) -> Address | None:
        return self.guard.sender_of(key)

    def sign_relayed(self, relayed: Relayed, purpose: Purpose) -> bytes | Reason:
        self.relayed.append((relayed, purpose))
        nothing = self.guard.refusal(
            "transaction", "nothing", "an order, or an act: a relayer's nonce needs no filling"
        )
        refusal = self.refuses or self._judge(purpose, Nonce(relayed.wallet, relayed.nonce), nothing)
        return self._key.sign(relayed.digest) if refusal is None else refusal

    async def wait_counted(self) -> None:
        await trio.lowlevel.checkpoint()

    async def release(self, wanted: Spending, digest: bytes) -> None:
        refusal = self.refuses or self._other_body(wanted, digest)
        if refusal is not None:
            raise OrderNotSent(refusal.because, refusal)
        self.guard.let_go(wanted, digest, wanted.at, by_transaction=not self.signs_orders)
        self.released.append((wanted, digest))
        await trio.lowlevel.checkpoint()
        self.guard.end_release(wanted.key)

    def _other_body(self, wanted: Spending, digest: bytes) -> Reason | None:
        return self.guard.wrong_length(digest) or self.guard.other_body(wanted.key, digest)

    def _judge(self, purpose: Purpose, nonce: Nonce, of_nothing: Reason | None) -> Reason | None:
        """Return why something is not signed under a nonce; remember what is."""
        guard = self.guard
        if isinstance(purpose, Spending):
            refusal = refusal_of_nonce(guard, purpose.key, nonce)
            left = guard.left(purpose.key)
            if refusal is None and left is not None:
                guard.pin_nonce(left, nonce, purpose.at)
            return refusal
        if isinstance(purpose, Act):
            body = keccak(b"".join(call_digest(guard.chain_id, self.address, call) for call in purpose.calls))
            refusal = guard.other_body(purpose.key, body)
            if refusal is None:
                guard.pin_act(purpose.key, body, nonce, purpose.until, 0)
            return refusal
        return of_nothing


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
