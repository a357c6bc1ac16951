"""Mode, checkpoint, leases and instances of a single process."""

from collections.abc import Collection, Mapping, Sequence

import trio
from attrs import define, evolve, field

from trio_copy.clock import WallClock
from trio_copy.errors import LeaseLost
from trio_copy.model.control import ENGINE, Instance, Lease, Mode, ModeChange, Modes
from trio_copy.model.logs import Checkpoint


@define(eq=False, kw_only=True)
class MemoryControl:
    wall: WallClock
    _modes: Modes = field(factory=lambda: Modes(version=0, by_scope={}))
    _checkpoint: Checkpoint | None = None
    _leases: dict[str, Lease] = field(factory=dict)
    _tokens: dict[str, int] = field(factory=dict)
    _instances: dict[str, Instance] = field(factory=dict)
    _drained: set[str] = field(factory=set)
    _mode_changed: trio.Event = field(factory=trio.Event)

    async def modes(self) -> Modes:
        return self._modes

    async def set_mode(self, mode: Mode, why: str, scope: str = ENGINE) -> ModeChange:
        change = ModeChange(mode=mode, why=why, at=self.wall())
        self._modes = Modes(version=self._modes.version + 1, by_scope={**self._modes.by_scope, scope: change})
        self._mode_changed.set()
        self._mode_changed = trio.Event()
        return change

    async def wait_modes(self, since: int) -> Modes:
        await trio.lowlevel.checkpoint()
        while self._modes.version <= since:
            await self._mode_changed.wait()
        return self._modes

    async def checkpoint(self) -> Checkpoint | None:
        return self._checkpoint

    async def save_checkpoint(self, checkpoint: Checkpoint, shards: Collection[int] | None = None) -> None:
        self.advance(checkpoint)

    def advance(self, checkpoint: Checkpoint) -> None:
        """Save a checkpoint without giving way to another task."""
        self._checkpoint = checkpoint

    async def acquire(self, name: str, owner: str, lease_s: float) -> Lease | None:
        now, held = self.wall(), self._leases.get(name)
        if held is not None and held.owner != owner and held.until > now:
            return None
        if held is None or held.owner != owner or held.until <= now:
            self._tokens[name] = self._tokens.get(name, 0) + 1
        lease = Lease(name=name, owner=owner, token=self._tokens[name], until=now + lease_s)
        self._leases[name] = lease
        return lease

    async def renew(self, lease: Lease, lease_s: float) -> Lease:
        held = self._leases.get(lease.name)
        if held is None or held.token != lease.token or held.until <= self.wall():
            raise LeaseLost(f"{lease.name} is no longer held with token {lease.token}")
        renewed = evolve(held, until=self.wall() + lease_s)
        self._leases[lease.name] = renewed
        return renewed

    async def release(self, lease: Lease) -> None:
        held = self._leases.get(lease.name)
        if held is not None and held.token == lease.token:
            del self._leases[lease.name]

    async def held(self, names: Sequence[str]) -> Mapping[str, Lease]:
        now = self.wall()
        return {name: lease for name in names if (lease := self._leases.get(name)) is not None and lease.until > now}

    async def beat(self, instance: Instance) -> bool:
        self._instances[instance.instance] = evolve(instance, seen_at=self.wall())
        return instance.instance in self._drained

    async def leave(self, instance: str) -> None:
        self._instances.pop(instance, None)
        self._drained.discard(instance)

    async def ask_drain(self, instance: str) -> bool:
        if instance not in self._instances:
            return False
        self._drained.add(instance)
        return True

    async def instances(self) -> tuple[Instance, ...]:
        return tuple(self._instances.values())
