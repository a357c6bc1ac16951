"""Operators that run low are refuelled while an engine runs: within limits, written down first, each once, to the end."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, evolve, field

from tests.builders import ALICE, NOW, POLYGON
from tests.onchain.executing import KeptJournal
from tests.onchain.scripted_chain import ScriptedChain
from trio_copy.clock import wall_clock_from
from trio_copy.errors import ConnectionLost, OrderNotSent, OrderUncertain
from trio_copy.model.coins import Coins
from trio_copy.model.fleets import Fleet, funding_wallet
from trio_copy.model.ids import Address, FollowerId, Hash32, IntentKey
from trio_copy.ports import Act, ActReport, Done, refuel_act
from trio_copy.records import read_plain
from trio_copy.transactions.calls import Call
from trio_copy.transactions.refuelling import Refuel, Refuels, document_name, refuel_key
from trio_copy_onchain.asking.fee_clock import FeeClock
from trio_copy_onchain.fleet.balances import Balances
from trio_copy_onchain.fleet.watching import GasMoney
from trio_copy_onchain.tx.fees import GWEI

Clock = trio.testing.MockClock
A, B, FUNDING = (Address(f"0x{number:040x}") for number in (1, 2, 15))
COIN = 10**18
FLEET = Fleet(
    name="ops",
    operators=(A, B),
    funding=funding_wallet("ops", FUNDING, ALICE),
    low=Coins.parse("0.2"),
    fill_to=Coins.parse(1),
    max_day=Coins.parse(10),
)
DOCUMENT = document_name(POLYGON, "ops")
SENT = Hash32("0x" + "ab" * 32)
LANDED = ActReport(done=Done.LANDED, transaction=SENT)


@define(eq=False)
class _Bench:
    """Gas money on a chain whose balances a test sets, with an executor that does what it is told."""

    balances: dict[Address, int] = field(factory=lambda: {A: COIN, B: COIN, FUNDING: 100 * COIN})
    journal: KeptJournal = field(factory=KeptJournal)
    becomes: list[ActReport | Exception] = field(factory=list)
    """What comes of each call of `send`; then everything lands at once."""
    acts: list[Act] = field(factory=list)
    told: list[tuple[str, str]] = field(factory=list)
    money: GasMoney = field(init=False)

    def __attrs_post_init__(self) -> None:
        chain = ScriptedChain(names=("node-1",))
        chain.instead["node-1", "eth_getBalance"] = lambda params: self._balance(str(params[0]))
        chain.instead["node-1", "eth_feeHistory"] = lambda params: {"baseFeePerGas": ["0x1"], "reward": [["0x1"]]}
        self.money = self.made(chain)

    def made(self, chain: ScriptedChain, fleets: Sequence[Fleet] = (FLEET,)) -> GasMoney:
        return GasMoney(
            chain=chain.asked,
            fees=FeeClock(chain=chain.asked, percentile=50.0, cap=500 * GWEI),
            fleets=fleets,
            wall=wall_clock_from(NOW),
            balances=Balances(),
            send=self.send,
            on_trouble=lambda kind, detail: self.told.append((kind, detail)),
        )

    def _balance(self, address: str) -> object:
        wei = self.balances.get(Address(address))
        return ConnectionLost("away") if wei is None else hex(wei)

    async def send(self, act: Act) -> ActReport:
        """Do as an executor does: write it down, send it, and say what is known of it."""
        await self.journal.wait_durable()
        kept = Refuels.restored(POLYGON, FLEET, read_plain(self.journal.durable[DOCUMENT]))
        assert kept.knows(act.key), "whoever is next must know what was decided before it is signed"
        self.acts.append(act)
        step = self.becomes.pop(0) if self.becomes else LANDED
        if isinstance(step, Exception):
            raise step
        if step.done is Done.LANDED:
            (call,) = act.calls
            self.balances[call.to] += call.value
            self.balances[FUNDING] -= call.value
        return step

    @property
    def written(self) -> Refuels:
        return Refuels.restored(POLYGON, FLEET, read_plain(self.journal.documents()[DOCUMENT]))

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]


@asynccontextmanager
async def running(bench: _Bench) -> AsyncGenerator[GasMoney, None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.money.run_refuels)
        bench.money.open_journal(bench.journal)
        yield bench.money
        nursery.cancel_scope.cancel()


async def test_an_operator_that_runs_low_is_filled_up_and_left_alone_then(autojump_clock: Clock) -> None:
    """Its balance is known to whoever picks operators; what was decided is in the journal, with its end."""
    bench = _Bench()
    bench.balances[A] = COIN // 10
    async with running(bench) as money:
        await trio.sleep(10)
        assert [(act.calls[0].to, act.calls[0].value) for act in bench.acts] == [(A, 9 * COIN // 10)]
        assert bench.acts[0].wallet == FLEET.funding
        assert bench.acts[0].until == pytest.approx(NOW + 300, abs=1)
        assert (money.balances.of(B), money.balances.of(Address("0x" + "99" * 20))) == (COIN, None)
        assert bench.written.under_way == []
        assert bench.written.spent(NOW) == 9 * COIN // 10
        await trio.sleep(100)
        assert len(bench.acts) == 1
        bench.balances[B] = 0
        await trio.sleep(31)
        assert [act.calls[0].to for act in bench.acts] == [A, B]
    assert bench.kinds == []


async def test_what_is_not_final_is_followed_to_its_end(autojump_clock: Clock) -> None:
    """Uncertain, pending and mined are no ends: the same act is asked about again, and nothing else is decided meanwhile."""
    bench = _Bench(
        becomes=[OrderUncertain("?"), ActReport(done=Done.PENDING), ActReport(done=Done.MINED, transaction=SENT)]
    )
    bench.balances[A] = 0
    async with running(bench):
        await trio.sleep(60)
    assert len(bench.acts) == 4
    assert len({act.key for act in bench.acts}) == 1
    assert bench.balances[A] == COIN


async def test_another_owner_goes_on_with_what_was_begun(autojump_clock: Clock) -> None:
    """Under the same key, and until the same moment; what lands meanwhile is not paid twice."""
    first = _Bench(becomes=[ActReport(done=Done.PENDING)] * 1000)
    first.balances[A] = 0
    async with running(first):
        await trio.sleep(20)
    second = _Bench(journal=first.journal.as_left())
    second.balances[A] = 0
    async with running(second):
        await trio.sleep(5)
        [act] = second.acts
        assert (act.key, act.until) == (first.acts[0].key, first.acts[0].until)
        assert second.balances[A] == COIN


async def test_what_is_refused_frees_its_limit_and_is_told(autojump_clock: Clock) -> None:
    """By the chain, or because nothing could leave; the next one has another key."""
    bench = _Bench(becomes=[ActReport(done=Done.REFUSED, why="the guard refuses"), OrderNotSent("gas is too dear")])
    bench.balances[A] = 0
    async with running(bench):
        await trio.sleep(100)
    day = int(NOW // 86_400)
    assert [act.key for act in bench.acts] == [refuel_key(POLYGON, A, day, nth) for nth in range(3)]
    assert bench.kinds == ["not-refuelled", "not-refuelled"]
    assert bench.written.spent(NOW) == COIN


async def test_who_is_low_and_gets_nothing_is_told_once_an_hour(autojump_clock: Clock) -> None:
    bench = _Bench()
    bench.balances |= {A: 0, FUNDING: 1}
    async with running(bench):
        await trio.sleep(100)
        assert bench.acts == []
        assert bench.told == [
            ("operators-low", f"fleet ops: {A} has 0; the funding account or max_day leaves too little")
        ]
        await trio.sleep(3600)
        assert bench.kinds == ["operators-low"] * 2


async def test_without_a_shard_or_a_node_nothing_is_decided(autojump_clock: Clock) -> None:
    """Nobody is taken for empty because nobody answers; a shard that is given up is somebody else's."""
    bench = _Bench()
    del bench.balances[A]
    async with running(bench) as money:
        await trio.sleep(100)
        assert bench.acts == []
        bench.balances[A] = COIN
        await trio.sleep(31)
        money.close_journal(bench.journal)
        bench.balances[A] = 0
        await trio.sleep(100)
        assert bench.acts == []
        with pytest.raises(OrderNotSent, match="no shard of fleet ops is owned here"):
            await money.act(act_of(Refuel(key=IntentKey("1" * 64), operator=A, wei=1, at=NOW)))
        money.open_journal(bench.journal)
        await trio.sleep(5)
        assert len(bench.acts) == 1


