"""What the engine does with a store or a decoder that answers what it must not, or that keeps everything waiting."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import trio
from attrs import frozen

from tests.builders import ALICE, NOW
from tests.harness import World, make_test_plan, open_world, running_engine
from trio_copy.chain.decoders.order_filled import OrderFilledDecoder
from trio_copy.engine.borders.calls import Calls, Whose
from trio_copy.engine.borders.store_border import judged_store
from trio_copy.errors import PluginBroken, StoreUnavailable, leaves_of
from trio_copy.ports import Document, StoreContext
from trio_copy.registry import discover
from trio_copy_dry_run.executor import DryRunExecutor
from trio_copy_memory import MemorySettings, open_memory_store
from trio_copy_memory.accounts import MemoryAccounts
from trio_copy_sqlite.writer import PATIENCE_S

Patch = pytest.MonkeyPatch
Clock = Any
_STORE = 'store "memory" (trio-copy '
_DECODER = 'decoder "order-filled" (trio-copy '


@frozen
class Broken:
    of: type
    method: str
    answer: Callable[..., Any]
    says: str


async def _nothing(*given: Any) -> None:
    await trio.lowlevel.checkpoint()


async def _no_accounts(*given: Any) -> dict[str, tuple[Document, ...]]:
    await trio.lowlevel.checkpoint()
    return {}


async def _plain_rows(accounts: object, shard: int, token: int, followers: Any) -> dict[str, Any]:
    await trio.lowlevel.checkpoint()
    return {follower: [(follower, "position", "1", b"")] for follower in followers}


BROKEN = {
    "take is None": Broken(
        MemoryAccounts, "take", _nothing, f"{_STORE}*, take: expected Heads with documents, was None"
    ),
    "load leaves out": Broken(
        MemoryAccounts,
        "load",
        _no_accounts,
        f"{_STORE}*, load: expected the documents of {ALICE}, or an empty sequence, was {{}}",
    ),
    "load is rows": Broken(
        MemoryAccounts, "load", _plain_rows, f"{_STORE}*, load: expected documents by follower, was {{*"
    ),
    "write is sync": Broken(
        MemoryAccounts,
        "write",
        lambda *given: None,
        f"{_STORE}*, write: expected an async method, was one that returns NoneType",
    ),
    "decode is 7": Broken(
        OrderFilledDecoder,
        "decode",
        lambda *given: 7,
        f"{_DECODER}*, decode: expected a tuple of fills, NotAFill or a Resolution, was 7",
    ),
    "decode is (7,)": Broken(
        OrderFilledDecoder, "decode", lambda *given: (7,), f"{_DECODER}*, decode: expected * was (7,)"
    ),
}


async def _run_on(world: World, for_s: float = 60.0) -> None:
    async with running_engine(world, make_test_plan()):
        world.chain.mine(world.buy())
        await trio.sleep(for_s)


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_a_wrong_answer_ends_the_engine_with_the_name_of_the_plugin(
    clock: Clock, monkeypatch: Patch, broken: Broken
) -> None:
    """In one line, with distribution and call; an account that a store leaves out is not taken for an empty one."""
    monkeypatch.setattr(broken.of, broken.method, broken.answer)
    async with open_world() as world:
        with pytest.raises(BaseExceptionGroup) as caught:
            await _run_on(world)

    (told,) = {str(leaf) for leaf in leaves_of(caught.value) if isinstance(leaf, PluginBroken)}
    *begins, ends = broken.says.split("*")
    assert told.startswith(begins[0])
    assert all(part in told for part in begins)
    assert told.endswith(ends)
    assert not world.recorder.copies


@pytest.mark.parametrize(
    ("of", "method", "named"),
    [(MemoryAccounts, "write", _STORE), (OrderFilledDecoder, "decode", _DECODER)],
    ids=["store", "decoder"],
)
async def test_a_plugin_that_keeps_the_loop_is_told(
    clock: Clock, monkeypatch: Patch, of: type, method: str, named: str
) -> None:
    """Once, with its name and the call; what it answers counts."""
    right = getattr(of, method)

    def slow(*given: Any, **options: Any) -> Any:
        clock.jump(3.0)
        return right(*given, **options)

    # However many of its calls come before the copy, it is not too late.
    async with open_world() as world, running_engine(world, make_test_plan(engine={"deadline_s": 600.0})):
        monkeypatch.setattr(of, method, slow)
        for _ in range(2):
            world.chain.mine(world.buy())
            await trio.sleep(30)
    told = [detail for kind, detail in world.recorder.alerts if kind == "plugin-blocks"]

    assert len(told) == 1
    assert told[0].startswith(named)
    assert told[0].endswith(f", {method}: kept everything else waiting for 3.0 s")
    assert world.recorder.copies


async def test_what_people_ask_of_an_owner_is_judged_as_well(clock: Clock, monkeypatch: Patch) -> None:
    """Only a durable store is asked for it."""
    monkeypatch.setattr(MemoryAccounts, "requests", _nothing)
    whose = Whose(kind="store", name="books", distribution="books 1.0")
    async with open_memory_store(StoreContext(settings=MemorySettings(), wall=lambda: NOW)) as inner:
        store = judged_store(inner, whose, Calls(lambda kind, detail: None), 60.0)
        with pytest.raises(
            PluginBroken, match=re.escape('store "books" (books 1.0), requests: expected requests, was None')
        ):
            await store.accounts.requests(0, 1)


def _alerts(world: World, *kinds: str) -> list[tuple[str, str]]:
    return [(kind, detail) for kind, detail in world.recorder.alerts if kind in kinds]


@pytest.mark.parametrize("happens", [False, True], ids=["never happens", "happens all the same"])
async def test_a_store_that_hangs_is_told_and_then_given_up(clock: Clock, monkeypatch: Patch, happens: bool) -> None:
    """Ten seconds, and its patience and half a minute. Whatever became of the write, nothing is sent on it."""
    right, sent = MemoryAccounts.write, list[object]()

    async def hang(accounts: MemoryAccounts, *given: Any) -> None:
        try:
            await trio.sleep_forever()
        finally:
            if happens:
                with trio.CancelScope(shield=True):
                    await right(accounts, *given)

    async def submit(executor: object, order: object) -> None:
        await trio.lowlevel.checkpoint()
        sent.append(order)

    monkeypatch.setattr(MemoryAccounts, "write", hang)
    monkeypatch.setattr(DryRunExecutor, "submit", submit)
    async with open_world() as world:
        began = trio.current_time()
        with pytest.raises(BaseExceptionGroup) as caught:
            await _run_on(world, 1800.0)
        took = trio.current_time() - began

    ((_, told),) = _alerts(world, "store-slow", "store-answers")
    (given_up,) = {str(leaf) for leaf in leaves_of(caught.value) if isinstance(leaf, StoreUnavailable)}
    assert told.startswith(_STORE)
    assert told.endswith(
        ", write: no answer in 10 s, and everything waits; after 90 s it is given up, and the engine ends"
    )
    assert given_up.endswith(", write: no answer in 90 s; it may still happen, and nothing is sent any more")
    assert 90 <= took < 110
    assert not sent
    assert not world.recorder.copies


async def test_a_store_that_is_slow_is_told_and_goes_on(clock: Clock, monkeypatch: Patch) -> None:
    """Once when it takes long and once when it answers again, however many writes are slow in a row."""
    right, slow_s = MemoryAccounts.write, [25.0, 25.0]

    async def write(accounts: MemoryAccounts, *given: Any) -> None:
        await trio.sleep(slow_s.pop() if slow_s else 0.0)
        await right(accounts, *given)

    async with open_world() as world, running_engine(world, make_test_plan()):
        monkeypatch.setattr(MemoryAccounts, "write", write)
        for _ in range(3):
            world.chain.mine(world.buy())
            await trio.sleep(60)

    kinds = [kind for kind, _ in _alerts(world, "store-slow", "store-answers")]
    assert kinds == ["store-slow", "store-answers"] * (len(kinds) // 2)
    assert kinds
    assert world.recorder.copies


def test_our_stores_give_up_by_themselves_first() -> None:
    """What they wait for by their settings is not cut short."""
    stores = {name: discover().store(name) for name in ("sqlite", "redis")}
    patient = stores["redis"].settings(url="redis://127.0.0.1:6379", patience_s=7200.0, timeout_s=30.0)

    assert stores["sqlite"].patience_s(stores["sqlite"].settings(path="books.db")) >= PATIENCE_S
    assert stores["redis"].patience_s(patient) >= 7200.0 + 30.0
