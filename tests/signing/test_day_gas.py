"""What the gas of a day may cost: counted as it is signed, once for each nonce, written down before anything leaves."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from tests.builders import NOW, POLYGON
from tests.plugins.stores import in_place
from tests.signing.calls import (
    CASH,
    COIN,
    KEY,
    MAKER_CONTRACT,
    OWNER,
    SENDER,
    TRADING,
    act,
    approve,
    buy,
    guard_of,
    let_go,
    sell,
    spending,
    transaction,
)
from tests.signing.opened import Troubles, Writes, lines_in
from trio_copy.clock import wall_clock_from
from trio_copy.config.wallets import WalletTable
from trio_copy.errors import OrderNotSent
from trio_copy.model.coins import Coins
from trio_copy.model.decisions import Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, IntentKey
from trio_copy.native import SecretKey
from trio_copy.ports import Deed, InThread, Purpose
from trio_copy.ports.signing import NOTHING
from trio_copy.signing.arming import arm, limits_of
from trio_copy.signing.fleets import FleetKeys
from trio_copy.signing.gas import DayGas, Gas, Nonce
from trio_copy.signing.guard import DAY_S, Guard
from trio_copy.signing.signers import KeySigner, OpenSigners, open_signers
from trio_copy.signing.transacting import judge_transaction
from trio_copy.testing.signing import FakeSigner
from trio_copy.transactions.calls import Call
from trio_copy.transactions.transaction import Transaction

GAS = 500_000
FEE = 200 * 10**9
PAID = GAS * FEE
"""0.1 of a coin: what each transaction of these tests may pay."""
LIMITED = evolve(TRADING, max_day_gas=Coins(3 * PAID), max_minute_orders=100)
DOES_NOTHING = Call(to=SENDER)
_KEY_NUMBERS = [IntentKey(f"{number:064x}") for number in range(20)]


class Wallet:
    """An account with a limit of three transactions a day."""

    def __init__(self, guard: Guard | None = None) -> None:
        self.guard = guard or guard_of(policy=LIMITED)

    def signs(self, what: Transaction, purpose: Purpose, now: float = NOW) -> bool:
        refusal = judge_transaction(self.guard, what, SENDER, purpose, now)
        self.refusal = refusal
        return refusal is None

    def buys(self, number: int, *, fee: int = FEE, now: float = NOW) -> bool:
        wanted, call = spending(key=_KEY_NUMBERS[number], at=now), buy(10 * COIN, 20 * COIN)
        if self.guard.left(wanted.key) is None:
            let_go(self.guard, wanted, call)
        return self.signs(transaction(call, nonce=number, gas=GAS, max_fee=fee), wanted, now)

    def sells(self, number: int) -> bool:
        wanted, call = spending(key=_KEY_NUMBERS[number], side=Side.SELL), sell(10 * COIN, 20 * COIN)
        let_go(self.guard, wanted, call)
        return self.signs(transaction(call, nonce=number, gas=GAS, max_fee=FEE), wanted)

    def approves(self, number: int) -> bool:
        call = approve(CASH, MAKER_CONTRACT, COIN)
        deed = act(Deed.APPROVE, call, key=_KEY_NUMBERS[number])
        return self.signs(transaction(call, nonce=number, gas=GAS, max_fee=FEE), deed)

    def does_nothing(self, number: int, *, fee: int = FEE, gas: int = GAS) -> bool:
        return self.signs(transaction(DOES_NOTHING, nonce=number, gas=gas, max_fee=fee), NOTHING)


def test_entries_and_acts_stop_at_the_limit_of_a_day_and_a_day_later_go_on() -> None:
    """The refusal names the limit, what it is about, and what to do."""
    wallet = Wallet()
    assert [wallet.buys(0), wallet.approves(1), wallet.buys(2)] == [True, True, True]
    assert not wallet.buys(3)
    assert wallet.refusal is not None
    assert (wallet.refusal.control, wallet.refusal.value) == ("wallet.hot.policy.max_day_gas", "0.4")
    assert wallet.refusal.limit == (
        "0.3 in 24 hours, of entries and acts; exits go on. Wait, or raise it, start anew, and `trio-copy arm hot`"
    )
    assert not wallet.approves(4)
    assert wallet.buys(5, now=NOW + DAY_S + 1)


def test_what_is_refused_for_its_gas_is_bound_to_no_nonce() -> None:
    """It is signed under another one as soon as there is room, without being let go anew."""
    wallet = Wallet()
    assert all(wallet.buys(number) for number in range(3))
    assert not wallet.buys(3)
    assert wallet.guard.nonces(_KEY_NUMBERS[3]) == set()
    assert wallet.guard.may_sign(_KEY_NUMBERS[3])


def test_exits_have_room_of_their_own_and_an_end_which_says_what_to_do() -> None:
    """Gas that runs out stops exits as well: so a bug that sells without an end is stopped before it has used all."""
    wallet = Wallet()
    assert [wallet.buys(number) for number in range(4)] == [True, True, True, False]
    assert [wallet.sells(number) for number in range(4, 8)] == [True, True, True, False]
    assert wallet.refusal is not None
    assert wallet.refusal.control == "wallet.hot.policy.max_day_gas"
    assert wallet.refusal.limit.startswith("0.3 in 24 hours, of exits and of what fills gaps. Wait, or raise it")


def test_what_is_made_dearer_counts_what_it_adds() -> None:
    wallet = Wallet()
    assert [wallet.buys(0), wallet.buys(1)] == [True, True]
    assert wallet.buys(1, fee=FEE), "the same once more is nothing more"
    assert [wallet.buys(0, fee=3 * FEE // 2), wallet.buys(1, fee=3 * FEE // 2)] == [True, True]
    assert not wallet.buys(1, fee=3 * FEE // 2 + 1)
    assert not wallet.buys(2)


def test_what_is_cancelled_counts_and_is_never_refused_for_it() -> None:
    """Late, it would be mined late. A gap that nothing of ours is known of has the room of exits, and no more."""
    wallet = Wallet()
    assert [wallet.buys(number) for number in range(3)] == [True, True, True]
    assert [wallet.does_nothing(number) for number in range(10, 14)] == [True, True, True, False]
    assert wallet.does_nothing(0, fee=2 * FEE), "what does nothing on a nonce that counts"
    assert wallet.guard.gas.total(exits=True, now=NOW) == 4 * PAID
    assert not wallet.sells(5)


def test_what_a_day_has_forgotten_counts_whole_when_it_is_made_dearer() -> None:
    """It may be paid today."""
    gas, nonce = DayGas(), Nonce(SENDER, 7)

    def counted(wei: int, at: float) -> int:
        gas.count(Gas(maker=SENDER, nonce=nonce, wei=wei, is_exit=False, at=at))
        return gas.total(exits=False, now=at)

    assert [counted(10, 0), counted(12, 3600), counted(11, 3601)] == [10, 12, 12]
    assert counted(13, DAY_S) == 13
    assert counted(14, 2 * DAY_S - 1) == 14
    assert gas.total(exits=False, now=4 * DAY_S) == 0
    assert not gas.knows(nonce)


@asynccontextmanager
async def opened(
    folder: Path, in_thread: InThread = in_place, troubles: Troubles | None = None, **more: Any
) -> AsyncGenerator[OpenSigners, None]:
    arm(folder, SENDER, limits_of(LIMITED, POLYGON), NOW + 3600)
    facts: dict[str, Any] = {
        "wallets": {"hot": WalletTable(key="env:HOT", address=SENDER, policy=LIMITED)},
        "keys": {"hot": OWNER},
    }
    async with open_signers(
        folder=folder,
        chain_id=POLYGON,
        wall=wall_clock_from(NOW),
        in_thread=in_thread,
        on_trouble=troubles or Troubles(),
        **{**facts, **more},
    ) as signers:
        yield signers


def today(folder: Path) -> Path:
    [path] = folder.glob("signed-*")
    return path


def told_in(folder: Path) -> list[list[Any]]:
    return [msgspec.json.decode(line) for line in lines_in(folder)]


def approves(signer: KeySigner, number: int, fee: int = FEE) -> bool:
    call = approve(CASH, MAKER_CONTRACT, COIN)
    what = transaction(call, nonce=number, gas=GAS, max_fee=fee)
    return isinstance(signer.sign_transaction(what, act(Deed.APPROVE, call, key=_KEY_NUMBERS[number])), bytes)


async def test_gas_is_on_the_disk_before_anything_leaves_and_what_is_signed_together_is_one_write(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    writes = Writes(tmp_path)
    async with opened(tmp_path, writes) as signers:
        signer = signers.by_name["hot"]

        async def leaves(number: int) -> None:
            assert approves(signer, number)
            await signer.wait_counted()
            assert f"{SENDER}/{number}" in [line[6] for line in told_in(tmp_path)]

        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(leaves, number)
        assert writes.count == 1
    assert [line[1:6] for line in told_in(tmp_path)] == [[SENDER, "gas", "", "BUY", PAID]] * 3


async def test_the_next_process_and_others_of_the_machine_count_it_too(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Also what a nonce counts already, so that it is made dearer there for what that adds."""
    async with opened(tmp_path) as signers:
        assert approves(signers.by_name["hot"], 0)
    async with opened(tmp_path) as signers, opened(tmp_path) as others:
        one, other = signers.by_name["hot"], others.by_name["hot"]
        assert approves(one, 1)
        await trio.sleep(1.5)
        assert approves(other, 0, fee=2 * FEE)
        await trio.sleep(1.5)
        assert not approves(one, 2)
        assert approves(one, 0, fee=2 * FEE)


