"""The accounts of each shard. No method gives way to another task, which makes every one of them atomic."""

from collections.abc import Callable, Collection, Mapping, Sequence

from attrs import define

from trio_copy.clock import WallClock
from trio_copy.errors import LeaseLost, StoreForgot
from trio_copy.model.ids import FollowerId
from trio_copy.model.logs import Checkpoint
from trio_copy.ports import Changes, Document, Heads, Request
from trio_copy_memory.data import MemoryData, Shard

_ANSWERS_KEPT_S = 3600.0
_REQUESTS_SHOWN = 100


@define(eq=False, kw_only=True)
class MemoryAccounts:
    data: MemoryData
    wall: WallClock
    facts_max: int
    at: Callable[[str], None]

    async def take(self, shard: int, token: int) -> Heads:
        taken = self._unless_fenced(shard, token)
        taken.token, taken.number = token, 0
        return Heads(checkpoint=taken.checkpoint, documents=tuple(taken.heads.values()))

    async def load(
        self, shard: int, token: int, followers: Collection[FollowerId]
    ) -> Mapping[FollowerId, Sequence[Document]]:
        accounts = self._unless_fenced(shard, token).accounts
        return {follower: tuple(accounts.get(follower, {}).values()) for follower in followers}

    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        self.at("memory: before write")
        written = self._unless_fenced(shard, token)
        if written.token != token or number not in (written.number, written.number + 1):
            raise StoreForgot(
                f"shard {shard}: expected write {written.number + 1} of token {written.token},"
                f" was {number} of token {token}"
            )
        if number == written.number:
            return
        for document in changes.puts:
            written.put(document)
        for key in changes.deletes:
            written.delete(key)
        for name, answer in changes.answers.items():
            written.requests.pop(name, None)
            written.answers[name] = (self.wall(), answer)
        facts = self.data.facts
        for fact in changes.facts:
            facts.pop(fact.key, None)
            facts[fact.key] = fact
        written.number = number
        if checkpoint is not None:
            written.checkpoint = checkpoint
        while len(facts) > self.facts_max:
            self.data.let_go(next(iter(facts)))
        self.at("memory: written")

    async def ask(self, shard: int, request: Request) -> None:
        asked = self.data.shard(shard)
        for name, (at, _) in list(asked.answers.items()):
            if at > self.wall() - _ANSWERS_KEPT_S:
                break
            del asked.answers[name]
        if request.name not in asked.answers:
            asked.requests.setdefault(request.name, request)

    async def requests(self, shard: int, token: int) -> Sequence[Request]:
        open_ones = self._unless_fenced(shard, token).requests.values()
        return sorted(open_ones, key=lambda request: request.at)[:_REQUESTS_SHOWN]

    async def answer(self, shard: int, name: str) -> str | None:
        answered = self.data.shard(shard).answers.get(name)
        return None if answered is None else answered[1]

    def _unless_fenced(self, shard: int, token: int) -> Shard:
        found = self.data.shard(shard)
        if found.token > token:
            raise LeaseLost(f"shard {shard} was taken with token {found.token}, this is {token}")
        return found
