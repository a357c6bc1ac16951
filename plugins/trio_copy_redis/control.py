"""Modes, checkpoints, leases and instances."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial

import trio
from attrs import define, evolve
from redis.exceptions import ResponseError

from trio_copy.errors import LeaseLost
from trio_copy.model.control import ENGINE, Instance, Lease, Mode, ModeChange, Modes
from trio_copy.model.logs import Checkpoint
from trio_copy.records import decode, encode
from trio_copy_redis.answers import FencedError
from trio_copy_redis.bell import LOOK_EVERY_S, Bell
from trio_copy_redis.client import Script, Words, load_script
from trio_copy_redis.desk import Desk, pairs, unexpected

_ACQUIRE, _RENEW, _RELEASE, _CHECKPOINT = (
    load_script("shard", name) for name in ("acquire", "renew", "release", "checkpoint")
)
_SET_MODE, _MODES, _BEAT, _LEAVE, _ASK_DRAIN = (
    load_script("common", name) for name in ("set_mode", "modes", "beat", "leave", "ask_drain")
)
_REMEMBERED_S = 86_400.0
"""An instance that died without leaving is listed this long."""


@define(eq=False)
class RedisControl:
    desk: Desk
    bell: Bell

    async def modes(self) -> Modes:
        version, flat = await self.desk.on_common(_MODES)
        return Modes(
            version=int(version), by_scope={scope: decode(text, ModeChange) for scope, text in pairs(flat).items()}
        )

    async def set_mode(self, mode: Mode, why: str, scope: str = ENGINE) -> ModeChange:
        change = ModeChange(mode=mode, why=why, at=self.desk.wall())
        await self.desk.on_common(_SET_MODE, self.desk.bell, scope, encode(change))
        return change

    async def wait_modes(self, since: int) -> Modes:
        while True:
            rung = self.bell.next("modes")
            modes = await self.modes()
            if modes.version > since:
                return modes
            with trio.move_on_after(LOOK_EVERY_S):
                await rung.wait()

    async def checkpoint(self) -> Checkpoint | None:
        texts = await self.desk.client.all(
            [partial(self.desk.ask, self.desk.tag(shard), "HGET", "shard", "checkpoint") for shard in self.desk.read()]
        )
        found = [decode(text, Checkpoint) for text in texts if text]
        return min(found, key=lambda checkpoint: checkpoint.number, default=None)

    async def save_checkpoint(self, checkpoint: Checkpoint, shards: Collection[int] | None = None) -> None:
        text, read = encode(checkpoint), self.desk.read()
        await self.desk.client.all(
            [partial(self._save, shard, text) for shard in read if shards is None or shard in shards]
        )

    async def _save(self, shard: int, text: str) -> None:
        with suppress(LeaseLost):  # whoever has it now reads from the checkpoint that stands there
            await self.desk.on_shard(shard, _CHECKPOINT, text, reads=True)

    async def acquire(self, name: str, owner: str, lease_s: float) -> Lease | None:
        answer = await self._on_lease(name, _ACQUIRE, owner, repr(lease_s))
        if answer is None:
            return None
        lease = Lease(name=name, owner=owner, token=int(answer[0]), until=float(answer[1]) - self.desk.offset_s)
        self.desk.hold(name, lease.token)
        return lease

    async def renew(self, lease: Lease, lease_s: float) -> Lease:
        if not self.desk.holds(lease.name):
            raise LeaseLost(f"{lease.name}: what Redis knows may have changed since it was taken")
        try:
            until = await self._on_lease(lease.name, _RENEW, lease.token, repr(lease_s))
        except FencedError:
            self.desk.hold(lease.name, None)
            raise LeaseLost(f"{lease.name} is no longer held with token {lease.token}") from None
        return evolve(lease, until=float(str(until)) - self.desk.offset_s)

    async def release(self, lease: Lease) -> None:
        self.desk.hold(lease.name, None)
        await self._on_lease(lease.name, _RELEASE, lease.token, self.desk.bell)

    async def held(self, names: Sequence[str]) -> Mapping[str, Lease]:
        places = [self.desk.place_of(name) for name in names]
        found = await self.desk.client.all(
            [partial(self.desk.ask, tag, "HMGET", role, "owner", "token", "until") for tag, role in places]
        )
        now = self.desk.wall() + self.desk.offset_s
        return {
            name: Lease(name=name, owner=owner, token=int(token), until=float(until) - self.desk.offset_s)
            for name, (owner, token, until) in zip(names, found, strict=True)
            if owner and float(until) > now
        }

    async def beat(self, instance: Instance) -> bool:
        seen = evolve(instance, seen_at=self.desk.wall() + self.desk.offset_s)
        return bool(await self.desk.on_common(_BEAT, instance.instance, encode(seen)))

    async def leave(self, instance: str) -> None:
        await self.desk.on_common(_LEAVE, instance)

    async def ask_drain(self, instance: str) -> bool:
        return bool(await self.desk.on_common(_ASK_DRAIN, instance))

    async def instances(self) -> tuple[Instance, ...]:
        flat = await self.desk.ask(self.desk.common, "HGETALL", "instances")
        found = [decode(text, Instance) for text in pairs(flat).values()]
        now, shift = self.desk.wall() + self.desk.offset_s, self.desk.offset_s
        for dead in (instance for instance in found if now - instance.seen_at > _REMEMBERED_S):
            await self.leave(dead.instance)
        return tuple(
            evolve(instance, seen_at=instance.seen_at - shift)
            for instance in sorted(found, key=lambda instance: instance.instance)
            if now - instance.seen_at <= _REMEMBERED_S
        )

    async def _on_lease(self, name: str, script: Script, *words: Words) -> list[str] | str | None:
        """Carry out a step on a lease; it runs by Redis' clock."""
        tag, role = self.desk.place_of(name)
        now = repr(self.desk.wall() + self.desk.offset_s)
        try:
            answer: list[str] | str | None = await self.desk.client.run(script, tag, "", "", now, role, *words)
        except FencedError:
            raise
        except ResponseError as error:
            raise unexpected(error) from None
        return answer