def act_of(refuel: Refuel, **changes: Any) -> Act:
    assert FLEET.funding is not None
    return evolve(refuel_act(refuel, FLEET.funding, NOW + 60), **changes)


async def test_what_a_person_asks_for_is_admitted_within_the_same_limits(autojump_clock: Clock) -> None:
    """Written down as one that was decided here; asked for again it is the same one. Nobody else gets anything."""
    bench = _Bench()
    bench.money.open_journal(bench.journal)
    wanted = Refuel(key=refuel_key(POLYGON, A, int(NOW // 86_400), 0), operator=A, wei=COIN // 2, at=NOW)
    for calls in ((Call(to=FUNDING, value=1),), (Call(to=A, value=1, data=b"\x01"),), (Call(to=A, value=1),) * 2):
        with pytest.raises(OrderNotSent, match="expected a transfer to an operator of fleet ops"):
            await bench.money.act(act_of(wanted, calls=calls))
    with pytest.raises(OrderNotSent, match=r"expected at most fleet\.ops\.fill_to"):
        await bench.money.act(act_of(evolve(wanted, wei=2 * COIN)))
    assert DOCUMENT not in bench.journal.documents()
    bench.becomes = [ActReport(done=Done.MINED, transaction=SENT)]
    assert (await bench.money.act(act_of(wanted))).done is Done.MINED
    assert [one.key for one in bench.written.under_way] == [wanted.key]
    assert (await bench.money.act(act_of(wanted))).done is Done.LANDED
    assert (await bench.money.act(act_of(wanted))).done is Done.LANDED
    assert bench.written.under_way == [], "what has landed is not begun again"
    bench.money.close_journal(bench.journal)
    with pytest.raises(OrderNotSent, match="no shard of fleet ops"):
        await bench.money.act(act_of(wanted))


async def test_refuels_that_cannot_be_read_stop_their_fleet(autojump_clock: Clock) -> None:
    """Nobody knows what was given; other followers' shards, and fleets that nobody refuels, are not looked at."""
    bench = _Bench()
    bench.journal.put(DOCUMENT, b"[2]")
    bench.balances[A] = 0
    async with running(bench):
        await trio.sleep(100)
    assert bench.acts == []
    [(kind, detail)] = bench.told
    assert (kind, detail.startswith("expected the refuels of fleet ops")) == ("not-refuelled", True)
    stranger = evolve(FLEET, funding=funding_wallet("ops", FUNDING, FollowerId("stranger")))
    money = bench.made(ScriptedChain(), [evolve(FLEET, funding=None), stranger])
    money.open_journal(_OfAlice())
    with pytest.raises(OrderNotSent, match="no shard"):
        await money.act(act_of(Refuel(key=IntentKey("1" * 64), operator=A, wei=1, at=NOW)))


class _OfAlice(KeptJournal):
    def covers(self, follower: FollowerId) -> bool:
        return follower == ALICE
