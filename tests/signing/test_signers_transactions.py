"""Signers and transactions: what was let go is signed, by its own key, and what leaves is durable before."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from tests.builders import ALICE, NOW, POLYGON
from tests.plugins.stores import in_place
from tests.signing.calls import (
    CASH,
    COIN,
    CTF,
    KEY,
    MAKER_CONTRACT,
    OWNER,
    SAFE,
    SENDER,
    TRADING,
    act,
    approve,
    buy,
    by_safe,
    redeem,
    spending,
    transaction,
)
from tests.signing.opened import Troubles
from trio_copy.clock import wall_clock_from
from trio_copy.config.wallets import WalletTable
from trio_copy.errors import OrderNotSent
from trio_copy.model.coins import Coins
from trio_copy.model.decisions import Reason
from trio_copy.model.fleets import funding_wallet
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.native import SecretKey, signer_of
from trio_copy.ports import Deed, InThread, Signer, Signers
from trio_copy.ports.signing import NOT_LET_GO, NOTHING
from trio_copy.signing.access import AccessSigners
from trio_copy.signing.arming import arm, limits_of
from trio_copy.signing.fleets import FleetKeys
from trio_copy.signing.signers import KeySigner, open_signers
from trio_copy.testing.signing import FakeSigner, FakeSigners
from trio_copy.transactions.calls import Call, call_digest
from trio_copy.transactions.relayed import Relayed
from trio_copy.transactions.transaction import Transaction, read_signed

_WALLET = Wallet(follower=ALICE, address=SAFE, name="hot", signature_type=SignatureType.SAFE)
_TABLE = WalletTable(key="env:HOT", address=SAFE, signature_type=SignatureType.SAFE, policy=TRADING)
_NOTHING = transaction(Call(to=SENDER))
_TRADE = by_safe(approve(CASH, MAKER_CONTRACT, 10 * COIN), buy(10 * COIN, 20 * COIN)).marked(KEY)
_DIGEST = call_digest(POLYGON, SENDER, _TRADE)


def by_whom(signer: Signer, what: Transaction, answer: bytes | Reason) -> bool:
    """Tell whether a transaction with that signature is the signer's own, as the chain would read it."""
    if isinstance(answer, Reason):
        return False
    signed = what.signed(lambda digest: answer)
    return read_signed(signed.raw) == (what, signer.address)


