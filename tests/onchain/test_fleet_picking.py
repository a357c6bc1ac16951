"""Who carries a key that somebody has had: the journal, the guard and the picking say the same operator, for ever."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from attrs import evolve
from trio.testing import MockClock

from tests.builders import ALICE, NOW, POLYGON
from tests.onchain.executing import KeptJournal
from tests.plugins.stores import in_place
from tests.signing.calls import COIN, CTF, KEY, OWNER, SAFE, TRADING, act, buy, by_safe, redeem, spending, transaction
from tests.signing.opened import Troubles
from trio_copy.clock import wall_clock_from
from trio_copy.config.wallets import WalletTable
from trio_copy.errors import OrderNotSent
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, IntentKey
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.native import SecretKey
from trio_copy.ports import Deed, ExecutorContext, Signer
from trio_copy.ports.signing import Purpose
from trio_copy.records import write_plain
from trio_copy.signing.arming import arm, limits_of
from trio_copy.signing.fleets import FleetKeys
from trio_copy.signing.signers import open_signers
from trio_copy.testing.devnet import DevChain
from trio_copy.testing.nodes import ScriptedNodes
from trio_copy.testing.samples import sample_intent
from trio_copy.transactions.calls import Call, call_digest
from trio_copy_onchain.executor import OnchainExecutor, open_executor
from trio_copy_onchain.operators import Operators
from trio_copy_onchain.settings import OnchainSettings
from trio_copy_onchain.tx.fees import GWEI, Fees
from trio_copy_onchain.tx.sendings import Binding, End, Fate, Sending, doing_nothing, plain_binding

OTHER, THIRD = SecretKey(b"\x5b" * 32), SecretKey(b"\x5c" * 32)
BOB = FollowerId("bob")
WALLET = Wallet(follower=ALICE, address=SAFE, name="hot", signature_type=SignatureType.SAFE, fleet="ops")
TRADE, WANTED = buy(10 * COIN, 20 * COIN), spending(maker=SAFE)


class OfOthers(KeptJournal):
    """That of a shard in which the account is no more."""

    def covers(self, follower: FollowerId) -> bool:
        return False


class OfAlice(KeptJournal):
    def covers(self, follower: FollowerId) -> bool:
        return follower == ALICE


class OfBob(KeptJournal):
    def covers(self, follower: FollowerId) -> bool:
        return follower == BOB


@asynccontextmanager
async def open_fleet(
    folder: Path, *keys: SecretKey, journal: KeptJournal | None = None
) -> AsyncGenerator[OnchainExecutor, None]:
    """Open an executor for a Safe that some operators own, behind a guard with what earlier ones wrote into the folder."""
    arm(folder, SAFE, limits_of(TRADING, POLYGON), NOW + 3600)
    async with open_signers(
        folder=folder,
        wallets={"hot": WalletTable(fleet="ops", address=SAFE, signature_type=SignatureType.SAFE, policy=TRADING)},
        keys={},
        fleets={"ops": FleetKeys(operators=keys)},
        chain_id=POLYGON,
        wall=wall_clock_from(NOW),
        in_thread=in_place,
        on_trouble=Troubles(),
    ) as signers:
        context = ExecutorContext(
            name="onchain",
            settings=OnchainSettings(),
            wall=wall_clock_from(NOW),
            quotes=None,
            signers=signers,
            wallets=(WALLET,),
            chain_id=POLYGON,
            nodes=ScriptedNodes(DevChain(POLYGON, wall_clock_from(NOW))),
        )
        async with open_executor(context) as executor:
            assert isinstance(executor, OnchainExecutor)
            executor.open_journal(journal or KeptJournal())
            yield executor


@asynccontextmanager
async def open_operators(
    folder: Path, *keys: SecretKey, journal: KeptJournal | None = None
) -> AsyncGenerator[Operators, None]:
    """The same, for who only looks at its operators."""
    async with open_fleet(folder, *keys, journal=journal) as executor:
        yield executor.operators


def picked(operators: Operators, key: IntentKey) -> Signer:
    found = operators.pick(key, operators.of(WALLET))
    assert found is not None
    return found[1]


def signs(signer: Signer, call: Call, purpose: Purpose) -> bool:
    """Ask an operator to sign what the Safe does."""
    what = transaction(by_safe(call, owner=signer.address))
    return isinstance(signer.sign_transaction(what, purpose), bytes)


async def test_the_wallets_of_a_fleet_share_what_they_wait_for(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Their lanes name the fleet first, so that all of them together leave workers to others; no two share a lane."""
    whose = (WALLET, evolve(WALLET, follower=BOB), evolve(WALLET, follower=BOB, fleet=""))
    async with open_fleet(tmp_path / "s", OWNER) as executor:
        lanes = [executor.lane(sample_intent(Side.BUY), wallet) for wallet in whose]
    assert [lane[0] for lane in lanes] == ["ops", "ops", BOB]
    assert len({lane[1:] for lane in lanes[:2]}) == 2


