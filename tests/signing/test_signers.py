"""Signers: a lookup by wallet, armed by a person, and no way to the key."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from tests.builders import ALICE, LEADER, NOW, POLYGON
from tests.plugins.stores import in_place
from tests.signing.opened import (
    HOT,
    SECRET,
    WALLET,
    Troubles,
    arm_hot,
    opened,
    signer_in,
    try_to_leave,
    try_to_send,
    try_to_sign,
)
from tests.signing.test_guard import BUY, MAKER, POLICY, SELL
from trio_copy.clock import wall_clock_from
from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import ChainId
from trio_copy.model.orders import Wallet
from trio_copy.model.units import NO_USD
from trio_copy.native import SecretKey, keccak, signer_of
from trio_copy.ports import Access, ExecutorContext, Signer, Signers
from trio_copy.ports.signing import NO_BARE_DIGEST
from trio_copy.signing.access import digest_of
from trio_copy.signing.arming import arm, disarm, limits_of, read_arming
from trio_copy.signing.signers import open_signers
from trio_copy.testing.signing import FakeSigner, FakeSigners

DIGEST = keccak(b"an order")
ACCESS = Access(name="Venue", version="1", chain_id=POLYGON, statement=keccak(b"it is me"))


async def test_a_signer_signs_for_its_wallet_and_nobody_else_finds_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """On paper, and for a wallet whose key was not opened, there is none."""
    arm_hot(tmp_path / "s")
    async with opened(tmp_path / "s") as signers:
        port: Signers = signers
        signer: Signer = signer_in(signers)
        signature = signer.sign(BUY, DIGEST)
        assert isinstance(signature, bytes)
        assert signer_of(DIGEST, signature) == signer.address == SecretKey(SECRET).address
        assert port.of(Wallet(follower=ALICE, address=None)) is None
        assert port.of(Wallet(follower=ALICE, address=LEADER, name="cold")) is None
        assert port.of(Wallet(follower=ALICE, address=MAKER)) is None
        assert list(port.operators(WALLET)) == [signer]
        assert list(port.operators(Wallet(follower=ALICE, address=None))) == []
        assert port.of(Wallet(follower=ALICE, address=MAKER, name="renamed")) is signer
        assert signers.only(frozenset(), orders=True).of(WALLET) is None
        assert signers.armed(NOW) == {"hot": NOW + 86_400}


async def test_whoever_sends_transactions_has_no_digest_signed(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It could be that of a transfer, whatever is said of it; nor does anybody who was not told to leave orders somewhere."""
    arm_hot(tmp_path / "s")
    troubles = Troubles()
    async with opened(tmp_path / "s", troubles=troubles) as signers:
        for signs in (True, False):
            (signer,) = signers.only(frozenset({"hot"}), orders=signs).operators(WALLET)
            assert isinstance(signer.sign(BUY, DIGEST), bytes) is signs
            assert isinstance(signer.sign_access(ACCESS), bytes)
    assert troubles.told == [
        ("guard-refused", f"wallet hot: sign: a bare digest; {NO_BARE_DIGEST.limit}"),
    ]
    async with open_signers(
        folder=tmp_path / "s",
        wallets={"hot": HOT},
        keys={"hot": SecretKey(SECRET)},
        chain_id=POLYGON,
        wall=wall_clock_from(NOW),
        in_thread=in_place,
        on_trouble=troubles,
    ) as plain:
        assert isinstance(signer_in(plain).sign(BUY, DIGEST), Reason)


async def test_proving_who_we_are_needs_no_arming_and_spends_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with opened(tmp_path / "s") as signers:
        signer = signer_in(signers)
        signature = signer.sign_access(ACCESS)
        assert isinstance(signature, bytes)
        assert signer_of(digest_of(ACCESS), signature) == signer.address
        assert isinstance(signer.sign_access(evolve(ACCESS, chain_id=ChainId(1))), Reason)
        assert isinstance(signer.sign_access(evolve(ACCESS, statement=b"text")), Reason)
        await trio.sleep(2)
        assert list((tmp_path / "s").iterdir()) == []


