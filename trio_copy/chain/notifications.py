"""What waits between a connection and its reader, bounded in bytes as well as in number. Hostile nodes send what nobody
asked for, and what is large; neither may fill our memory."""

from collections import deque

import msgspec
import trio
from attrs import define, field

from trio_copy.chain.rpc import Notification

_COST = 512
"""What a small notification takes up besides its own bytes."""


@define(eq=False)
class NotificationQueue:
    """One task puts, one takes. A single item is always let in, however large: messages are bounded themselves."""

    most: int = 1024
    most_bytes: int = 8 << 20
    _items: deque[tuple[str, msgspec.Raw]] = field(factory=deque)
    _bytes: int = 0
    _changed: trio.Event = field(factory=trio.Event)

    async def put(self, topic: str, result: msgspec.Raw) -> None:
        """Add what came under a topic; waits while there is no room. On cancellation it is not added."""
        while not self.put_nowait(topic, result):
            await self._changed.wait()

    def put_nowait(self, topic: str, result: msgspec.Raw) -> bool:
        """Add what came under a topic; False when there is no room."""
        size = _size(result)
        if self._items and (len(self._items) >= self.most or self._bytes + size > self.most_bytes):
            return False
        self._items.append((topic, result))
        self._bytes += size
        self._tell()
        return True

    async def take(self) -> tuple[str, msgspec.Raw]:
        """Return the oldest (topic, result); waits for one. On cancellation it stays."""
        while not self._items:
            await self._changed.wait()
        topic, result = self._items.popleft()
        self._bytes -= _size(result)
        self._tell()
        return topic, result

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@define(eq=False)
class EarlyNotifications:
    """Notifications of subscriptions that are being made: some nodes send the first before they name the subscription."""

    most: int = 256
    most_bytes: int = 1 << 20
    _kept: list[Notification] = field(factory=list)
    _bytes: int = 0

    def keep(self, notification: Notification) -> bool:
        """Keep one until it is known whose it is; False when there is no room."""
        size = _size(notification.result)
        if len(self._kept) >= self.most or self._bytes + size > self.most_bytes:
            return False
        self._kept.append(notification)
        self._bytes += size
        return True

    def take(self, subscription: str) -> list[Notification]:
        """Take out those of a subscription, in the order of arrival."""
        taken = [notification for notification in self._kept if notification.subscription == subscription]
        self._kept = [notification for notification in self._kept if notification.subscription != subscription]
        self._bytes -= sum(_size(notification.result) for notification in taken)
        return taken

    def take_all(self) -> list[Notification]:
        """Take out everything: no subscription is being made any more."""
        taken, self._kept, self._bytes = self._kept, [], 0
        return taken


@define(eq=False)
class Tolerance:
    """How much of what nobody can use is put up with: a little for ever, a lot for a moment, never both."""

    most_bytes: int = 16 << 20
    bytes_per_s: int = 256 << 10
    _level: float = 0.0
    _at: float = -float("inf")

    def bears(self, size: int, now: float) -> bool:
        """Note something useless of so many bytes; False when it is too much. `now` is Trio time."""
        self._level = max(0.0, self._level - (now - self._at) * self.bytes_per_s) + _COST + size
        self._at = now
        return self._level <= self.most_bytes


def _size(result: msgspec.Raw) -> int:
    return _COST + len(result)
