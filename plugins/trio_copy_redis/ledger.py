"""Entries, and the positions and performance that they add up to.

What a booking changes is worked out here and written in one step, if nothing was booked for the follower meanwhile; else
it is worked out again. The amounts are never added up in Lua, whose numbers are floats.
"""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from functools import partial

from attrs import define, evolve, field, frozen

from trio_copy.clock import utc_date
from trio_copy.model.budgets import Performance
from trio_copy.model.ids import Address, FollowerId, TokenId
from trio_copy.model.positions import EMPTY, Booking, EntryKind, LedgerEntry, Mark, Position, PositionKey, fold
from trio_copy.model.resolutions import Resolution
from trio_copy.ports import Closing, Freed, nothing_freed
from trio_copy.records import decode, encode, read_lots, write_lots
from trio_copy_redis.client import Words, load_script
from trio_copy_redis.desk import Desk, pairs
from trio_copy_redis.limits import SHARED_TOO, RedisLimits, position_name

_LOOK, _BOOK, _READ, _RESET_PEAK = (
    load_script("account", name) for name in ("look", "book", "read_positions", "reset_peak")
)
_KEPT = 10_000
_STALE_S = 600.0


@frozen
class _Books:
    """A follower's books as they were last seen: any booking makes them another version."""

    version: str
    performance: Performance