async def test_a_trade_is_released_and_then_signed_as_often_as_one_nonce_takes(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """In this process and in the next one, which reads under which; another nonce is let go anew, and counts once more."""
    folder, troubles, wanted = tmp_path / "s", Troubles(), spending(maker=SAFE)
    arm(folder, SAFE, limits_of(TRADING, POLYGON), NOW + 3600)
    for first in (True, False):
        async with open_signers(
            folder=folder,
            wallets={"hot": _TABLE},
            keys={"hot": OWNER},
            chain_id=POLYGON,
            wall=wall_clock_from(NOW),
            in_thread=in_place,
            on_trouble=troubles,
        ) as signers:
            signer = signers.of(_WALLET)
            assert isinstance(signer, KeySigner)
            if first:
                assert isinstance(signer.sign_transaction(transaction(_TRADE), wanted), Reason)
                assert troubles.told == [
                    (
                        "guard-refused",
                        "wallet hot: release: a trade that was not let go; `release` before its transaction is signed",
                    )
                ]
                for _ in range(2):
                    await signer.release(wanted, _DIGEST)
            for fee in range(200, 203):
                what = transaction(_TRADE, max_fee=fee * 10**9)
                assert by_whom(signer, what, signer.sign_transaction(what, wanted))
            other = transaction(_TRADE, nonce=8 if first else 9)
            assert isinstance(signer.sign_transaction(other, wanted), Reason)
            await signer.release(wanted, _DIGEST)
            assert by_whom(signer, other, signer.sign_transaction(other, wanted))
            assert by_whom(signer, _NOTHING, signer.sign_transaction(_NOTHING, NOTHING))
    assert [line[6] for line in _lines_in(folder)] == ["", f"{SENDER}/7", "", f"{SENDER}/8", "", f"{SENDER}/9"]


def _lines_in(folder: Path) -> list[list[Any]]:
    """Return the lines of orders; those of gas are `test_day_gas`'s."""
    [path] = folder.glob("signed-*")
    lines = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    return [line for line in lines if line[2] != "gas"]


@asynccontextmanager
async def _opened(
    folder: Path, in_thread: InThread = in_place, *, armed: bool = True
) -> AsyncGenerator[KeySigner, None]:
    """Open the signer of a Safe."""
    if armed:
        arm(folder, SAFE, limits_of(TRADING, POLYGON), NOW + 3600)
    async with open_signers(
        folder=folder,
        wallets={"hot": _TABLE},
        keys={"hot": OWNER},
        chain_id=POLYGON,
        wall=wall_clock_from(NOW),
        in_thread=in_thread,
        on_trouble=Troubles(),
    ) as signers:
        signer = signers.of(_WALLET)
        assert signer is not None
        yield signer


def _signs(signer: KeySigner, nonce: int) -> bool:
    answer = signer.sign_transaction(transaction(_TRADE, nonce=nonce), spending(maker=SAFE))
    return isinstance(answer, bytes)


async def test_however_many_nonces_are_asked_for_the_limits_hold(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A bug that binds a key again and again lets go five a minute, as any other does."""
    async with _opened(tmp_path / "s") as signer:
        for nonce in range(TRADING.max_minute_orders):
            await signer.release(spending(maker=SAFE), _DIGEST)
            assert _signs(signer, nonce)
        with pytest.raises(OrderNotSent, match="max_minute_orders"):
            await signer.release(spending(maker=SAFE), _DIGEST)
        assert [_signs(signer, nonce) for nonce in (0, 99)] == [True, False]


async def test_what_a_process_let_go_and_wrote_under_no_nonce_counts_anew_in_the_next(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """It may have been signed all the same. So it was by earlier versions, which wrote no nonces."""
    folder, wanted = tmp_path / "s", spending(maker=SAFE)
    async with _opened(folder) as signer:
        await signer.release(wanted, _DIGEST)
    [path] = folder.glob("signed-*")
    for before in (path.read_bytes(), path.read_bytes().replace(b',""]', b"]")):
        path.write_bytes(before)
        async with _opened(folder) as signer:
            assert not _signs(signer, 7)
            await signer.release(wanted, _DIGEST)
            assert _signs(signer, 7)
        assert [line[6:] for line in _lines_in(folder)] == [_lines_in(folder)[0][6:], [""], [f"{SENDER}/7"]]
        async with _opened(folder) as signer:
            assert [_signs(signer, one) for one in (7, 8)] == [True, False]


async def test_the_next_process_signs_the_same_call_under_the_same_nonce_and_nothing_else(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """What was let go before it counts once however often it pays more; another call, or nonce, is none of it."""
    folder, wanted = tmp_path / "s", spending(maker=SAFE)
    async with _opened(folder) as signer:
        await signer.release(wanted, _DIGEST)
        assert _signs(signer, 7)
    async with _opened(folder) as signer:

        def control(call: Call, nonce: int) -> str:
            answer = signer.sign_transaction(transaction(call, nonce=nonce, max_fee=225 * 10**9), wanted)
            return answer.control if isinstance(answer, Reason) else ""

        another = by_safe(approve(CASH, MAKER_CONTRACT, 9 * COIN), buy(9 * COIN, 20 * COIN)).marked(KEY)
        assert [control(_TRADE, 7), control(another, 7), control(_TRADE, 8)] == ["", "call", NOT_LET_GO]
        with pytest.raises(OrderNotSent, match="signed before"):
            await signer.release(wanted, call_digest(POLYGON, SENDER, another))
    assert [line[6] for line in _lines_in(folder)] == ["", f"{SENDER}/7"]


async def test_under_which_nonce_something_was_signed_is_written_down_by_a_process_that_ends(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Also where the disk was busy with something else."""

    async def slow(run: Callable[[], Any]) -> Any:
        await trio.sleep(0.1)
        return run()

    folder = tmp_path / "s"
    async with _opened(folder, slow) as signer:
        await signer.release(spending(maker=SAFE), _DIGEST)
        await trio.sleep(1.05)  # it looks for what others have written
        assert _signs(signer, 7)
    assert [line[6] for line in _lines_in(folder)] == ["", f"{SENDER}/7"]


async def test_a_clock_that_is_put_back_takes_no_nonce_from_a_trade(tmp_path: Path, autojump_clock: MockClock) -> None:
    folder = tmp_path / "s"
    async with _opened(folder) as signer:
        await signer.release(spending(maker=SAFE), _DIGEST)
        assert _signs(signer, 7)
    [path] = folder.glob("signed-*")
    let_go, signed = _lines_in(folder)
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in (let_go, [let_go[0] - 60, *signed[1:]])))
    async with _opened(folder) as signer:
        assert _signs(signer, 7)


async def test_a_trade_is_signed_once_that_it_counts_is_on_the_disk(tmp_path: Path, autojump_clock: MockClock) -> None:
    async def slow(run: Callable[[], Any]) -> Any:
        await trio.sleep(0.1)
        return run()

    async with _opened(tmp_path / "s", slow) as signer, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(signer.release, spending(maker=SAFE), _DIGEST)
        await trio.sleep(0.05)
        assert not _signs(signer, 7)
        await trio.sleep(0.2)
        assert [_signs(signer, one) for one in (7, 8)] == [True, False], "asked for twice at once it is let go once"


async def test_without_its_journal_a_wallet_only_takes_nonces_back(tmp_path: Path, autojump_clock: MockClock) -> None:
    call = by_safe(redeem(CTF))
    async with _opened(tmp_path / "s", armed=False) as signer:
        deed, carried = act(Deed.REDEEM, redeem(CTF), maker=SAFE), _carried(redeem(CTF))
        assert isinstance(signer.sign_transaction(transaction(call), deed), bytes), "no arming is needed"
        assert isinstance(signer.sign_relayed(carried, evolve(deed, key=IntentKey("cd" * 32))), bytes)
        signer._journal.closed = "another process sent another body"
        refusals = (signer.sign_transaction(transaction(call), deed), signer.sign_relayed(carried, deed))
        assert all(isinstance(one, Reason) and one.control == "signing.folder" for one in refusals)
        assert isinstance(signer.sign_transaction(_NOTHING, NOTHING), bytes)


