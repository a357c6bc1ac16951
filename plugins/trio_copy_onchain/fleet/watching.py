"""Watches what the operators of fleets have for gas, and lets those that are low be refuelled, in whichever shards are owned here.

A refuel is an act of the funding account, as people ask for it too: whoever decides on one, it is written down here first.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.errors import ChainError, ExecutorError, OrderNotSent, StoreError
from trio_copy.model.coins import Coins
from trio_copy.model.fleets import Fleet
from trio_copy.model.ids import ZERO_ADDRESS, Address, IntentKey
from trio_copy.ports import Act, ActReport, Done, Journal, refuel_act
from trio_copy.records import read_plain, write_plain
from trio_copy.transactions.calls import Call
from trio_copy.transactions.refuelling import Refuel, Refuels, document_name
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.asking.fee_clock import FeeClock
from trio_copy_onchain.asking.questions import side_by_side
from trio_copy_onchain.fleet.balances import Balances

_ASK_S = 5.0
_CARRY_S = 60.0
"""How long the executor is asked at a time to carry an act."""
_AGAIN_S = 1.0
_SENT_WITHIN_S = 300.0
"""A refuel that has not left by then does not leave any more."""
_TRANSFER_GAS = 21_000
_TELL_EVERY_S = 3600.0
LOW, REFUSED = "operators-low", "not-refuelled"
"""The kinds of what a person is told: operators are low and get nothing; a refuel will not happen."""


@define(eq=False)
class _Watched:
    """A fleet whose shard is owned here."""

    fleet: Fleet
    journal: Journal
    refuels: Refuels
    ends: int = 0
    """How many ends were learned: a balance that was asked for before the last of them may not show it."""

    def write(self) -> None:
        self.journal.put(document_name(self.refuels.chain_id, self.fleet.name), write_plain(self.refuels.plain()))


@define(eq=False, kw_only=True)
class GasMoney:
    """The gas money of all fleets of an executor. One task runs it."""

    chain: Chain
    fees: FeeClock
    fleets: Sequence[Fleet]
    wall: WallClock
    balances: Balances
    """Keeps what was seen, for whoever picks operators."""
    send: Callable[[Act], Awaitable[ActReport]]
    """Has an act done whose limits nobody looks at any more; see `ports.ActingExecutor.act`."""
    on_trouble: Callable[[str, str], None]
    look_every_s: float = 30.0
    _watched: dict[str, _Watched] = field(factory=dict)
    _carried: set[IntentKey] = field(factory=set)
    _told_at: dict[str, float] = field(factory=dict)
    _opened: trio.Event = field(factory=trio.Event)

    def open_journal(self, journal: Journal) -> None:
        """Take up the fleets whose followers have their accounts in a shard, with what was decided for them before.

        Where that cannot be read, nobody knows what was given, and nothing of that fleet is refuelled: a person is told.
        """
        for fleet in self.fleets:
            if fleet.funding is None or not journal.covers(fleet.funding.follower):
                continue
            chain_id = self.chain.chain_id
            body = journal.documents().get(document_name(chain_id, fleet.name))
            try:
                refuels = (
                    Refuels(chain_id=chain_id, fleet=fleet)
                    if body is None
                    else Refuels.restored(chain_id, fleet, read_plain(body))
                )
            except (StoreError, ValueError) as error:
                self.on_trouble(REFUSED, str(error))
                continue
            self._watched[fleet.name] = _Watched(fleet, journal, refuels)
            self._opened.set()

    def close_journal(self, journal: Journal) -> None:
        """Leave the fleets of a shard to whoever owns it now."""
        self._watched = {name: one for name, one in self._watched.items() if one.journal is not journal}

    async def act(self, act: Act) -> ActReport:
        """Do a refuel, whoever has decided on it, or go on with it; see `ports.ActingExecutor.act`.

        Raises:
            OrderNotSent: nothing of it has left, nor will: over a limit, or of a fleet whose shard is not owned here, among others.
        """
        self._admit(act)
        report = await self.send(act)
        self._learn(act, report)
        return report

    def _admit(self, act: Act) -> None:
        """Note a refuel that is about to be sent: its document rides with that of its sending."""
        watched = self._of(act)
        call = act.calls[0] if len(act.calls) == 1 else Call(to=ZERO_ADDRESS)
        wanted = Refuel(key=act.key, operator=call.to, wei=call.value, at=self.wall())
        why = watched.refuels.refused(wanted, self.wall())
        if call.to not in watched.fleet.operators or call.data:
            why = f"expected a transfer to an operator of fleet {watched.fleet.name}, got one to {call.to}"
        if why:
            raise OrderNotSent(f"refuel: {why}")
        if not watched.refuels.knows(act.key):
            watched.refuels.decided([wanted], self.wall())
            watched.write()

    def _learn(self, act: Act, report: ActReport) -> None:
        """Learn what became of a refuel; only its end changes anything."""
        watched = self._watched.get(act.wallet.fleet)
        if watched is not None and report.done in (Done.LANDED, Done.REFUSED):
            watched.refuels.ended(act.key, refused=report.done is Done.REFUSED)
            watched.ends += 1
            watched.write()

    async def run_refuels(self) -> NoReturn:
        """Look every now and then, until cancelled; what is under way then is taken up by whoever owns the shard next."""
        async with trio.open_nursery() as nursery:
            while True:
                if not self._watched:
                    await self._opened.wait()
                self._opened = trio.Event()
                for watched in list(self._watched.values()):
                    for refuel in await self._wanted(watched):
                        self._carried.add(refuel.key)
                        nursery.start_soon(self._carry, watched, refuel)
                with trio.move_on_after(self.look_every_s):
                    await self._opened.wait()

    async def _wanted(self, watched: _Watched) -> Sequence[Refuel]:
        """Look at a fleet; returns what nobody carries yet: what is due now, and what was begun before."""
        funding = watched.fleet.funding
        assert funding is not None
        assert funding.address is not None
        until, ends = trio.current_time() + _ASK_S, watched.ends
        try:
            found = await self._look([*watched.fleet.operators, funding.address], until)
            fees = await self.fees.now(until)
        except ChainError:
            return ()  # looked at again: until then nobody is known to be low
        self.balances.note(found, trio.current_time())
        now, refuels = self.wall(), watched.refuels
        if self._watched.get(watched.fleet.name) is not watched or fees is None or watched.ends != ends:
            return ()
        balances = {one: found[one] for one in watched.fleet.operators}
        due = refuels.due(balances, found[funding.address], _TRANSFER_GAS * fees.max_fee, now)
        if due:
            refuels.decided(due, now)
            watched.write()
        served = {one.operator for one in refuels.under_way}
        self._tell(watched.fleet, {one: wei for one, wei in balances.items() if one not in served})
        return [one for one in refuels.under_way if one.key not in self._carried]

    async def _look(self, addresses: Sequence[Address], until: float) -> Mapping[Address, int]:
        asked = [partial(self.chain.balance, one, until) for one in addresses]
        return dict(zip(addresses, await side_by_side(asked), strict=True))

    async def _carry(self, watched: _Watched, refuel: Refuel) -> None:
        """Have a refuel done, and follow it to its end."""
        funding = watched.fleet.funding
        assert funding is not None
        act = refuel_act(refuel, funding, refuel.at + _SENT_WITHIN_S)
        try:
            while self._watched.get(watched.fleet.name) is watched:
                report = await self._report(act)
                if report is not None and report.done in (Done.LANDED, Done.REFUSED):
                    break
                await trio.sleep(_AGAIN_S)
        finally:
            self._carried.discard(refuel.key)

    async def _report(self, act: Act) -> ActReport | None:
        """Ask the executor for a while; None where nobody knows yet."""
        report: ActReport | None = None
        with trio.move_on_after(_CARRY_S):
            await trio.lowlevel.checkpoint()  # what is refused at once has waited for nothing
            try:
                report = await self.act(act)
            except OrderNotSent as error:
                report = ActReport(done=Done.REFUSED, why=str(error))
                self._learn(act, report)  # nothing of it is anywhere: its limit is free again
            except ExecutorError:
                return None
        if report is not None and report.done is Done.REFUSED:
            (call,) = act.calls
            self.on_trouble(REFUSED, f"operator {call.to} of fleet {act.wallet.fleet}: {report.why}")
        return report

    def _tell(self, fleet: Fleet, balances: Mapping[Address, int]) -> None:
        """Let a person know who is low and gets nothing, once an hour."""
        low = [one for one, wei in balances.items() if wei < fleet.low.wei]
        now = trio.current_time()
        if low and now - self._told_at.get(fleet.name, -_TELL_EVERY_S) >= _TELL_EVERY_S:
            self._told_at[fleet.name] = now
            told = ", ".join(f"{one} has {Coins(balances[one])}" for one in low)
            self.on_trouble(LOW, f"fleet {fleet.name}: {told}; the funding account or max_day leaves too little")

    def _of(self, act: Act) -> _Watched:
        watched = self._watched.get(act.wallet.fleet)
        if watched is None:
            raise OrderNotSent(f"no shard of fleet {act.wallet.fleet or 'of none'} is owned here")
        return watched
