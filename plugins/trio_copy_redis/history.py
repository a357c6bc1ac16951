"""What was written, for people who ask: read backwards, in pieces, until there is enough."""

from collections.abc import Sequence
from functools import partial

from attrs import define, frozen

from trio_copy.model.facts import Fact, FactQuery, Sums
from trio_copy.model.ids import FollowerId
from trio_copy.ports import HEAD_KINDS, Document
from trio_copy_redis.client import Client
from trio_copy_redis.documents import list_accounts, of_kind, scan_heads
from trio_copy_redis.keys import ShardKeys
from trio_copy_redis.packing import Rows, read_digests, read_rest, sought, write_digest
from trio_copy_redis.sums import AddedUp, wanted

_FIRST_PIECE, _LARGEST_PIECE, _PIECE_BYTES = 16, 1024, 400_000
_TOLD = 100
"""Facts and documents of a story."""


@frozen
class _Found:
    """A fact that was asked for, and where the rest of it is."""

    at: float
    shard: int
    entry: bytes
    number: int
    rows: Rows

    @property
    def rank(self) -> tuple[float, int, bytes, int]:
        """The newest first; of those of one moment, always in the same order."""
        return (-self.at, self.shard, self.entry, self.number)


@define(eq=False)
class _Backwards:
    """Reads a stream of a shard from its end; pieces are about as large as a server sends without keeping others waiting."""

    client: Client
    tag: str
    stream: str
    _below: bytes | str = "+"
    _piece: int = _FIRST_PIECE

    async def next(self) -> list[tuple[bytes, list[bytes]]]:
        """Return names and values of some more entries; none at the end."""
        entries = await self.client.call(
            self.tag, "XREVRANGE", self.stream, self._below, "-", "COUNT", self._piece, raw=True
        )
        if entries:
            self._below = b"(" + entries[-1][0]
            size = sum(len(value) for _, fields in entries for value in fields)
            self._piece = min(_LARGEST_PIECE, 2 * self._piece, 1 + _PIECE_BYTES * len(entries) // (size + 1))
        return [(name, fields[1::2]) for name, fields in entries]


@define(eq=False)
class RedisHistory:
    client: Client
    shards: Sequence[ShardKeys]

    async def facts(self, query: FactQuery) -> Sequence[Fact]:
        best: list[_Found] = []
        bound = query.since
        """Facts before this moment are not among those that are told."""
        for shard, keys in enumerate(self.shards):
            log, seen, more = _Backwards(self.client, keys.tag, keys.facts), set[int](), query.limit > 0
            while more and (entries := await log.next()):
                for entry, (columns, digests, top) in entries:
                    rows = Rows(columns)
                    wanted = _fresh(rows, digests, seen, query)
                    best += [_Found(rows.at[number], shard, entry, number, rows) for number in wanted]
                    if len(best) >= (query.limit if bound == query.since else 2 * query.limit):
                        best = _newest(best, query.limit)
                        bound = best[-1].at
                    # No fact that was written before is newer than the top of this entry.
                    if bound is not None and float(top) < bound:
                        more = False
                        break
        return await self._whole(_newest(best, query.limit))

    async def sums(self, query: FactQuery, by: Sequence[str]) -> Sums:
        sums = AddedUp(by)
        for keys in self.shards:
            while True:
                let_go, mine = await self._let_go(keys), AddedUp(by)
                await self._add_log(mine, keys, query)
                await self._add_totals(mine, keys, query)
                if await self._let_go(keys) == let_go:
                    break  # else some may count twice, as facts and in totals
            sums.merge(mine)
        return sums.told()

    async def _add_log(self, sums: AddedUp, keys: ShardKeys, query: FactQuery) -> None:
        log, seen = _Backwards(self.client, keys.tag, keys.facts), set[int]()
        while entries := await log.next():
            for _, (columns, digests, top) in entries:
                rows = Rows(columns)
                sums.add(rows, _fresh(rows, digests, seen, query))
                if query.since is not None and float(top) < query.since:
                    return

    async def _add_totals(self, sums: AddedUp, keys: ShardKeys, query: FactQuery) -> None:
        days = [name for name in await self.client.call(keys.tag, "HKEYS", keys.totals) if name]
        for at in range(0, len(days), _FIRST_PIECE):
            some = days[at : at + _FIRST_PIECE]
            for packed in await self.client.call(keys.tag, "HMGET", keys.totals, *some, raw=True):
                rows = Rows(packed)
                sums.add(rows, wanted(rows, len(rows.at), query))

    async def _let_go(self, keys: ShardKeys) -> str | None:
        """Return up to where facts were let go."""
        first: str | None = await self.client.call(keys.tag, "HGET", keys.totals, "")
        return first

    async def story(self, prefix: str) -> tuple[Sequence[Fact], Sequence[Document]]:
        found: list[Fact] = []
        documents: list[Document] = []
        for keys in self.shards:
            heads = await scan_heads(self.client, keys)
            documents += [one for one in heads if any(part.startswith(prefix) for part in one.name.split("/"))]
            found += await self._told_of(keys, prefix, _TOLD - len(found))
        return sorted(found, key=_when), sorted(documents, key=_key)[:_TOLD]

    async def documents(self, kind: str, follower: FollowerId | None = None) -> Sequence[Document]:
        found: list[Document] = []
        for keys in self.shards:
            if kind in HEAD_KINDS:
                heads = await scan_heads(self.client, keys)
                found += [one for one in heads if one.kind == kind and follower in (None, one.follower)]
                continue
            accounts = [follower] if follower is not None else await list_accounts(self.client, keys)
            for some in await self.client.all([partial(of_kind, self.client, keys, name, kind) for name in accounts]):
                found += some
        return sorted(found, key=_key)

    async def _told_of(self, keys: ShardKeys, prefix: str, limit: int) -> list[Fact]:
        """Find the facts of a shard with an id that begins like this."""
        found: list[Fact] = []
        log, passed, mark = _Backwards(self.client, keys.tag, keys.ids), bytearray(), sought(prefix)
        while len(found) < limit and (entries := await log.next()):
            for entry, (ids, digests) in entries:
                if mark in ids:
                    found += await self._told_in(keys, entry, prefix, passed)
                passed += digests
        return found[:limit]

    async def _told_in(self, keys: ShardKeys, entry: bytes, prefix: str, passed: bytearray) -> list[Fact]:
        """Return the facts of one entry with such an id, but for those whose key was written again later."""
        columns, packed = await self._entry(keys.tag, keys.facts, entry), await self._entry(keys.tag, keys.rest, entry)
        if columns is None or packed is None:
            return []
        rows, rest, digests = Rows(columns[0]), read_rest(packed[0]), read_digests(columns[1])
        return [
            rows.fact(number, rest)
            for number, digest in enumerate(digests)
            if rest.begins(number, prefix) and write_digest(digest) not in passed
        ]

    async def _entry(self, tag: str, stream: str, entry: bytes) -> list[bytes] | None:
        """Read the values of one entry; None when it was let go since."""
        found = await self.client.call(tag, "XRANGE", stream, entry, entry, raw=True)
        return list(found[0][1][1::2]) if found else None

    async def _whole(self, found: Sequence[_Found]) -> list[Fact]:
        """Read the rest of facts, of each entry once and a few at a time: it holds others that nobody asked for."""
        wanted: dict[tuple[int, bytes], list[int]] = {}
        for place, one in enumerate(found):
            wanted.setdefault((one.shard, one.entry), []).append(place)
        facts: dict[int, Fact] = {}
        entries = list(wanted)
        for at in range(0, len(entries), _FIRST_PIECE):
            some = entries[at : at + _FIRST_PIECE]
            answers = await self.client.all(
                [partial(self._entry, self.shards[shard].tag, self.shards[shard].rest, entry) for shard, entry in some]
            )
            for name, answer in zip(some, answers, strict=True):
                if answer is not None:
                    rest = read_rest(answer[0])
                    facts |= {place: found[place].rows.fact(found[place].number, rest) for place in wanted[name]}
        return [facts[place] for place in sorted(facts)]


def _rank(one: _Found) -> tuple[float, int, bytes, int]:
    return one.rank


def _when(fact: Fact) -> tuple[float, str]:
    return (-fact.at, fact.key)


def _key(one: Document) -> tuple[str, str, str]:
    return one.key


def _newest(found: list[_Found], limit: int) -> list[_Found]:
    return sorted(found, key=_rank)[:limit]


def _fresh(rows: Rows, digests: bytes, seen: set[int], query: FactQuery) -> Sequence[int]:
    """Return which facts of an entry are wanted, and were not written again later; remembers them all."""
    known = read_digests(digests)
    overwritten = not seen.isdisjoint(known)
    numbers = wanted(rows, len(known), query)
    if overwritten:
        numbers = [number for number in numbers if known[number] not in seen]
    seen.update(known)
    return numbers
