"""Letting facts go: those that are too old, or too many. What they add up to is kept, by kind, follower, leader and day.

The owner of a shard does it beside its writes, many facts in one step: it reads the oldest, leaves out what was told again
later, also by itself meanwhile, and puts the totals in the step that deletes. The step is refused when something was written
that it does not know of; then it is tried again another time.
"""

from collections.abc import Sequence
from contextlib import suppress

import trio
from attrs import define, field, frozen

from trio_copy.errors import LeaseLost, StoreError
from trio_copy.model.facts import AMOUNTS
from trio_copy_redis.accounts import RedisAccounts, Taken
from trio_copy_redis.client import Client
from trio_copy_redis.keys import ShardKeys
from trio_copy_redis.packing import Rows, TotalKey, pack_totals, read_digests
from trio_copy_redis.scripts import Words, load_script

_LET_GO = load_script("fence", "let_go")
_SPARE = 32
"""Facts go when a part in so many is too many or too old: each time, the names of all that stay are looked through."""
_MOST = 512
"""Entries that go in one step, some 50,000 facts."""
_PIECE = 64
_DAY_S = 86_400
_WIDTH = len(AMOUNTS)


@frozen
class _Entry:
    id: bytes
    """When it was written, in milliseconds, and how many facts were told with it and before."""
    values: Sequence[bytes]

    @property
    def ms(self) -> int:
        return int(self.id.partition(b"-")[0])

    @property
    def told(self) -> int:
        return int(self.id.partition(b"-")[2])


@frozen
class _Bounds:
    """What is written before a moment, or told before so many others, goes."""

    ms: float
    told: float

    def let_go(self, entry: _Entry) -> bool:
        return entry.ms < self.ms or entry.told <= self.told


@define(eq=False)
class _Going:
    """What facts that go leave behind."""

    first: _Entry | None = None
    last: _Entry | None = None
    count: int = 0
    """Of entries."""
    _amounts: dict[int, tuple[int, TotalKey, list[int]]] = field(factory=dict)
    """By the digest of each that changed an amount: its day, its words and its amounts."""

    def add(self, entry: _Entry) -> None:
        self.first, self.last, self.count = self.first or entry, entry, self.count + 1
        rows, digests = Rows(entry.values[0]), read_digests(entry.values[1])
        self.tell_again(digests)
        for number, digest in enumerate(digests):
            amounts = rows.amounts[number * _WIDTH : (number + 1) * _WIDTH]
            if any(amounts):
                self._amounts[digest] = (int(rows.at[number] // _DAY_S), rows.total_key(number), amounts)

    def tell_again(self, digests: Sequence[int]) -> None:
        """Leave out what is told again later: it counts there."""
        for digest in self._amounts.keys() & digests:
            del self._amounts[digest]

    def totals(self) -> dict[int, dict[TotalKey, list[int]]]:
        """Add up what is left, by day."""
        totals: dict[int, dict[TotalKey, list[int]]] = {}
        for day, key, amounts in self._amounts.values():
            _add(totals.setdefault(day, {}), key, amounts)
        return totals


@define(eq=False, kw_only=True)
class Retention:
    client: Client
    accounts: RedisAccounts
    shards: Sequence[ShardKeys]
    keep_s: float
    facts_max: int
    """How long facts are kept, and how many of each shard."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look whenever much was told, until cancelled. Trouble with Redis is told by whoever needs an answer."""
        task_status.started()
        while True:
            await self.accounts.many_told.wait()
            self.accounts.many_told = trio.Event()
            with suppress(StoreError):
                await self.look()

    async def look(self) -> None:
        """Let go of what is too old or too many in the shards that were taken here. Raises what a write raises."""
        lost = None
        for shard, taken in tuple(self.accounts.taken.items()):
            try:
                while await self._let_go(self.shards[shard], taken):
                    pass
            except LeaseLost as error:
                lost = error  # whoever has it now does it there; ours do not wait for that
        if lost is not None:
            raise lost

    async def _let_go(self, keys: ShardKeys, taken: Taken) -> bool:
        """Let the oldest go; returns whether there may be more."""
        first = await self._read(keys, keys.ids, None, 1)
        told = int(await self.client.call(keys.tag, "HGET", keys.shard, "facts") or 0)
        seconds, micros = await self.client.call(keys.tag, "TIME")
        now, spare = int(seconds) + int(micros) / 1e6, 1 + 1 / _SPARE
        if not first or not self._bounds(now, told, spare).let_go(first[0]):
            return False
        taken.retold = bytearray()
        try:
            going = await self._read_old(keys, self._bounds(now, told, 1))
            if going.last is None:
                return False  # somebody else has the shard, and was there before
            after = going.last
            while some := await self._read(keys, keys.ids, after, _PIECE):
                for entry in some:
                    going.tell_again(read_digests(entry.values[1]))
                after = some[-1]
            return await self._delete(keys, taken, going) and going.count == _MOST
        finally:
            taken.retold = None

    def _bounds(self, now: float, told: int, spare: float) -> _Bounds:
        return _Bounds(1000 * (now - self.keep_s * spare), told - self.facts_max * spare)

    async def _read_old(self, keys: ShardKeys, bounds: _Bounds) -> _Going:
        going = _Going()
        while some := await self._read(keys, keys.facts, going.last, _PIECE):
            for entry in some:
                if going.count == _MOST or not bounds.let_go(entry):
                    return going
                going.add(entry)
        return going

    async def _delete(self, keys: ShardKeys, taken: Taken, going: _Going) -> bool:
        """Delete what goes, and put what it adds up to; returns whether it was done."""
        assert going.first is not None
        assert going.last is not None
        days = list(going.totals())
        known = await self.client.call(keys.tag, "HMGET", keys.totals, *days, raw=True) if days else []
        # From here to the call nothing waits: what is written after these lines is carried out after it, or the call finds out.
        going.tell_again(read_digests(bytes(taken.retold or b"")))
        totals = going.totals()
        words: list[Words] = [taken.token, taken.number, going.first.id, f"{going.last.ms}-{going.last.told + 1}"]
        for day, packed in zip(days, known, strict=True):
            of_day = totals.get(day, {})
            if packed is not None:
                rows = Rows(packed)
                for number in range(len(rows.at)):
                    _add(of_day, rows.total_key(number), rows.amounts[number * _WIDTH : (number + 1) * _WIDTH])
            words += (day, pack_totals(day, of_day))
        touched = (keys.shard, keys.facts, keys.ids, keys.rest, keys.totals)
        return bool(await self.client.run(_LET_GO, keys.tag, touched, *words))

    async def _read(self, keys: ShardKeys, stream: str, after: _Entry | None, count: int) -> list[_Entry]:
        above = b"-" if after is None else b"(" + after.id
        found = await self.client.call(keys.tag, "XRANGE", stream, above, "+", "COUNT", count, raw=True)
        return [_Entry(name, fields[1::2]) for name, fields in found]


def _add(totals: dict[TotalKey, list[int]], key: TotalKey, amounts: Sequence[int]) -> None:
    before = totals.get(key)
    totals[key] = list(amounts) if before is None else [one + two for one, two in zip(before, amounts, strict=True)]
