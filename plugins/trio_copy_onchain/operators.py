"""All operators of this process: made when a shard is taken or a wallet first sends, looked after with every block."""

from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

import trio
from attrs import define, field

from trio_copy.clock import WallClock
from trio_copy.errors import ChainError, OrderNotSent, StoreError
from trio_copy.model.ids import Address, IntentKey
from trio_copy.model.orders import Wallet
from trio_copy.ports import Journal, Signer, Signers
from trio_copy.records import read_plain
from trio_copy_onchain.asking.cadence import Cadence
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.asking.fee_clock import FeeClock
from trio_copy_onchain.fleet.balances import Balances
from trio_copy_onchain.fleet.picking import Load, pick
from trio_copy_onchain.sending.began import older_orders
from trio_copy_onchain.sending.gas_book import GAS
from trio_copy_onchain.sending.keyless import Keyless
from trio_copy_onchain.sending.operator import NoCoin, Operator
from trio_copy_onchain.sending.written import Written
from trio_copy_onchain.tx.sendings import Binding, Fate

_LOOK_ANYWAY_S = 5.0
"""Without a new block, it is looked all the same after so long: what was lost is sent again."""
_BETWEEN_LOOKS_S = 0.1
"""Where blocks come as fast as one can look, those who send have the node to themselves in between."""
_FORGET_EVERY_S = 60.0
_ASK_S = 5.0
_ACTED = "acted/"
_FOR_EXITS = 4
"""For so many transactions that entries may have on their way there is one more, for exits alone."""


