"""Stops what must not be sent, and tells a person of it: with what to do about what ends by nothing else."""

from collections.abc import Awaitable, Callable

import trio
from attrs import define, evolve

from trio_copy.errors import ExecutorError
from trio_copy.model.orders import Wallet
from trio_copy_clob.sending.credentials import VenueSigner
from trio_copy_clob.sending.permissions import Region
from trio_copy_clob.sending.stops import EGRESS_S, Stop, Stopped, Stops


@define(eq=False, kw_only=True)
class Stopping:
    stops: Stops
    read_region: Callable[[], Awaitable[Region]]
    """Asks the venue whether it blocks the place we are seen from. May raise `ExecutorError`."""
    on_trouble: Callable[[str, str], None]

    def stop(self, stop: Stop, who: str, why: str, *, wallet: str, until: float | None = None) -> None:
        """Stop something, for good or until a moment of Trio's clock; `wallet` is the name of the one whose order met it."""
        self.tell(self.stops.stop(stop, who, why, until=until, now=trio.current_time()), wallet)

    async def stop_egress(self, what: str, wallet: str = "") -> None:
        """Stop all that leaves from here: for good where the region is blocked, else until the page may have gone."""
        now = trio.current_time()
        # Before anybody is asked: what leaves meanwhile would meet the same page.
        stopped = self.stops.stop(Stop.EGRESS, "", what, until=now + EGRESS_S, now=now)
        if stopped is None:
            return
        try:
            region = await self.read_region()
        except ExecutorError as error:
            stopped = evolve(stopped, why=f"{what}, and whether the region is blocked, nobody says: {error}")
        else:
            stopped = evolve(stopped, why=f"{what}: {region}")
            if region.blocked:
                stopped = self.stops.stop(Stop.EGRESS, "", stopped.why, now=now) or stopped
        self.tell(stopped, wallet)

    def tell(self, stopped: Stopped | None, wallet: str = "") -> None:
        """Tell a person what is stopped, or goes on, where that is news; and what to do about what ends by nothing else.

        `wallet` is the name of the one whose order met it.
        """
        if stopped is None:
            return
        if stopped.lifted:
            self.on_trouble("venue-goes-on", str(stopped))
            return
        mend = f"; once that is mended: `trio-copy arm {wallet or 'WALLET'}`" if stopped.until is None else ""
        self.on_trouble("venue-stopped", f"{stopped}{mend}")

    def go_on(self, wallet: Wallet, signer: VenueSigner, armed_at: float) -> None:
        """Let go on what was stopped for good of a wallet, or of all, before a person armed it, by Trio's clock."""
        for stopped in self.stops.armed(wallet=str(wallet.address), signer=signer.address, at=armed_at):
            self.tell(stopped)

    def went_well(self) -> None:
        """The venue takes orders: what it said of all of them is over."""
        for stopped in self.stops.went_well():
            self.tell(stopped)
