"""The accounts of each shard. A write is one script on one slot, which compares the token and the number first."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import msgspec
import trio
from attrs import define, field

from trio_copy.errors import StoreError
from trio_copy.model.ids import FollowerId, Hash32
from trio_copy.model.logs import Checkpoint
from trio_copy.ports import HEAD_KINDS, NOBODY, Changes, Document, Heads, Request
from trio_copy_redis.client import Client
from trio_copy_redis.documents import documents_of, heads_of, load_accounts, scan_heads
from trio_copy_redis.keys import ShardKeys, field_of, head_of
from trio_copy_redis.packing import pack
from trio_copy_redis.scripts import Words, load_script

_TAKE, _WRITE, _REQUESTS = (load_script("fence", name) for name in ("take", "write", "requests"))
_ASK = load_script("ask")
_MANY = 64


@define(eq=False)
class Taken:
    """A shard that was taken here."""

    token: int = -1
    epoch: str = ""
    """Numbers of writes begin anew with each taking, so that a Redis that went back to before the last one could have the
    right number by chance; but never its epoch."""
    accounts: set[FollowerId] = field(factory=set)
    """Those that Redis lists. While writes succeed under this epoch, it has forgotten none of them."""
    heads: defaultdict[FollowerId, dict[str, int]] = field(factory=lambda: defaultdict(dict))
    """Names of all documents of `HEAD_KINDS` that may be there, and which write put them last: noted before they are put,
    forgotten once they are gone."""

    number: int = 0
    """Of the last write that was begun."""
    retold: bytearray | None = None
    """While facts are let go, the digests of those that are told."""

    def note(self, follower: FollowerId, head: str, number: int) -> None:
        self.heads[follower][head] = number

    def forget(self, follower: FollowerId, head: str, number: int) -> None:
        """Note that a write took a document away, unless a later one is about to put it again."""
        names = self.heads.get(follower, {})
        if names.get(head, number) <= number:
            names.pop(head, None)
        if not names:
            self.heads.pop(follower, None)  # of idle accounts nothing is kept


@define(eq=False, kw_only=True)
class RedisAccounts:
    client: Client
    shards: Sequence[ShardKeys]
    many_told: trio.Event = field(factory=trio.Event)
    """Set when so many writes had facts that it is worth a look whether some shall go; replaced by whoever looks."""
    taken: dict[int, Taken] = field(factory=dict)
    _writes: int = 0

    async def take(self, shard: int, token: int) -> Heads:
        keys = self.shards[shard]
        touched = (keys.shard, keys.heads, keys.docs_of(NOBODY))
        epoch, checkpoint, flat, own = await self.client.run(_TAKE, keys.tag, touched, token, raw=True)
        heads = heads_of(flat)
        taken = Taken(token, epoch.decode())
        for one in heads:
            taken.note(one.follower, head_of(*one.key), 0)
        self.taken[shard] = taken
        return Heads(
            checkpoint=_read_checkpoint(checkpoint) if checkpoint else None,
            documents=(*heads, *documents_of(NOBODY, own)),
        )

    async def load(
        self, shard: int, token: int, followers: Collection[FollowerId]
    ) -> Mapping[FollowerId, Sequence[Document]]:
        keys, taken = self.shards[shard], self.taken.get(shard)
        if taken is not None and taken.token == token:
            heads = {name: list(taken.heads.get(name, ())) for name in followers}
        else:
            heads = {name: [] for name in followers}
            for one in await scan_heads(self.client, keys):
                if one.follower in heads:
                    heads[one.follower].append(head_of(*one.key))
        return await load_accounts(self.client, keys, token, heads)

    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        keys, taken = self.shards[shard], self.taken.get(shard)
        if taken is None or taken.token != token:
            taken = Taken()
        puts: dict[str, list[Words]] = {}
        gone: dict[str, list[Words]] = {}
        opened, closed = list[Words](), list[str]()
        for one in changes.puts:
            if one.kind in HEAD_KINDS:
                head = head_of(one.follower, one.kind, one.name)
                taken.note(one.follower, head, number)
                opened += (head, one.body)
            else:
                puts.setdefault(keys.docs_of(one.follower), []).extend((field_of(one.kind, one.name), one.body))
        for follower, kind, name in changes.deletes:
            if kind in HEAD_KINDS:
                closed.append(head_of(follower, kind, name))
            else:
                gone.setdefault(keys.docs_of(follower), []).append(field_of(kind, name))
        unlisted = {one.follower for one in changes.puts} - taken.accounts
        touched, facts, count = [keys.shard, keys.accounts, keys.heads], list[Words](), 0
        if changes.facts:
            packed = pack(changes.facts)
            count = packed.count
            if taken.retold is not None:
                taken.retold += packed.digests
            touched += keys.facts, keys.ids, keys.rest
            facts += repr(packed.newest), packed.columns, packed.digests, packed.ids, packed.rest
        if changes.answers:
            touched += keys.requests, keys.asked, *map(keys.answer, changes.answers)
        touched += puts | gone
        words: list[Words] = [token, number, taken.epoch, _write_checkpoint(checkpoint)]
        words += (count, len(changes.answers), len(unlisted), len(opened), len(closed))
        words += facts
        for answer in changes.answers.items():
            words += answer
        words += unlisted
        words += opened
        words += closed
        for where in puts | gone:
            put, dropped = puts.get(where, ()), gone.get(where, ())
            words += (len(put), len(dropped))
            words += put
            words += dropped
        taken.number = number
        if changes.facts:
            self._writes += 1
            if self._writes % _MANY == 0:
                self.many_told.set()
        if not await self.client.run(_WRITE, keys.tag, touched, *words):
            return  # it had come before: with the same changes, but nobody checks that
        taken.accounts |= unlisted
        for follower, kind, name in changes.deletes:
            if kind in HEAD_KINDS:
                taken.forget(follower, head_of(follower, kind, name), number)

    async def ask(self, shard: int, request: Request) -> None:
        keys = self.shards[shard]
        packed = msgspec.msgpack.encode((request.kind, request.body, request.at))
        touched = (keys.requests, keys.asked, keys.answer(request.name))
        await self.client.run(_ASK, keys.tag, touched, request.name, packed, repr(request.at))

    async def requests(self, shard: int, token: int) -> Sequence[Request]:
        keys = self.shards[shard]
        touched = (keys.shard, keys.requests, keys.asked)
        names, packed = await self.client.run(_REQUESTS, keys.tag, touched, token, raw=True)
        found = (_read_request(name, one) for name, one in zip(names, packed, strict=True) if one is not None)
        return [request for request in found if request is not None]

    async def answer(self, shard: int, name: str) -> str | None:
        keys = self.shards[shard]
        found: str | None = await self.client.call(keys.tag, "GET", keys.answer(name))
        return found


def _write_checkpoint(checkpoint: Checkpoint | None) -> str:
    return "" if checkpoint is None else f"{checkpoint.number}|{checkpoint.hash}|{checkpoint.armed_at}"


def _read_checkpoint(text: bytes) -> Checkpoint:
    try:
        number, hash_, armed_at = text.decode().split("|")
        return Checkpoint(number=int(number), hash=Hash32(hash_), armed_at=int(armed_at))
    except ValueError as error:
        raise StoreError(f"expected a stored checkpoint, was {text[:80]!r}") from error


def _read_request(name: bytes, packed: bytes) -> Request | None:
    """Read a request; None where its name is no text: answered under another one, it would be asked for ever."""
    try:
        named = name.decode()
    except UnicodeDecodeError:
        return None
    try:
        kind, body, at = msgspec.msgpack.decode(packed, type=tuple[str, str, float])
    except msgspec.DecodeError:
        # Its owner refuses it, and so lets it go; as an error here, it would end one owner after the other.
        kind, body, at = "unreadable", packed[:80].decode(errors="replace"), 0.0
    return Request(name=named, kind=kind, body=body, at=at)
