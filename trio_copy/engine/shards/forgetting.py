"""Whether a store that instances share has forgotten everything: then only those who live know what is whose.

No lease is held then, nothing is drawn, and nobody is on the list of instances. Whoever misses itself there leaves the
others the time of a lease, in which each notices the same, takes its own shards again and tells what it has drawn.
"""

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.model.control import Heard, Instance
from trio_copy.ports import Control
from trio_copy.telemetry.observer import Observer


@define(eq=False, kw_only=True)
class Forgetting:
    control: Control
    instance: str
    lease_s: float
    wall: WallClock
    observer: Observer
    listed: bool = False
    """Whether the store knows of us, unless it has forgotten; never where nobody shares it."""
    _until: float = float("-inf")
    """Until when others may not have noticed, by our own clock."""
    _looking: trio.Lock = field(factory=trio.Lock)
    """A heartbeat on its way has put us on the list, maybe, and has not told us yet that we were not there."""

    @property
    def seems_steady(self) -> bool:
        """Whether nothing was forgotten lately, as far as was noticed."""
        return self.wall() >= self._until

    async def is_steady(self) -> bool:
        """Tell whether nothing was forgotten lately; asked after a change, it vouches for what that was based on."""
        async with self._looking:
            if self.listed and all(one.instance != self.instance for one in await self.control.instances()):
                self._notice()
            return self.seems_steady

    async def beat(self, me: Instance) -> Heard:
        """Show that we live, and notice when that puts us on the list anew: whoever looked there only later would not."""
        async with self._looking:
            heard = await self.control.beat(me)
            if self.listed and heard.new:
                self._notice()
            self.listed = True
            return heard

    def _notice(self) -> None:
        if self.seems_steady:
            self.observer.on_alert("store-forgot", "the list of instances is gone; what others own is left to them")
        self._until = self.wall() + self.lease_s
