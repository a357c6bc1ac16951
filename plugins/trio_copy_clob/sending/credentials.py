"""The API key of a signer: asked for with a signature of its key, kept in memory, and asked for anew once it is refused.

Whoever needs it waits for the one who asks: the venue lets few ask, and a key that is asked for twice is one key.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import trio
from attrs import define, evolve, field, frozen

from trio_copy.clock import WallClock
from trio_copy_clob.pacing import told_s
from trio_copy_clob.sending.answers import refuses_key
from trio_copy_clob.sending.bodies import object_of
from trio_copy_clob.sending.calling import Caller, NoReply, Reply, take_time
from trio_copy_clob.sending.limits import SignerLimits, Turns, tier_of
from trio_copy_clob.sending.skew import VenueClock
from trio_copy_clob.wire import clean

_REST_S, _LONGEST_REST_S = 1.0, 60.0
_OPEN_S = 300.0
"""For so long after the venue has told an API key, whoever refuses without a word is taken for somebody who means this signer."""
_TIER = "poly-ratelimit-tier"


class ApiKey(Protocol):
    """What the venue gives for a signature; its id is the owner of orders."""

    @property
    def api_key(self) -> str: ...
    @property
    def secret(self) -> str: ...
    @property
    def passphrase(self) -> str: ...


@frozen(kw_only=True)
class NoKey:
    why: str
    refused: bool = False
    """Whether the venue does not know this signer, by its own words and its own clock; else it may be had later."""
    odd: bool = False
    """Whether it gave an answer that says neither."""
    blocked: bool = False
    """Whether it answers nobody from here."""
    none_yet: bool = False
    """Whether it has made none for this signer, as far as its answer says."""


@define(eq=False, kw_only=True)
class VenueSigner:
    """A signer, as the venue knows it."""

    address: str
    caller: Caller
    clock: VenueClock
    wall: WallClock
    limits: SignerLimits
    reads: Turns
    """Shared by all who ask from here."""
    level1: Callable[[int], Mapping[str, str]]
    """The headers by which the key itself asks, at a Unix second."""
    level2: Callable[[ApiKey, int, str, str, bytes | None], Mapping[str, str]]
    """The headers by which an API key asks: key, Unix second, method, path without its query, body."""
    make_key: Callable[[str, str, str], ApiKey]
    """Makes one of id, secret and passphrase; raises `ValueError` where they are none, and repeats nothing of them."""
    makes_keys: bool = True
    """Whether the venue may be asked to make a key, and not only to tell one that it has made: whoever only looks does not."""
    _key: ApiKey | None = field(default=None, repr=False)
    _refused: NoKey = field(factory=lambda: NoKey(why="never asked"))
    _again_at: float = -float("inf")
    _told_at: float = -float("inf")
    """When the venue itself told a key because of a refusal that nobody could read, by Trio's clock."""
    _one: trio.Lock = field(factory=trio.Lock)

    async def key(self, until: float) -> ApiKey | NoKey:
        """Return the API key; asks for it the first time."""
        await trio.lowlevel.checkpoint_if_cancelled()
        return self._key or await self._get(None, until)

    async def renewed(self, refused: ApiKey, until: float) -> ApiKey | NoKey:
        """Return another key than one that was refused; the venue's time is taken anew first, for that may have been why."""
        return await self._get(refused, until)

    async def asked_who(self, doubted: ApiKey, until: float) -> ApiKey | NoKey:
        """Find out who has refused a key without a word: returns one, where the venue itself tells it right now, or has a moment
        ago, and with it that nobody stands between. Else the key is as good as it was before.
        """
        if self._key is doubted and trio.current_time() < self._told_at + _OPEN_S:
            await trio.lowlevel.checkpoint()
            return doubted
        found = await self._get(doubted, until, keeps=True)
        if not isinstance(found, NoKey):
            self._told_at = trio.current_time()
        return found

    async def ask(
        self,
        method: str,
        path: str,
        *,
        until: float,
        params: Sequence[tuple[str, str]] = (),
        content: bytes | None = None,
    ) -> Reply | NoReply:
        """Ask in this signer's name what may be asked again, until a moment of Trio's clock; with a new key, once, if need be."""
        key = await self.key(until)
        for _ in range(2):
            if isinstance(key, NoKey):
                break
            reply = await self._ask(key, method, path, until, params, content)
            if isinstance(reply, NoReply) or not refuses_key(reply.status, reply.body):
                return reply
            key = await self.renewed(key, until)
        return NoReply(
            why=key.why if isinstance(key, NoKey) else "the API key is refused, a new one as well", sent=False
        )

    async def _ask(
        self,
        key: ApiKey,
        method: str,
        path: str,
        until: float,
        params: Sequence[tuple[str, str]],
        content: bytes | None,
    ) -> Reply | NoReply:
        counted = method != "DELETE"  # cancels have turns of their own
        with trio.CancelScope(deadline=until):
            if counted:
                # Of what is sent here only a heartbeat is no question: late, it costs all that rests.
                await self.reads.wait(is_exit=method == "POST")
            headers = self.signed(key, method, path, content)
            reply = await self.caller.call(
                method, path, headers=headers, until=until, params=params, content=content, repeatable=True
            )
            if isinstance(reply, Reply) and reply.status == 429 and counted:
                self.reads.rest(
                    min(told_s(reply.headers.get("retry-after", ""), self.wall()) or _REST_S, _LONGEST_REST_S)
                )
            return reply
        return NoReply(why="too many questions before it", sent=False)

    def signed(self, key: ApiKey, method: str, path: str, content: bytes | None) -> Mapping[str, str]:
        """Return the headers of a request, for the very bytes that leave."""
        return self.level2(key, self.clock.now(), method, path, content)

    def learn(self, reply: Reply) -> None:
        """Keep to the tier that an answer names."""
        if _TIER in reply.headers:
            self.limits.set_tier(tier_of(reply.headers[_TIER]))

    async def _get(self, refused: ApiKey | None, until: float, *, keeps: bool = False) -> ApiKey | NoKey:
        """`keeps` the key that was refused, unless the venue tells another, or says itself that it gives none."""
        with trio.CancelScope(deadline=until):
            async with self._one:
                if self._key is not None and self._key is not refused:
                    return self._key  # somebody else has asked meanwhile
                self._key = refused if keeps else None
                if trio.current_time() < self._again_at:
                    return self._refused
                found = await self._ask_for_one(refused, until)
                if isinstance(found, NoKey):
                    self._key = None if found.refused else self._key
                    self._refused = found
                    self._again_at = max(self._again_at, trio.current_time() + _REST_S)
                    return found
                self._key = found
                return found
        return NoKey(why="no API key in time")

    async def _ask_for_one(self, refused: ApiKey | None, until: float) -> ApiKey | NoKey:
        """Ask for a key; a refusal counts only right after the venue's time was taken, for a wrong one is refused as well."""
        taken = False
        if refused is not None or self.clock.measured_at is None:
            trouble = await take_time(self.caller, self.clock, self.wall, until)
            if trouble is not None and refused is not None:
                # The time may be why it was refused, and would be why another one is.
                return NoKey(why=f"no API key: {trouble}")
            taken = trouble is None
        found = await self._create(until)
        if not isinstance(found, NoKey) or not found.refused or taken:
            return found
        trouble = await take_time(self.caller, self.clock, self.wall, until)
        if trouble is not None:
            return evolve(found, why=f"{found.why}; {trouble}", refused=False)
        return await self._create(until)

    async def _create(self, until: float) -> ApiKey | NoKey:
        """Let the venue make a key; where it has made one before, or says anything else, let it tell that one."""
        if not self.makes_keys:
            return await self._exchange("GET", "/auth/derive-api-key", until)
        made = await self._exchange("POST", "/auth/api-key", until)
        if not isinstance(made, NoKey) or not (made.refused or made.odd):
            return made
        told = await self._exchange("GET", "/auth/derive-api-key", until)
        if isinstance(told, NoKey) and told.refused and made.odd:
            # It has told none: whether it makes one is not known.
            return evolve(told, why=made.why, refused=False)
        return told

    async def _exchange(self, method: str, path: str, until: float) -> ApiKey | NoKey:
        headers = self.level1(self.clock.now())
        reply = await self.caller.call(method, path, headers=headers, until=until, repeatable=True)
        if isinstance(reply, NoReply):
            return NoKey(why=f"no API key: {reply.why}")
        why = f"no API key: HTTP status {reply.status} of {path}"
        match reply.status:
            case 200 | 201:
                return self._read(reply.body)
            case 403:
                return NoKey(why="no API key: region or datacentre is blocked", blocked=True)
            case status if status in (408, 425, 429) or status >= 500:
                rest_s = told_s(reply.headers.get("retry-after", ""), self.wall()) or 0.0
                self._again_at = trio.current_time() + min(rest_s, _LONGEST_REST_S)
                return NoKey(why=why)
        error = _error(reply.body) if 400 <= reply.status < 500 else None
        if error is None:
            return NoKey(why=why, odd=True)
        none_yet = reply.status in (400, 404) and method == "GET"
        return NoKey(why=f"{why}: {error}", refused=True, none_yet=none_yet)

    def _read(self, body: bytes) -> ApiKey | NoKey:
        try:
            told = object_of(body)
            parts = [told.get(name) for name in ("apiKey", "secret", "passphrase")]
            one, two, three = (part for part in parts if isinstance(part, str))
            return self.make_key(one, two, three)
        except ValueError:  # whatever it says may hold a part of a key
            return NoKey(why="no API key: an answer that cannot be read", odd=True)


def hidden(text: str, key: ApiKey) -> str:
    """Return a text of the venue without what it may repeat of a key."""
    for part in (key.api_key, key.secret, key.passphrase):
        text = text.replace(part, "***") if part else text
    return text


def _error(body: bytes) -> str | None:
    """Return why something is refused; None where that cannot be read."""
    try:
        return clean(object_of(body).get("error") or "")[:100] or None
    except ValueError:
        return None
