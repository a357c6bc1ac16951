"""Whether a store that instances share has forgotten everything: then only those who live know what is whose.

No lease is held then, nothing is drawn, and nobody is on the list of instances. Whoever misses itself there leaves the
others the time of a lease, in which each notices the same, takes its own shards again and tells what it has drawn.
"""

from attrs import define

from trio_copy.clock import WallClock
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

    async def is_steady(self) -> bool:
        """Tell whether nothing was forgotten lately; asked after a change, it vouches for what that was based on."""
        if self.listed and all(one.instance != self.instance for one in await self.control.instances()):
            if self.wall() >= self._until:
                self.observer.on_alert("store-forgot", "the list of instances is gone; what others own is left to them")
            self._until = self.wall() + self.lease_s
        return self.wall() >= self._until
