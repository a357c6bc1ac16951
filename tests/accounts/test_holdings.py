"""A base and a tail say what the fold over all entries says, whatever settles or is undone in whichever order."""

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ALICE, LEADER, NOW, TOKEN
from trio_copy.accounts.holdings import NOTHING_HELD, Holding
from trio_copy.accounts.written_positions import holding_of, plain_bundle, plain_holding
from trio_copy.model.fills import Side
from trio_copy.model.ids import SignalId, TaskId
from trio_copy.model.positions import EntryKind, LedgerEntry, fold
from trio_copy.model.units import NO_SHARES, NO_USD, Shares, Usd
from trio_copy.records import read_plain, write_plain

ENTRY = LedgerEntry(
    key="k",
    task_id=TaskId("t"),
    signal_id=SignalId("s"),
    follower=ALICE,
    leader=LEADER,
    token_id=TOKEN,
    side=Side.BUY,
    shares=NO_SHARES,
    notional=NO_USD,
    fee=NO_USD,
    booked_at=NOW,
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "buy", "sell", "missed", "confirm", "confirm", "reverse"]),
        st.integers(1, 10**9),
        st.integers(0, 10**9),
        st.integers(0, 10**6),
        st.booleans(),
    ),
    max_size=30,
)


def read_again(holding: Holding) -> Holding:
    """Read it from its documents, as they come back from JSON."""
    bundles = {bundle: read_plain(write_plain(plain_bundle(holding, bundle) or [])) for bundle in holding.apart}
    return holding_of(read_plain(write_plain(plain_holding(holding))), bundles)


@given(STEPS)
def test_base_and_tail_are_the_fold(steps: list[tuple[str, int, int, int, bool]]) -> None:
    """After each step, also when it was written down and read again; nothing settled stays in the tail's front."""
    holding, history, open_keys = NOTHING_HELD, list[LedgerEntry](), list[str]()
    for number, (what, shares, notional, fee, firm) in enumerate(steps):
        if what in ("confirm", "reverse"):
            if open_keys:
                key = open_keys.pop(shares % len(open_keys))
                kind = EntryKind.CONFIRM if what == "confirm" else EntryKind.REVERSE
                history.append(evolve(ENTRY, key=f"{key}:{what}", kind=kind, of=key))
                holding = holding.confirmed(key) if what == "confirm" else holding.without(key)
        else:
            entry = _entry(what, str(number), shares, notional, fee, firm=firm)
            history.append(entry)
            holding = holding.after(entry)
            if not entry.firm:
                open_keys.append(entry.key)
        assert holding.now == fold(history)
        assert not (holding.tail and holding.tail[0].firm)
        assert read_again(holding) == holding


def _entry(what: str, key: str, shares: int, notional: int, fee: int, *, firm: bool) -> LedgerEntry:
    if what == "missed":
        return evolve(ENTRY, key=key, kind=EntryKind.MISSED, side=Side.SELL, leader_shares=Shares(shares))
    return evolve(
        ENTRY,
        key=key,
        side=Side.BUY if what == "buy" else Side.SELL,
        shares=Shares(shares),
        notional=Usd(notional),
        fee=Usd(fee),
        leader_shares=Shares(10 * shares),
        firm=firm,
    )


def test_what_nobody_knows_changes_nothing() -> None:
    """A key that is not in the tail is neither settled nor undone."""
    held = NOTHING_HELD.after(evolve(ENTRY, shares=Shares(5), firm=False))
    assert held.confirmed("other") == held.without("other") == held
    assert Holding.of(held.base, held.tail) == held
    assert not held.gone
    assert held.without("k").gone
