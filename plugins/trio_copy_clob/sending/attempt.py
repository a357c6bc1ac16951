"""One order, on its way to the venue: what is known of it so far."""

from collections.abc import Awaitable, Callable
from enum import Enum

import trio
from attrs import define, field

from trio_copy.model.fills import Side
from trio_copy.model.orders import Order
from trio_copy_clob.pacing import Growing
from trio_copy_clob.sending.credentials import VenueSigner
from trio_copy_clob.sending.stops import Stopped, Stops

_FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0

Release = Callable[[], Awaitable[None]]
"""Lets an order go, or raises `OrderNotSent`; see `ports.signing.Signer`."""


class Again(Enum):
    """When the same bytes go again."""

    AT_ONCE = "at once"
    AFTER_A_PAUSE = "after a pause"
    LOOKED_UP = "after a look at what became of it"


@define(eq=False, kw_only=True)
class Attempt:
    order: Order
    signer: VenueSigner
    until: float
    release: Release
    released: bool = False
    unproven: str | None = None
    """Why it may be there: since a send of which nobody knows what became."""
    why: str = "no time left"
    """Why it is not there, as far as that is known."""
    not_ready: bool = False
    """Whether the venue has said so last."""
    renewed: bool = False
    sent_at: float = 0.0
    """When its bytes left last."""
    read_again: bool = False
    """Whether the venue has read what an exit sells from the chain again: it may have remembered less than was there."""
    rest_s: float = 0.0
    """How long the venue wants to be left alone before the next send."""
    pauses: Growing = field(factory=lambda: Growing(_FIRST_PAUSE_S, LONGEST_PAUSE_S))

    @property
    def is_exit(self) -> bool:
        return self.order.side is Side.SELL

    @property
    def wallet(self) -> str:
        return str(self.order.wallet.address)

    @property
    def wallet_name(self) -> str:
        return self.order.wallet.name

    def stopped(self, stops: Stops) -> Stopped | None:
        """Return what stops it at the moment; None where nothing does."""
        return stops.why(wallet=self.wallet, signer=self.signer.address, is_exit=self.is_exit, now=trio.current_time())