@define(eq=False, kw_only=True)
class Operators:
    chain: Chain
    fees: FeeClock
    signers: Signers
    wall: WallClock
    patience_s: float
    poll_s: float
    in_flight: int
    on_trouble: Callable[[str, str], None]
    on_news: Callable[[IntentKey], None]
    at: Callable[[str], None]
    balances: Balances
    """What operators have for gas, as far as somebody has looked."""
    _journals: list[Journal] = field(factory=list)
    _older: dict[int, frozenset[IntentKey]] = field(factory=dict)
    """Open orders that are older than the journal of their shard."""
    _by_address: dict[Address, Operator] = field(factory=dict)
    _signer_of: dict[Address, Signer] = field(factory=dict)
    _signers_of: dict[Address, list[Signer]] = field(factory=dict)
    """Of each operator, those of all wallets that it sends for."""
    _wake: trio.Event = field(factory=trio.Event)
    _due: trio.Event = field(factory=trio.Event)
    """Set when there may be something new on the chain."""

    def know(self, wallets: Iterable[Wallet]) -> None:
        """Learn who may send for some wallets."""
        for wallet in wallets:
            for signer in self.signers.operators(wallet):
                self._signer_of.setdefault(signer.address, signer)
                self._signers_of.setdefault(signer.address, []).append(signer)

    def open_journal(self, journal: Journal) -> None:
        """Go on with what an earlier owner of a shard has sent."""
        self._journals.append(journal)
        self._older[journal.shard] = older_orders(journal, self.chain.chain_id)
        chain = f"{self.chain.chain_id}/0x"
        names = [name.split("/") for name in journal.documents() if name.startswith(chain)]
        senders = {parts[1] for parts in names}
        sent = {parts[1] for parts in names if parts[2:] != [GAS]}
        for sender in sorted(senders):
            signer = self._signer_of.get(Address(sender))
            if signer is not None and sender not in sent:
                continue  # what its gas has cost stays here for ever, and it may send for another shard by now
            if signer is None:
                self.on_trouble(
                    "operator-unknown", f"operator {sender} has sent, and no wallet of this configuration has its key"
                )
            # Without a key, what it has sent is followed all the same: taken for unsent, another would do it once more.
            self._make(signer or Keyless(Address(sender)), journal)

    def close_journal(self, journal: Journal) -> None:
        """Let nothing more leave of a shard."""
        self._journals = [one for one in self._journals if one is not journal]
        if not any(one.shard == journal.shard for one in self._journals):
            self._older.pop(journal.shard, None)
        for address, operator in list(self._by_address.items()):
            if operator.written.journal is journal:
                operator.closed = True
                del self._by_address[address]

    def is_older(self, key: IntentKey) -> bool:
        """Tell whether an order was open before its journal began: what was sent of it may be written down nowhere."""
        return any(key in keys for keys in self._older.values())

    def of(self, wallet: Wallet) -> Sequence[tuple[Operator, Signer]]:
        """Return who may send for a wallet, and who signs for it there.

        Raises:
            OrderNotSent: nobody may, or its account is not in a shard of this process.
        """
        signers = self.signers.operators(wallet)
        journal = next((one for one in self._journals if one.covers(wallet.follower)), None)
        if not signers:
            raise OrderNotSent(f"nobody signs for the wallet {wallet.name or 'of'} {wallet.follower}")
        if journal is None:
            raise OrderNotSent(f"the account of {wallet.follower} is not owned here")
        among = [(self._by_address.get(one.address) or self._make(one, journal), one) for one in signers]
        torn = next((operator for operator, _ in among if operator.written.journal is not journal), None)
        if torn is not None:
            raise OrderNotSent(f"operator {torn.address} sends for accounts of another shard")
        return among

    def holder(self, key: IntentKey, among: Sequence[tuple[Operator, Signer]] = ()) -> tuple[Operator, Signer] | None:
        """Return who has a key: of those that may send for its wallet now, or else of all that ever have; None where nobody has."""
        bound = next((one for one in among if one[0].binding(key) is not None), None)
        if bound is not None:
            return bound
        before = next((one for one in self._by_address.values() if one.binding(key) is not None), None)
        return None if before is None else (before, before.signer)

    def pick(
        self, key: IntentKey, among: Sequence[tuple[Operator, Signer]], *, is_exit: bool = False
    ) -> tuple[Operator, Signer] | None:
        """Return who carries a key: whoever has it already, for ever, else who has least to do (`fleet.picking`). None while all are full.

        It has a key as well of which the guard remembers a signature and the journal nothing: that was lost before it could
        leave. Exits have room beyond what entries may fill.

        Raises:
            OrderNotSent: nobody can send anything now, as `NoCoin` for want of coin; or who has it may not send for this wallet
                any more, and could do it no second time.
        """
        bound = self.holder(key, among)
        if bound is not None:
            if bound not in among and _is_over(bound[0].binding(key)):
                raise OrderNotSent(_kept_for(bound[0].address))
            return bound
        had = among[0][1].sender_of(key) if among else None
        if had is not None:
            among = [one for one in among if one[0].address == had]
            if not among:
                raise OrderNotSent(_kept_for(had))
        for operator, signer in among:
            if operator.stopped:
                # Whichever of its wallets was armed: that one may have nothing to send.
                whose = (signer, *self._signers_of.get(operator.address, ()))
                operator.go_on(max(one.armed_at for one in whose))
        now = trio.current_time()
        loads = [
            Load(
                operator=operator.address,
                open=operator.in_flight,
                wei=self.balances.of(operator.address),
                paused=bool(operator.stopped) or now < operator.paused_until,
            )
            for operator, _ in among
        ]
        if not any(load.pays for load in loads):
            stopped = among[0][0].stopped if among else ""
            raise OrderNotSent(stopped) if stopped else NoCoin("no operator has coin for gas")
        most = self.in_flight + (-(-self.in_flight // _FOR_EXITS) if is_exit else 0)
        best = pick(loads, in_flight=most)
        return next((one for one in among if one[0].address == best), None)

    async def wait_room(self, among: Sequence[tuple[Operator, Signer]]) -> None:
        """Wait until one of some operators is not as it was."""
        # Taken now: what changes before a task has begun to wait would never be heard of.
        changes = [operator.line.changed for operator, _ in among]
        if len(changes) == 1:
            await changes[0].wait()
            return
        async with trio.open_nursery() as nursery:

            async def wait(changed: trio.Event) -> None:
                await changed.wait()
                nursery.cancel_scope.cancel()

            for changed in changes:
                nursery.start_soon(wait, changed)

    def wake(self) -> None:
        """Let the chain be looked at: something has been sent."""
        self._wake.set()

    async def run_looks(self) -> NoReturn:
        """Look after all that is open, until cancelled."""
        forgot_at = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            while True:
                await self._due.wait()
                self._due = trio.Event()
                await _follow(one for one in self._busy if one.waits)
                # What is mined has time: with its block come the trades that are to be copied now.
                await trio.sleep(_BETWEEN_LOOKS_S)
                await _follow(one for one in self._busy if not one.waits)
                if trio.current_time() - forgot_at >= _FORGET_EVERY_S:
                    # Between looks: one that waits for a receipt counts its gas afterwards.
                    forgot_at = trio.current_time()
                    self._forget()

    async def _watch(self) -> NoReturn:
        """Say with each block that there is something to look at. Apart from the looks: a long one would hide the next block."""
        seen, due_at = -1, 0.0
        cadence = Cadence(self.poll_s)
        while True:
            if not self._busy:
                await self._wake.wait()
            # What was sent just now may be in the block that was seen already, or be taken by no node.
            woken, self._wake = self._wake.is_set(), trio.Event()
            head, now = await self._head(), trio.current_time()
            if woken or head != seen or now - due_at >= _LOOK_ANYWAY_S:
                seen, due_at = head, now
                self._due.set()
            if head >= 0:
                cadence.note(head, now)
            await trio.sleep(cadence.pause_s(trio.current_time()))

    @property
    def _busy(self) -> list[Operator]:
        return [one for one in self._by_address.values() if one.busy]

    async def _head(self) -> int:
        try:
            return (await self.chain.nodes.block("latest", trio.current_time() + _ASK_S)).number
        except ChainError:
            return -1

    def _forget(self) -> None:
        """Forget what has ended, and what no account has open any more."""
        for journal in self._journals:
            keys = journal.open_keys() | self._acted(journal)
            for operator in self._by_address.values():
                if operator.written.journal is journal:
                    done = [key for key in operator.nonces.ended if key not in keys and not operator.owed.owes(key)]
                    operator.forget(done)
                    for key in done:
                        journal.put(told_name(key), None)

    def _acted(self, journal: Journal) -> set[IntentKey]:
        """Return the keys of acts that may still be asked for again, and delete what is known of the others."""
        keys, now = set[IntentKey](), self.wall()
        for name, body in list(journal.documents().items()):
            if name.startswith(_ACTED):
                if now < kept_until(body):
                    keys.add(IntentKey(name.removeprefix(_ACTED)))
                else:
                    journal.put(name, None)
        return keys

    def _make(self, signer: Signer, journal: Journal) -> Operator:
        written = Written(journal=journal, chain_id=self.chain.chain_id, operator=signer.address)
        operator = Operator(
            address=signer.address,
            signer=signer,
            chain=self.chain,
            fees=self.fees,
            written=written,
            wall=self.wall,
            patience_s=self.patience_s,
            on_trouble=self.on_trouble,
            on_news=self.on_news,
            at=self.at,
        )
        self._by_address[signer.address] = operator
        if not isinstance(signer, Keyless):
            self._signer_of.setdefault(signer.address, signer)
        self.wake()
        return operator


async def _follow(operators: Iterable[Operator]) -> None:
    async with trio.open_nursery() as looks:
        for operator in operators:
            looks.start_soon(operator.follow)


def _kept_for(operator: Address) -> str:
    return f"operator {operator} has it, and may not send for this wallet any more; nobody else does, for both could be mined"


def _is_over(binding: Binding | None) -> bool:
    """Tell whether nothing that was sent for a key can happen any more."""
    return binding is None or (binding.end is not None and binding.end.fate is not Fate.LANDED)


def told_name(key: IntentKey) -> str:
    """Name the document of what was told of a key."""
    return f"told/{key}"


def acted_name(key: IntentKey) -> str:
    """Name the document which says that an act was begun: `[1, kept until]`, in Unix seconds."""
    return _ACTED + key


def kept_until(body: bytes) -> float:
    """Read until when an act may be asked for again; what cannot be read is kept for ever."""
    try:
        _, until = read_plain(body)
        return float(until)
    except (StoreError, ValueError, TypeError):
        return float("inf")
