"""Fleets: one operator a key for ever, the idlest first, and gas money within limits, each refuel once."""

from collections import Counter

import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import ALICE, NOW, POLYGON
from trio_copy.model.coins import Coins
from trio_copy.model.fleets import Fleet, funding_wallet
from trio_copy.model.ids import Address, IntentKey
from trio_copy.ports.acting import Deed, refuel_act
from trio_copy.records import read_plain, write_plain
from trio_copy.transactions.refuelling import Refuel, Refuels, refuel_key
from trio_copy_onchain.fleet.picking import Load, pick

OPERATORS = tuple(Address(f"0x{number:040x}") for number in range(1, 6))
A, B, C, *_ = OPERATORS
GAS = 1_000
FUNDING = funding_wallet("ops", Address("0x" + "fd" * 20), ALICE)
FLEET = Fleet(name="ops", funding=FUNDING, low=Coins(20_000), fill_to=Coins(100_000), max_day=Coins(250_000))
DAY_S = 86_400


def load(operator: Address, open_: int = 0, wei: int | None = GAS, **changes: bool) -> Load:
    return Load(operator=operator, open=open_, wei=wei, **changes)


@pytest.mark.parametrize(
    ("loads", "picked"),
    [
        ([load(A, 2), load(B, 1), load(C, 1)], B),
        ([load(A, 1), load(B, 1, GAS + 1)], B),
        ([load(A, wei=None), load(B)], B),
        ([load(A, wei=None), load(B, 1)], A),
        ([load(A, wei=0), load(B, 3)], B),
        ([load(A, paused=True), load(B, 3)], B),
        ([load(A, 4), load(B, 3)], B),
        ([load(A, 4), load(B, 3, 0), load(C, paused=True)], None),
        ([], None),
    ],
)
def test_the_idlest_that_can_pay_carries_a_key(loads: list[Load], picked: Address | None) -> None:
    assert pick(loads, in_flight=4) == picked


@given(
    st.lists(
        st.builds(
            Load,
            operator=st.sampled_from(OPERATORS),
            open=st.integers(0, 6),
            wei=st.none() | st.integers(0, 3),
            paused=st.booleans(),
        ),
        unique_by=lambda one: one.operator,
    ),
    st.integers(1, 5),
)
def test_nobody_is_picked_who_cannot_and_nobody_idler_is_passed_over(loads: list[Load], in_flight: int) -> None:
    """The same loads give the same operator, and of what nobody has looked at nothing is known to be too little."""
    picked = pick(loads, in_flight=in_flight)
    assert picked == pick(loads, in_flight=in_flight)
    able = [one for one in loads if one.open < in_flight and not one.paused and one.wei != 0]
    if picked is None:
        assert not able
    else:
        [chosen] = [one for one in able if one.operator == picked]
        assert all((one.open, -(one.wei or 0)) >= (chosen.open, -(chosen.wei or 0)) for one in able)


def test_keys_spread_over_a_fleet() -> None:
    """Eight operators with sixteen each carry 128 at once, and the 129th waits."""
    fleet = [Address(f"0x{number:040x}") for number in range(8)]
    counts = Counter[Address]()
    for _ in range(128):
        picked = pick([load(one, counts[one]) for one in fleet], in_flight=16)
        assert picked is not None
        counts[picked] += 1
        assert max(counts.values()) - min(counts[one] for one in fleet) <= 1
    assert pick([load(one, counts[one]) for one in fleet], in_flight=16) is None


def decide(refuels: Refuels, balances: dict[Address, int], funds: int, at: float = NOW) -> dict[Address, int]:
    due = refuels.due(balances, funds, GAS, at)
    refuels.decided(due, at)
    return {one.operator: one.wei for one in due}


def make() -> Refuels:
    return Refuels(chain_id=POLYGON, fleet=FLEET)


def test_the_emptiest_is_filled_up_first_as_far_as_a_day_allows() -> None:
    """What is left of the day lifts the next one over the low mark, or is kept; nothing is decided twice."""
    refuels = make()
    balances = {A: 15_000, B: 20_000, C: 0, OPERATORS[3]: 5_000}
    assert decide(refuels, balances, 10**9) == {C: 100_000, OPERATORS[3]: 95_000, A: 55_000}
    assert decide(refuels, balances, 10**9) == {}, "they are under way"
    for one in refuels.under_way:
        refuels.ended(one.key)
    assert decide(refuels, {A: 0}, 10**9, NOW + DAY_S - 1) == {}, "the day is not over"
    assert decide(refuels, {A: 0}, 10**9, NOW + DAY_S) == {A: 100_000}


def test_who_is_not_low_gets_nothing() -> None:
    """Each transfer costs gas, and a day has its limit: nobody is topped up all the time."""
    assert decide(make(), {A: FLEET.low.wei, B: FLEET.low.wei - 1}, 10**9) == {B: 100_000 - FLEET.low.wei + 1}


@pytest.mark.parametrize(
    ("funds", "gets"),
    [(300_000, {A: 100_000, B: 90_000}), (105_000, {A: 100_000}), (60_000, {A: 59_000}), (10_999, {}), (0, {})],
)
def test_the_funding_wallet_keeps_what_its_transfers_cost(funds: int, gets: dict[Address, int]) -> None:
    assert decide(make(), {A: 0, B: 10_000}, funds) == gets