@define(eq=False)
class RedisLedger:
    desk: Desk
    limits: RedisLimits
    _known: OrderedDict[PositionKey, tuple[str, Position]] = field(factory=OrderedDict)
    """Positions as they were read or written last, with their versions."""
    _books: dict[FollowerId, _Books] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.desk.on_loss += (self._known.clear, self._books.clear)

    async def book(self, entry: LedgerEntry, freed: Freed = nothing_freed, closing: Closing | None = None) -> Booking:
        key, nonce = entry.position, self.desk.next_nonce()
        await self._note_open(key)
        history = entry.kind in (EntryKind.CONFIRM, EntryKind.REVERSE)
        books = None if history else self._books.get(entry.follower)
        before = self._known[key][1] if key in self._known else None
        closed = False
        while True:
            told: list[LedgerEntry] = []
            if books is None or before is None:
                known, books, before, told = await self._look(entry, nonce, history=history)
                if known is not None and (closing is None or closed):
                    return known
            after = fold([*told, entry]) if history else before.after(entry)
            booking = Booking.of(before, after)
            performance = books.performance
            if booking.realised:
                performance = performance.after(booking.realised, utc_date(entry.booked_at))
            grown = len(after.lots) - len(before.lots) == 1 and after.lots[:-1] == before.lots
            answer, settled = await self.desk.on_account(
                (entry.follower, entry.leader),
                _BOOK,
                *(
                    entry.key,
                    position_name(key),
                    books.version,
                    self._known.get(key, ("", EMPTY))[0],
                    encode(entry),
                    encode(booking),
                    nonce,
                ),
                *(encode(evolve(after, lots=())), after.shares.micro),
                *(("add", write_lots(after.lots[-1:])) if grown else ("set", write_lots(after.lots))),
                *(encode(performance) if booking.realised else "", "" if after.lots else "closed"),
                *(("", "", "", "", "") if closing is None else self._closing(closing)),
                *(word for one in freed(booking) for word in (one.counter, -one.amount.micro)),
                reads=entry.kind is EntryKind.MISSED,  # noted by whoever admits the signal
            )
            if closing is not None and settled == SHARED_TOO:
                await self.limits.settle_shared(closing.key, closing.spent.micro)
            closed = answer == "known"
            if answer in ("again", "known"):
                self._known.pop(key, None)
                books = None  # somebody else booked for this follower meanwhile
                continue
            self._books[entry.follower] = _Books(answer, performance)
            self._keep(key, answer, after)
            return booking

    def _closing(self, closing: Closing) -> tuple[Words, ...]:
        return (
            *(closing.key, closing.spent.micro, closing.state.value),
            *(encode(closing.report), self.desk.keep_ms),
        )

    async def _look(
        self, entry: LedgerEntry, nonce: str, *, history: bool
    ) -> tuple[Booking | None, "_Books", Position, list[LedgerEntry]]:
        """Read what a booking depends on; a booking when the entry has one."""
        key = entry.position
        version, position = self._known.get(key, ("", EMPTY))
        known, by, books, performance, current, record, lots, entries = await self.desk.look_at(
            self.desk.account(entry.follower), _LOOK, entry.key, position_name(key), version, "all" if history else ""
        )
        # Booked by this very call, whose answer was lost, is booked first.
        booking = evolve(decode(known, Booking), first=by == nonce) if known else None
        before = _whole(record, lots) if record else position if current else EMPTY
        self._keep(key, current, before)
        so_far = decode(performance, Performance) if performance else Performance()
        return booking, _Books(books, so_far), before, [decode(text, LedgerEntry) for text in entries]

    async def position(self, key: PositionKey) -> Position:
        follower = key[0]
        version, position = self._known.get(key, ("", EMPTY))
        account, name = self.desk.account(follower), position_name(key)
        current = await self.desk.ask(account, "HGET", f"position:{name}", "v")
        if (current or "") == version and key in self._known:
            return position
        if current is None:
            return self._keep(key, "", EMPTY)
        for _, read in await self._read([(follower, [name])]):
            return read
        return EMPTY

    async def positions(self) -> Mapping[PositionKey, Position]:
        followers = await self.desk.followers()
        return dict(await self._read([(follower, ()) for follower in followers]))

    async def open_positions(self) -> Mapping[PositionKey, Position]:
        return dict(await self._read_open())

    async def performance(self, follower: FollowerId) -> Performance:
        text = await self.desk.ask(self.desk.account(follower), "HGET", "books", "perf")
        return decode(text, Performance) if text else Performance()

    async def reset_peak(self, follower: FollowerId) -> None:
        account, changed = self.desk.account(follower), 0
        while not changed:  # somebody may book meanwhile
            text = await self.desk.ask(account, "HGET", "books", "perf") or ""
            performance = decode(text, Performance) if text else Performance()
            fresh = encode(evolve(performance, peak=performance.realised))
            changed = await self.desk.look_at(account, _RESET_PEAK, text, fresh)

    async def note_resolution(self, resolution: Resolution) -> None:
        await self.desk.ask(self.desk.common, "HSET", "resolutions", resolution.condition_id, encode(resolution))

    async def drop_resolution(self, condition_id: str) -> None:
        await self.desk.ask(self.desk.common, "HDEL", "resolutions", condition_id)

    async def resolutions(self, conditions: Collection[str]) -> Mapping[str, Resolution]:
        names = tuple(conditions)
        if not names:
            return {}
        found = await self.desk.ask(self.desk.common, "HMGET", "resolutions", *names)
        return {name: decode(text, Resolution) for name, text in zip(names, found, strict=True) if text}

    async def note_marks(self, marks: Mapping[PositionKey, Mark]) -> None:
        by_follower: dict[FollowerId, list[str]] = {}
        for key, mark in marks.items():
            by_follower.setdefault(key[0], []).extend((position_name(key), encode(mark)))
        await self.desk.client.all(
            [
                partial(self.desk.ask, self.desk.account(follower), "HSET", "marks", *words)
                for follower, words in by_follower.items()
            ]
        )

    async def marks(self) -> Mapping[PositionKey, Mark]:
        followers = list(
            dict.fromkeys([follower for shard in self.desk.held() for follower, _ in await self._noted(shard)])
        )
        answers = await self.desk.client.all(
            [partial(self.desk.ask, self.desk.account(follower), "HGETALL", "marks") for follower in followers]
        )
        return {
            _key_of(follower, name): decode(mark, Mark)
            for follower, flat in zip(followers, answers, strict=True)
            for name, mark in pairs(flat).items()
        }

    async def _note_open(self, key: PositionKey) -> None:
        """Let the shard know where to look for open positions, before there is one."""
        if self._known.get(key, ("", EMPTY))[0] == "":
            tag = self.desk.tag(self.desk.shard_of(key[1]))
            await self.desk.ask(tag, "ZADD", "positions", self.desk.now(), f"{key[0]}|{position_name(key)}")

    async def _read_open(self) -> list[tuple[PositionKey, Position]]:
        found = []
        for shard in self.desk.held():
            noted = await self._noted(shard)
            by_follower: dict[FollowerId, list[str]] = {}
            for follower, name in noted:
                by_follower.setdefault(follower, []).append(name)
            read = [one for one in await self._read(list(by_follower.items())) if one[1].lots]
            names = {(key[0], position_name(key)) for key, _ in read}
            old = self.desk.wall() - _STALE_S
            closed = [entry for entry, at in noted.items() if entry not in names and at < old]
            if closed:
                for follower, name in closed:
                    self._known.pop(_key_of(follower, name), None)  # so that it is noted when it opens again
                entries = (f"{follower}|{name}" for follower, name in closed)
                await self.desk.ask(self.desk.tag(shard), "ZREM", "positions", *entries)
            found += read
        return found

    async def _noted(self, shard: int) -> dict[tuple[FollowerId, str], float]:
        """Return where positions of a shard were opened, and when."""
        index = await self.desk.ask(self.desk.tag(shard), "ZRANGE", "positions", 0, -1, "WITHSCORES")
        noted = {}
        for entry, at in zip(index[::2], index[1::2], strict=True):
            follower, _, name = entry.partition("|")
            noted[FollowerId(follower), name] = float(at)
        return noted

    async def _read(self, wanted: list[tuple[FollowerId, list[str] | tuple[()]]]) -> list[tuple[PositionKey, Position]]:
        """Read positions of followers, those without names whole; what is known in its version is not sent again."""
        known = {
            key: self._known[key]
            for follower, names in wanted
            for name in names
            if (key := _key_of(follower, name)) in self._known
        }
        answers = await self.desk.client.all(
            [
                partial(
                    self.desk.look_at,
                    self.desk.account(follower),
                    _READ,
                    *(word for name in names for word in (name, known.get(_key_of(follower, name), ("",))[0])),
                )
                for follower, names in wanted
            ]
        )
        return [
            (key, self._keep(key, version, _whole(record, lots)) if record else known[key][1])
            for (follower, _), rows in zip(wanted, answers, strict=True)
            for name, version, record, lots in rows
            for key in [_key_of(follower, name)]
        ]

    def _keep(self, key: PositionKey, version: str, position: Position) -> Position:
        self._known[key] = (version, position)
        self._known.move_to_end(key)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return position


def _key_of(follower: FollowerId, name: str) -> PositionKey:
    leader, _, token = name.partition(":")
    return follower, Address(leader), TokenId(int(token))


def _whole(record: str, lots: str) -> Position:
    return evolve(decode(record, Position), lots=read_lots(lots))
