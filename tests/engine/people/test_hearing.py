"""What an owner does with what people ask: it is durable before it is told, done once, and nothing holds anything else up."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from attrs import define, evolve

from tests.builders import ALICE, LEADER
from tests.engine.sending.test_leaving import Book, plan_for, position_of
from tests.harness import World, open_world, running_engine
from trio_copy.config.settings import FollowerTable
from trio_copy.engine.people import requests as asked
from trio_copy.engine.people.hearing import Hearing
from trio_copy.engine.people.requests import REFUSED
from trio_copy.engine.service import Service
from trio_copy.engine.shards.shard import Shard
from trio_copy.model.control import Mode
from trio_copy.model.follow_settings import Leaving
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.logs import Checkpoint
from trio_copy.model.orders import Market
from trio_copy.ports import Changes, Request
from trio_copy_dry_run.executor import DryRunExecutor
from trio_copy_memory.accounts import MemoryAccounts

Clock = trio.testing.MockClock
ZOE = FollowerId("zoe")


@define(eq=False)
class Asked:
    """An engine whose one follower holds ten shares of token 1 and whose other one holds nothing, and people who ask."""

    world: World
    service: Service

    @property
    def shard(self) -> Shard:
        return self.service.holder.shards[0]

    @property
    def hearing(self) -> Hearing:
        return self.service.housekeeping.hearing

    async def ask(self, *requests: Request) -> None:
        for request in requests:
            await self.service.store.accounts.ask(0, request)

    async def hear(self) -> None:
        await self.hearing.hear(self.shard)
        await trio.testing.wait_all_tasks_blocked()

    async def answer(self, name: str) -> str | None:
        return await self.service.store.accounts.answer(0, name)

    def leave(self, name: str, token: int = 1) -> Request:
        return asked.leave(name, (ALICE, LEADER, TokenId(token)), self.world.wall())

    def halt(self, name: str, follower: FollowerId = ALICE) -> Request:
        return asked.set_mode(name, follower, Mode.HALT_ALL, "lunch", self.world.wall())

    def close_lane(self) -> None:
        """Let nothing of token 1 be placed any more."""
        for lanes in self.service.lanes.values():
            lanes.close_lane((ALICE, "1"), self)


@asynccontextmanager
async def open_asked() -> AsyncGenerator[Asked, None]:
    async with open_world() as world:
        world.quotes = Book({TokenId(1): "0.5", TokenId(2): "0.5"})
        plan = plan_for(leaving=Leaving(when_paused="hold"))
        zoe = FollowerTable(id=ZOE, executor="sim")
        plan = evolve(plan, settings=evolve(plan.settings, follower=(*plan.settings.follower, zoe)))
        async with running_engine(world, plan) as service:
            world.chain.mine(world.buy())
            await world.recorder.wait_copies(1)
            yield Asked(world, service)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> dict[TokenId, trio.Event]:
    """Let the venue tell nothing of these tokens before their events."""
    waits, market = dict[TokenId, trio.Event](), DryRunExecutor.market

    async def ask(self: DryRunExecutor, token_id: TokenId) -> Market:
        if token_id in waits:
            await waits[token_id].wait()
        return await market(self, token_id)

    monkeypatch.setattr(DryRunExecutor, "market", ask)
    return waits


async def test_an_exit_is_durable_with_its_answer(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """No trade on the chain would bring it again: whoever owns the account next finds it waiting, and is asked no more."""
    writes, write = list[tuple[list[str], list[str]]](), MemoryAccounts.write

    async def note(
        self: MemoryAccounts,
        shard: int,
        token: int,
        number: int,
        changes: Changes,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        waits = [one.name.split("/")[0] for one in changes.puts if one.kind == "waits"]
        writes.append((waits, list(changes.answers.values())))
        await write(self, shard, token, number, changes, checkpoint)

    monkeypatch.setattr(MemoryAccounts, "write", note)
    async with open_asked() as people:
        people.close_lane()
        await people.ask(people.leave("exit"))
        writes.clear()
        await people.hear()
        ((waits, answers),) = [one for one in writes if any(one)]
        assert [answer.split()[:2] for answer in answers] == [[waits[0], "sells"]]


async def test_while_a_shard_is_handed_over_its_next_owner_is_asked(clock: Clock) -> None:
    """Nothing is taken in any more, so nothing is answered as if it were."""
    async with open_asked() as people:
        await people.ask(people.leave("exit"), people.halt("halt"))
        people.shard.leaving = True
        await people.hear()
        assert [await people.answer(name) for name in ("exit", "halt")] == [None, None]
        people.shard.leaving = False  # as with whoever has it next
        await people.hear()
        assert all([await people.answer(name) for name in ("exit", "halt")])


@pytest.mark.parametrize("how", ["handed over", "lost"])
async def test_a_shard_that_goes_while_a_market_is_asked_sells_nothing(
    clock: Clock, slow: dict[TokenId, trio.Event], how: str
) -> None:
    """The request stays open, and the next owner is asked."""
    async with open_asked() as people:
        slow[TokenId(1)] = trio.Event()
        await people.ask(people.leave("exit"))
        shard = people.shard
        await people.hear()
        if how == "lost":
            shard.lost = True
        else:
            shard.leaving = True
        slow[TokenId(1)].set()
        await trio.testing.wait_all_tasks_blocked()
        assert await people.answer("exit") is None
        shard.lost = shard.leaving = False  # as with whoever has it next
        await people.hear()
        assert " sells 10 shares" in str(await people.answer("exit"))


async def test_a_market_that_tells_nothing_holds_up_no_other_request(
    clock: Clock, slow: dict[TokenId, trio.Event]
) -> None:
    """Neither a mode nor another exit; what it was asked for is refused in the end, once, however often it is heard."""
    async with open_asked() as people:
        people.world.chain.mine(people.world.buy(token=2))
        await people.world.recorder.wait_copies(2)
        slow[TokenId(1)] = trio.Event()
        began = trio.current_time()
        await people.ask(people.leave("hung"), people.leave("too"), people.leave("other", 2), people.halt("halt", ZOE))
        await people.hear()
        assert trio.current_time() - began < 0.1
        assert await people.answer("halt") == "zoe: halt-all"
        assert " sells 10 shares" in str(await people.answer("other"))
        assert [await people.answer(name) for name in ("hung", "too")] == [None, None]
        for _ in range(3):
            await people.hear()
        await trio.sleep(people.service.plan.settings.engine.send_timeout_s + 1)
        for name in ("hung", "too"):
            assert "nobody bids" in str(await people.answer(name))
        assert position_of(people.service).shares


async def test_accounts_may_be_put_away_while_a_market_is_asked(clock: Clock, slow: dict[TokenId, trio.Event]) -> None:
    """Now and then idle accounts are let go; what is asked of them is answered all the same."""
    async with open_asked() as people:
        slow[TokenId(1)] = trio.Event()
        nothing = asked.leave("nothing", (ZOE, LEADER, TokenId(1)), people.world.wall())
        await people.ask(people.leave("exit"), nothing, people.halt("halt", ZOE))
        await people.hear()
        for _ in range(2):
            people.shard.at_hand.drop_idle((), people.world.wall())
        assert ZOE not in people.shard.accounts
        slow[TokenId(1)].set()
        await trio.testing.wait_all_tasks_blocked()
        assert " sells 10 shares" in str(await people.answer("exit"))
        assert "expected a position that is held" in str(await people.answer("nothing"))
        assert await people.answer("halt") == "zoe: halt-all"


async def test_what_is_answered_while_requests_are_read_is_not_done_again(
    clock: Clock, slow: dict[TokenId, trio.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list was read before the answer was written, and is looked at after."""
    async with open_asked() as people:
        slow[TokenId(1)] = trio.Event()
        await people.ask(people.leave("exit"))
        await people.hear()
        requests = MemoryAccounts.requests

        async def read_slowly(self: MemoryAccounts, shard: int, token: int) -> Sequence[Request]:
            found = await requests(self, shard, token)
            slow[TokenId(1)].set()
            await people.world.recorder.wait_until(lambda: not position_of(people.service).shares)
            return found

        monkeypatch.setattr(MemoryAccounts, "requests", read_slowly)
        await people.hear()
        assert " sells 10 shares" in str(await people.answer("exit"))


