"""The connections to servers of Redis: one each, made anew when it has ended."""

from collections.abc import Callable
from contextlib import suppress

import trio
from attrs import define, field
from redis.exceptions import NoPermissionError, ResponseError

from trio_copy.ports import OpenSocket
from trio_copy_redis.address import Address, Place, open_stream
from trio_copy_redis.answers import Broken
from trio_copy_redis.wire import Wire


@define(eq=False, kw_only=True)
class Connections:
    place: Place
    timeout_s: float
    open_socket: OpenSocket
    on_trouble: Callable[[str, str], None]
    client_name: str
    nursery: trio.Nursery
    wires: dict[str, Wire] = field(factory=dict)
    """By server; one may have ended."""
    settled: bool = False
    """Whether the first contact is over: from then on, a server that is new is a change."""
    turns: int = 0
    """Grows whenever another server may answer than before: what one server said may mean nothing to the next."""
    _alive: set[Wire] = field(factory=set)
    _opening: trio.Lock = field(factory=trio.Lock)
    _dead: dict[str, list[int]] = field(factory=dict)
    """Names, as the servers know them, of connections that ended with calls under way."""
    _run_ids: dict[str, str] = field(factory=dict)

    async def wire(self, address: Address) -> Wire:
        """Return the connection to a server. Raises `Broken`, or what Redis answers to an introduction."""
        wire = self.wires.get(address.name)
        if wire is not None and wire.broken is None:
            return wire
        async with self._opening:
            wire = self.wires.get(address.name)
            if wire is None or wire.broken is not None:
                if wire is not None and wire.client_id:
                    self._dead.setdefault(address.name, []).append(wire.client_id)
                    wire.client_id = 0
                wire = self.wires[address.name] = await self.dial(address)
                self.turns += 1
        return wire

    async def dial(self, address: Address, *, greet: bool = True) -> Wire:
        """Connect and introduce ourselves. Cancelled, no connection stays open."""
        wire = Wire(await open_stream(address, self.open_socket, self.timeout_s), self.timeout_s, address)
        self._alive.add(wire)
        self.nursery.start_soon(self._run_wire, wire, name=f"redis {address.name}")
        try:
            if greet:
                await self._introduce(wire)
        except BaseException:
            wire.close()
            raise
        return wire

    async def _run_wire(self, wire: Wire) -> None:
        try:
            await wire.run()
        finally:
            self._alive.discard(wire)

    def close(self) -> None:
        """End every connection. They outlive a cancellation from outside, so that calls in a shield are still answered."""
        for wire in tuple(self._alive):
            wire.close()

    async def _bury_the_dead(self, wire: Wire) -> None:
        """Let the server drop what earlier connections have sent and it has not read: it is about to be sent again."""
        for client_id in self._dead.pop(wire.address.name, ()):
            with suppress(ResponseError, NoPermissionError):
                await wire.call("CLIENT", "KILL", "ID", client_id)

    async def _introduce(self, wire: Wire) -> None:
        address = wire.address
        if address.password is not None:
            user = () if address.username is None else (address.username,)
            await wire.call("AUTH", *user, address.password)
        if address.db:
            await wire.call("SELECT", address.db)
        await wire.call("CLIENT", "SETNAME", self.client_name)
        wire.client_id = await wire.call("CLIENT", "ID")
        await self._bury_the_dead(wire)
        wire.facts = facts_of(f"{await wire.call('INFO', 'server')}\n{await wire.call('INFO', 'replication')}")
        if self.place.kind == "sentinel" and wire.facts.get("role") != "master":
            raise Broken(f"{address.name}: not the primary any more")
        where, run_id = "" if self.place.kind != "cluster" else address.name, wire.facts.get("run_id", "")
        if self.settled and self._run_ids.get(where) != run_id:
            self.on_trouble(
                "store-changed",
                f"{address.name} was restarted or replaced: what it forgot is found by what is written next",
            )
        self._run_ids[where] = run_id


def facts_of(info: str) -> dict[str, str]:
    """Read what INFO says."""
    pairs = (line.partition(":") for line in info.splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}
