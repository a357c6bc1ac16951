"""Carries out what people ask wallets to do, for whoever owns the shard: an engine, or a command that stands in for it.

An act takes blocks. Its request stays open meanwhile, and holds nothing else up: the answer is written once, together with
what it books. So a request that nobody has answered is all that has to be known to go on after a crash, and an executor does
what is asked for under one key once.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn, Protocol

import trio
from attrs import define, evolve, field

from trio_copy.accounts import Account
from trio_copy.accounts.commands import Resolve
from trio_copy.clock import WallClock
from trio_copy.engine.borders.act_contract import ActContract
from trio_copy.engine.people.act_requests import ACT, SENT, Errand, act_named, answer_of, errand_of
from trio_copy.engine.people.requests import REFUSED
from trio_copy.errors import LeaseLost, OrderNotSent, OrderUncertain
from trio_copy.model.follows import Follower
from trio_copy.model.ids import FollowerId
from trio_copy.model.orders import Wallet
from trio_copy.ports import Act, ActReport, Deed, Done, Paid, Request

_ASK_S = 10.0
"""How long an executor is asked at a time; between, it is told whether a transaction is known."""
_AGAIN_S = 1.0
_GIVEN_UP_S = 3600.0
"""So long after the last moment at which it may have been sent, an act without an end is left to a person."""
_MOST = 20
"""Acts of a shard at a time: no more requests are read than a few times that many."""


class ActOwner(Protocol):
    """Who owns the shard of an account."""

    @property
    def number(self) -> int: ...

    @property
    def lost(self) -> bool:
        """Whether somebody else owns it by now."""
        ...

    async def finish(self, follower: FollowerId, pays: Sequence[Paid], answers: Mapping[str, str]) -> None:
        """Book what tokens paid, and answer requests, in one write. Raises `LeaseLost`."""
        ...


@define(eq=False, kw_only=True)
class _UnderWay:
    owner: ActOwner
    request: Request
    errand: Errand
    act: Act
    executor: ActContract
    report: ActReport | None = None


@define(eq=False, kw_only=True)
class Acts:
    """One task runs it. Cancelled, what is open is taken up by whoever owns its shard next."""

    executor_of: Callable[[Follower], ActContract | None]
    """Who has a follower's wallet act; None where nobody does."""
    follower_of: Callable[[FollowerId], Follower | None]
    wall: WallClock
    on_step: Callable[[str, str], None]
    funding: Mapping[str, Wallet] = field(factory=dict)
    """Those that refuel fleets, by their names; `Wallet.follower` is in whose shard that is written down."""
    halted: Callable[[], bool] = lambda: False
    """Whether a person has said that nothing at all is sent."""
    _under_way: dict[str, _UnderWay] = field(factory=dict)
    """By the name of the request."""
    _begun: tuple[trio.MemorySendChannel[_UnderWay], trio.MemoryReceiveChannel[_UnderWay]] = field(
        factory=lambda: trio.open_memory_channel[_UnderWay](float("inf"))
    )

    async def run_acts(self) -> NoReturn:
        """Carry out what is taken, each by itself, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                one = await self._begun[1].receive()
                nursery.start_soon(self._carry, one, name=f"act {one.request.name}")

    def take(self, owner: ActOwner, request: Request) -> str | None:
        """Take up a request of `act_requests.KINDS`; returns the answer where there is one already, None while it is open."""
        if request.kind != ACT:
            return self._step_of(request)
        known = self._under_way.get(request.name)
        if known is not None and known.owner == owner:
            return None
        try:
            one = self._read(owner, request)
        except ValueError as error:
            return f"{REFUSED}{error}"
        self._under_way[request.name] = one
        self._begun[0].send_nowait(one)
        return None

    def _step_of(self, request: Request) -> str | None:
        known = self._under_way.get(act_named(request))
        if known is None:
            return f"{REFUSED}expected an act that is under way, got none"
        report = known.report
        if report is None or (report.transaction if request.kind == SENT else report.done is Done.MINED) in (
            None,
            False,
        ):
            return None
        return answer_of(report)

    def _read(self, owner: ActOwner, request: Request) -> _UnderWay:
        errand = errand_of(request)
        follower = self.follower_of(errand.follower)
        wallet = None if follower is None else follower.wallet
        if errand.deed is Deed.REFUEL:
            wallet = self.funding.get(errand.wallet)
        if follower is None or wallet is None or (wallet.name, wallet.follower) != (errand.wallet, errand.follower):
            raise ValueError(f"expected a wallet that pays for {errand.follower}, got {errand.wallet}")
        executor = self.executor_of(follower)
        if executor is None:
            raise ValueError(f"expected one executor whose wallets act, beside {follower.executor}")
        if self.halted():
            raise ValueError("expected another mode, got halt-all: nothing at all is sent")
        if sum(one.owner == owner for one in self._under_way.values()) >= _MOST:
            raise ValueError(f"expected at most {_MOST} acts at a time")
        act = errand.act(wallet)
        return _UnderWay(owner=owner, request=request, errand=errand, act=act, executor=executor)

    async def _carry(self, one: _UnderWay) -> None:
        try:
            report = await self._end_of(one)
            if report is None:
                return  # whoever owns the shard now finds the request
            pays = one.errand.pays if report.done is Done.LANDED else ()
            with suppress(LeaseLost):
                await one.owner.finish(one.errand.follower, pays, {one.request.name: answer_of(report)})
                self.on_step("acted", _told(one, report))
        finally:
            if self._under_way.get(one.request.name) is one:
                del self._under_way[one.request.name]

    async def _end_of(self, one: _UnderWay) -> ActReport | None:
        """Return what became of an act; None where the shard is lost meanwhile."""
        if not one.act.calls:
            return ActReport(done=Done.LANDED)

        def note(report: ActReport) -> None:
            if report.transaction is not None and (one.report is None or one.report.transaction is None):
                self.on_step("acting", _told(one, report))
            one.report = report

        return await end_of(one.executor, one.act, self.wall, lambda: one.owner.lost, note)


async def end_of(
    executor: ActContract, act: Act, wall: WallClock, lost: Callable[[], bool], note: Callable[[ActReport], None]
) -> ActReport | None:
    """Have an act done, and return what became of it; `note` hears what is known meanwhile. None once it is `lost`.

    Where nobody tells for an hour after the last moment at which it may have been sent, it is left PENDING.
    """
    known = ActReport(done=Done.PENDING)
    while not lost():
        try:
            known = await executor.act(act, _ASK_S)
        except OrderNotSent as error:
            if lost():
                return None
            if known.transaction is None:
                return ActReport(done=Done.REFUSED, why=str(error))
            known = evolve(known, done=Done.PENDING, why=str(error))  # what has left is not taken for unsent
        except OrderUncertain as error:
            # What carries it stays known, whatever is said of it afterwards.
            known = evolve(known, done=Done.PENDING, why=str(error))
        if known.done in (Done.LANDED, Done.REFUSED):
            return known
        note(known)
        if wall() > act.until + _GIVEN_UP_S:
            return evolve(known, done=Done.PENDING, why=known.why or "the chain does not tell what became of it")
        await trio.sleep(_AGAIN_S)
    return None


def resolves(account: Account, pays: Sequence[Paid], at: float) -> list[Resolve]:
    """Return what books the payouts of tokens, for every leader whose trades of them are held."""
    return [
        Resolve(
            position=(account.follower, leader, token_id), condition_id=paid.condition_id, payout=paid.payout, at=at
        )
        for paid in pays
        for leader, token_id in account.holdings
        if token_id == paid.token_id
    ]


def words_of(wallet: str, deed: Deed, report: ActReport) -> str:
    """Return how an act of a wallet stands, in words for people."""
    carried = "" if report.transaction is None else f" by {report.transaction}"
    why = f": {report.why}" if report.why else ""
    return f"wallet {wallet}: {deed.value}{carried}: {report.done.value}{why}"


def _told(one: _UnderWay, report: ActReport) -> str:
    return words_of(one.errand.wallet, one.errand.deed, report)
