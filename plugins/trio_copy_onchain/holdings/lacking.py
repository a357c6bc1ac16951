"""What a trade takes from its wallet, and what of that is missing: some tokens, as WETH9, refuse without a word."""

from collections.abc import Sequence

from attrs import frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, TokenId
from trio_copy.transactions.calls import Call
from trio_copy_onchain.holdings.approvals import Allowance, Approval
from trio_copy_onchain.holdings.balances import money_call, read_money, read_shares, shares_call
from trio_copy_onchain.holdings.of_venues import approval_of
from trio_copy_onchain.tx.reverts import Lacks
from trio_copy_onchain.venues.fpmm import Fpmm
from trio_copy_onchain.venues.pool import Pool
from trio_copy_onchain.venues.seam import Swap


@frozen(kw_only=True)
class Taken:
    """What a trade takes."""

    wallet: Address
    token: Address
    units: int
    token_id: TokenId | None
    """Which token of an ERC-1155; None of an ERC-20."""
    approval: Approval | None
    """None where the trade's own transaction gives it."""

    @property
    def reads(self) -> tuple[Call, ...]:
        """Return what has to be asked, all in one block, before `lacks`."""
        held = (
            money_call(self.token, self.wallet)
            if self.token_id is None
            else shares_call(self.token, self.wallet, [self.token_id])
        )
        return (held,) if self.approval is None else (held, self.approval.question(self.wallet))

    def lacks(self, answers: Sequence[bytes | None]) -> Lacks:
        """Say what is missing; what a contract does not tell (None) is not said to be.

        Raises:
            ValueError: an answer to `reads` is none.
        """
        held, *allowed = answers
        poor = held is not None and self._read_held(held) < self.units
        approval = self.approval
        barred = any(one is not None and approval is not None and not approval.is_given(one) for one in allowed)
        if poor:
            return Lacks.BOTH if barred else Lacks.BALANCE
        return Lacks.APPROVAL if barred else Lacks.NOTHING

    def _read_held(self, answer: bytes) -> int:
        return read_money(answer) if self.token_id is None else read_shares(answer, 1)[0]


def taken_by(venue: Fpmm | Pool, swap: Swap, collateral: Address, *, approves: bool) -> Taken:
    """Return what a swap takes; `approves` says that the allowance for it stands in front of it.

    Raises:
        ValueError: the collateral is another one than the venue's.
    """
    approval, is_sale = approval_of(venue, swap, collateral), swap.side is Side.SELL
    return Taken(
        wallet=swap.wallet,
        token=approval.token,
        units=swap.shares if is_sale else swap.cash,
        token_id=venue.tokens[venue.outcome] if isinstance(venue, Fpmm) and is_sale else None,
        approval=None if approves and isinstance(approval, Allowance) else approval,
    )
