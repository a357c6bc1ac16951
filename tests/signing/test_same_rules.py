"""What a signer refuses whatever the limits are: the one of an engine, and the fake that executors are tested with, alike."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from attrs import evolve
from trio.testing import MockClock

from tests.builders import ALICE, NOW, POLYGON
from tests.plugins.stores import in_place
from tests.signing.calls import (
    COIN,
    CTF,
    KEY,
    OWNER,
    SAFE,
    SPENDER,
    TRADING,
    act,
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
from trio_copy.model.decisions import Reason
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.native import SecretKey
from trio_copy.ports import Deed, Signers
from trio_copy.ports.signing import NO_BARE_DIGEST, NOT_LET_GO, NOTHING, Purpose
from trio_copy.signing.arming import arm, limits_of
from trio_copy.signing.fleets import FleetKeys
from trio_copy.signing.signers import open_signers
from trio_copy.testing.signing import FakeSigner, FakeSigners, fake_guard
from trio_copy.transactions.calls import Call, call_digest
from trio_copy.transactions.relayed import Relayed

OTHER = SecretKey(b"\x5b" * 32)
WALLET = Wallet(follower=ALICE, address=SAFE, name="hot", signature_type=SignatureType.SAFE, fleet="ops")
TRADE = buy(10 * COIN, 20 * COIN)
DIGEST, ANOTHER = call_digest(POLYGON, SAFE, TRADE), call_digest(POLYGON, SAFE, buy(10 * COIN, 21 * COIN))
WANTED = spending(maker=SAFE)
Open = Callable[[bool], AbstractAsyncContextManager[Signers]]


@pytest.fixture(params=["real", "fake"])
def open_some(request: pytest.FixtureRequest, tmp_path: Path, autojump_clock: MockClock) -> Open:
    """Return what opens signers of a Safe with two operators, for an executor that signs orders, or for one that does not."""

    @asynccontextmanager
    async def real(orders: bool) -> AsyncGenerator[Signers, None]:
        arm(tmp_path / "s", SAFE, limits_of(TRADING, POLYGON), NOW + 3600)
        async with open_signers(
            folder=tmp_path / "s",
            wallets={"hot": WalletTable(fleet="ops", address=SAFE, signature_type=SignatureType.SAFE, policy=TRADING)},
            keys={},
            fleets={"ops": FleetKeys(operators=(OWNER, OTHER))},
            chain_id=POLYGON,
            wall=wall_clock_from(NOW),
            in_thread=in_place,
            on_trouble=Troubles(),
        ) as signers:
            yield signers.only(frozenset({"hot"}), orders=orders)

    @asynccontextmanager
    async def fake(orders: bool) -> AsyncGenerator[Signers, None]:
        guard = fake_guard(SAFE)
        operators = [FakeSigner(key, signs_orders=orders, guard=guard) for key in (OWNER, OTHER)]
        yield FakeSigners({"hot": operators[0]}, fleets={"hot": operators})

    return real if request.param == "real" else fake


def why_not(answer: bytes | Reason) -> str:
    """Return the control of a refusal; nothing for a signature."""
    return answer.control if isinstance(answer, Reason) else ""


async def test_a_digest_is_signed_for_who_says_that_it_signs_orders(open_some: Open) -> None:
    """And else it says what to do, in the words of the one who writes an executor."""
    for orders in (True, False):
        async with open_some(orders) as signers:
            answer = signers.operators(WALLET)[0].sign(WANTED, DIGEST)
            assert isinstance(answer, bytes) is orders
    assert answer == NO_BARE_DIGEST
    assert "`signs_orders=True`" in NO_BARE_DIGEST.because


async def test_a_key_has_one_body(open_some: Open) -> None:
    """Signed or let go, as often as anybody asks; and a digest is 32 bytes."""
    async with open_some(True) as signers:
        signer = signers.operators(WALLET)[0]
        for _ in range(2):
            assert why_not(signer.sign(WANTED, DIGEST)) == ""
            assert why_not(signer.sign(WANTED, ANOTHER)) == "signing.folder"
            with pytest.raises(OrderNotSent, match="signed before"):
                await signer.release(WANTED, ANOTHER)
            await signer.release(WANTED, DIGEST)
        assert why_not(signer.sign(WANTED, b"\x07" * 31)) == "digest"
        with pytest.raises(OrderNotSent, match="digest"):
            await signer.release(WANTED, b"\x07" * 31)


async def test_a_trade_has_one_nonce_for_each_release_and_one_operator(open_some: Open) -> None:
    async with open_some(False) as signers:
        first, second = signers.operators(WALLET)

        def signed(nonce: int, fee: int = 200) -> str:
            what = transaction(by_safe(TRADE, owner=second.address).marked(KEY), nonce=nonce, max_fee=fee * 10**9)
            return why_not(second.sign_transaction(what, WANTED))

        assert signed(7) == NOT_LET_GO
        assert first.sender_of(KEY) is None
        await first.release(WANTED, DIGEST)
        assert [signed(7), signed(7, 225), signed(8)] == ["", "", NOT_LET_GO]
        assert first.sender_of(KEY) == second.sender_of(KEY) == second.address
        await second.release(WANTED, DIGEST)
        own = transaction(by_safe(TRADE, owner=first.address).marked(KEY), nonce=8)
        assert why_not(first.sign_transaction(own, WANTED)) == "sender"
        assert [signed(8), signed(7), signed(9)] == ["", "", NOT_LET_GO]


async def test_an_act_is_one_body_of_one_operator_and_what_does_nothing_does_nothing(open_some: Open) -> None:
    async with open_some(False) as signers:
        first, second = signers.operators(WALLET)
        deed = act(Deed.REDEEM, redeem(CTF), maker=SAFE)

        def signed(call: Call, purpose: Purpose) -> str:
            return why_not(first.sign_transaction(transaction(call), purpose))

        assert [signed(by_safe(redeem(CTF)), deed) for _ in range(2)] == ["", ""]
        assert second.sender_of(KEY) == first.address
        theirs = transaction(by_safe(redeem(CTF), owner=second.address))
        assert why_not(second.sign_transaction(theirs, deed)) == "signing.folder"
        more = act(Deed.REDEEM, redeem(CTF), redeem(CTF), maker=SAFE)
        assert signed(by_safe(redeem(CTF), redeem(CTF)), more) == "signing.folder"
        assert [signed(Call(to=first.address), NOTHING), signed(Call(to=SPENDER), NOTHING)] == ["", "transaction"]
        carried = Relayed(chain_id=POLYGON, wallet=SAFE, kind=SignatureType.SAFE, calls=(redeem(CTF),), nonce=0)
        assert why_not(first.sign_relayed(carried, NOTHING)) == "transaction"
        by_relayer = evolve(deed, key=IntentKey("cd" * 32))
        assert why_not(first.sign_relayed(carried, by_relayer)) == ""
        assert first.sender_of(by_relayer.key) is None, "no operator's"
