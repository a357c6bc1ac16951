"""Budgets, modes, leases and instances: what all shards share, on one slot."""

from collections.abc import Mapping, Sequence
from functools import partial

import trio
from attrs import define, evolve

from trio_copy.clock import WallClock
from trio_copy.errors import LeaseLost
from trio_copy.model.control import ENGINE, Heard, Instance, Lease, Mode, ModeChange, Modes
from trio_copy.records import decode, encode
from trio_copy_redis.announcements import LOOK_EVERY_S, Announcements
from trio_copy_redis.client import Client
from trio_copy_redis.keys import CommonKeys
from trio_copy_redis.scripts import load_script

_ACQUIRE, _RENEW, _RELEASE, _DRAW, _SET_MODE, _BEAT, _ASK_DRAIN = map(
    load_script, ("acquire", "renew", "release", "draw", "set_mode", "beat", "ask_drain")
)
_REMEMBERED_S = 86_400.0
"""An instance that died without leaving is listed this long."""
_BUDGETS_KEPT_MS = 4 * 86_400_000
_EXACT = (1 << 53) - 1
"""Lua counts exactly up to here, nine billion dollars: a limit above it limits nothing."""
_VERSION = ""
"""The scope of modes under which their version stands."""
_DRAINS = "\0"
"""Stands before the names of instances that shall drain."""


@define(eq=False, kw_only=True)
class RedisControl:
    client: Client
    keys: CommonKeys
    announcements: Announcements
    wall: WallClock
    offset_s: float
    """How far Redis' clock is ahead of ours: leases run by Redis' clock, for all instances have to agree on it."""

    async def draw(self, budget: str, shard: int, total: int, limit: int) -> int:
        key = self.keys(f"budget:{budget}")
        words = (shard, min(total, _EXACT), min(limit, _EXACT), _BUDGETS_KEPT_MS)
        return int(await self.client.run(_DRAW, self.keys.tag, (key,), *words))

    async def modes(self) -> Modes:
        stored = pairs(await self.client.call(self.keys.tag, "HGETALL", self.keys("modes")))
        version = int(stored.pop(_VERSION, 0))
        return Modes(version=version, by_scope={scope: decode(text, ModeChange) for scope, text in stored.items()})

    async def set_mode(self, mode: Mode, why: str, scope: str = ENGINE) -> ModeChange:
        change = ModeChange(mode=mode, why=why, at=self.wall())
        words = (self.keys.channel, scope, encode(change))
        await self.client.run(_SET_MODE, self.keys.tag, (self.keys("modes"),), *words)
        return change

    async def wait_modes(self, since: int) -> Modes:
        while True:
            changed = self.announcements.next("modes")
            modes = await self.modes()
            if modes.version > since:
                return modes
            with trio.move_on_after(LOOK_EVERY_S):
                await changed.wait()

    async def acquire(self, name: str, owner: str, lease_s: float) -> Lease | None:
        until, words = self._term(lease_s)
        token = await self.client.run(_ACQUIRE, self.keys.tag, (self._lease(name),), owner, *words)
        return None if token is None else Lease(name=name, owner=owner, token=int(token), until=until)

    async def renew(self, lease: Lease, lease_s: float) -> Lease:
        until, words = self._term(lease_s)
        try:
            await self.client.run(_RENEW, self.keys.tag, (self._lease(lease.name),), lease.token, *words)
        except LeaseLost:
            raise LeaseLost(f"{lease.name} is no longer held with token {lease.token}") from None
        return evolve(lease, until=until)

    async def release(self, lease: Lease) -> None:
        await self.client.run(_RELEASE, self.keys.tag, (self._lease(lease.name),), lease.token)

    async def held(self, names: Sequence[str]) -> Mapping[str, Lease]:
        tag, words = self.keys.tag, ("owner", "token", "until", "told")
        found = await self.client.all(
            [partial(self.client.call, tag, "HMGET", self._lease(name), *words) for name in names]
        )
        now = self._now()
        return {
            name: Lease(name=name, owner=owner, token=int(token), until=float(told))
            for name, (owner, token, until, told) in zip(names, found, strict=True)
            if owner is not None and float(until) > now
        }

    async def beat(self, instance: Instance) -> Heard:
        seen = evolve(instance, seen_at=self._now())
        words = (instance.instance, encode(seen))
        new, drain = await self.client.run(_BEAT, self.keys.tag, (self.keys("instances"),), *words)
        return Heard(drain=bool(drain), new=bool(new))

    async def leave(self, instance: str) -> None:
        await self.client.call(self.keys.tag, "HDEL", self.keys("instances"), instance, _DRAINS + instance)

    async def ask_drain(self, instance: str) -> bool:
        return bool(await self.client.run(_ASK_DRAIN, self.keys.tag, (self.keys("instances"),), instance))

    async def instances(self) -> tuple[Instance, ...]:
        flat = await self.client.call(self.keys.tag, "HGETALL", self.keys("instances"))
        found = [decode(text, Instance) for name, text in pairs(flat).items() if not name.startswith(_DRAINS)]
        now = self._now()
        for dead in (instance for instance in found if now - instance.seen_at > _REMEMBERED_S):
            await self.leave(dead.instance)
        return tuple(
            evolve(instance, seen_at=instance.seen_at - self.offset_s)
            for instance in sorted(found, key=lambda instance: instance.instance)
            if now - instance.seen_at <= _REMEMBERED_S
        )

    def _term(self, lease_s: float) -> tuple[float, tuple[str, str, str]]:
        """Return until when a lease runs by our clock, and the words for its script: now by Redis' clock, how long, until."""
        now = self.wall()
        return now + lease_s, (repr(now + self.offset_s), repr(lease_s), repr(now + lease_s))

    def _lease(self, name: str) -> str:
        return self.keys(f"lease:{name}")

    def _now(self) -> float:
        return self.wall() + self.offset_s


def pairs(flat: Sequence[str]) -> dict[str, str]:
    """Read what HGETALL returns."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