def _carried(*calls: Call) -> Relayed:
    return Relayed(chain_id=POLYGON, wallet=SAFE, kind=SignatureType.SAFE, calls=calls, nonce=0)


async def test_calls_that_a_relayer_carries_are_signed_by_the_owner(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What cannot be hashed is refused, and not raised."""
    for kind, hashed in ((SignatureType.SAFE, True), (SignatureType.PROXY, False), (SignatureType.DEPOSIT, False)):
        async with open_signers(
            folder=tmp_path / kind.name,
            wallets={"hot": evolve(_TABLE, signature_type=kind)},
            keys={"hot": OWNER},
            chain_id=POLYGON,
            wall=wall_clock_from(NOW),
            in_thread=in_place,
            on_trouble=Troubles(),
        ) as signers:
            signer = signers.of(_WALLET)
            assert signer is not None
            what = evolve(_carried(redeem(CTF)), kind=kind, owner=SENDER)  # no relay, and no deadline
            answer = signer.sign_relayed(what, act(Deed.REDEEM, redeem(CTF), maker=SAFE))
            assert isinstance(answer, bytes) is hashed
            assert not isinstance(answer, bytes) or signer_of(what.digest, answer) == SENDER


def test_who_only_looks_signs_no_transaction_and_the_fake_tells_what_it_was_asked_for() -> None:
    deed, carried = act(Deed.REDEEM, redeem(CTF), maker=SAFE), _carried(redeem(CTF))
    looking: Signers = AccessSigners({"hot": OWNER})
    (signer,) = looking.operators(_WALLET)
    refusal = signer.sign_transaction(_NOTHING, NOTHING)
    assert isinstance(refusal, Reason)
    assert signer.sign_relayed(carried, deed) == refusal
    assert list(looking.operators(evolve(_WALLET, name="cold"))) == []
    fake, other = FakeSigner(OWNER), FakeSigner(OWNER)
    fakes: Signers = FakeSigners({"hot": fake}, fleets={"many": (fake, other)})
    assert list(fakes.operators(_WALLET)) == [fake]
    assert list(fakes.operators(evolve(_WALLET, name="many"))) == [fake, other]
    assert list(fakes.operators(evolve(_WALLET, name="cold"))) == []
    assert by_whom(fake, _NOTHING, fake.sign_transaction(_NOTHING, NOTHING))
    assert isinstance(fake.sign_relayed(carried, deed), bytes)
    assert (fake.transactions, fake.relayed) == ([(_NOTHING, NOTHING)], [(carried, deed)])
    fake.refuses = refusal
    assert fake.sign_transaction(_NOTHING, NOTHING) == fake.sign_relayed(carried, deed) == refusal


async def test_operators_of_a_fleet_sign_under_one_guard_and_who_refuels_does_only_that(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A trade that one operator has is no other's; gas money goes to operators, within what the fleet's table says."""
    folder, wanted, other = tmp_path / "s", spending(maker=SAFE), SecretKey(b"\x5b" * 32)
    arm(folder, SAFE, limits_of(TRADING, POLYGON), NOW + 3600)
    coin = Coins.parse(1)
    keys = FleetKeys(operators=(OWNER, other), funding=SecretKey(b"\x5c" * 32), fill_to=coin, max_day=coin)
    async with open_signers(
        folder=folder,
        wallets={"hot": evolve(_TABLE, key=None, fleet="ops")},
        keys={},
        fleets={"ops": keys},
        chain_id=POLYGON,
        wall=wall_clock_from(NOW),
        in_thread=in_place,
        on_trouble=Troubles(),
    ) as signers:
        first, second = signers.operators(_WALLET)
        trade = buy(10 * COIN, 20 * COIN)
        await second.release(wanted, call_digest(POLYGON, SAFE, trade))
        what = transaction(by_safe(trade, owner=second.address).marked(KEY))
        assert by_whom(second, what, second.sign_transaction(what, wanted))
        assert isinstance(first.sign_transaction(transaction(by_safe(trade).marked(KEY)), wanted), Reason)
        assert keys.funding is not None
        payer = funding_wallet("ops", keys.funding.address, ALICE)
        (funding,) = signers.operators(payer)
        given = Call(to=other.address, value=coin.wei)
        refuel = evolve(act(Deed.REFUEL, given), wallet=payer)
        assert by_whom(funding, transaction(given), funding.sign_transaction(transaction(given), refuel))
        again = evolve(refuel, key=IntentKey("cd" * 32))
        assert isinstance(funding.sign_transaction(transaction(given), again), Reason)
        assert isinstance(second.sign_transaction(transaction(given), refuel), Reason)
