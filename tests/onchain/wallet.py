"""A chain with one wallet, nodes that take, refuse, lose and drop transactions, and whoever tends the wallet's nonces."""

from collections.abc import Callable, Sequence
from hashlib import sha256

from attrs import define, evolve, field, frozen

from trio_copy.model.ids import Hash32, IntentKey
from trio_copy_onchain.tx import commands as c
from trio_copy_onchain.tx import events as e
from trio_copy_onchain.tx.due import Due, Next, due
from trio_copy_onchain.tx.fees import GWEI, Fees, higher
from trio_copy_onchain.tx.nonces import Nonces, Part
from trio_copy_onchain.tx.receipts import Receipt
from trio_copy_onchain.tx.sendings import Binding, Fate, Sending
from trio_copy_onchain.tx.texts import Proves

FEES = Fees(tip=30 * GWEI, max_fee=90 * GWEI)
_CAP = 10**9 * GWEI
PATIENCE_S = 20.0


@frozen
class Made:
    """What a made-up transaction is about; its hash stands for a signature."""

    key: IntentKey | None
    nonce: int
    tip: int
    cancels: bool

    @property
    def hash(self) -> Hash32:
        return Hash32("0x" + sha256(repr(self).encode()).hexdigest())


@define
class Chain:
    """Blocks of one transaction of the wallet each: the nonce is the block."""

    made: dict[Hash32, Made] = field(factory=dict)
    taken: set[Hash32] = field(factory=set)
    """Some node has had it: it may be mined whenever its nonce is the next, whatever the nodes forget."""
    known: set[Hash32] = field(factory=set)
    mined: list[Hash32] = field(factory=list)
    final: int = 0
    others: int = 0

    def candidates(self) -> list[Hash32]:
        return sorted(tx for tx in self.taken if self.made[tx].nonce == len(self.mined))

    def mine(self, tx_hash: Hash32 | None) -> None:
        """Mine a transaction, or somebody else's of the same wallet."""
        if tx_hash is None:
            self.others += 1
            tx_hash = Hash32(f"0x{self.others:064x}")
        self.mined.append(tx_hash)

    def receipt(self, tx_hash: Hash32) -> Receipt | None:
        if tx_hash not in self.mined:
            return None
        number = self.mined.index(tx_hash)
        block = Hash32("0x" + sha256("".join(self.mined[: number + 1]).encode()).hexdigest())
        return Receipt(tx_hash=tx_hash, block_number=number, block_hash=block, succeeded=True, gas_used=21_000, price=1)

    @property
    def pending(self) -> int:
        nonce = len(self.mined)
        while any(self.made[tx].nonce == nonce for tx in self.known):
            nonce += 1
        return nonce

    def look(self, nonces: Nonces, *, untold: frozenset[Hash32] = frozenset(), whole: bool = True) -> c.See:
        """Say what nodes tell: some receipts are written down late, and who used a nonce is not always looked for."""
        receipts = {tx: None if tx in untold else self.receipt(tx) for tx in nonces.hashes}
        used = dict(enumerate(self.mined[: self.final])) if whole else {}
        return c.See(
            latest=len(self.mined), pending=self.pending, final=self.final, final_block=self.final - 1,
            receipts=receipts, used=used,
        )  # fmt: skip


