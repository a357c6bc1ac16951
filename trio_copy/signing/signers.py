"""Signers that hold a key in this process. The guard judges twice: before the signature, and before the order leaves."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import trio
from attrs import define, evolve, field, frozen

from trio_copy.clock import WallClock
from trio_copy.config.wallets import WalletPolicy, WalletTable
from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Reason
from trio_copy.model.fleets import funding_name
from trio_copy.model.ids import Address, ChainId, IntentKey
from trio_copy.model.orders import Wallet
from trio_copy.native import SecretKey
from trio_copy.ports import InThread
from trio_copy.ports.signing import NO_BARE_DIGEST, Access, Nothing, Purpose, Spending
from trio_copy.signing.access import digest_of
from trio_copy.signing.arming import Arming, limits_of, read_arming
from trio_copy.signing.fleets import FleetKeys
from trio_copy.signing.gas import DayGas, Gas, Nonce
from trio_copy.signing.guard import Guard, Refuels, Signed
from trio_copy.signing.journal import Journal
from trio_copy.signing.transacting import judge_relayed, judge_transaction
from trio_copy.transactions.relayed import Relayed
from trio_copy.transactions.transaction import Transaction

_ALL_EVERY = 10
_NO_ORDERS = WalletPolicy(contracts=())
"""Of who refuels a fleet."""
_LOOK_EVERY_S = 1.0
"""How soon a running engine knows that a wallet was disarmed."""


@define(eq=False, kw_only=True, repr=False)
class KeySigner:
    """The signer of one wallet; see `ports.signing.Signer`."""

    _key: SecretKey
    guard: Guard
    _journal: Journal
    _wall: WallClock
    _on_refusal: Callable[[str, str], None]
    _signs_orders: bool = False
    """Whether it signs digests that others have worked out. Of a transaction's the guard would read nothing."""

    @property
    def address(self) -> Address:
        return self._key.address

    @property
    def armed_at(self) -> float:
        return self.guard.armed_at

    def sign(self, wanted: Spending, digest: bytes) -> bytes | Reason:
        if not self._signs_orders:
            return self._told(NO_BARE_DIGEST)
        refusal = self._refusal(wanted, digest, self._wall())
        if refusal is not None:
            return refusal
        self.guard.pin(wanted.key, digest)
        return self._key.sign(digest)

    def sign_access(self, access: Access) -> bytes | Reason:
        guard = self.guard
        if access.chain_id != guard.chain_id:
            return guard.refusal("chain.chain_id", str(access.chain_id), str(guard.chain_id))
        try:
            return self._key.sign(digest_of(access))
        except ValueError as error:
            return guard.refusal("statement", str(error), "32 bytes")

    def sign_transaction(self, transaction: Transaction, purpose: Purpose) -> bytes | Reason:
        guard, now = self.guard, self._wall()

        def judge() -> Reason | None:
            # What does nothing needs no memory: a nonce can be taken back whatever became of the journal.
            closed = None if isinstance(purpose, Nothing) else self._closed()
            return closed or judge_transaction(guard, transaction, self.address, purpose, now)

        return self._signed(judge, lambda: transaction.digest)

    def sender_of(self, key: IntentKey) -> Address | None:
        return self.guard.sender_of(key)

    def sign_relayed(self, relayed: Relayed, purpose: Purpose) -> bytes | Reason:
        guard, now = self.guard, self._wall()

        def judge() -> Reason | None:
            return self._closed() or judge_relayed(guard, relayed, self.address, purpose, now)

        return self._signed(judge, lambda: relayed.digest)

    def _signed(self, judge: Callable[[], Reason | None], digest: Callable[[], bytes]) -> bytes | Reason:
        try:
            refusal = judge()
            return self._key.sign(digest()) if refusal is None else self._told(refusal)
        except ValueError as error:
            return self._told(self.guard.refusal("transaction", str(error), "what can be signed"))

    async def release(self, wanted: Spending, digest: bytes) -> None:
        now, guard, by_transaction = self._wall(), self.guard, not self._signs_orders
        # What an earlier process has let go may have been signed, though it did not live to write down under which nonce.
        anew = by_transaction and not guard.is_open(wanted.key)
        refusal = self._refusal(wanted, digest, now, anew=anew)
        if refusal is not None:
            raise OrderNotSent(refusal.because, refusal)
        # Judged and counted without a wait between: of two that would break a limit together, the second is refused.
        signed = guard.let_go(wanted, digest, now, by_transaction=by_transaction)
        if signed is not None:
            self._journal.add(signed)
        await self._journal.wait_durable()
        guard.end_release(wanted.key)

    async def wait_counted(self) -> None:
        await self._journal.wait_durable()

    def _refusal(self, wanted: Spending, digest: bytes, now: float, *, anew: bool = False) -> Reason | None:
        refusal = self._closed() or self.guard.judge(wanted, digest, now, anew=anew)
        return None if refusal is None else self._told(refusal)

    def _closed(self) -> Reason | None:
        closed = self._journal.closed
        return self.guard.refusal("signing.folder", closed, "a journal that can be written") if closed else None

    def _told(self, refusal: Reason) -> Reason:
        told = f"wallet {self.guard.name}: {refusal.control}: {refusal.value}; {refusal.limit}"
        self._on_refusal("guard-refused", told)
        return refusal

    def __repr__(self) -> str:
        return f"<signer {self._key.address} of wallet {self.guard.name}>"


