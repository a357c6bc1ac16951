"""The guard of a key: what it never signs nor lets go, whoever asks."""

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOW, POLYGON, TOKEN
from trio_copy.config.wallets import WalletPolicy
from trio_copy.model.decisions import Code
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, ChainId, IntentKey
from trio_copy.model.units import NO_USD, Price, Usd
from trio_copy.ports import Spending
from trio_copy.signing.guard import DAY_S, HOUR_S, MINUTE_S, OLDEST_S, Guard, Signed

MAKER = Address("0x" + "ab" * 20)
EXCHANGE = WalletPolicy().contracts[0]
DIGEST, ANOTHER = b"\x01" * 32, b"\x02" * 32
BUY = Spending(
    key=IntentKey("k1"),
    side=Side.BUY,
    token_id=TOKEN,
    limit_price=Price.parse("0.5"),
    max_cost=Usd.parse(10),
    chain_id=POLYGON,
    contract=EXCHANGE,
    maker=MAKER,
    at=NOW,
)
SELL = evolve(BUY, side=Side.SELL, max_cost=NO_USD)
POLICY = WalletPolicy(
    max_order_usd=Usd.parse(50), max_hour_usd=Usd.parse(100), max_day_usd=Usd.parse(150), max_minute_orders=5
)


def make_guard(**changes: Any) -> Guard:
    facts: dict[str, Any] = {
        "name": "hot",
        "maker": MAKER,
        "chain_id": POLYGON,
        "policy": POLICY,
        "armed_until": NOW + 9e9,
    }
    return Guard(**{**facts, **changes})


def sign(guard: Guard, wanted: Spending, now: float, digest: bytes = DIGEST) -> str | None:
    """Let a guard judge and pin; returns the control that refused."""
    refusal = guard.judge(wanted, digest, now)
    if refusal is not None:
        assert refusal.code is Code.GUARD_REFUSED
        return refusal.control
    guard.pin(wanted.key, digest)
    return None


def send(guard: Guard, wanted: Spending, now: float, digest: bytes = DIGEST) -> str | None:
    """Let a guard judge, and remember what leaves; returns the control that refused."""
    refused = sign(guard, wanted, now, digest)
    if refused is not None:
        return refused
    assert guard.note(
        Signed(maker=MAKER, key=wanted.key, digest=digest, at=now, side=wanted.side, max_cost=wanted.max_cost)
    )
    return None


@pytest.mark.parametrize(
    ("wanted", "changes", "control"),
    [
        (BUY, {}, None),
        (SELL, {}, None),
        (BUY, {"chain_id": ChainId(80002)}, "chain.chain_id"),
        (BUY, {"contract": Address("0x" + "00" * 20)}, "wallet.hot.policy.contracts"),
        (SELL, {"contract": Address("0x" + "00" * 20)}, "wallet.hot.policy.contracts"),
        (BUY, {"maker": Address("0x" + "cd" * 20)}, "wallet.hot.address"),
        (BUY, {"at": NOW - OLDEST_S}, "signing.folder"),
        (SELL, {"at": NOW - OLDEST_S}, "signing.folder"),
        (BUY, {"at": NOW - OLDEST_S + 1}, None),
        (BUY, {"at": NOW + HOUR_S}, "signing.folder"),
        (BUY, {"limit_price": Price.parse("0.99")}, None),
        (BUY, {"limit_price": Price.parse("0.990001")}, "wallet.hot.policy.max_price"),
        (SELL, {"limit_price": Price.parse("0.9999")}, None),
        (BUY, {"limit_price": Price.parse("0.0001")}, None),
        (SELL, {"limit_price": Price.parse("0.001")}, None),
        (SELL, {"limit_price": Price.parse("0.0009")}, "wallet.hot.policy.min_price"),
        (BUY, {"max_cost": Usd.parse(50)}, None),
        (BUY, {"max_cost": Usd.parse("50.000001")}, "wallet.hot.policy.max_order_usd"),
        (BUY, {"max_cost": NO_USD}, "wallet.hot.policy.max_order_usd"),
        (BUY, {"max_cost": Usd.parse(-1)}, "wallet.hot.policy.max_order_usd"),
    ],
)
def test_each_rule_holds_to_the_last_millionth(wanted: Spending, changes: dict[str, Any], control: str | None) -> None:
    """What is cheaper for us than the band passes; everything else inside it only."""
    assert sign(make_guard(), evolve(wanted, **changes), NOW) == control


