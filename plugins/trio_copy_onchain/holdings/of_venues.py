"""What a wallet has to let a venue take for a swap."""

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address
from trio_copy_onchain.holdings.approvals import Allowance, Approval, ForAll
from trio_copy_onchain.venues.fpmm import Fpmm
from trio_copy_onchain.venues.pool import Pool
from trio_copy_onchain.venues.seam import Swap


def approval_of(venue: Fpmm | Pool, swap: Swap, collateral: Address) -> Approval:
    """Return what the swap needs, and not a unit more where the token knows amounts.

    Raises:
        ValueError: the collateral is another one than the venue's.
    """
    match venue:
        case Fpmm():
            if swap.side is Side.SELL:
                return ForAll(token=venue.conditional_tokens, operator=venue.maker)
            return Allowance(token=collateral, spender=venue.maker, units=swap.cash)
        case Pool():
            if venue.collateral != collateral:
                raise ValueError(f"collateral: expected {venue.collateral}, got {collateral}")
            token, units = (collateral, swap.cash) if swap.side is Side.BUY else (venue.outcome, swap.shares)
            return Allowance(token=token, spender=venue.router.address, units=units)