async def test_disarming_and_time_are_noticed_while_it_runs(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Within a second, and a person hears of it; what was bought can be sold when the time is over, not when disarmed."""
    folder, troubles = tmp_path / "s", Troubles()
    async with opened(folder, troubles=troubles) as signers:
        assert not try_to_sign(signers, "a")
        arm_hot(folder, until=NOW + 60)
        await trio.sleep(1.1)
        assert try_to_sign(signers, "b")
        await trio.sleep(60)
        assert not await try_to_leave(signers, "b"), "signed in time, and it would leave too late"
        assert not try_to_sign(signers, "c")
        assert try_to_sign(signers, "d", side=Side.SELL, max_cost=NO_USD)
        assert [kind for kind, _ in troubles.told] == ["guard-refused", "disarmed", "guard-refused", "guard-refused"]
        arm_hot(folder, until=NOW + 3600)
        await trio.sleep(1.1)
        assert try_to_sign(signers, "e")
        assert disarm(folder, MAKER)
        await trio.sleep(1.1)
        assert not try_to_sign(signers, "f")
        assert not try_to_sign(signers, "g", side=Side.SELL, max_cost=NO_USD)
        assert not await try_to_leave(signers, "d", side=Side.SELL, max_cost=NO_USD)
        assert not disarm(folder, MAKER)


async def test_an_arming_is_news_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Whoever arms a wallet again says that what he had to mend is mended; that it is armed still says nothing."""
    folder = tmp_path / "s"
    arm_hot(folder)
    async with opened(folder) as signers:
        signer = signers.of(WALLET)
        assert signer is not None
        began = signer.armed_at
        assert began == NOW
        await trio.sleep(100)
        assert signer.armed_at == began
        arm_hot(folder, until=NOW + 86_500)
        await trio.sleep(1.1)
        assert NOW + 100 <= signer.armed_at <= NOW + 102
        assert disarm(folder, MAKER)
        anew = signer.armed_at
        await trio.sleep(20)
        assert signer.armed_at == anew


async def test_a_folder_that_vanishes_disarms_and_lets_nothing_leave(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A disk that was unplugged is no reason to end the engine, and none to go on signing."""
    folder = tmp_path / "s"
    arm_hot(folder)
    async with opened(folder) as signers:
        assert await try_to_send(signers, "a")
        folder.rename(tmp_path / "gone")
        with pytest.raises(OrderNotSent, match="so nothing is signed: No such file"):
            await try_to_send(signers, "b")  # nobody knows yet
        assert not try_to_sign(signers, "c")
        await trio.sleep(1.1)
        assert signers.armed(NOW) == {}


@pytest.mark.parametrize(
    ("name", "armed", "holds"),
    [
        ("max_order_usd", 50_000_000, True),
        ("max_order_usd", 49_999_999, False),
        ("max_order_usd", 60_000_000, True),
        ("max_hour_usd", 1, False),
        ("max_day_usd", 1, False),
        ("max_minute_orders", 4, False),
        ("max_price", 980_000, False),
        ("max_price", 995_000, True),
        ("min_price", 2_000, False),
        ("min_price", 500, True),
        ("contracts", [], False),
        ("contracts", [*POLICY.contracts, "0x" + "00" * 20], True),
        ("chain_id", 80002, False),
        ("max_gas", POLICY.max_gas.wei - 1, False),
        ("max_gas", POLICY.max_gas.wei + 1, True),
        ("collateral", [], False),
        ("collateral_decimals", 18, False),
        ("outcome_decimals", 6, False),
        ("conditional", POLICY.conditional[:1], False),
        ("multisend", [], False),
    ],
)
def test_a_limit_that_was_raised_ends_the_arming_and_a_lowered_one_does_not(
    tmp_path: Path, name: str, armed: Any, holds: bool
) -> None:
    """Whoever armed it had seen other numbers."""
    arm_hot(tmp_path / "s", **{name: armed})
    arming = read_arming(tmp_path / "s", MAKER, limits_of(POLICY, POLYGON))
    assert arming.armed(NOW) is holds
    assert arming.why_not == ("" if holds else f"raised since it was armed: {name}")
    assert not arming.armed(NOW + 86_400)


def test_what_an_earlier_version_did_not_show_was_not_armed(tmp_path: Path) -> None:
    arm_hot(tmp_path / "s")
    limits = limits_of(POLICY, POLYGON)
    arm(tmp_path / "s", MAKER, {name: limits[name] for name in limits if name != "max_gas"}, NOW + 60)
    assert read_arming(tmp_path / "s", MAKER, limits).why_not == "raised since it was armed: max_gas"


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"until": "x", "limits": {}}', '{"until": 1, "limits": {}}', "\x00"]
)
def test_what_cannot_be_read_arms_nothing(tmp_path: Path, content: str) -> None:
    arm_hot(tmp_path)
    [path] = tmp_path.glob("armed-*")
    path.write_text(content)
    assert not read_arming(tmp_path, MAKER, limits_of(POLICY, POLYGON)).armed(0.0)
    path.chmod(0o644)
    assert "mode 0600" in read_arming(tmp_path, MAKER, limits_of(POLICY, POLYGON)).why_not


async def test_no_way_of_showing_a_signer_shows_its_key(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with opened(tmp_path / "s") as signers:
        signer = signer_in(signers)
        shown = [repr(signer), f"{signer}", repr(signers), repr(ExecutorContext), repr(vars(type(signer)))]
        assert not [text for text in shown if SECRET.hex() in text or repr(SECRET)[2:-1] in text]
        for copied in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError):
                copied(signer)


async def test_the_fake_signs_as_the_port_says() -> None:
    """For tests of executors: it needs no folder, and tells what it was asked for."""
    fake = FakeSigner(SecretKey(SECRET), signs_orders=True)
    signers: Signers = FakeSigners({"hot": fake})
    signer = signers.of(WALLET)
    assert signer is fake
    assert signer_of(DIGEST, fake.sign(SELL, DIGEST)) == fake.address  # type: ignore[arg-type]
    await fake.release(SELL, DIGEST)
    assert fake.wanted == fake.released == [(SELL, DIGEST)]
    fake.refuses = Reason(code=Code.GUARD_REFUSED, control="x", value="y", limit="z")
    assert fake.sign(SELL, DIGEST) == fake.sign_access(ACCESS) == fake.refuses
    with pytest.raises(OrderNotSent) as refused:
        await fake.release(SELL, DIGEST)
    assert refused.value.reason == fake.refuses
