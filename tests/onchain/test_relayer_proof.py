"""What proves that an action happened, what is written down of it, and what follows: pure, without any connection."""

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import POLYGON, hash_of
from tests.onchain.relayer_world import KEY, WALLET, Documents, WalletChain, intent
from trio_copy.errors import ConfigError
from trio_copy.model.ids import Address, Hash32
from trio_copy.model.logs import RawLog
from trio_copy.model.orders import SignatureType
from trio_copy.ports import ExecutorContext
from trio_copy.transactions.relayed import POLYMARKET
from trio_copy_onchain.relayer.looking import Found, Look
from trio_copy_onchain.relayer.opening import make_carrier
from trio_copy_onchain.relayer.proof import FAILURE, RELAYED, SUCCESS, Outcome, Place, outcome_of
from trio_copy_onchain.relayer.relaying import Heard, Moment, Step, step_of
from trio_copy_onchain.relayer.settings import RelayerSettings
from trio_copy_onchain.relayer.submitted import Action, Signing, name_of, read_action, write_action
from trio_copy_onchain.relayer.written import Written
from trio_copy_onchain.tx.receipts import Receipt

OTHER = Address("0x" + "99" * 20)
SIGNING = Signing(statement=hash_of(7), signature=bytes(range(65)))
ACTION = Action(nonce=4, since_block=90, at=5.0, signings=(SIGNING,))
OURS = b"\xaa" * 40 + SIGNING.signature + b"\xbb" * 3
OWNER = Hash32("0x" + "0" * 24 + KEY.address[2:])


def _place(kind: SignatureType) -> Place:
    return Place(kind=kind, wallet=WALLET, owner=KEY.address, contracts=POLYMARKET)


def _log(address: Address, topics: tuple[Hash32, ...], data: bytes) -> RawLog:
    return RawLog(
        chain_id=POLYGON, address=address, topics=topics, data=data, block_number=9, block_hash=hash_of(9),
        block_time=None, tx_hash=hash_of(1), log_index=0,
    )  # fmt: skip


def _receipt(*logs: RawLog, succeeded: bool = True) -> Receipt:
    return Receipt(
        tx_hash=hash_of(1), block_number=9, block_hash=hash_of(9), succeeded=succeeded, gas_used=1, price=1, logs=logs
    )  # fmt: skip


_STATEMENT = bytes.fromhex(SIGNING.statement[2:])
_DONE = _log(WALLET, (SUCCESS,), _STATEMENT + bytes(32))


@pytest.mark.parametrize(
    "kind, receipt, calldata, outcome",
    [
        (SignatureType.SAFE, _receipt(_DONE), b"", Outcome.DONE),
        (SignatureType.SAFE, _receipt(_log(WALLET, (SUCCESS, SIGNING.statement), bytes(32))), b"", Outcome.DONE),
        (SignatureType.SAFE, _receipt(_log(WALLET, (FAILURE,), _STATEMENT + bytes(32))), b"", Outcome.FAILED),
        # Another wallet's word, another statement, a log that is cut off, no log at all: whatever the calldata is.
        (SignatureType.SAFE, _receipt(_log(OTHER, (SUCCESS,), _STATEMENT + bytes(32))), OURS, Outcome.FOREIGN),
        (SignatureType.SAFE, _receipt(_log(WALLET, (SUCCESS,), bytes(64))), OURS, Outcome.FOREIGN),
        (SignatureType.SAFE, _receipt(_log(WALLET, (SUCCESS,), _STATEMENT[:31])), OURS, Outcome.FOREIGN),
        (SignatureType.SAFE, _receipt(), OURS, Outcome.FOREIGN),
        (SignatureType.SAFE, _receipt(succeeded=False), OURS, Outcome.REVERTED),
        (SignatureType.SAFE, _receipt(succeeded=False), b"", Outcome.FOREIGN),
        (SignatureType.DEPOSIT, _receipt(), OURS, Outcome.DONE),
        (SignatureType.DEPOSIT, _receipt(), OURS[:60], Outcome.FOREIGN),
        (SignatureType.DEPOSIT, _receipt(succeeded=False), OURS, Outcome.REVERTED),
    ],
)
def test_the_wallets_contract_and_the_signature_prove_it(
    kind: SignatureType, receipt: Receipt, calldata: bytes, outcome: Outcome
) -> None:
    assert outcome_of(_place(kind), [SIGNING], receipt, calldata) is outcome


