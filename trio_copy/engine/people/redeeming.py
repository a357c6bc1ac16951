"""Has shares of decided questions redeemed by their own wallets, where those say `redeem = true`.

Nothing of it is stored. A position of a decided question that is still held is what there is to do, and the executor says, by
what final blocks show, how: an act under a key that follows from that. So a restart, a second look and a person who asks for
the same come to the same act, which an executor does once; and what was redeemed meanwhile is only booked.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

import trio
from attrs import define, evolve, field

from trio_copy.accounts import Account, Spot
from trio_copy.clock import WallClock
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.borders.act_contract import ActContract
from trio_copy.engine.people.acts import end_of, resolves, words_of
from trio_copy.engine.shards.payouts import book
from trio_copy.engine.shards.shard import Shard
from trio_copy.errors import LeaseLost, OrderNotSent, OrderUncertain
from trio_copy.model.catalog import Catalog
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.follows import Follower
from trio_copy.model.ids import Address, FollowerId, TokenId
from trio_copy.model.units import NO_SHARES, Shares
from trio_copy.ports import Act, ActReport, Deed, Done, Held, PlannedAct, Wanted
from trio_copy.telemetry.observer import Observer

_DEFAULTS = FollowSettings()
_AT_ONCE = 8
"""Questions that are redeemed beside each other."""
_PLAN_S = 30.0
_SENT_WITHIN_S = 300.0
"""What has not left by then does not leave any more: it is planned anew."""
_AGAIN_S, _AGAIN_MOST_S = 30.0, 3600.0
Question = tuple[FollowerId, str]
"""Who holds something of which condition."""


class _Failed(Exception):
    """It was not redeemed, and why."""


class _Later(Exception):
    """It is not the moment, for nothing that a person should look at."""


@define(eq=False)
class _Tries:
    under_way: bool = False
    due: float = 0.0
    """By Trio's clock: not before."""
    wait_s: float = _AGAIN_S
    told: str = ""
    """Why it failed last."""


