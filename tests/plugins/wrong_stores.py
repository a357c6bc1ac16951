"""Stores that break one promise each. The suite has to catch them all: else it would let yours through as well."""

from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
from attrs import evolve, fields

from tests.plugins.stores import open_memory, open_sqlite
from trio_copy.errors import StoreError
from trio_copy.model.control import Heard, Instance, Lease
from trio_copy.model.facts import Amounts, Fact, FactQuery, Sums
from trio_copy.model.ids import FollowerId
from trio_copy.model.logs import Checkpoint
from trio_copy.ports import Changes, Document, Heads, Request, Store
from trio_copy.testing.conformance import StoreForTest, StoreTerms
from trio_copy.testing.conformance.terms import SHARDS
from trio_copy_memory import MemoryStore
from trio_copy_memory.accounts import MemoryAccounts
from trio_copy_memory.control import MemoryControl
from trio_copy_memory.data import Budget
from trio_copy_memory.history import MemoryHistory
from trio_copy_sqlite import SqliteStore
from trio_copy_sqlite.accounts import SqliteAccounts


class IgnoresNumbers(MemoryAccounts):
    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        await super().write(shard, token, self.data.shard(shard).number + 1, changes, checkpoint)


class TakesRepetitionsAsLosses(MemoryAccounts):
    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        repeated = self.data.shard(shard).number == number
        await super().write(shard, token, number + repeated * 2, changes, checkpoint)


class TakesWithoutFencing(MemoryAccounts):
    async def take(self, shard: int, token: int) -> Heads:
        taken = self.data.shard(shard)
        taken.token = min(token, taken.token) or token
        taken.number = 0
        return Heads(checkpoint=taken.checkpoint, documents=tuple(taken.heads.values()))


class CountsOn(MemoryAccounts):
    """Taken again with the same token, it does not begin to count anew."""

    async def take(self, shard: int, token: int) -> Heads:
        before = self.data.shard(shard)
        number = before.number if before.token == token else 0
        heads = await super().take(shard, token)
        before.number = number
        return heads


class WritesInPieces(MemoryAccounts):
    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        await super().write(shard, token, number, evolve(changes, facts=()), checkpoint)
        self.data.shard(shard).number -= 1
        await trio.lowlevel.checkpoint()
        await super().write(shard, token, number, changes, checkpoint)


class PutsOneByOne(MemoryAccounts):
    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        await super().write(shard, token, number, evolve(changes, puts=changes.puts[:1]), checkpoint)
        await trio.lowlevel.checkpoint()
        for document in changes.puts:
            self.data.shard(shard).put(document)


class ChecksThenWrites(MemoryAccounts):
    """Between looking at the token and writing somebody else may take the shard."""

    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        await self.requests(shard, token)
        await trio.lowlevel.checkpoint()
        newest = max(token, self.data.shard(shard).token)
        await super().write(shard, newest, self.data.shard(shard).number + 1, changes, checkpoint)


class WritesBeforeItRefuses(MemoryAccounts):
    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        try:
            await super().write(shard, token, number, changes, checkpoint)
        except StoreError:
            self.data.facts.update({fact.key: fact for fact in changes.facts})
            raise


class ForgetsCheckpoints(MemoryAccounts):
    """A write without one clears it."""

    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        await super().write(shard, token, number, changes, checkpoint)
        self.data.shard(shard).checkpoint = checkpoint


class NeverGoesBack(MemoryAccounts):
    """It takes the higher checkpoint for the newer one."""

    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        before = self.data.shard(shard).checkpoint
        lower = before is not None and checkpoint is not None and checkpoint.number < before.number
        await super().write(shard, token, number, changes, None if lower else checkpoint)


class KeepsFactsTwice(MemoryAccounts):
    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        for fact in changes.facts:
            known = self.data.facts.pop(fact.key, None)
            if known is not None:
                self.data.facts[f"{fact.key} of {number}"] = known
        await super().write(shard, token, number, changes, checkpoint)


class ReadsTextOnly(MemoryAccounts):
    async def load(
        self, shard: int, token: int, followers: Collection[FollowerId]
    ) -> Mapping[FollowerId, Sequence[Document]]:
        found = await super().load(shard, token, followers)
        return {
            name: [one._replace(body=one.body.decode(errors="replace").encode()) for one in documents]
            for name, documents in found.items()
        }


class OpensAnsweredRequestsAgain(MemoryAccounts):
    async def ask(self, shard: int, request: Request) -> None:
        self.data.shard(shard).requests[request.name] = request


class DrawsOverTheLimit(MemoryControl):
    async def draw(self, budget: str, shard: int, total: int, limit: int) -> int:
        drawn = self.data.budgets.setdefault(budget, Budget(self.wall()))
        others = sum(drawn.has.values()) - drawn.has.get(shard, 0)
        await trio.lowlevel.checkpoint()
        drawn.has[shard] = max(min(total, limit - others), 0)
        return drawn.has[shard]


