"""The border to a store's accounts: each call is watched, and what it answers is judged before anything is decided by it.

Without its store an engine must not go on, so a breach ends it, in one line that names plugin, distribution and call.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from math import inf
from typing import Any, NoReturn, TypeVar

from attrs import define, field, frozen

from trio_copy.engine.calls import Call, Calls, NotAwaitable, Whose
from trio_copy.errors import PluginBroken
from trio_copy.model.breaches import shown
from trio_copy.model.ids import FollowerId
from trio_copy.model.logs import Checkpoint
from trio_copy.ports import Accounts, Changes, Control, Document, Follows, Heads, History, Request, Store

_T = TypeVar("_T")


@frozen(kw_only=True)
class JudgedStore:
    """A store whose accounts keep their contract, or end the engine."""

    accounts: "JudgedAccounts"
    control: Control
    follows: Follows
    history: History


def judged_store(inner: Store, whose: Whose, calls: Calls) -> JudgedStore:
    """Put the border in front of a store."""
    accounts = JudgedAccounts(inner=inner.accounts, whose=whose, calls=calls)
    return JudgedStore(accounts=accounts, control=inner.control, follows=inner.follows, history=inner.history)


@define(eq=False, kw_only=True)
class JudgedAccounts:
    """Raises `PluginBroken` where the store inside answers what the port does not know."""

    inner: Accounts
    whose: Whose
    calls: Calls
    _take: Call = field(init=False)
    _load: Call = field(init=False)
    _write: Call = field(init=False)
    _requests: Call = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._take, self._load, self._write, self._requests = (
            self.calls.of(self.whose, name) for name in ("take", "load", "write", "requests")
        )

    async def take(self, shard: int, token: int) -> Heads:
        heads = await self._ask(self._take, lambda _: self.inner.take(shard, token))
        if not _is_heads(heads):
            _break(self._take, "Heads with documents", heads)
        return heads

    async def load(
        self, shard: int, token: int, followers: Collection[FollowerId]
    ) -> Mapping[FollowerId, Sequence[Document]]:
        found = await self._ask(self._load, lambda _: self.inner.load(shard, token, followers))
        if not _is_by_follower(found):
            _break(self._load, "documents by follower", found)
        # What is left out must not count as empty: it may be an account that holds something.
        missing = [follower for follower in followers if follower not in found]
        if missing:
            _break(self._load, f"the documents of {missing[0]}, or an empty sequence", found)
        return found

    async def write(
        self, shard: int, token: int, number: int, changes: Changes, checkpoint: Checkpoint | None = None
    ) -> None:
        await self._ask(self._write, lambda _: self.inner.write(shard, token, number, changes, checkpoint))

    async def ask(self, shard: int, request: Request) -> None:
        await self.inner.ask(shard, request)

    async def requests(self, shard: int, token: int) -> Sequence[Request]:
        found = await self._ask(self._requests, lambda _: self.inner.requests(shard, token))
        if not _are(Request, found):
            _break(self._requests, "requests", found)
        return found

    async def answer(self, shard: int, name: str) -> str | None:
        return await self.inner.answer(shard, name)

    async def _ask(self, call: Call, method: Callable[[None], Awaitable[_T]]) -> _T:
        try:
            answer: _T = await self.calls.watch(call, inf, method, None)
        except NotAwaitable as error:
            raise PluginBroken(f"{call}: expected an async method, was one that returns {error}") from None
        return answer


def _is_heads(found: object) -> bool:
    if not isinstance(found, Heads) or not isinstance(found.checkpoint, Checkpoint | None):
        return False
    return _are(Document, found.documents)


def _is_by_follower(found: object) -> bool:
    return isinstance(found, Mapping) and all(_are(Document, documents) for documents in found.values())


def _are(kind: type, found: object) -> bool:
    return isinstance(found, Sequence) and all(isinstance(one, kind) for one in found)


def _break(call: Call, expected: str, was: Any) -> NoReturn:  # noqa: ANN401  whatever it returns
    raise PluginBroken(f"{call}: expected {expected}, was {shown(was)}")
