"""What people have a wallet do on the chain besides trading: let a venue take money or shares, split, merge, redeem, refuel."""

from enum import Enum

from attrs import frozen

from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import Hash32, IntentKey, TokenId
from trio_copy.model.orders import Wallet
from trio_copy.model.units import Price, Shares, Usd
from trio_copy.transactions.calls import Call
from trio_copy.transactions.refuelling import Refuel


class Deed(Enum):
    APPROVE = "approve"
    SPLIT = "split"
    MERGE = "merge"
    REDEEM = "redeem"
    REFUEL = "refuel"

    __hash__ = object.__hash__


@frozen(kw_only=True)
class Act:
    """Calls that a wallet makes together: all of them happen, or none."""

    key: IntentKey
    """By what it is for: asked for again, it is done once."""
    wallet: Wallet
    deed: Deed
    calls: tuple[Call, ...]
    """As the wallet itself makes them; how it does so is the executor's."""
    until: float
    """Unix seconds from which on it is not sent any more."""


def refuel_act(refuel: Refuel, funding: Wallet, until: float) -> Act:
    """Return what a funding wallet does to give an operator gas money."""
    call = Call(to=refuel.operator, value=refuel.wei)
    return Act(key=refuel.key, wallet=funding, deed=Deed.REFUEL, calls=(call,), until=until)


class Done(Enum):
    LANDED = "it happened, for good"
    MINED = "it happened; a reorg may still undo it"
    REFUSED = "nothing happened, and nothing will"
    PENDING = "it may happen"


@frozen(kw_only=True)
class ActReport:
    done: Done
    transaction: Hash32 | None = None
    """The one that carries it; None before anybody knows."""
    why: str = ""
    """Of what was refused."""
    gas_wei: int = 0


@frozen(kw_only=True)
class Held:
    """What the books of a wallet's follower hold of a token, over all leaders."""

    token_id: TokenId
    shares: Shares
    facts: TokenFacts | None = None
    """None where nobody has told what it is."""


@frozen(kw_only=True)
class Wanted:
    """What a person wants of a deed."""

    usd: Usd | None = None
    """How much a venue may take at most, is split, or is merged again; None for a deed that takes no amount."""
    condition_id: str = ""
    """The question that it is about: 0x and 64 hex digits; empty for all of them."""
    held: tuple[Held, ...] = ()
    """What may be redeemed."""


@frozen(kw_only=True)
class Paid:
    """What a token pays in the end: its positions are booked so, once."""

    token_id: TokenId
    condition_id: str
    payout: Price
    """Of one share; 0 for a loser."""


@frozen(kw_only=True)
class PlannedAct:
    """What would be done, for a person to agree to."""

    words: tuple[str, ...]
    """A line for each call: which contract, and what it may take, gives or takes, and how much."""
    act: Act | None = None
    """None where nothing has to be sent, and it is booked all the same. Who has it done says until when it may be sent."""
    pays: tuple[Paid, ...] = ()
    """What is booked once it has happened for good."""
    gas_wei: int = 0
    """What its transaction may cost at most, as far as that is known; 0 where nobody can tell."""
