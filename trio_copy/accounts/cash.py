"""What a follower may still spend on paper. It is never kept: it follows from what was put in, gained and is open."""

from collections.abc import Sequence

from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.state import AccountState
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.fundings import Funding
from trio_copy.model.units import Usd

_FUNDINGS_MOST = 100
"""Each is written with every change of the account's money; older ones are kept as one."""


def put_in(account: AccountState) -> Usd:
    """Return what a person has put into a paper wallet since it began, less what was taken out."""
    return Usd(sum(funding.amount.micro for funding in account.fundings))


def cash(account: AccountState, start: Usd) -> Usd:
    """Return what is left of a paper wallet that began with `start`: what open entries may cost is gone already.

    Below zero only after a sale was spent that then failed to settle, or when the wallet began with less than was open.
    """
    realised = account.performance.realised.micro
    return Usd(start.micro + put_in(account).micro + realised - account.exposure.cost("all"))


def without_balance(account: AccountState, cost: Usd, start: Usd) -> Reason | None:
    """Return why a paper wallet cannot pay for an entry; None when it can."""
    left = cash(account, start)
    if cost <= left:
        return None
    return Reason(code=Code.NO_BALANCE, control="wallet.paper_usd", value=str(cost), limit=str(left))


def fund(account: AccountState, command: c.Fund) -> Sequence[e.Event]:
    """Put money into a paper wallet, or take it out as far as it is there."""
    after = cash(account, command.start).micro + command.amount.micro
    if command.amount.micro < 0 and after < 0:
        return ()
    return (e.Funded(funding=Funding(amount=command.amount, why=command.why, at=command.at)),)


def with_funding(fundings: tuple[Funding, ...], new: Funding) -> tuple[Funding, ...]:
    """Add a deposit or withdrawal, the newest last."""
    kept = (*fundings, new)
    if len(kept) <= _FUNDINGS_MOST:
        return kept
    oldest, second, *rest = kept
    earlier = Funding(amount=Usd(oldest.amount.micro + second.amount.micro), why="earlier", at=second.at)
    return (earlier, *rest)