async def test_lines_of_a_version_that_counted_no_gas_are_read(tmp_path: Path, autojump_clock: MockClock) -> None:
    """And its own lines look to that version like the nonce of an order that it never heard of: seven fields, of the same kinds."""
    async with opened(tmp_path) as signers:
        signer, call = signers.by_name["hot"], buy(10 * COIN, 20 * COIN)
        await signer.release(spending(), _digest(call))
        assert isinstance(signer.sign_transaction(transaction(call, gas=GAS, max_fee=FEE), spending()), bytes)
        await signer.wait_counted()
    path, lines = today(tmp_path), told_in(tmp_path)
    assert [line[2] for line in lines] == [KEY, KEY, "gas"]
    assert [list(map(type, line)) for line in lines[1:]] == [[float, str, str, str, str, int, str]] * 2
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines[:2]))
    async with opened(tmp_path) as signers:
        signer = signers.by_name["hot"]
        assert isinstance(signer.sign_transaction(transaction(call, gas=GAS, max_fee=FEE), spending()), bytes)
        assert signer.guard.gas.total(exits=False, now=NOW) == PAID


def _digest(call: Call) -> bytes:
    return let_go(guard_of(), spending(), call).digest


async def test_what_cannot_be_counted_is_not_let_out(tmp_path: Path, autojump_clock: MockClock) -> None:
    broken = False

    async def failing(run: Callable[[], Any]) -> Any:
        await trio.lowlevel.checkpoint()
        if broken:
            raise OSError(28, "No space left on device")
        return run()

    async with opened(tmp_path, failing) as signers:
        signer = signers.by_name["hot"]
        broken = True
        assert approves(signer, 0)
        with pytest.raises(OrderNotSent, match="No space left on device"):
            await signer.wait_counted()
        assert not approves(signer, 1)


