"""Entries, and the positions and performance that they add up to.

What a booking changes is worked out here and written in one step, if nothing was booked for the follower meanwhile; else
it is worked out again. The amounts are never added up in Lua, whose numbers are floats.
"""

from collections import OrderedDict
from collections.abc import Collection, Mapping
from functools import partial

from attrs import define, evolve, field

from trio_copy.clock import utc_date
from trio_copy.model.budgets import Performance
from trio_copy.model.ids import Address, FollowerId, TokenId
from trio_copy.model.positions import EMPTY, Booking, EntryKind, LedgerEntry, Mark, Position, PositionKey, fold
from trio_copy.model.resolutions import Resolution
from trio_copy.ports import Freed, nothing_freed
from trio_copy.records import decode, encode, read_lots, write_lots
from trio_copy_redis.client import load_script
from trio_copy_redis.desk import Desk
from trio_copy_redis.limits import position_name

_LOOK, _BOOK, _READ = (load_script("account", name) for name in ("look", "book", "read_positions"))
_KEPT = 10_000
_STALE_S = 600.0


@define(eq=False)
class RedisLedger:
    desk: Desk
    _known: OrderedDict[PositionKey, tuple[str, Position]] = field(factory=OrderedDict)
    """Positions as they were read or written last, with their versions."""

    async def book(self, entry: LedgerEntry, freed: Freed = nothing_freed) -> Booking:
        key, nonce = entry.position, self.desk.next_nonce()
        await self._note_open(key)
        while True:
            version, position = self._known.get(key, ("", EMPTY))
            history = "all" if entry.kind in (EntryKind.CONFIRM, EntryKind.REVERSE) else ""
            follow = (entry.follower, entry.leader)
            known, by, books, performance, current, record, lots, entries = await self.desk.look_at(
                self.desk.account(entry.follower), _LOOK, entry.key, position_name(key), version, history
            )
            if known:
                # Booked by this very call, whose answer was lost, is booked first.
                return evolve(decode(known, Booking), first=by == nonce)
            before = _whole(record, lots) if record else position if current else EMPTY
            told = [*(decode(text, LedgerEntry) for text in entries), entry]
            after = fold(told) if history else before.after(entry)
            booking = Booking.of(before, after)
            grown = len(after.lots) - len(before.lots) == 1 and after.lots[:-1] == before.lots
            earned = ""
            if booking.realised:
                so_far = decode(performance, Performance) if performance else Performance()
                earned = encode(so_far.after(booking.realised, utc_date(entry.booked_at)))
            answer = await self.desk.on_account(
                follow,
                _BOOK,
                *(entry.key, position_name(key), books, encode(entry), encode(booking), nonce),
                *(encode(evolve(after, lots=())), after.shares.micro),
                *(("add", write_lots(after.lots[-1:])) if grown else ("set", write_lots(after.lots))),
                *(earned, "" if after.lots else "closed"),
                *(word for one in freed(booking) for word in (one.counter, -one.amount.micro)),
            )
            if answer not in ("again", "known"):
                self._keep(key, answer, after)
                return booking

    async def position(self, key: PositionKey) -> Position:
        follower = key[0]
        version, position = self._known.get(key, ("", EMPTY))
        account, name = self.desk.account(follower), position_name(key)
        current = await self.desk.ask(account, "HGET", f"position:{name}", "v")
        if current is None:
            return EMPTY
        if current == version:
            return position
        for found in await self.desk.look_at(account, _READ, name):
            return self._keep(key, found[1], _whole(found[2], found[3]))
        return EMPTY

    async def positions(self) -> Mapping[PositionKey, Position]:
        followers = await self.desk.followers()
        return {key: position for key, position, _ in await self._read([(follower, ()) for follower in followers])}

    async def open_positions(self) -> Mapping[PositionKey, Position]:
        return {key: position for key, position, _ in await self._read_open()}

    async def performance(self, follower: FollowerId) -> Performance:
        text = await self.desk.ask(self.desk.account(follower), "HGET", "books", "perf")
        return decode(text, Performance) if text else Performance()

    async def reset_peak(self, follower: FollowerId) -> None:
        performance = await self.performance(follower)
        text = encode(evolve(performance, peak=performance.realised))
        await self.desk.ask(self.desk.account(follower), "HSET", "books", "perf", text)

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
        return {key: decode(mark, Mark) for key, _, mark in await self._read_open() if mark}

    async def _note_open(self, key: PositionKey) -> None:
        """Let the shard know where to look for open positions, before there is one."""
        if key not in self._known:
            tag = self.desk.tag(self.desk.shard_of(key[1]))
            await self.desk.ask(tag, "ZADD", "positions", self.desk.now(), f"{key[0]}|{position_name(key)}")

    async def _read_open(self) -> list[tuple[PositionKey, Position, str]]:
        found = []
        for shard in self.desk.held():
            tag = self.desk.tag(shard)
            index = await self.desk.ask(tag, "ZRANGE", "positions", 0, -1, "WITHSCORES")
            by_follower: dict[FollowerId, list[str]] = {}
            for entry in index[::2]:
                follower, _, name = entry.partition("|")
                by_follower.setdefault(FollowerId(follower), []).append(name)
            read = [one for one in await self._read(list(by_follower.items())) if one[1].lots]
            names = {f"{key[0]}|{position_name(key)}" for key, _, _ in read}
            old = self.desk.wall() - _STALE_S
            closed = [
                entry
                for entry, at in zip(index[::2], index[1::2], strict=True)
                if entry not in names and float(at) < old
            ]
            if closed:
                for entry in closed:
                    follower, _, name = entry.partition("|")
                    self._known.pop(
                        _key_of(FollowerId(follower), name), None
                    )  # so that it is noted when it opens again
                await self.desk.ask(tag, "ZREM", "positions", *closed)
            found += read
        return found

    async def _read(
        self, wanted: list[tuple[FollowerId, list[str] | tuple[()]]]
    ) -> list[tuple[PositionKey, Position, str]]:
        answers = await self.desk.client.all(
            [partial(self.desk.look_at, self.desk.account(follower), _READ, *names) for follower, names in wanted]
        )
        return [
            (_key_of(follower, name), _whole(record, lots), mark)
            for (follower, _), rows in zip(wanted, answers, strict=True)
            for name, _, record, lots, mark in rows
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
