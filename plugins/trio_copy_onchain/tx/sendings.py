"""What was signed for one nonce of a wallet: all of it is followed, and whichever is mined is the truth.

As a document a binding is `[1, key, until, [[raw, cancels, at], ...], mined, was_mined, unsent, end, paid]`. Nonce, fees and
hash are read from the signed bytes again, and so is whose they are: what was stored for another wallet is not taken for ours.
"""

from enum import Enum
from typing import Any

from attrs import evolve, frozen

from trio_copy.model.ids import Address, ChainId, Hash32, IntentKey
from trio_copy.transactions.transaction import Sign, Signed, Transaction, hash_of, read_own, read_signed
from trio_copy_onchain.tx.fees import Fees

Plain = list[Any]
_GAS_OF_A_TRANSFER = 21_000
_VERSION = 1


@frozen(kw_only=True)
class Sending:
    """A signed transaction, frozen: sent again it is the same bytes."""

    nonce: int
    hash: Hash32
    raw: bytes
    fees: Fees
    at: float
    """When it was signed, in Unix seconds."""
    cancels: bool = False
    """Whether it does nothing but use the nonce."""

    @classmethod
    def of(cls, transaction: Transaction, sign: Sign, *, at: float, cancels: bool = False) -> "Sending":
        """Sign a transaction."""
        signed = transaction.signed(sign)
        fees = Fees(tip=transaction.tip, max_fee=transaction.max_fee)
        return cls(nonce=transaction.nonce, hash=signed.hash, raw=signed.raw, fees=fees, at=at, cancels=cancels)

    @classmethod
    def found(cls, signed: Signed, transaction: Transaction, *, at: float) -> "Sending":
        """Return one that was found on the chain, as if it had been signed at a moment."""
        fees = Fees(tip=transaction.tip, max_fee=transaction.max_fee)
        return cls(nonce=transaction.nonce, hash=signed.hash, raw=signed.raw, fees=fees, at=at)


def doing_nothing(chain_id: ChainId, wallet: Address, nonce: int, fees: Fees) -> Transaction:
    """Return a transfer of nothing from a wallet to itself: it uses the nonce, so that nothing else can."""
    return Transaction(
        chain_id=chain_id, nonce=nonce, tip=fees.tip, max_fee=fees.max_fee, gas=_GAS_OF_A_TRANSFER, to=wallet
    )


@frozen(kw_only=True)
class Inclusion:
    """Where one of a binding's transactions was mined."""

    hash: Hash32
    block_number: int
    block_hash: Hash32


class Fate(Enum):
    """What has become of a nonce, for good."""

    LANDED = "its call was mined; the receipt says what came of it"
    CANCELLED = "what does nothing was mined in its place"
    DISPLACED = "something else has used its nonce"


@frozen(kw_only=True)
class End:
    """How a binding has ended."""

    fate: Fate
    hash: Hash32
    """Of what has used the nonce."""
    was_unsent: bool = False
    """Whether it had been given up: with LANDED, a node lied, and a person has to look."""