def test_the_hub_says_how_the_calls_of_a_proxy_wallet_ended() -> None:
    place, hub = _place(SignatureType.PROXY), POLYMARKET.relay_hub

    def told(status: int, owner: Hash32 = OWNER, address: Address = hub, calldata: bytes = OURS) -> Outcome:
        data = bytes(32) + status.to_bytes(32) + bytes(32)
        return outcome_of(
            place, [SIGNING], _receipt(_log(address, (RELAYED, hash_of(2), owner, hash_of(3)), data)), calldata
        )

    assert [told(status) for status in (0, 1, 4)] == [Outcome.DONE, Outcome.FAILED, Outcome.FAILED]
    assert {told(0, hash_of(5)), told(0, address=OTHER), told(0, calldata=b"")} == {Outcome.FOREIGN}
    assert outcome_of(place, [SIGNING], _receipt(), OURS) is Outcome.FOREIGN


def _look(**more: Any) -> Look:
    return Look(**({"head": 120, "final_block": 118, "latest": 4, "final": 4} | more))


def _found(outcome: Outcome, *, final: bool) -> Found:
    return Found(tx_hash=hash_of(1), block_number=119, outcome=outcome, final=final)


_NOW, _LATE = Moment(unix_s=10.0, until=20.0), Moment(unix_s=20.0, until=20.0)
_FOLLOWED = evolve(ACTION, signings=(evolve(SIGNING, transaction_id="a"),))
_DOUBT = Heard(doubtful=True)


@pytest.mark.parametrize(
    "action, look, heard, moment, step",
    [
        (None, _look(), Heard(), _NOW, Step.SIGN),
        (None, _look(), Heard(), _LATE, Step.LATE),
        (ACTION, _look(), Heard(), _NOW, Step.SUBMIT),
        (ACTION, _look(), _DOUBT, _NOW, Step.SUBMIT),
        (ACTION, _look(), Heard(), _LATE, Step.LATE),
        (ACTION, _look(), _DOUBT, _LATE, Step.WAIT),
        (_FOLLOWED, _look(), _DOUBT, _LATE, Step.FOLLOW),
        (_FOLLOWED, _look(), Heard(given_up="x", given_up_at=119), _NOW, Step.WAIT),
        (_FOLLOWED, _look(), Heard(given_up="x", given_up_at=118), _NOW, Step.REFUSED),
        (_FOLLOWED, _look(found=_found(Outcome.REVERTED, final=False)), Heard(given_up="x"), _NOW, Step.WAIT),
        (_FOLLOWED, _look(found=_found(Outcome.REVERTED, final=True)), Heard(given_up="x"), _NOW, Step.REFUSED),
        (ACTION, _look(latest=5, found=_found(Outcome.DONE, final=False)), _DOUBT, _LATE, Step.MINED),
        (ACTION, _look(latest=5, found=_found(Outcome.DONE, final=True)), Heard(given_up="x"), _NOW, Step.LANDED),
        (evolve(ACTION, refused="x"), _look(latest=5, found=_found(Outcome.DONE, final=True)), Heard(), _NOW, Step.LANDED),
        (ACTION, _look(latest=5), _DOUBT, _NOW, Step.WAIT),
        (ACTION, _look(latest=5, final=5), _DOUBT, _NOW, Step.WAIT),
        (ACTION, _look(latest=5, final=5, displaced=True, explained=True), _DOUBT, _NOW, Step.SIGN),
        (ACTION, _look(latest=5, final=5, displaced=True), Heard(), _LATE, Step.LATE),
        (ACTION, _look(latest=5, found=_found(Outcome.FAILED, final=False)), _DOUBT, _NOW, Step.WAIT),
        (ACTION, _look(latest=5, found=_found(Outcome.FAILED, final=True)), _DOUBT, _NOW, Step.REFUSED),
        (evolve(ACTION, refused="x"), _look(latest=5, found=_found(Outcome.FAILED, final=True)), Heard(), _NOW, Step.SIGN),
    ],
)  # fmt: skip
def test_what_comes_next(action: Action | None, look: Look, heard: Heard, moment: Moment, step: Step) -> None:
    assert step_of(action, look, heard, SignatureType.SAFE, moment) is step