async def test_an_operator_sends_for_no_account_of_another_shard(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Its nonces are in the journal of one: a second owner would give out the same ones."""
    async with open_fleet(tmp_path / "s", OWNER, journal=OfAlice()) as executor:
        executor.open_journal(OfBob())
        assert executor.operators.of(WALLET)
        with pytest.raises(OrderNotSent, match=f"operator {OWNER.address} sends for accounts of another shard"):
            executor.operators.of(evolve(WALLET, follower=BOB))


async def test_what_an_operator_has_signed_is_its_own_though_the_journal_lost_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Whoever has less to do would be refused by the guard, for a day: so nobody else is picked, before a restart and after."""
    async with open_operators(tmp_path / "s", OWNER, OTHER) as operators:
        assert picked(operators, KEY).address == OWNER.address
        _, second = operators.signers.operators(WALLET)
        await second.release(WANTED, call_digest(POLYGON, SAFE, TRADE))
        assert signs(second, TRADE, WANTED)
        assert picked(operators, KEY).address == OTHER.address
        assert picked(operators, IntentKey("cd" * 32)).address == OWNER.address
    async with open_operators(tmp_path / "s", OWNER, OTHER) as operators:
        assert picked(operators, KEY).address == OTHER.address
        assert signs(picked(operators, KEY), TRADE, WANTED), "under its nonce it counts no second time"
    async with open_operators(tmp_path / "s", OWNER, THIRD) as operators:
        with pytest.raises(OrderNotSent, match=f"operator {OTHER.address} has it"):
            picked(operators, KEY)


async def test_an_act_stays_with_its_operator_too(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with open_operators(tmp_path / "s", OWNER, OTHER) as operators:
        _, second = operators.signers.operators(WALLET)
        deed = act(Deed.REDEEM, redeem(CTF), maker=SAFE)
        assert signs(second, redeem(CTF), deed)
        assert picked(operators, KEY).address == OTHER.address


@pytest.mark.parametrize("fate", [Fate.CANCELLED, Fate.DISPLACED])
async def test_what_an_operator_had_who_was_taken_out_is_nobody_elses(
    tmp_path: Path, autojump_clock: MockClock, fate: Fate
) -> None:
    """Also where it has ended; that is said before anything is let go and counts."""
    sent = doing_nothing(POLYGON, THIRD.address, 0, Fees(tip=30 * GWEI, max_fee=90 * GWEI))
    sending = Sending.of(sent, THIRD.sign, at=NOW, cancels=True)
    binding = Binding(nonce=0, key=KEY, until=NOW, sendings=(sending,), end=End(fate=fate, hash=sending.hash))
    journal = KeptJournal()
    journal.put(f"{POLYGON}/{THIRD.address}/0/{KEY}", write_plain(plain_binding(binding)))
    async with open_operators(tmp_path / "s", OWNER, OTHER, journal=journal) as operators:
        with pytest.raises(OrderNotSent, match=f"operator {THIRD.address} has it"):
            picked(operators, KEY)
    assert list((tmp_path / "s").glob("signed-*")) == []
    async with open_operators(tmp_path / "s", OWNER, THIRD, journal=journal) as operators:
        assert picked(operators, KEY).address == THIRD.address


async def test_an_account_that_came_to_another_shard_trades_there(tmp_path: Path, autojump_clock: MockClock) -> None:
    """As once its wallet has a fleet: what gas has cost before stays in the old shard for ever, and holds up nothing."""
    before = OfOthers(shard=1)
    before.put(f"{POLYGON}/{OWNER.address}/gas", write_plain([1, 3, 500]))
    async with open_operators(tmp_path / "s", OWNER, OTHER, journal=before) as operators:
        operators.open_journal(KeptJournal())
        assert picked(operators, KEY).address == OWNER.address