class TakesBackWhatWasDrawn(MemoryControl):
    async def draw(self, budget: str, shard: int, total: int, limit: int) -> int:
        has = await super().draw(budget, shard, total, limit)
        self.data.budgets[budget].has[shard] = min(total, has)
        return min(total, has)


class LetsSpendWhatOthersHave(MemoryControl):
    async def draw(self, budget: str, shard: int, total: int, limit: int) -> int:
        await super().draw(budget, shard, total, limit)
        return self.data.budgets[budget].has[shard]


class KnowsEverybody(MemoryControl):
    async def beat(self, instance: Instance) -> Heard:
        return evolve(await super().beat(instance), new=False)


class KeepsTokens(MemoryControl):
    async def acquire(self, name: str, owner: str, lease_s: float) -> Lease | None:
        lease = await super().acquire(name, owner, lease_s)
        return None if lease is None else evolve(lease, token=1)


class ForgetsDraining(MemoryControl):
    async def beat(self, instance: Instance) -> Heard:
        heard = await super().beat(instance)
        self.data.drained.discard(instance.instance)
        return heard


class CountsInDoubles(MemoryHistory):
    async def sums(self, query: FactQuery, by: Sequence[str]) -> Sums:
        sums = await super().sums(query, by)
        return {key: tuple(int(float(amount)) for amount in amounts) for key, amounts in sums.items()}  # type: ignore[misc]  # as many as there were


class SumsTheLimit(MemoryHistory):
    async def sums(self, query: FactQuery, by: Sequence[str]) -> Sums:
        newest = {fact.key for fact in await self.facts(query)}
        return await MemoryHistory(
            evolve(self.data, facts={k: f for k, f in self.data.facts.items() if k in newest})
        ).sums(query, by)


class TellsTheOldestFirst(MemoryHistory):
    async def facts(self, query: FactQuery) -> Sequence[Fact]:
        return (await super().facts(evolve(query, limit=10**9)))[::-1][: query.limit]


class ForgetsSums(MemoryHistory):
    """What facts that were let go add up to is gone with them."""

    def _totals(self, query: FactQuery) -> Iterator[tuple[dict[str, str], Amounts]]:
        return iter(())


class FindsAnywhere(MemoryHistory):
    """It looks for ids that hold a text, not for those that start with it."""

    async def story(self, prefix: str) -> tuple[Sequence[Fact], Sequence[Document]]:
        _, documents = await super().story(prefix)
        return [one for one in self.data.facts.values() if prefix in one.task_id + one.signal_id], documents


class ListsInPieces(MemoryHistory):
    async def documents(self, kind: str, follower: FollowerId | None = None) -> Sequence[Document]:
        found = list(await super().documents(kind, follower))
        await trio.lowlevel.checkpoint()
        half = len(found) // 2
        return sorted((*found[:half], *(await super().documents(kind, follower))[half:]))


_WRONG: dict[str, Any] = {
    "accounts": MemoryAccounts,
    "control": MemoryControl,
    "history": MemoryHistory,
}
MUTANTS: tuple[type, ...] = (
    IgnoresNumbers,
    TakesRepetitionsAsLosses,
    TakesWithoutFencing,
    CountsOn,
    WritesInPieces,
    PutsOneByOne,
    ChecksThenWrites,
    WritesBeforeItRefuses,
    ForgetsCheckpoints,
    NeverGoesBack,
    KeepsFactsTwice,
    ReadsTextOnly,
    OpensAnsweredRequestsAgain,
    DrawsOverTheLimit,
    TakesBackWhatWasDrawn,
    LetsSpendWhatOthersHave,
    KeepsTokens,
    ForgetsDraining,
    KnowsEverybody,
    CountsInDoubles,
    SumsTheLimit,
    TellsTheOldestFirst,
    FindsAnywhere,
    ForgetsSums,
    ListsInPieces,
)


@asynccontextmanager
async def _open_wrong(mutant: type, terms: StoreTerms) -> AsyncGenerator[Store, None]:
    async with open_memory(terms) as store:
        assert isinstance(store, MemoryStore)
        (part,) = (name for name, of in _WRONG.items() if issubclass(mutant, of))
        right = getattr(store, part)
        wrong = mutant(**{field.name: getattr(right, field.name) for field in fields(type(right))})
        yield evolve(store, **{part: wrong})


def wrong_store(mutant: type) -> StoreForTest:
    """Return a memory store with a wrong part."""
    return StoreForTest(open=partial(_open_wrong, mutant), shared=True)


class AnswersEarly(SqliteAccounts):
    """A write is in the file only when the next two have come."""

    waiting: list[tuple[int, int, int, Changes, Checkpoint | None]]

    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        self.waiting.append((shard, token, number, changes, checkpoint))
        if len(self.waiting) > 2 * SHARDS:
            await super().write(*self.waiting.pop(0))
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def open_early(terms: StoreTerms) -> AsyncGenerator[Store, None]:
    async with open_sqlite(terms) as store:
        assert isinstance(store, SqliteStore)
        early = AnswersEarly(store.accounts.writer, store.accounts.wall, store.accounts.statements)
        early.waiting = []
        yield evolve(store, accounts=early)
