"""Redis, wherever it is: one server, one behind sentinels, or a cluster; over one connection per server.

A call waits through what passes by itself (a restart, a failover, a slow or full server, a slot that moves) for `patience_s`
and is then repeated: every script may be carried out twice with the same result. What does not pass ends in
`StoreUnavailable`.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import hiredis
import trio
from attrs import define, field
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from trio_copy.errors import ConfigError, StoreError, StoreUnavailable
from trio_copy.ports import OpenSocket
from trio_copy_redis.address import Address, Place, open_stream
from trio_copy_redis.answers import PASSING, Broken, advice, meaning
from trio_copy_redis.scripts import Script, Words, command, evaluate
from trio_copy_redis.wire import Wire

_T = TypeVar("_T")
_NOT_NOW = (*PASSING, MovedError, AskError, AuthenticationError, NoPermissionError)
"""What a call is repeated after: it was not carried out, or may be carried out twice."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.5
_TOGETHER = 500
"""Calls that are under way at once when there are many to make."""


@define(eq=False, kw_only=True)
class Client:
    place: Place
    timeout_s: float
    patience_s: float
    open_socket: OpenSocket
    on_trouble: Callable[[str, str], None]
    client_name: str
    nursery: trio.Nursery
    _wires: dict[str, Wire] = field(factory=dict)
    _alive: set[Wire] = field(factory=set)
    _opening: trio.Lock = field(factory=trio.Lock)
    _dead: dict[str, list[int]] = field(factory=dict)
    """Names, as the servers know them, of connections that ended with calls under way."""
    _slots: list[tuple[int, int, Address]] = field(factory=list)
    _stale: bool = True
    """Whether the slots have to be asked for before they are believed."""
    _homes: dict[str, Address] = field(factory=dict)
    """Which server of a cluster answers for a tag."""
    _run_ids: dict[str, str] = field(factory=dict)
    _settled: bool = False
    """Whether the first contact is over: from then on, a server that is new is a change."""
    turns: int = 0
    """Grows whenever another server may answer than before: what one server said may mean nothing to the next."""
    _waiting_since: float | None = None
    """Trio time since which calls wait for Redis."""

    async def run(self, script: Script, tag: str, keys: Sequence[str], *words: Words, raw: bool = False) -> Any:  # noqa: ANN401
        """Carry out a script on keys of a tag; with `raw`, what it returns comes as bytes.

        Raises:
            StoreUnavailable: Redis did not come back in time.
            LeaseLost: the script found a higher token.
            StoreForgot: the script did not find what was left there.
            StoreError: an answer that has no meaning here.
        """
        wire = self._ready(tag)
        try:
            if wire is not None:
                # The usual case, without the layers that only matter when something is wrong.
                with suppress(*_NOT_NOW, NoScriptError):
                    return await wire.call("EVALSHA", script.sha, len(keys), *keys, *words, raw=raw)
            return await self._persist(tag, partial(evaluate, script, keys, words, raw))
        except ResponseError as error:
            raise meaning(error) from None

    async def call(self, tag: str, *words: Words, raw: bool = False) -> Any:  # noqa: ANN401  whatever Redis answers
        """Carry out one command on a key with a tag; otherwise as `run`."""
        wire = self._ready(tag)
        try:
            if wire is not None:
                with suppress(*_NOT_NOW):
                    return await wire.call(*words, raw=raw)
            return await self._persist(tag, partial(command, words, raw))
        except ResponseError as error:
            raise meaning(error) from None

    async def all(self, calls: Sequence[Callable[[], Awaitable[_T]]]) -> list[_T]:
        """Make many calls together, so that they share their trips; their answers come in the same order.

        The first that fails ends the others, and its error is raised.
        """
        answers: dict[int, _T] = {}
        failed: list[StoreError] = []

        async def ask(number: int, one: Callable[[], Awaitable[_T]]) -> None:
            try:
                answers[number] = await one()
            except StoreError as error:
                failed.append(error)
                nursery.cancel_scope.cancel()

        for start in range(0, len(calls), _TOGETHER):
            async with trio.open_nursery() as nursery:
                for number, one in enumerate(calls[start : start + _TOGETHER], start):
                    nursery.start_soon(ask, number, one)
            if failed:
                raise failed[0]
        return [answers[number] for number in range(len(calls))]

    async def primaries(self) -> list[Wire]:
        """Return a connection to every server that takes writes."""
        if self.place.kind == "cluster":
            await self._learn_slots()
            return [await self._wire(address) for address in dict.fromkeys(address for _, _, address in self._slots)]
        return [await self._wire(await self._primary())]

    async def greet(self) -> None:
        """Make the first contact: what is wrong with the address or the password shows here, at once.

        Raises:
            ConfigError: the credentials are wrong.
            StoreUnavailable: nobody answers.
        """
        try:
            await self.primaries()
        except RedisError as error:
            raise ConfigError([_credentials(error, self.place.servers[0])]) from None
        except Broken as error:
            raise StoreUnavailable(f"store.redis.url: Redis does not answer: {error}; is it running?") from None
        for wire in self._wires.values():
            if self.place.kind != "cluster" and wire.facts.get("redis_mode") == "cluster":
                where = wire.address.name
                raise ConfigError([f"store.redis.url: {where} is part of a cluster; say redis+cluster://"])
        self._settled = True

    async def listen(self, channel: str) -> trio.abc.Stream:
        """Open a connection of its own that hears what is published on a channel. Raises `Broken` or `ResponseError`."""
        wire = await self._dial(self.place.servers[0] if self.place.kind != "sentinel" else await self._primary())
        stream = await wire.hand_over()
        try:
            await stream.send_all(hiredis.pack_command(("SUBSCRIBE", channel)))  # type: ignore[arg-type]
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream

    async def _persist(self, tag: str, ask: Callable[[Wire, bool], Awaitable[_T]]) -> _T:
        until, pause, troubled = trio.current_time() + self.patience_s, _FIRST_PAUSE_S, False
        asked: Address | None = None
        while True:
            wire = None
            try:
                wire = (self._ready(tag) if asked is None else None) or await self._wire(
                    asked or await self._address_of(tag)
                )
                redirected, asked = asked is not None, None
                answer = await ask(wire, redirected)
            except MovedError:
                self.turns += 1
                if self.place.kind != "cluster":
                    where = self.place.servers[0].name
                    raise StoreUnavailable(
                        f"store.redis.url: {where} is part of a cluster (MOVED); say redis+cluster://"
                    ) from None
                if trio.current_time() >= until:
                    raise StoreUnavailable("the Redis cluster sends every call elsewhere") from None
                self._stale = True
            except AskError as elsewhere:
                self.turns += 1
                # The slot is on its way. What is there already is asked for there, for this one call.
                here = self.place.servers[0] if wire is None else wire.address
                asked = self.place.at(elsewhere.host or here.host, elsewhere.port)
                continue
            except PASSING as error:
                self.turns += 1
                if isinstance(error, ReadOnlyError) and wire is not None:
                    wire.end("it is a replica now")  # whoever is the primary is looked up anew
                # Of a cluster, another server may have taken over for the one that does not answer.
                troubled = self._stale = True
                self._note(error)
                if trio.current_time() >= until:
                    raise StoreUnavailable(
                        f"Redis did not come back within {self.patience_s:g} s: {advice(error)}"
                    ) from None
            except (AuthenticationError, AuthenticationWrongNumberOfArgsError, NoPermissionError) as error:
                raise StoreUnavailable(_credentials(error, self.place.servers[0])) from None
            else:
                if troubled:
                    self._note_back()
                return answer
            await trio.sleep(pause)
            pause = min(_LONGEST_PAUSE_S, 2 * pause)

    def _note(self, error: Exception) -> None:
        if self._waiting_since is None:
            self._waiting_since = trio.current_time()
            self.on_trouble(
                "store-waiting", f"everything waits for Redis, at most {self.patience_s:g} s: {advice(error)}"
            )

    def _note_back(self) -> None:
        if self._waiting_since is not None:
            waited, self._waiting_since = trio.current_time() - self._waiting_since, None
            self.on_trouble("store-back", f"Redis answers again after {waited:.1f} s")

    @property
    def waiting_s(self) -> float:
        """For how long calls have been waiting for Redis; 0 when none does."""
        return 0.0 if self._waiting_since is None else trio.current_time() - self._waiting_since

    def _ready(self, tag: str) -> Wire | None:
        """Return the connection for a tag when it is up, which it nearly always is."""
        match self.place.kind:
            case "":
                home = self.place.servers[0]
            case "cluster" if not self._stale and tag in self._homes:
                home = self._homes[tag]
            case _:
                return None
        wire = self._wires.get(home.name)
        return wire if wire is not None and wire.broken is None else None

    async def _address_of(self, tag: str) -> Address:
        if self.place.kind != "cluster":
            return await self._primary()
        if self._stale:
            await self._learn_slots()
        if tag not in self._homes:
            slot = key_slot(tag.encode())
            found = [address for first, last, address in self._slots if first <= slot <= last]
            if not found:
                self._stale = True
                raise Broken(f"no server of the cluster answers for slot {slot}")
            self._homes[tag] = found[0]
        return self._homes[tag]

    async def _primary(self) -> Address:
        """Return the server that takes writes; sentinels are asked whenever there is no connection."""
        if self.place.kind != "sentinel":
            return self.place.servers[0]
        for wire in self._wires.values():
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
        wire = await self._dial(sentinel, greet=False)
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
                found = await (await self._wire(address)).call("CLUSTER", "SLOTS")
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
            self._stale = False
            return
        raise why

    async def _wire(self, address: Address) -> Wire:
        wire = self._wires.get(address.name)
        if wire is not None and wire.broken is None:
            return wire
        async with self._opening:
            wire = self._wires.get(address.name)
            if wire is None or wire.broken is not None:
                if wire is not None and wire.client_id:
                    self._dead.setdefault(address.name, []).append(wire.client_id)
                    wire.client_id = 0
                wire = self._wires[address.name] = await self._dial(address)
                self.turns += 1
        return wire

    async def _dial(self, address: Address, *, greet: bool = True) -> Wire:
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
        if self._settled and self._run_ids.get(where) != run_id:
            self.on_trouble(
                "store-changed",
                f"{address.name} was restarted or replaced: what it forgot is found by what is written next",
            )
        self._run_ids[where] = run_id