def test_what_nobody_can_explain_is_not_signed_anew() -> None:
    """Its answer was lost, and its nonce is used by something in which its signature does not stand."""
    look = _look(latest=5, final=5, displaced=True)
    for kind in (SignatureType.PROXY, SignatureType.DEPOSIT):
        assert step_of(ACTION, look, _DOUBT, kind, _NOW) is Step.UNPROVEN
        assert step_of(ACTION, look, Heard(), kind, _NOW) is Step.SIGN


@given(
    latest=st.integers(0, 8), final=st.integers(0, 8), heard=st.builds(Heard, st.booleans(), st.just(""), st.none()),
    refused=st.none() | st.just("x"), kind=st.sampled_from([SignatureType.SAFE, SignatureType.PROXY]),
    outcome=st.none() | st.sampled_from([Outcome.DONE, Outcome.REVERTED]),
)  # fmt: skip
def test_nothing_is_signed_with_another_nonce_before_something_else_has_used_it_for_good(
    latest: int, final: int, heard: Heard, refused: str | None, kind: SignatureType, outcome: Outcome | None
) -> None:
    found = None if outcome is None else _found(outcome, final=False)
    look = _look(latest=max(latest, final), final=final, found=found)
    assert step_of(evolve(ACTION, refused=refused), look, heard, kind, _NOW) is not Step.SIGN


def test_documents_are_read_back_as_they_were() -> None:
    relay = Address("0x" + "9a" * 20)
    known = Signing(
        statement=hash_of(8), signature=bytes(65), deadline=99, gas_limit=7, relay=relay, transaction_id="a-1",
        tx_hash=hash_of(3),
    )  # fmt: skip
    for action in (ACTION, evolve(ACTION, signings=(SIGNING, known), refused="x", landed=(hash_of(3), 12))):
        assert read_action(write_action(action)) == action
    for wrong in (b"", b"[]", b"{}", write_action(ACTION).replace(b"[1,", b"[2,"), write_action(ACTION)[:-20]):
        with pytest.raises(ValueError, match="expected a stored action"):
            read_action(wrong)


def test_what_landed_is_known_for_a_month_and_what_it_displaced_is_forgotten() -> None:
    journal = Documents()

    def written(number: int) -> Written:
        return Written(journal=journal, chain_id=POLYGON, wallet=WALLET, key=intent(number))

    landed = evolve(ACTION, landed=(hash_of(1), 5))
    others = {
        1: landed,
        2: evolve(ACTION, refused="x"),
        3: evolve(ACTION, nonce=3),
        4: evolve(landed, at=10**7),
        5: evolve(ACTION, nonce=5),
    }
    for number, action in others.items():
        written(number).write(action)
    journal.put(name_of(POLYGON, OTHER, intent(2)), write_action(ACTION))
    gone = written(1).forget_others(landed, 10**7)
    assert set(gone) == {written(2).name}
    assert set(journal.actions()) == {intent(1), intent(3), intent(4), intent(5)}
    written(4).forget_others(others[4], 10**7)
    assert set(journal.actions()) == {intent(3), intent(4), intent(5)}
    assert len(journal.now) == 4


def test_without_a_key_nothing_is_opened_and_half_a_key_is_refused() -> None:
    def context(settings: RelayerSettings) -> ExecutorContext:
        return ExecutorContext(
            name="onchain", settings=settings, wall=lambda: 0.0, quotes=None, nodes=WalletChain()
        )  # fmt: skip

    whole, half = RelayerSettings(key="k", key_address=KEY.address), RelayerSettings(key="k")
    assert make_carrier(context(RelayerSettings()), RelayerSettings()) is None
    assert make_carrier(context(whole), whole) is not None
    with pytest.raises(
        ConfigError, match=r"^executor\.onchain\.relayer: expected key and key_address, got one of them$"
    ):
        make_carrier(context(half), half)