@define(eq=False, kw_only=True)
class Redeeming:
    """One task runs it. Cancelled, what has left may happen, and the next run books it."""

    executor_of: Callable[[Follower], ActContract | None]
    """Who has a follower's wallet act."""
    book: FollowBook
    catalog: Catalog
    wall: WallClock
    observer: Observer
    halted: Callable[[], bool] = lambda: False
    """Whether a person has said that nothing at all is sent."""
    _tries: dict[Question, _Tries] = field(factory=dict)
    _begun: tuple[trio.MemorySendChannel[tuple[Shard, Question]], trio.MemoryReceiveChannel[tuple[Shard, Question]]] = (
        field(factory=lambda: trio.open_memory_channel[tuple[Shard, Question]](float("inf")))
    )
    _turns: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(_AT_ONCE))

    async def run(self) -> NoReturn:
        """Redeem what is noted, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                shard, question = await self._begun[1].receive()
                nursery.start_soon(self._try, shard, question)

    def note(self, shard: Shard, follower: FollowerId, condition_id: str) -> None:
        """Take note that somebody holds something of a question that is decided for good. Said at every look, it is begun when due."""
        tries = self._tries.setdefault((follower, condition_id), _Tries())
        held_up = self.halted() or self._busy(shard.accounts[follower], condition_id)
        if held_up or tries.under_way or trio.current_time() < tries.due:
            return
        tries.under_way = True
        self._begun[0].send_nowait((shard, (follower, condition_id)))

    async def _try(self, shard: Shard, question: Question) -> None:
        tries = self._tries[question]
        try:
            async with self._turns:
                await self._redeem(shard, *question)
        except (_Failed, OrderNotSent, OrderUncertain) as error:
            if (why := str(error)) != tries.told:
                tries.told = why
                wallet = self.book.terms.followers[question[0]].wallet_name
                self.observer.on_alert("not-redeemed", f"wallet {wallet}, condition {question[1]}: {why}")
            tries.due = trio.current_time() + tries.wait_s
            tries.wait_s = min(2 * tries.wait_s, _AGAIN_MOST_S)
        except (_Later, LeaseLost):  # of what is somebody else's by now, nothing is noted here
            pass
        else:
            del self._tries[question]
        finally:
            tries.under_way = False

    async def _redeem(self, shard: Shard, follower: FollowerId, condition_id: str) -> None:
        """Redeem all that is held of a question, and book it.

        Raises:
            LeaseLost: the shard is somebody else's.
            OrderNotSent, OrderUncertain: the executor does not say how.
            _Failed, _Later: it was not redeemed, or not booked.
        """
        await shard.load([follower])
        account, whose = shard.accounts[follower], self.book.terms.followers.named.get(follower)
        held = dict(self._held(account, condition_id))
        if not held or whose is None:
            return
        if self._busy(account, condition_id):
            raise _Later
        kept = [leader for leader, _ in held if not self._wanted(follower, leader)]
        if kept:
            raise _Failed(
                f"leaving.redeem is false for copies of {kept[0]}, and a wallet redeems all of a question, or nothing"
            )
        executor = self.executor_of(whose)
        if executor is None:
            raise _Failed("expected its executor, or just one beside it, to have wallets act")
        wanted = Wanted(condition_id=condition_id, held=self._asked(held))
        for planned in await executor.plan(whose.wallet, Deed.REDEEM, wanted, _PLAN_S):
            if not await self._carry(shard, executor, planned):
                return
            await shard.load([follower])  # it takes blocks, and meanwhile the account may have been put away
            self._book(shard, shard.accounts[follower], planned, held)
        account = shard.accounts[follower]
        if self._busy(account, condition_id):
            raise _Later  # what an order may still change is not booked
        if any(account.position(spot).shares == shares for spot, shares in held.items()):
            raise _Failed("the executor names nothing that it pays: look at the wallet")

    async def _carry(self, shard: Shard, executor: ActContract, planned: PlannedAct) -> bool:
        """Have an act done; False where the shard is lost meanwhile. Raises `_Failed` where it did not happen."""
        if planned.act is None:
            return not shard.lost
        if self.halted():
            raise _Later
        act, told = evolve(planned.act, until=self.wall() + _SENT_WITHIN_S), list[ActReport]()

        def note(report: ActReport) -> None:
            if report.transaction is not None and not told:
                told.append(report)
                self.observer.on_step("acting", _told(act, report))

        report = await end_of(executor, act, self.wall, lambda: shard.lost, note)
        if report is None:
            return False
        if report.done is not Done.LANDED:
            raise _Failed(_told(act, report))
        self.observer.on_step("acted", _told(act, report))
        return True

    def _book(self, shard: Shard, account: Account, planned: PlannedAct, held: Mapping[Spot, Shares]) -> None:
        for command in resolves(account, planned.pays, self.wall()):
            spot = command.position[1:]
            # What was bought or sold meanwhile is another amount than was redeemed: the next look asks what is left of it.
            if account.position(spot).shares == held.get(spot):
                book(shard, command)

    def _held(self, account: Account, condition_id: str) -> Iterator[tuple[Spot, Shares]]:
        for spot in account.holdings:
            if self._condition_of(spot[1]) == condition_id and (shares := account.position(spot).shares):
                yield spot, shares

    def _busy(self, account: Account, condition_id: str) -> bool:
        return any(self._condition_of(one.order.token_id) == condition_id for one in account.orders.values())

    def _wanted(self, follower: FollowerId, leader: Address) -> bool:
        terms = self.book.find(follower, leader)
        return (_DEFAULTS if terms is None else terms.settings).leaving.redeem

    def _asked(self, held: Mapping[Spot, Shares]) -> tuple[Held, ...]:
        shares = defaultdict[TokenId, Shares](lambda: NO_SHARES)
        for (_, token_id), number in held.items():
            shares[token_id] += number
        return tuple(Held(token_id=one, shares=number, facts=self.catalog.of(one)) for one, number in shares.items())

    def _condition_of(self, token_id: TokenId) -> str:
        question = self.catalog.question_of(token_id)
        return "" if question is None else question[0]


def _told(act: Act, report: ActReport) -> str:
    return words_of(act.wallet.name, act.deed, report)
