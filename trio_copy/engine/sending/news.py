"""News of orders: an executor has heard something of one, so that asking is worth it now. A hint, which proves nothing."""

import trio
from attrs import define, field

from trio_copy.model.ids import IntentKey

_MOST = 20_000
"""Orders that wait to be asked about; of further ones the reconciler learns when it looks at all of them."""


@define(eq=False)
class News:
    _keys: dict[IntentKey, None] = field(factory=dict)
    _told: trio.Event = field(factory=trio.Event)

    def tell(self, key: IntentKey) -> None:
        """Take note that something may have become of an order; told twice before anybody listens, it is told once."""
        if len(self._keys) < _MOST:
            self._keys[key] = None
            self._told.set()

    async def wait(self) -> tuple[IntentKey, ...]:
        """Wait until there is some, and take all of it, as it came. Cancelled, nothing is taken."""
        await trio.lowlevel.checkpoint()
        while not self._keys:
            self._told = trio.Event()
            await self._told.wait()
        keys = tuple(self._keys)
        self._keys.clear()
        return keys