async def test_who_is_asked_for_somebody_elses_account_refuses(clock: Clock) -> None:
    """A command whose file names another wallet asks in another shard: done there, it would look as if it were done."""
    async with open_asked() as people:
        everywhere = Hearing(
            shard_of=lambda follower: 3,
            acts=people.hearing.acts,
            look_for=people.hearing.look_for,
            leave=people.hearing.leave,
        )
        await people.ask(people.halt("halt"), people.leave("exit"))
        await everywhere.hear(people.shard)
        for name in ("halt", "exit"):
            answer = await people.answer(name)
            assert answer is not None
            assert answer.startswith(f"{REFUSED}the engine that runs has alice in another shard")
        assert people.shard.accounts[ALICE].mode is None


async def test_of_two_that_contradict_each_other_the_later_one_holds(clock: Clock) -> None:
    """Both are answered, each once, in the order in which they were asked, also where both are heard of at once."""
    async with open_asked() as people:
        wall = people.world.wall()
        halt = asked.set_mode("halt", ALICE, Mode.HALT_ALL, "lunch", wall + 1)
        run = asked.set_mode("run", ALICE, Mode.RUN, "back", wall)
        await people.ask(halt, run)
        await people.hear()
        assert [await people.answer(name) for name in ("run", "halt")] == ["alice: run", "alice: halt-all"]
        change = people.shard.accounts[ALICE].mode
        assert change is not None
        assert change.mode is Mode.HALT_ALL
        await people.ask(halt)  # told twice
        await people.ask(run)
        await people.hear()
        assert people.shard.accounts[ALICE].mode == change
