"""What people have a wallet do on the chain besides trading: let a venue take money or shares, split, merge, redeem, refuel."""

from enum import Enum

from attrs import frozen

from trio_copy.model.ids import Hash32, IntentKey
from trio_copy.model.orders import Wallet
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
