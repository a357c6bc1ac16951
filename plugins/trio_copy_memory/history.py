"""What this process remembers of what was written."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from attrs import define

from trio_copy.clock import utc_date
from trio_copy.model.facts import NO_AMOUNTS, Amounts, Fact, FactQuery, Sums
from trio_copy.model.ids import FollowerId
from trio_copy.ports import FORGOTTEN_TOKEN, HEAD_KINDS, Document
from trio_copy_memory.data import MemoryData, add

_MOST = 100


@define(eq=False)
class MemoryHistory:
    data: MemoryData

    async def facts(self, query: FactQuery) -> Sequence[Fact]:
        return sorted(self._wanted(query), key=lambda fact: (-fact.at, fact.key))[: query.limit]

    async def sums(self, query: FactQuery, by: Sequence[str]) -> Sums:
        sums: dict[tuple[str, ...], Amounts] = {}
        for fact in self._wanted(query):
            key = tuple(utc_date(fact.at) if name == "day" else str(getattr(fact, name)) for name in by)
            sums[key] = add(sums.get(key, NO_AMOUNTS), fact.amounts)
        for words, amounts in self._totals(query):
            key = tuple(words[name] for name in by)
            sums[key] = add(sums.get(key, NO_AMOUNTS), amounts)
        return sums

    async def story(self, prefix: str) -> tuple[Sequence[Fact], Sequence[Document]]:
        facts = (
            fact
            for fact in self.data.facts.values()
            if any(name.startswith(prefix) for name in (fact.task_id, fact.signal_id, fact.order_id))
        )
        documents = (
            document
            for document in self.data.documents()
            if document.kind in HEAD_KINDS and any(name.startswith(prefix) for name in document.name.split("/"))
        )
        return tuple(islice(facts, _MOST)), tuple(islice(documents, _MOST))

    async def documents(self, kind: str, follower: FollowerId | None = None) -> Sequence[Document]:
        found = (one for one in self.data.documents() if one.kind == kind and follower in (None, one.follower))
        return sorted(found, key=lambda document: document.key)

    def _wanted(self, query: FactQuery) -> Iterator[Fact]:
        for fact in self.data.facts.values():
            if (
                fact.kind in query.kinds
                and query.follower in (None, fact.follower)
                and query.leader in (None, fact.leader)
                and query.token_id in (None, fact.token_id)
                and (query.since is None or fact.at >= query.since)
                and (query.until is None or fact.at < query.until)
            ):
                yield fact

    def _totals(self, query: FactQuery) -> Iterator[tuple[dict[str, str], Amounts]]:
        """What facts that were let go add up to, by whole days: their moments and tokens are forgotten."""
        for (kind, follower, leader, day), amounts in self.data.totals.items():
            began = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
            if (
                kind in query.kinds
                and query.follower in (None, follower)
                and query.leader in (None, leader)
                and query.token_id is None
                and (query.since is None or began >= query.since)
                and (query.until is None or began < query.until)
            ):
                yield {"follower": follower, "leader": leader, "day": day, "token_id": FORGOTTEN_TOKEN}, amounts
