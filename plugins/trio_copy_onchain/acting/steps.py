"""What a plan is made of before it is one: calls with their words, and what the chain said when they were chosen. Pure."""

from collections.abc import Sequence
from hashlib import sha256

from attrs import evolve, frozen

from trio_copy.model.ids import Address, ChainId, IntentKey
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.ports import Deed, Paid
from trio_copy.transactions.calls import Call
from trio_copy_onchain.holdings.approvals import Approval

_MOST_TOGETHER = 16
"""So many calls of one transaction stay far below what a block takes, and what a transaction may cost."""


@frozen(kw_only=True)
class Owner:
    """Whose act it is."""

    wallet: Wallet
    address: Address

    @property
    def together(self) -> bool:
        """Whether it makes several calls in one transaction, so that what it needs rides with it."""
        return self.wallet.signature_type is not SignatureType.EOA

    @classmethod
    def of(cls, wallet: Wallet) -> "Owner":
        """Raises `ValueError` for a wallet on paper."""
        if wallet.address is None:
            raise ValueError(f"wallet {wallet.name or wallet.follower}: expected an address, got one on paper")
        return cls(wallet=wallet, address=wallet.address)


@frozen(kw_only=True)
class Line:
    """One call, and what a person reads of it."""

    call: Call
    words: str


@frozen(kw_only=True)
class Step:
    """What happens together."""

    deed: Deed
    lines: tuple[Line, ...] = ()
    told: tuple[str, ...] = ()
    """What else a person has to know."""
    pays: tuple[Paid, ...] = ()
    said: tuple[object, ...] = ()
    """By the chain, so that it was chosen: part of its key."""
    waits: bool = False
    """Whether a step before it has to happen first: by itself, the contract would refuse it now."""

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(line.call for line in self.lines)

    @property
    def words(self) -> tuple[str, ...]:
        return (*(line.words for line in self.lines), *self.told)

    def key(self, chain_id: ChainId, owner: Owner) -> IntentKey:
        """Return by what it is known: the same as long as the chain says the same."""
        calls = [f"{call.to},{call.data.hex()},{call.value}" for call in self.calls]
        fields = ("act", self.deed.value, chain_id, owner.address, *calls, "said", *self.said)
        return IntentKey(sha256("|".join(map(str, fields)).encode()).hexdigest())


def allowing(owner: Owner, missing: Sequence[tuple[Approval, str]], said: tuple[object, ...]) -> list[Step]:
    """Return the steps by which a wallet allows what it has not."""
    lines = [Line(call=approval.call, words=words) for approval, words in missing]
    size = _MOST_TOGETHER if owner.together else 1
    return [Step(deed=Deed.APPROVE, lines=tuple(lines[at : at + size]), said=said) for at in range(0, len(lines), size)]


def before(owner: Owner, step: Step, missing: Sequence[tuple[Approval, str]]) -> list[Step]:
    """Return a step with what it needs: in front of its own calls, or as steps of their own."""
    if not missing:
        return [step]
    needs = tuple(Line(call=approval.call, words=words) for approval, words in missing)
    if owner.together:
        return [evolve(step, lines=needs + step.lines)]
    return [*allowing(owner, missing, step.said), evolve(step, waits=True)]


def amount(units: int, decimals: int) -> str:
    """Write an amount as people read it, to the unit."""
    whole, part = divmod(units, 10**decimals)
    behind = f"{part:0{decimals}}".rstrip("0") if part else ""
    return f"{whole}.{behind}" if behind else str(whole)