@asynccontextmanager
async def open_client(
    place: Place,
    *,
    timeout_s: float,
    patience_s: float,
    open_socket: OpenSocket,
    on_trouble: Callable[[str, str], None],
    client_name: str,
) -> AsyncGenerator[Client, None]:
    """Open a client; connections come up when they are needed and close with it."""
    async with trio.open_nursery() as nursery:
        client = Client(
            place=place,
            timeout_s=timeout_s,
            patience_s=patience_s,
            open_socket=open_socket,
            on_trouble=on_trouble,
            client_name=client_name,
            nursery=nursery,
        )
        try:
            yield client
        finally:
            client.close()
            nursery.cancel_scope.cancel()


def facts_of(info: str) -> dict[str, str]:
    """Read what INFO says."""
    pairs = (line.partition(":") for line in info.splitlines() if ":" in line)
    return {name: value for name, _, value in pairs}


def _credentials(error: RedisError, address: Address) -> str:
    where = f"store.redis.url: {address.name}"
    match error:
        case AuthenticationWrongNumberOfArgsError():
            return (
                f"{where}: the URL gives a password, but this Redis has none for its default user; take it out of the"
                " URL, or set requirepass"
            )
        case AuthenticationError() if address.password is None:
            return f"{where}: expected a password, the URL gives none (NOAUTH)"
        case AuthenticationError():
            return f"{where}: user name or password is wrong (WRONGPASS)"
        case NoPermissionError():
            return f"{where}: the user may not do what a store needs (docs/redis.md has the ACL line): {error}"
        case _:
            raise StoreError(f"{where}: {error}")