@frozen
class OpenSigners:
    """The signers of this process, by the name of their wallet; see `ports.signing.Signers`.

    As they are opened they sign no digest that somebody else has worked out; see `only`.
    """

    by_name: Mapping[str, KeySigner]
    """Of a wallet with a fleet it is the first operator's."""
    by_fleet: Mapping[str, tuple[KeySigner, ...]] = field(factory=dict)
    """Of wallets with a fleet, those of all operators who may send what it does: all have the guard of the wallet."""

    def of(self, wallet: Wallet) -> KeySigner | None:
        if not wallet.name:
            return None
        if (signer := self.by_name.get(wallet.name)) is not None:
            return signer
        # Of an order that is open since before its table got another name.
        return next((one for one in self.by_name.values() if one.guard.maker == wallet.address), None)

    def operators(self, wallet: Wallet) -> Sequence[KeySigner]:
        signer = self.of(wallet)
        return () if signer is None else self.by_fleet.get(signer.guard.name, (signer,))

    def only(self, names: frozenset[str], *, orders: bool) -> "OpenSigners":
        """Return those of some wallets: an executor gets none that pays elsewhere, and signs digests where they are of orders."""
        signers = {
            name: tuple(evolve(one, signs_orders=orders) for one in self.by_fleet.get(name, (signer,)))
            for name, signer in self.by_name.items()
            if name in names
        }
        by_fleet = {name: every for name, every in signers.items() if name in self.by_fleet}
        return OpenSigners({name: every[0] for name, every in signers.items()}, by_fleet)

    def armed(self, now: float) -> dict[str, float]:
        """Return until when, in Unix seconds, each wallet that is armed at a moment stays so."""
        return {name: one.guard.armed_until for name, one in self.by_name.items() if now < one.guard.armed_until}


