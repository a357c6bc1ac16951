"""The guard of a key: what it never signs, whoever asks."""

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
from trio_copy.signing.guard import DAY_S, HOUR_S, OLDEST_S, Guard, Signed

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
    """Let a guard judge and remember; returns the control that refused."""
    refusal = guard.judge(wanted, digest, now)
    if refusal is not None:
        assert refusal.code is Code.GUARD_REFUSED
        return refusal.control
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
        assert sign(guard, evolve(BUY, key=IntentKey(f"k{number}"), max_cost=Usd.parse(50)), NOW) is None
    assert sign(guard, evolve(BUY, key=IntentKey("k0"), max_cost=Usd.parse(50)), NOW + 1) is None
    assert sign(guard, evolve(BUY, key=IntentKey("k0")), NOW + 1, ANOTHER) == "signing.folder"
    assert (
        sign(guard, evolve(BUY, key=IntentKey("k0"), side=Side.SELL), NOW + OLDEST_S - 1, ANOTHER) == "signing.folder"
    )
    later = NOW + 3 * DAY_S
    assert sign(guard, evolve(BUY, key=IntentKey("k9"), at=later), later) is None
    assert not guard.has_signed(IntentKey("k0")), "what can never be asked for again is forgotten"
    assert sign(guard, evolve(BUY, key=IntentKey("k0")), later, ANOTHER) == "signing.folder", "it is too old by then"


def test_hours_and_days_slide_and_exits_are_never_in_their_way() -> None:
    """A day is any 24 hours: no midnight lets twice as much through. An exit spends nothing."""
    guard, number = make_guard(), 0

    def buy(dollars: int, hours: float) -> str | None:
        nonlocal number
        number += 1
        now = NOW + hours * HOUR_S
        return sign(guard, evolve(BUY, key=IntentKey(f"b{number}"), max_cost=Usd.parse(dollars), at=now), now)

    assert [buy(50, 0), buy(50, 0.5), buy(1, 0.9)] == [None, None, "wallet.hot.policy.max_hour_usd"]
    assert [buy(50, 1.0), buy(1, 1.6), buy(1, 23.9)] == [None, *["wallet.hot.policy.max_day_usd"] * 2]
    at = NOW + 23.9 * HOUR_S
    assert sign(guard, evolve(SELL, key=IntentKey("s"), at=at), at) is None
    assert [buy(50, 24.0), buy(1, 24.4), buy(50, 25.1)] == [None, "wallet.hot.policy.max_day_usd", None]


def test_what_runs_wild_is_stopped_and_leaves_exits_their_room() -> None:
    """Five a minute of either side: entries do not use up what exits need."""
    guard = make_guard(policy=evolve(POLICY, max_hour_usd=Usd.parse(9999), max_day_usd=Usd.parse(9999)))
    entries = [sign(guard, evolve(BUY, key=IntentKey(f"b{one}")), NOW + one) for one in range(6)]
    assert entries == [None] * 5 + ["wallet.hot.policy.max_minute_orders"]
    exits = [sign(guard, evolve(SELL, key=IntentKey(f"s{one}")), NOW + one) for one in range(6)]
    assert exits == [None] * 5 + ["wallet.hot.policy.max_minute_orders"]
    assert sign(guard, evolve(BUY, key=IntentKey("b9")), NOW + 61) is None


@pytest.mark.parametrize(
    ("until", "buy", "sell"),
    [(NOW + 1, None, None), (NOW, "wallet.hot", None), (0.0, "wallet.hot", "wallet.hot")],
)
def test_an_arming_that_is_over_lets_exits_through_and_a_disarmed_wallet_nothing(
    until: float, buy: str | None, sell: str | None
) -> None:
    """Time that runs out must not leave a position that nobody can sell; a person who disarms means all of it."""
    guard = make_guard(armed_until=until)
    assert sign(guard, BUY, NOW) == buy
    assert sign(guard, evolve(SELL, key=IntentKey("k2")), NOW) == sell


def test_another_body_of_a_key_that_was_signed_elsewhere_is_noticed() -> None:
    guard = make_guard()
    one = Signed(maker=MAKER, key=IntentKey("k"), digest=DIGEST, at=NOW, side=Side.BUY, max_cost=Usd.parse(1))
    assert guard.note(one)
    assert guard.note(evolve(one, digest=bytes(bytearray(DIGEST)))), "the same body once more is none"
    assert not guard.note(evolve(one, digest=ANOTHER))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 7200), st.integers(1, 60_000_000), st.integers(0, 30), st.sampled_from([DIGEST, ANOTHER])
        ),
        max_size=60,
    )
)
def test_no_hour_no_day_and_no_key_ever_breaks_its_limit(asked: list[tuple[int, int, int, bytes]]) -> None:
    """Whatever is asked for, in whatever order of amounts: by any window of what was signed, the limits held."""
    guard, now = make_guard(), NOW
    signed: list[tuple[float, int]] = []
    bodies: dict[IntentKey, bytes] = {}
    for wait, cost, number, digest in asked:
        now += wait
        key = IntentKey(f"k{number}")
        wanted = evolve(BUY, key=key, at=now, max_cost=Usd(cost))
        if sign(guard, wanted, now, digest) is None:
            if key not in bodies:
                signed.append((now, cost))
            assert bodies.setdefault(key, digest) == digest or now - NOW > DAY_S
    for end, _ in signed:
        for seconds, most in ((HOUR_S, POLICY.max_hour_usd), (DAY_S, POLICY.max_day_usd)):
            assert sum(cost for at, cost in signed if end - seconds < at <= end) <= most.micro