@frozen(kw_only=True)
class Binding:
    """A nonce, whose it is, and all that was signed with it."""

    nonce: int
    key: IntentKey | None
    """None for what fills a gap, or what nobody's order is."""
    until: float
    """Unix seconds from which on its call is not sent any more."""
    sendings: tuple[Sending, ...]
    """Oldest first; each pays more than the one before it."""
    mined: Inclusion | None = None
    """Provisional: a reorg may take it back."""
    was_mined: Hash32 | None = None
    """Which of them a reorg took back last."""
    unsent: bool = False
    """Whether it was given up: its nonce may be another's by now."""
    end: End | None = None
    """It is kept until nobody asks any more: forgotten sooner, it could not be told from a key of which nothing ever left."""
    paid_wei: int | None = None
    """What its gas has cost, once a receipt has told."""
    leaving: frozenset[Hash32] = frozenset()
    """Those that are on their way to nodes which have not all answered."""
    doubtful: bool = False
    """Whether a node may have one of them. It is not stored: what another process sent, nobody knows."""

    @property
    def newest(self) -> Sending:
        return self.sendings[-1]

    @property
    def refused(self) -> bool:
        """Whether every node refused everything of it, or nothing has left at all: it certainly is nowhere."""
        return not (self.doubtful or self.leaving or self.mined or self.was_mined)

    @property
    def taken_back(self) -> Sending | None:
        """Return its call that a reorg took back: it goes out again, late or not, for it had happened."""
        before = None if self.was_mined is None else self.sending(self.was_mined)
        return None if before is None or before.cancels else before

    @property
    def is_cancelled(self) -> bool:
        """Whether only what does nothing is to be mined of it: what was cancelled, and had not happened before."""
        return self.newest.cancels and self.taken_back is None

    def takes_call(self, at: float) -> bool:
        """Tell whether its call may leave: it is not late, and was not cancelled."""
        return self.taken_back is not None or (at < self.until and not self.newest.cancels)

    @property
    def call(self) -> Transaction | None:
        """Return what was signed first that does something; None where nothing was."""
        first = next((one for one in self.sendings if not one.cancels), None)
        return None if first is None else read_own(first.raw)

    def carries(self, other: Transaction) -> bool:
        """Tell whether another transaction makes the very call that this was bound for."""
        call = self.call
        return call is not None and (call.to, call.value, call.data) == (other.to, other.value, other.data)

    def sending(self, tx_hash: Hash32) -> Sending | None:
        return next((one for one in self.sendings if one.hash == tx_hash), None)

    def may_leave(self, at: float) -> Sending | None:
        """Return what may be sent, or sent again; None where it is mined, or where its call would be late."""
        if self.mined is not None:
            return None
        if self.newest.cancels:
            return self.taken_back or self.newest
        return self.newest if self.takes_call(at) else None

    def after_reorg(self) -> "Binding":
        return evolve(self, mined=None, was_mined=self.was_mined if self.mined is None else self.mined.hash)


def plain_binding(binding: Binding) -> Plain:
    """Write a binding as a document."""
    inclusion, end = binding.mined, binding.end
    return [
        _VERSION,
        binding.key,
        binding.until,
        [[one.raw.hex(), int(one.cancels), one.at] for one in binding.sendings],
        None if inclusion is None else [inclusion.hash, inclusion.block_number, inclusion.block_hash],
        binding.was_mined,
        int(binding.unsent),
        None if end is None else [end.fate.name, end.hash, int(end.was_unsent)],
        binding.paid_wei,
    ]


def binding_of(body: Plain, chain_id: ChainId, wallet: Address) -> Binding:
    """Read a binding of a wallet; whether a node has something of it, nobody knows any more.

    Raises:
        ValueError: it is none, or its transactions are not all of this wallet, this chain and one nonce.
    """
    try:
        version, key, until, written, mined, was_mined, unsent, ended, paid = body
        sendings = tuple(_sending_of(raw, cancels, at, chain_id, wallet) for raw, cancels, at in written)
        inclusion = None if mined is None else Inclusion(hash=mined[0], block_number=mined[1], block_hash=mined[2])
        end = None if ended is None else End(fate=Fate[ended[0]], hash=Hash32(ended[1]), was_unsent=bool(ended[2]))
        (nonce,) = {one.nonce for one in sendings}
    except (TypeError, LookupError, ValueError) as error:
        raise ValueError(f"expected a binding of {wallet}, was {str(body)[:80]}: {error}") from error
    if version != _VERSION:
        raise ValueError(f"expected a binding of version {_VERSION}, was {version}")
    return Binding(
        nonce=nonce,
        key=None if key is None else IntentKey(key),
        until=until,
        sendings=sendings,
        mined=inclusion,
        was_mined=was_mined,
        unsent=bool(unsent),
        end=end,
        paid_wei=paid,
        doubtful=True,
    )


def _sending_of(raw: str, cancels: int, at: float, chain_id: ChainId, wallet: Address) -> Sending:
    signed = bytes.fromhex(raw)
    transaction, sender = read_signed(signed)
    if sender != wallet or transaction.chain_id != chain_id:
        raise ValueError(
            f"expected a transaction of {wallet} on chain {chain_id}, was {sender} on {transaction.chain_id}"
        )
    return Sending(
        nonce=transaction.nonce,
        hash=hash_of(signed),
        raw=signed,
        fees=Fees(tip=transaction.tip, max_fee=transaction.max_fee),
        at=at,
        cancels=bool(cancels),
    )