@pytest.mark.parametrize("digest", [b"", b"\x01" * 31, b"\x01" * 33])
def test_only_a_digest_is_signed(digest: bytes) -> None:
    assert sign(make_guard(), BUY, NOW, digest) == "digest"


def test_one_body_for_a_key_for_ever() -> None:
    """The same body is signed again, even where a limit is reached by now; another never, and nothing that old."""
    guard = make_guard()
    for number in range(2):
        assert send(guard, evolve(BUY, key=IntentKey(f"k{number}"), max_cost=Usd.parse(50)), NOW) is None
    assert send(guard, evolve(BUY, key=IntentKey("k0"), max_cost=Usd.parse(50)), NOW + 1) is None
    assert send(guard, evolve(BUY, key=IntentKey("k0")), NOW + 1, ANOTHER) == "signing.folder"
    assert (
        send(guard, evolve(BUY, key=IntentKey("k0"), side=Side.SELL), NOW + OLDEST_S - 1, ANOTHER) == "signing.folder"
    )
    later = NOW + 3 * DAY_S
    assert send(guard, evolve(BUY, key=IntentKey("k9"), at=later), later) is None
    assert guard.left(IntentKey("k0")) is None, "what can never be asked for again is forgotten"
    assert send(guard, evolve(BUY, key=IntentKey("k0")), later, ANOTHER) == "signing.folder", "it is too old by then"


def test_hours_and_days_slide_and_exits_are_never_in_their_way() -> None:
    """A day is any 24 hours: no midnight lets twice as much through. An exit spends nothing."""
    guard, number = make_guard(), 0

    def buy(dollars: int, hours: float) -> str | None:
        nonlocal number
        number += 1
        now = NOW + hours * HOUR_S
        return send(guard, evolve(BUY, key=IntentKey(f"b{number}"), max_cost=Usd.parse(dollars), at=now), now)

    assert [buy(50, 0), buy(50, 0.5), buy(1, 0.9)] == [None, None, "wallet.hot.policy.max_hour_usd"]
    assert [buy(50, 1.0), buy(1, 1.6), buy(1, 23.9)] == [None, *["wallet.hot.policy.max_day_usd"] * 2]
    at = NOW + 23.9 * HOUR_S
    assert send(guard, evolve(SELL, key=IntentKey("s"), at=at), at) is None
    assert [buy(50, 24.0), buy(1, 24.4), buy(50, 25.1)] == [None, "wallet.hot.policy.max_day_usd", None]


def test_what_runs_wild_is_stopped_and_leaves_exits_their_room() -> None:
    """Five a minute of either side: entries do not use up what exits need."""
    guard = make_guard(policy=evolve(POLICY, max_hour_usd=Usd.parse(9999), max_day_usd=Usd.parse(9999)))
    entries = [send(guard, evolve(BUY, key=IntentKey(f"b{one}")), NOW + one) for one in range(6)]
    assert entries == [None] * 5 + ["wallet.hot.policy.max_minute_orders"]
    exits = [send(guard, evolve(SELL, key=IntentKey(f"s{one}")), NOW + one) for one in range(6)]
    assert exits == [None] * 5 + ["wallet.hot.policy.max_minute_orders"]
    assert send(guard, evolve(BUY, key=IntentKey("b9")), NOW + 61) is None


