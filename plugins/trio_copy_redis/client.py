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
from trio_copy_redis.address import Address, Place
from trio_copy_redis.answers import PASSING, Broken, advice, meaning
from trio_copy_redis.connections import Connections
from trio_copy_redis.scripts import Script, Words, command, evaluate
from trio_copy_redis.servers import Servers
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
    connections: Connections
    patience_s: float
    on_trouble: Callable[[str, str], None]
    _servers: Servers = field(init=False)
    _waiting_since: float | None = None
    """Trio time since which calls wait for Redis."""

    def __attrs_post_init__(self) -> None:
        self._servers = Servers(self.place, self.connections)

    async def run(self, script: Script, tag: str, keys: Sequence[str], *words: Words, raw: bool = False) -> Any:  # noqa: ANN401
        """Carry out a script on keys of a tag; with `raw`, what it returns comes as bytes.

        Raises:
            StoreUnavailable: Redis did not come back in time.
            LeaseLost: the script found a higher token.
            StoreForgot: the script did not find what was left there.
            StoreError: an answer that has no meaning here.
        """
        wire = self._servers.ready(tag)
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
        wire = self._servers.ready(tag)
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
        return await self._servers.primaries()

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
        for wire in self.connections.wires.values():
            if self.place.kind != "cluster" and wire.facts.get("redis_mode") == "cluster":
                where = wire.address.name
                raise ConfigError([f"store.redis.url: {where} is part of a cluster; say redis+cluster://"])
        self.connections.settled = True

    async def listen(self, channel: str) -> trio.abc.Stream:
        """Open a connection of its own that hears what is published on a channel. Raises `Broken` or `ResponseError`."""
        wire = await self.connections.dial(
            self.place.servers[0] if self.place.kind != "sentinel" else await self._servers.primary()
        )
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
                wire = (self._servers.ready(tag) if asked is None else None) or await self.connections.wire(
                    asked or await self._servers.address_of(tag)
                )
                redirected, asked = asked is not None, None
                answer = await ask(wire, redirected)
            except MovedError:
                self.connections.turns += 1
                if self.place.kind != "cluster":
                    where = self.place.servers[0].name
                    raise StoreUnavailable(
                        f"store.redis.url: {where} is part of a cluster (MOVED); say redis+cluster://"
                    ) from None
                if trio.current_time() >= until:
                    raise StoreUnavailable("the Redis cluster sends every call elsewhere") from None
                self._servers.stale = True
            except AskError as elsewhere:
                self.connections.turns += 1
                # The slot is on its way. What is there already is asked for there, for this one call.
                here = self.place.servers[0] if wire is None else wire.address
                asked = self.place.at(elsewhere.host or here.host, elsewhere.port)
                continue
            except PASSING as error:
                self.connections.turns += 1
                if isinstance(error, ReadOnlyError) and wire is not None:
                    wire.end("it is a replica now")  # whoever is the primary is looked up anew
                # Of a cluster, another server may have taken over for the one that does not answer.
                troubled = self._servers.stale = True
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
    def turns(self) -> int:
        """Grows whenever another server may answer than before: what one server said may mean nothing to the next."""
        return self.connections.turns

    @property
    def waiting_s(self) -> float:
        """For how long calls have been waiting for Redis; 0 when none does."""
        return 0.0 if self._waiting_since is None else trio.current_time() - self._waiting_since


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
        connections = Connections(
            place=place,
            timeout_s=timeout_s,
            open_socket=open_socket,
            on_trouble=on_trouble,
            client_name=client_name,
            nursery=nursery,
        )
        try:
            yield Client(place=place, connections=connections, patience_s=patience_s, on_trouble=on_trouble)
        finally:
            connections.close()
            nursery.cancel_scope.cancel()


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
