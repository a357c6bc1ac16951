"""Which server of Redis answers for what: the only one, the primary that sentinels know, or the owner of a slot in a cluster."""

from attrs import define, field
from redis.crc import key_slot
from redis.exceptions import ResponseError

from trio_copy.errors import ConfigError
from trio_copy_redis.address import Address, Place
from trio_copy_redis.answers import PASSING, Broken
from trio_copy_redis.connections import Connections
from trio_copy_redis.wire import Wire


@define(eq=False)
class Servers:
    place: Place
    connections: Connections
    stale: bool = True
    """Whether the slots have to be asked for before they are believed."""
    _slots: list[tuple[int, int, Address]] = field(factory=list)
    _homes: dict[str, Address] = field(factory=dict)
    """Which server of a cluster answers for a tag."""

    def ready(self, tag: str) -> Wire | None:
        """Return the connection for a tag when it is up, which it nearly always is."""
        match self.place.kind:
            case "":
                home = self.place.servers[0]
            case "cluster" if not self.stale and tag in self._homes:
                home = self._homes[tag]
            case _:
                return None
        wire = self.connections.wires.get(home.name)
        return wire if wire is not None and wire.broken is None else None

    async def address_of(self, tag: str) -> Address:
        """Return the server that answers for a tag. Raises `Broken` where nobody tells."""
        if self.place.kind != "cluster":
            return await self.primary()
        if self.stale:
            await self._learn_slots()
        if tag not in self._homes:
            slot = key_slot(tag.encode())
            found = [address for first, last, address in self._slots if first <= slot <= last]
            if not found:
                self.stale = True
                raise Broken(f"no server of the cluster answers for slot {slot}")
            self._homes[tag] = found[0]
        return self._homes[tag]

    async def primary(self) -> Address:
        """Return the server that takes writes; sentinels are asked whenever there is no connection."""
        if self.place.kind != "sentinel":
            return self.place.servers[0]
        for wire in self.connections.wires.values():
            if wire.broken is None:
                return wire.address
        why = Broken("no sentinel was asked")
        for sentinel in self.place.servers:
            try:
                return await self._ask_sentinel(sentinel)
            except Broken as error:
                why = error
        raise why

    async def _ask_sentinel(self, sentinel: Address) -> Address:
        wire = await self.connections.dial(sentinel, greet=False)
        try:
            found = await wire.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.place.master)
        except ResponseError as error:
            raise Broken(f"{sentinel.name}: {error}") from None
        finally:
            wire.close()
        if not found:
            raise Broken(f'{sentinel.name}: expected a primary named "{self.place.master}", the sentinel knows none')
        return self.place.at(found[0], int(found[1]))

    async def _learn_slots(self) -> None:
        """Ask any server of the cluster who answers for what."""
        why = Broken("no server of the cluster was asked")
        known = dict.fromkeys((*(address for _, _, address in self._slots), *self.place.servers))
        for address in known:
            try:
                found = await (await self.connections.wire(address)).call("CLUSTER", "SLOTS")
            except (Broken, *PASSING) as error:
                why = Broken(str(error))
                continue
            except ResponseError as error:
                if "cluster support disabled" in str(error):
                    raise ConfigError(
                        [f"store.redis.url: {address.name} is no cluster; say redis:// instead"]
                    ) from None
                raise
            self._slots = [
                (int(first), int(last), self.place.at(owner[0] or address.host, int(owner[1])))
                for first, last, owner, *_ in found
            ]
            self._homes.clear()
            self.stale = False
            return
        raise why

    async def primaries(self) -> list[Wire]:
        """Return a connection to every server that takes writes."""
        if self.place.kind == "cluster":
            await self._learn_slots()
            return [
                await self.connections.wire(address)
                for address in dict.fromkeys(address for _, _, address in self._slots)
            ]
        return [await self.connections.wire(await self.primary())]
