"""The border to a store's accounts: each call is watched, and what it answers is judged before anything is decided by it.

Without its store an engine must not go on, so a breach ends it, in one line that names plugin, distribution and call. A call
that takes long is told; one that takes longer than the store would wait itself is given up, and the engine ends as well.
What hangs may still happen, so nothing is concluded from it.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import trio
from attrs import define, field, frozen

from trio_copy.engine.borders.calls import Call, Calls, NoAnswer, NotAwaitable, Whose
from trio_copy.errors import PluginBroken, StoreUnavailable
from trio_copy.model.breaches import shown
from trio_copy.model.ids import FollowerId
from trio_copy.model.logs import Checkpoint
from trio_copy.ports import Accounts, Changes, Control, Document, Follows, Heads, History, Request, Store

_SLOW_S = 10.0
"""A call that takes longer is told: meanwhile nothing is placed."""
_GRACE_S = 30.0
"""So much longer than its own patience a store may take before it is given up."""
_LOOK_EVERY_S = 1.0
_T = TypeVar("_T")


@frozen(kw_only=True)
class JudgedStore:
    """A store whose accounts keep their contract, or end the engine."""

    accounts: "JudgedAccounts"
    control: Control
    follows: Follows
    history: History


def judged_store(inner: Store, whose: Whose, calls: Calls, patience_s: float) -> JudgedStore:
    """Put the border in front of a store, which gives up by itself after `patience_s`."""
    accounts = JudgedAccounts(inner=inner.accounts, whose=whose, calls=calls, limit_s=patience_s + _GRACE_S)
    return JudgedStore(accounts=accounts, control=inner.control, follows=inner.follows, history=inner.history)


@define(eq=False, kw_only=True)
class JudgedAccounts:
    """Raises `PluginBroken` where the store inside answers what the port does not know, `StoreUnavailable` where it hangs."""

    inner: Accounts
    whose: Whose
    calls: Calls
    limit_s: float
    """After so long a call is given up."""
    _under_way: dict[object, tuple[Call, float]] = field(factory=dict)
    """Each with when it began, by Trio's clock; the oldest first."""
    _slow: Call | None = None
    """What was told to take long, and does so still."""
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

    async def run_watch(self) -> NoReturn:
        """Tell when calls take long, and when they do no more, until cancelled."""
        while True:
            await trio.sleep(_LOOK_EVERY_S)
            call, began = next(iter(self._under_way.values()), (None, 0.0))
            if call is None or self.calls.now() - began < _SLOW_S:
                if self._slow is not None:
                    self.calls.on_alert("store-answers", f"{self._slow}: answers again")
                self._slow = None
            elif self._slow is None:
                self._slow = call
                told = f"no answer in {_SLOW_S:g} s, and everything waits; after {self.limit_s:g} s it is given up"
                self.calls.on_alert("store-slow", f"{call}: {told}, and the engine ends")

    async def _ask(self, call: Call, method: Callable[[None], Awaitable[_T]]) -> _T:
        this = object()
        self._under_way[this] = call, self.calls.now()
        try:
            answer: _T = await self.calls.watch(call, self.limit_s, method, None)
        except NoAnswer as slow:
            raise StoreUnavailable(f"{call}: {slow}; it may still happen, and nothing is sent any more") from None
        except NotAwaitable as error:
            raise PluginBroken(f"{call}: expected an async method, was one that returns {error}") from None
        finally:
            del self._under_way[this]
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