def test_a_refuel_is_asked_for_again_under_its_key_after_a_restart() -> None:
    """Only what certainly never happened frees the day's limit, and even that key is not used for anything else."""
    refuels = make()
    assert decide(refuels, {A: 0, B: 0}, 10**9) == {A: 100_000, B: 100_000}
    first, second = refuels.under_way
    assert first.key == refuel_key(POLYGON, A, int(NOW // DAY_S), 0)
    written = write_plain(refuels.plain())
    again = Refuels.restored(POLYGON, FLEET, read_plain(written))
    assert list(again.under_way) == [first, second]
    again.ended(first.key, refused=True)
    again.ended(second.key)
    again.ended(second.key, refused=False)
    again.ended(IntentKey("nobody's"))
    assert again.spent(NOW) == 100_000
    assert decide(again, {A: 0}, 10**9) == {A: 100_000}
    [other] = again.under_way
    assert other.key not in (first.key, second.key)
    act = refuel_act(other, FUNDING, NOW + 60)
    assert (act.key, act.deed, act.wallet, act.until) == (other.key, Deed.REFUEL, FUNDING, NOW + 60)
    assert [(call.to, call.value, call.data) for call in act.calls] == [(A, 100_000, b"")]


@pytest.mark.parametrize("body", [[], [1, [[1]], []], [2, [], []], [1, [], [["a", "b", "c"]]], None])
def test_refuels_that_are_none_are_refused(body: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        Refuels.restored(POLYGON, FLEET, body)  # type: ignore[arg-type]


def test_what_a_person_asks_for_is_held_to_the_same_limits() -> None:
    """He saw the books a while ago: what was decided since is in the way of his, and the same one is one."""
    refuels = make()
    [wanted] = refuels.due({A: 0}, 10**9, GAS, NOW)
    assert refuels.refused(wanted, NOW) == ""
    assert refuels.refused(evolve(wanted, wei=100_001), NOW).startswith("expected at most fleet.ops.fill_to")
    refuels.decided([wanted], NOW)
    assert refuels.refused(wanted, NOW) == ""
    assert refuels.refused(evolve(wanted, wei=99_999), NOW).startswith("its key is that of 100000 wei for 0x")
    day = int(NOW // DAY_S)
    following = evolve(wanted, key=refuel_key(POLYGON, A, day, 1))
    assert refuels.refused(following, NOW) == "another one of this operator is under way"
    refuels.ended(wanted.key)
    assert refuels.refused(following, NOW) == ""
    assert "look again" in refuels.refused(evolve(wanted, key=refuel_key(POLYGON, A, day, 2)), NOW)
    refuels.decided(refuels.due({B: 0}, 10**9, GAS, NOW), NOW)
    assert refuels.refused(following, NOW).startswith("over fleet.ops.max_day")


@define
class _Chain:
    """Does each refuel once, whenever it comes to it."""

    funds: int
    balances: dict[Address, int]
    done: dict[IntentKey, tuple[float, int]] = field(factory=dict)

    def mine(self, refuel: Refuel, at: float) -> None:
        if refuel.key in self.done:
            return
        self.done[refuel.key] = at, refuel.wei
        self.funds -= refuel.wei + GAS
        self.balances[refuel.operator] += refuel.wei
        assert self.funds >= 0
        assert self.balances[refuel.operator] <= FLEET.fill_to.wei


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["look", "look", "mine", "mine", "refuse", "restart", "spend", "wait"]),
        st.integers(0, 4),
        st.integers(0, 100_000),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(_STEPS, st.integers(0, 900_000))
def test_no_history_refuels_twice_or_beyond_a_limit(steps: list[tuple[str, int, int]], funds: int) -> None:
    """Whatever is mined late, refused, or cut off by a restart: each key at most once, each day within its limit."""
    refuels, at = make(), NOW
    chain = _Chain(funds, dict.fromkeys(OPERATORS, 0))
    keys: set[IntentKey] = set()
    decided: list[tuple[float, IntentKey]] = []
    for what, which, amount in steps:
        under_way = refuels.under_way
        match what:
            case "look":
                due = refuels.due(chain.balances, chain.funds, GAS, at)
                assert keys.isdisjoint(one.key for one in due), "a key means one refuel"
                keys |= {one.key for one in due}
                decided += [(at, one.key) for one in due]
                refuels.decided(due, at)
            case "mine" if under_way:
                one = under_way[which % len(under_way)]
                chain.mine(one, at)
                if amount % 2:  # else the process ends before it hears of it
                    refuels.ended(one.key)
            case "refuse" if under_way:
                one = under_way[which % len(under_way)]
                if one.key not in chain.done:
                    refuels.ended(one.key, refused=True)
            case "restart":
                refuels = Refuels.restored(POLYGON, FLEET, refuels.plain())
                assert [one.key for one in refuels.under_way] == [one.key for one in under_way]
            case "spend":
                operator = OPERATORS[which]
                chain.balances[operator] = max(0, chain.balances[operator] - amount)
            case "wait":
                at += amount
    for start, _ in decided:
        within = sum(chain.done[key][1] for when, key in decided if key in chain.done and start <= when < start + DAY_S)
        assert within <= FLEET.max_day.wei


def test_without_a_limit_worth_the_name_all_are_filled() -> None:
    """Amounts are of any width, also where they are written down."""
    fleet = evolve(FLEET, fill_to=Coins.parse(100), max_day=Coins.parse(500))
    refuels = Refuels(chain_id=POLYGON, fleet=fleet)
    decide(refuels, dict.fromkeys(OPERATORS, 0), 10**21)
    again = Refuels.restored(POLYGON, fleet, read_plain(write_plain(refuels.plain())))
    assert [one.wei for one in again.under_way] == [10**20] * 5