@pytest.mark.parametrize(
    ("until", "buy", "sell"),
    [(NOW + 1, None, None), (NOW, "wallet.hot", None), (0.0, "wallet.hot", "wallet.hot")],
)
def test_an_arming_that_is_over_lets_exits_through_and_a_disarmed_wallet_nothing(
    until: float, buy: str | None, sell: str | None
) -> None:
    """Time that runs out must not leave a position that nobody can sell; a person who disarms means all of it."""
    guard = make_guard(armed_until=until)
    assert send(guard, BUY, NOW) == buy
    assert send(guard, evolve(SELL, key=IntentKey("k2")), NOW) == sell


def test_another_body_of_a_key_that_was_signed_elsewhere_is_noticed() -> None:
    guard = make_guard()
    one = Signed(maker=MAKER, key=IntentKey("k"), digest=DIGEST, at=NOW, side=Side.BUY, max_cost=Usd.parse(1))
    assert guard.note(one)
    assert guard.note(evolve(one, digest=bytes(bytearray(DIGEST)))), "the same body once more is none"
    assert not guard.note(evolve(one, digest=ANOTHER))


_ASKED = st.tuples(
    st.sampled_from([0, 1, 20, 300, 1400]),
    st.integers(1, 60_000_000),
    st.integers(0, 30),
    st.sampled_from([DIGEST, DIGEST, ANOTHER]),
    st.sampled_from(["leaves", "denied", "an earlier one leaves"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_ASKED, max_size=60))
def test_what_leaves_counts_and_nothing_else(asked: list[tuple[int, int, int, bytes, str]]) -> None:
    """An order may go exactly where it fits beside all that left before: whatever was signed, and then denied, or leaves late."""
    guard, now = make_guard(), NOW
    signed: dict[IntentKey, tuple[Spending, bytes]] = {}
    left: dict[IntentKey, tuple[float, int]] = {}

    def fits(key: IntentKey, cost: int, digest: bytes) -> bool:
        if key in signed and signed[key][1] != digest:
            return False
        hour, day, minute = (
            [one for at, one in left.values() if at > now - seconds] for seconds in (HOUR_S, DAY_S, MINUTE_S)
        )
        return key in left or (
            cost <= POLICY.max_order_usd.micro
            and sum(hour) + cost <= POLICY.max_hour_usd.micro
            and sum(day) + cost <= POLICY.max_day_usd.micro
            and len(minute) < POLICY.max_minute_orders
        )

    def leave(wanted: Spending, digest: bytes) -> None:
        may = fits(wanted.key, wanted.max_cost.micro, digest)
        assert (send(guard, wanted, now, digest) is None) == may
        if may:
            left.setdefault(wanted.key, (now, wanted.max_cost.micro))

    for wait, cost, number, digest, what in asked:
        now += wait
        if what == "an earlier one leaves" and signed:
            leave(*list(signed.values())[number % len(signed)])
            continue
        wanted = evolve(BUY, key=IntentKey(f"k{number}"), at=now, max_cost=Usd(cost))
        may = fits(wanted.key, cost, digest)
        assert (sign(guard, wanted, now, digest) is None) == may
        if may:
            signed.setdefault(wanted.key, (wanted, digest))
            if what == "leaves":
                leave(*signed[wanted.key])


def test_what_is_only_signed_is_remembered_in_bounded_memory() -> None:
    """Forgotten, a key may get another signature; a second body of it leaves never."""
    guard = make_guard()
    assert send(guard, BUY, NOW) is None
    for number in range(2_000):
        assert sign(guard, evolve(BUY, key=IntentKey(f"denied-{number}")), NOW) is None
    assert len(guard._pinned) == 1_000
    assert sign(guard, evolve(BUY, key=IntentKey("denied-1999")), NOW, ANOTHER) == "signing.folder"
    assert sign(guard, evolve(BUY, key=IntentKey("denied-0")), NOW, ANOTHER) is None
    assert sign(guard, BUY, NOW, ANOTHER) == "signing.folder"
