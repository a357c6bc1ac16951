"""Hears that something changed. What changed is read from the data; an announcement that was not heard costs a second."""

from collections import defaultdict

import hiredis
import trio
from attrs import define, field
from redis.exceptions import RedisError

from trio_copy_redis.answers import Broken
from trio_copy_redis.client import Client

LOOK_EVERY_S = 1.0
"""Whoever waits looks again at least this often."""
_CHUNK = 4096


@define(eq=False, kw_only=True)
class Announcements:
    client: Client
    channel: str
    _awaited: dict[str, trio.Event] = field(factory=lambda: defaultdict(trio.Event))

    def next(self, what: str) -> trio.Event:
        """Return the event that is set when a change of this is announced after this moment."""
        return self._awaited[what]

    def _tell(self, what: str) -> None:
        if what in self._awaited:
            self._awaited.pop(what).set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled."""
        task_status.started()
        while True:
            try:
                stream = await self.client.listen(self.channel)
                async with stream:
                    for what in tuple(self._awaited):
                        self._tell(what)  # it may have changed while nobody listened
                    await self._hear(stream)
            except (Broken, RedisError, OSError, trio.BrokenResourceError, hiredis.HiredisError):
                pass  # calls say what is wrong with Redis, and wait for it
            await trio.sleep(LOOK_EVERY_S)

    async def _hear(self, stream: trio.abc.Stream) -> None:
        reader = hiredis.Reader(encoding="utf-8", errors="replace")
        while data := await stream.receive_some(_CHUNK):
            reader.feed(bytes(data))
            while (message := reader.gets()) is not False:
                match message:
                    case ["message", str(), str(what)]:
                        self._tell(what)