@define
class Wallet:
    """Who tends the nonces: writes down, sends, hears, looks, and asks what is due."""

    chain: Chain = field(factory=Chain)
    nonces: Nonces = field(factory=Nonces)
    stored: dict[Part, Binding] = field(factory=dict)
    fates: dict[IntentKey, list[e.Ended]] = field(factory=dict)
    left: list[tuple[IntentKey | None, int, bool]] = field(factory=list)
    """Of each call that left: whose it is, its nonce, and whether it was late and no reorg had taken it back."""
    now: float = 1_000.0

    def do(self, command: c.Command) -> Sequence[e.Event]:
        events = self.nonces.decide(command)
        assert self.nonces.decide(command) == events
        self.nonces.apply(events)
        assert self.nonces.unpaid == _unpaid(self.nonces)
        for event in events:
            if isinstance(event, e.Ended) and event.key is not None:
                self.fates.setdefault(event.key, []).append(event)
        return events

    def write(self) -> None:
        for part, binding in self.nonces.take_changes().items():
            if binding is None:
                self.stored.pop(part, None)
            else:
                self.stored[part] = binding

    def crash(self) -> None:
        """Go on with what was written down; what is in memory only is gone."""
        kept = [evolve(one, doubtful=True, leaving=frozenset()) for one in self.stored.values()]
        self.nonces = Nonces.restored(kept)
        assert self.nonces.unpaid == _unpaid(self.nonces)
        self.see()

    def see(self, *, untold: frozenset[Hash32] = frozenset(), whole: bool = True) -> None:
        self.do(self.chain.look(self.nonces, untold=untold, whole=whole))
        self.write()

    def sign(self, key: IntentKey | None, fees: Fees, *, cancels: bool) -> Callable[[int], Sending]:
        def signed(nonce: int) -> Sending:
            made = Made(key, nonce, fees.tip, cancels)
            self.chain.made[made.hash] = made
            return Sending(nonce=nonce, hash=made.hash, raw=b"", fees=fees, at=self.now, cancels=cancels)

        return signed

    def bind(self, key: IntentKey, for_s: float) -> Binding | None:
        self.do(c.Bind(key=key, until=self.now + for_s, sign=self.sign(key, FEES, cancels=False), at=self.now))
        return self.nonces.of(key)

    def replace(self, nonce: int, *, cancels: bool) -> None:
        binding = self.nonces.bindings[nonce]
        fees = higher(binding.newest.fees, cap=_CAP)
        assert fees is not None
        sign = self.sign(binding.key, fees, cancels=cancels or binding.is_cancelled)
        self.do(c.Replace(nonce=nonce, sign=sign, at=self.now))

    def leave(self, nonce: int) -> Sending | None:
        """Write down, and let bytes leave; who hears of them is up to the caller."""
        self.write()
        for event in self.do(c.Send(nonce=nonce, at=self.now)):
            assert isinstance(event, e.Left)
            binding = self.nonces.bindings[nonce]
            if not event.sending.cancels:
                self.left.append((binding.key, nonce, self.now >= binding.until and binding.taken_back is None))
            return event.sending
        return None

    def hear(self, sending: Sending, *, taken: bool, proves: Proves) -> None:
        if taken:
            self.chain.taken.add(sending.hash)
            self.chain.known.add(sending.hash)
        self.do(c.Hear(nonce=sending.nonce, hash=sending.hash, proves=proves))

    @property
    def due(self) -> Sequence[Due]:
        return due(self.nonces, self.chain.known, at=self.now, patience_s=PATIENCE_S)

    def tend(self, one: Due) -> Sending | None:
        """Do what is due, up to the bytes that leave."""
        match one.what:
            case Next.GIVE_UP:
                self.do(c.GiveUp(nonce=one.nonce))
                self.write()
                return None
            case Next.FILL:
                self.do(c.Fill(nonce=one.nonce, sign=self.sign(None, FEES, cancels=True), at=self.now))
            case Next.BUMP | Next.CANCEL:
                self.replace(one.nonce, cancels=one.what is Next.CANCEL)
        return self.leave(one.nonce)

    def settle(self) -> None:
        """Let everything be fair from now on: all nodes take everything, blocks come, and somebody looks."""
        for _ in range(60):
            self.see()
            if not self.nonces.bindings and not self.nonces.freed:
                return
            for one in self.due:
                sending = self.tend(one)
                if sending is not None:
                    self.hear(sending, taken=True, proves=Proves.TAKEN)
            while self.chain.candidates():
                self.chain.mine(self.chain.candidates()[0])
            if self.nonces.freed and not self.nonces.bindings:
                self.chain.mine(None)  # whose nonce was freed is followed until something uses it
            self.chain.final = len(self.chain.mined)
            self.now += PATIENCE_S
        raise AssertionError(f"stuck: {self.nonces}, {self.due}, {self.chain.mined}")


def _unpaid(nonces: Nonces) -> dict[IntentKey, Hash32]:
    """Look through all that has ended: what is ours, and whose gas nobody has counted."""
    return {
        key: one.end.hash
        for key, one in nonces.ended.items()
        if one.end is not None and one.paid_wei is None and one.end.fate is not Fate.DISPLACED
    }
