"""What every part of the store works with: the client, the tags of the data, the leases that fence it, and the time."""

from collections.abc import Callable
from typing import Any

from attrs import define, field
from redis.exceptions import ResponseError

from trio_copy.clock import WallClock
from trio_copy.errors import LeaseLost, StoreError
from trio_copy.model.control import shard_lease, shard_of
from trio_copy.model.ids import Address, FollowerId
from trio_copy_redis.answers import FencedError, NotLeasedError, UnknownKeyError
from trio_copy_redis.client import Client, Script, Words

OWNER = "lease"
"""The role of a shard's owner: the only one who leases, sends and books."""


@define(eq=False, kw_only=True)
class Desk:
    client: Client
    prefix: str
    shards: int
    fenced: bool
    wall: WallClock
    keep_ms: int
    log_length: int
    deliveries: int
    nonce: str
    """Names this store among all that were ever opened on the same data."""
    offset_s: float = 0.0
    """How far Redis' clock is ahead of ours: leases run by Redis' clock, for all instances have to agree on it."""
    on_loss: list[Callable[[], None]] = field(factory=list)
    """Called when a lease was lost: what was read before may not hold any more."""
    _tokens: dict[str, dict[str, int]] = field(factory=dict)
    """Fencing tokens of the leases held, by tag and role."""
    _calls: int = 0
    _known_followers: set[FollowerId] = field(factory=set)

    @property
    def bell(self) -> str:
        """The channel on which changes are announced."""
        return f"{self.prefix}:bell"

    @property
    def common(self) -> str:
        return f"{{{self.prefix}:common}}"

    def tag(self, shard: int) -> str:
        return f"{{{self.prefix}:{shard_lease(shard)}}}"

    def account(self, follower: FollowerId) -> str:
        return f"{{{self.prefix}:follower:{follower}}}"

    def shard_of(self, leader: Address) -> int:
        return shard_of(leader, self.shards)

    def place_of(self, lease: str) -> tuple[str, str]:
        """Return the tag and the role of a lease by its name."""
        name, _, role = lease.partition(".")
        return f"{{{self.prefix}:{name}}}", role or OWNER

    def hold(self, lease: str, token: int | None) -> None:
        """Remember a lease's token for everything that is done in its name, or forget it."""
        tag, role = self.place_of(lease)
        if token is None:
            self._tokens.get(tag, {}).pop(role, None)
            self._forget()
        else:
            self._tokens.setdefault(tag, {})[role] = token

    def holds(self, lease: str) -> bool:
        """Tell whether a lease is held as far as we know."""
        tag, role = self.place_of(lease)
        return role in self._tokens.get(tag, {})

    def drop_all(self) -> None:
        """Forget every lease: what they fenced may not be what it was."""
        self._tokens.clear()
        self._forget()

    def held(self) -> tuple[int, ...]:
        """Return the shards whose tasks, orders and positions are this store's to look after."""
        if not self.fenced:
            return tuple(range(self.shards))
        return tuple(shard for shard in range(self.shards) if OWNER in self._tokens.get(self.tag(shard), {}))

    def read(self) -> tuple[int, ...]:
        """Return the shards whose leaders are read, standing by included."""
        return tuple(shard for shard in range(self.shards) if not self.fenced or self._tokens.get(self.tag(shard)))

    def next_nonce(self) -> str:
        """Name one call: should its answer be lost, the repeated call recognises what it did."""
        self._calls += 1
        return f"{self.nonce}:{self._calls}"

    def now(self) -> str:
        return repr(self.wall())

    async def on_shard(self, shard: int, script: Script, *words: Words, reads: bool = False) -> Any:  # noqa: ANN401
        """Carry out a step on a shard, as its owner; with `reads`, also as one who stands by.

        Raises:
            LeaseLost: the shard is somebody else's, or a task is.
        """
        role, token = self._fence(shard, reads=reads)
        try:
            return await self.client.run(script, self.tag(shard), role, token, self.now(), *words)
        except FencedError:
            self._lose(shard, role, token)
            raise LeaseLost(f"shard {shard} has another owner now") from None
        except NotLeasedError as error:
            raise LeaseLost(str(error).removeprefix("LEASE ")) from None
        except ResponseError as error:
            raise unexpected(error) from None

    async def on_account(
        self, follow: tuple[FollowerId, Address], script: Script, *words: Words, reads: bool = False
    ) -> Any:  # noqa: ANN401
        """Carry out a step on a follower's account, for a follow; errors as for `on_shard`."""
        follower, leader = follow
        shard = self.shard_of(leader)
        role, token = self._fence(shard, reads=reads)
        if follower not in self._known_followers:
            await self._introduce(follower)
        fence = "" if not role else str(shard) if role == OWNER else f"{shard}.{role}"
        try:
            return await self.client.run(script, self.account(follower), fence, token, self.now(), *words)
        except FencedError:
            self._lose(shard, role, token)
            raise LeaseLost(f"shard {shard} has another owner now") from None
        except UnknownKeyError as error:
            if role:
                # It was frozen under this lease: Redis has forgotten it. What was sent is told again with the next lease.
                self._lose(shard, role, token)
                raise LeaseLost(f"shard {shard}: {str(error).removeprefix('UNKNOWNKEY ')}") from None
            raise StoreError(str(error).removeprefix("UNKNOWNKEY ")) from None
        except ResponseError as error:
            raise unexpected(error) from None

    async def look_at(self, tag: str, script: Script, *words: Words) -> Any:  # noqa: ANN401
        """Carry out a step that changes nothing of a shard or an account, or that nobody needs to fence."""
        try:
            return await self.client.run(script, tag, "", "", self.now(), *words)
        except ResponseError as error:
            raise unexpected(error) from None

    async def on_common(self, script: Script, *words: Words) -> Any:  # noqa: ANN401
        """Carry out a step on what everybody shares."""
        try:
            return await self.client.run(script, self.common, self.now(), *words)
        except ResponseError as error:
            raise unexpected(error) from None

    async def ask(self, tag: str, command: str, key: str, *words: Words) -> Any:  # noqa: ANN401
        """Carry out one command on one key of a tag."""
        try:
            return await self.client.call(tag, command, f"{tag}:{key}", *words)
        except ResponseError as error:
            raise unexpected(error) from None

    async def followers(self) -> list[FollowerId]:
        """List everybody who ever had an order or a booking."""
        return [FollowerId(name) for name in sorted(await self.ask(self.common, "SMEMBERS", "followers"))]

    async def _introduce(self, follower: FollowerId) -> None:
        await self.ask(self.common, "SADD", "followers", follower)
        self._known_followers.add(follower)

    def _lose(self, shard: int, role: str, token: str) -> None:
        """Forget a token that was refused, unless there is a newer one by now."""
        tokens = self._tokens.get(self.tag(shard), {})
        if str(tokens.get(role)) == token:
            del tokens[role]
            self._forget()

    def _forget(self) -> None:
        """Believe nothing any more that was noted once: a lost lease may mean lost data."""
        self._known_followers.clear()
        for forget in self.on_loss:
            forget()

    def _fence(self, shard: int, *, reads: bool) -> tuple[str, str]:
        if not self.fenced:
            return "", ""
        tokens = self._tokens.get(self.tag(shard), {})
        if OWNER in tokens:
            return OWNER, str(tokens[OWNER])
        if reads and tokens:
            role = next(iter(tokens))
            return role, str(tokens[role])
        raise LeaseLost(f"shard {shard} is not ours")


def unexpected(error: ResponseError) -> StoreError:
    """Make a store's error of an answer that has no meaning here: a bug of ours, or somebody changed the data by hand."""
    return StoreError(f"Redis refused: {error}")


def pairs(flat: list[str]) -> dict[str, str]:
    """Read what HGETALL returns."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
