"""Budgets, modes, leases and instances of a single process."""

from collections.abc import Mapping, Sequence

import trio
from attrs import define, evolve

from trio_copy.clock import WallClock
from trio_copy.errors import LeaseLost
from trio_copy.model.control import ENGINE, Heard, Instance, Lease, Mode, ModeChange, Modes
from trio_copy_memory.data import Budget, MemoryData

_DAY_S = 86_400.0


@define(eq=False, kw_only=True)
class MemoryControl:
    data: MemoryData
    wall: WallClock

    async def draw(self, budget: str, shard: int, total: int, limit: int) -> int:
        budgets, now = self.data.budgets, self.wall()
        for name, old in list(budgets.items()):
            if old.drawn_at > now - 3 * _DAY_S:
                break
            del budgets[name]
        drawn = budgets.pop(budget, Budget(now))
        budgets[budget], drawn.drawn_at = drawn, now
        has = drawn.has.get(shard, 0)
        covered = limit - sum(drawn.has.values()) + has
        drawn.has[shard] = max(has, min(total, covered))
        return max(0, min(drawn.has[shard], covered))

    async def modes(self) -> Modes:
        return self.data.modes

    async def set_mode(self, mode: Mode, why: str, scope: str = ENGINE) -> ModeChange:
        change, before = ModeChange(mode=mode, why=why, at=self.wall()), self.data.modes
        self.data.modes = Modes(version=before.version + 1, by_scope={**before.by_scope, scope: change})
        self.data.modes_changed.wake()
        return change

    async def wait_modes(self, since: int) -> Modes:
        await trio.lowlevel.checkpoint()
        while self.data.modes.version <= since:
            await self.data.modes_changed.wait()
        return self.data.modes

    async def acquire(self, name: str, owner: str, lease_s: float) -> Lease | None:
        now, held = self.wall(), self.data.leases.get(name)
        free = held is None or held.until <= now
        if held is not None and held.owner != owner and not free:
            return None
        self.data.tokens[name] = token = self.data.tokens.get(name, 0) + free
        self.data.leases[name] = lease = Lease(name=name, owner=owner, token=token, until=now + lease_s)
        return lease

    async def renew(self, lease: Lease, lease_s: float) -> Lease:
        now, held = self.wall(), self.data.leases.get(lease.name)
        if held is None or held.token != lease.token or held.until <= now:
            raise LeaseLost(f"{lease.name} is no longer held with token {lease.token}")
        self.data.leases[lease.name] = renewed = evolve(held, until=now + lease_s)
        return renewed

    async def release(self, lease: Lease) -> None:
        held = self.data.leases.get(lease.name)
        if held is not None and held.token == lease.token:
            del self.data.leases[lease.name]

    async def held(self, names: Sequence[str]) -> Mapping[str, Lease]:
        now, leases = self.wall(), self.data.leases
        return {name: lease for name in names if (lease := leases.get(name)) is not None and lease.until > now}

    async def beat(self, instance: Instance) -> Heard:
        name, known = instance.instance, self.data.instances
        heard = Heard(drain=name in self.data.drained, new=name not in known)
        known[name] = evolve(instance, seen_at=self.wall())
        return heard

    async def leave(self, instance: str) -> None:
        self.data.instances.pop(instance, None)
        self.data.drained.discard(instance)

    async def ask_drain(self, instance: str) -> bool:
        if instance not in self.data.instances:
            return False
        self.data.drained.add(instance)
        return True

    async def instances(self) -> tuple[Instance, ...]:
        for name, instance in list(self.data.instances.items()):
            if instance.seen_at < self.wall() - _DAY_S:
                await self.leave(name)
        return tuple(self.data.instances.values())