@asynccontextmanager
async def open_signers(
    *,
    folder: Path,
    wallets: Mapping[str, WalletTable],
    keys: Mapping[str, SecretKey],
    fleets: Mapping[str, FleetKeys] | None = None,
    chain_id: ChainId,
    wall: WallClock,
    in_thread: InThread,
    on_trouble: Callable[[str, str], None],
) -> AsyncGenerator[OpenSigners, None]:
    """Open the signers of the wallets whose keys are at hand, and keep writing down what they let go.

    A wallet with one of `fleets` has those of its operators, and what they sign counts together. Who refuels a fleet has one too,
    by its `funding_name`.

    Raises:
        ConfigError: what left before cannot be read; nothing is signed then.
    """
    fleets = fleets or {}
    members = {name: fleets[one.fleet].of(one) for name, one in wallets.items() if one.fleet and one.fleet in fleets}
    of_wallet: dict[str, tuple[SecretKey, ...]] = {name: (key,) for name, key in keys.items()} | members
    by_maker: dict[Address, Guard] = {}

    def note(told: Signed | Gas) -> bool:
        guard = by_maker.get(told.maker)
        if guard is None:
            return True
        if isinstance(told, Signed):
            return guard.note(told)
        guard.gas.count(told)
        return True

    journal = Journal(folder=folder, wall=wall, in_thread=in_thread, note=note)
    gas_of_nonces: dict[Nonce, int] = {}
    guards = {
        name: Guard(
            name=name,
            maker=wallet.address,
            chain_id=chain_id,
            policy=wallet.policy,
            kind=wallet.signature_type,
            on_nonce=journal.add,
            on_gas=journal.add,
            gas=DayGas(gas_of_nonces),
        )
        for name, wallet in wallets.items()
        if of_wallet.get(name) and wallet.address is not None
    }
    for fleet, opened in fleets.items():
        if opened.funding is not None:
            name, maker = funding_name(fleet), opened.funding.address
            guards[name] = Guard(
                name=name,
                maker=maker,
                chain_id=chain_id,
                # What refuels costs no more than what it gives.
                policy=evolve(_NO_ORDERS, max_day_gas=opened.max_day),
                refuels=_refuels(opened),
                on_nonce=journal.add,
                on_gas=journal.add,
                gas=DayGas(gas_of_nonces),
            )
            of_wallet[name] = (opened.funding,)
    by_maker.update((guard.maker, guard) for guard in guards.values())
    await journal.load()
    watch = _ArmingWatch(folder, tuple(guards.values()), wall, in_thread, on_trouble)
    await watch.look()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run_writer)
        nursery.start_soon(watch.run_watch)
        signers = {
            name: tuple(
                KeySigner(key=key, guard=guard, journal=journal, wall=wall, on_refusal=on_trouble)
                for key in of_wallet[name]
            )
            for name, guard in guards.items()
        }
        of_fleets = {name: signers[name] for name in members if name in signers}
        yield OpenSigners({name: every[0] for name, every in signers.items()}, of_fleets)
        nursery.cancel_scope.cancel()


def _refuels(fleet: FleetKeys) -> Refuels:
    operators = frozenset(key.address for key in fleet.operators)
    return Refuels(operators=operators, most_wei=fleet.fill_to.wei, max_day_wei=fleet.max_day.wei)


@define(eq=False)
class _ArmingWatch:
    """Notices that a person has armed a wallet, or disarmed it, and that the time is over.

    Files are only ever put in each other's place, which the time of their folder shows; now and then all are read anyway,
    for that time is coarse.
    """

    folder: Path
    guards: Sequence[Guard]
    wall: WallClock
    in_thread: InThread
    on_trouble: Callable[[str, str], None]
    _seen: int = -1
    _looks: int = 0
    _armed: frozenset[str] = frozenset()
    _until: dict[Guard, float] = field(factory=dict)
    """Until when each was armed last: armed anew, that is another moment."""

    async def run_watch(self) -> NoReturn:
        while True:
            await trio.sleep(_LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Let every guard know what holds now."""
        for guard, arming in (await self.in_thread(self._read)).items():
            # Where a limit was raised since, or its time is over, what was bought can still be sold.
            guard.armed_until = min(arming.until, self.wall()) if arming.why_not else arming.until
            if arming.armed(self.wall()) and self._until.get(guard) != arming.until:
                self._until[guard], guard.armed_at = arming.until, self.wall()
        now = self.wall()
        armed = frozenset(guard.name for guard in self.guards if now < guard.armed_until)
        for name in sorted(self._armed - armed):
            self.on_trouble("disarmed", f"wallet {name}: no entry is signed any more; to go on: `trio-copy arm {name}`")
        self._armed = armed

    def _read(self) -> dict[Guard, Arming]:
        self._looks += 1
        try:
            changed = self.folder.stat().st_mtime_ns
        except OSError:
            return dict.fromkeys(self.guards, Arming())
        if changed == self._seen and self._looks % _ALL_EVERY:
            return {}
        self._seen = changed
        return {
            guard: read_arming(self.folder, guard.maker, limits_of(guard.policy, guard.chain_id))
            for guard in self.guards
        }