@pytest.mark.parametrize(("armed", "holds"), [(None, True), (LIMITED.max_day_gas.wei, True), (1, False)])
async def test_an_arming_that_knew_no_limit_of_a_day_holds_and_one_for_less_ends(
    tmp_path: Path, armed: int | None, holds: bool, autojump_clock: MockClock
) -> None:
    """Before there was no end of it: whoever armed it then sees less spent now, and nobody has to arm anew."""
    async with opened(tmp_path) as signers:
        seen = limits_of(LIMITED, POLYGON)
        seen.pop("max_day_gas")
        arm(tmp_path, SENDER, seen if armed is None else {**seen, "max_day_gas": armed}, NOW + 3600)
        await trio.sleep(1.5)
        assert bool(signers.armed(NOW + 60)) is holds


async def test_operators_in_common_pay_a_nonce_once_whichever_wallet_signs(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A cancellation by the guard of another wallet of the fleet adds to what the first has counted."""
    other = SecretKey(b"\x5b" * 32)
    tables = {
        name: WalletTable(fleet="ops", address=key.address, policy=LIMITED)
        for name, key in (("first", OWNER), ("second", other))
    }
    keys = FleetKeys(operators=(OWNER, other), funding=SecretKey(b"\x5c" * 32), max_day=Coins(PAID))
    async with opened(tmp_path, wallets=tables, keys={}, fleets={"ops": keys}) as signers:
        first, funding = signers.by_name["first"], signers.by_name["funding:ops"]
        second = evolve(first, guard=signers.by_name["second"].guard)
        assert approves(first, 0)
        nothing = transaction(DOES_NOTHING, nonce=0, gas=GAS, max_fee=FEE + 1)
        assert isinstance(second.sign_transaction(nothing, NOTHING), bytes)
        assert second.guard.gas.total(exits=True, now=NOW) == GAS
        assert isinstance(funding.sign_transaction(_refuel(funding.address, GAS), NOTHING), bytes)
        refusal = funding.sign_transaction(_refuel(funding.address, GAS + 1, nonce=9), NOTHING)
        assert isinstance(refusal, Reason)
        assert (refusal.control, refusal.limit) == ("refuel", "at most 0.1, the fleet's max_day")


def _refuel(sender: Address, gas: int, nonce: int = 8) -> Transaction:
    return transaction(Call(to=sender), nonce=nonce, gas=gas, max_fee=FEE)


async def test_the_fake_signer_waits_as_a_real_one_does() -> None:
    await FakeSigner(OWNER).wait_counted()
