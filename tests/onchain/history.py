"""Histories of a wallet: what it does, and what nodes and the chain do to it, told by bytes."""

from collections.abc import Callable

from attrs import define, field

from tests.onchain.wallet import PATIENCE_S, Made, Wallet
from trio_copy.model.ids import IntentKey
from trio_copy_onchain.tx import commands as c
from trio_copy_onchain.tx.sendings import Fate, Sending, plain_binding
from trio_copy_onchain.tx.texts import Proves

_HONEST = (
    (True, Proves.TAKEN),
    (True, Proves.NOTHING),
    (False, Proves.NOTHING),
    (False, Proves.NOT_TAKEN),
    (False, Proves.NOT_TAKEN),
)
_LIE = (True, Proves.NOT_TAKEN)
"""A node keeps what it says it refused."""


@define
class History:
    told: bytes
    """Which step comes next, and how it goes."""
    liars: bool
    wallet: Wallet = field(factory=Wallet)
    keys: list[IntentKey] = field(factory=list)
    _at: int = 0

    def play(self) -> None:
        """Let it happen, check after each step what holds, and let the world be fair in the end."""
        chain = self.wallet.chain
        for _ in range(self.draw(3)):
            chain.mine(None)
        chain.final = len(chain.mined)
        self.wallet.see()
        while self._at < len(self.told):
            _STEPS[self.draw(len(_STEPS))](self)
            self.check()
        self.wallet.settle()
        self.check()
        self.check_ends()

    def draw(self, choices: int) -> int:
        self._at += 1
        return self.told[self._at - 1] % choices if self._at <= len(self.told) else 0

    # What the wallet does

    def place(self) -> None:
        """Bind a new key and send it; the process may die on the way."""
        self.keys.append(IntentKey(f"key {len(self.keys)}"))
        self.run(self.keys[-1], (0.0, 5.0, 300.0, 300.0)[self.draw(4)], dies=self.draw(8))

    def place_again(self) -> None:
        """Ask again for a key: while it is open, after nothing came of it, and by mistake after it has landed."""
        if self.keys:
            self.run(self.keys[self.draw(len(self.keys))], 300.0, dies=7)

    def run(self, key: IntentKey, for_s: float, *, dies: int) -> None:
        wallet = self.wallet
        binding = wallet.bind(key, for_s)
        if binding is None:
            return
        if dies == 0:
            return wallet.crash()
        wallet.write()
        if dies == 1:
            return wallet.crash()
        sending = wallet.leave(binding.nonce)
        if sending is not None:
            self.answer(sending)
            if dies == 2:
                wallet.crash()
        return None

    def answer(self, sending: Sending) -> None:
        answers = (*_HONEST, _LIE) if self.liars else _HONEST
        taken, proves = answers[self.draw(len(answers))]
        self.wallet.hear(sending, taken=taken, proves=proves)

    def tend(self) -> None:
        for one in self.wallet.due:
            sending = self.wallet.tend(one)
            if sending is not None:
                self.answer(sending)

    def give_up(self) -> None:
        """Give up what may be given up, and what may not."""
        nonces = sorted(self.wallet.nonces.bindings)
        if nonces:
            self.wallet.do(c.GiveUp(nonce=nonces[self.draw(len(nonces))]))
            self.wallet.write()

    def look(self) -> None:
        """See what the chain shows; nodes write receipts down late, and who used a nonce is not always looked for."""
        hashes = self.wallet.nonces.hashes
        untold = frozenset(tx for tx in hashes if self.draw(3) == 0) if self.draw(2) else frozenset()
        self.wallet.see(untold=untold, whole=self.draw(2) == 0)

    def die(self) -> None:
        self.wallet.crash()

    # What the world does

    def wait(self) -> None:
        self.wallet.now += (1.0, PATIENCE_S, 400.0)[self.draw(3)]

    def mine(self) -> None:
        """Mine anything that any node ever had."""
        candidates = self.wallet.chain.candidates()
        if candidates:
            self.wallet.chain.mine(candidates[self.draw(len(candidates))])

    def use_elsewhere(self) -> None:
        self.wallet.chain.mine(None)

    def forget(self) -> None:
        """All nodes drop what is not mined."""
        self.wallet.chain.known.clear()

    def reorg(self) -> None:
        chain = self.wallet.chain
        del chain.mined[max(chain.final, len(chain.mined) - 1 - self.draw(3)) :]

    def finalize(self) -> None:
        chain = self.wallet.chain
        chain.final = min(len(chain.mined), chain.final + 1 + self.draw(3))

    # What holds

    @property
    def calls(self) -> list[Made]:
        chain = self.wallet.chain
        return [chain.made[tx] for tx in chain.mined if tx in chain.made and not chain.made[tx].cancels]

    def check(self) -> None:
        wallet, nonces = self.wallet, self.wallet.nonces
        done = [made.key for made in self.calls]
        assert len(done) == len(set(done)), "a key was done twice"
        bound = [binding.key for binding in nonces.bindings.values() if binding.key is not None]
        assert len(bound) == len(set(bound)), "a key has two nonces"
        assert not set(bound) & (set(nonces.freed) | set(nonces.ended))
        followed = (*nonces.bindings.values(), *nonces.freed.values(), *nonces.ended.values())
        written = {part: plain_binding(one) for part, one in wallet.stored.items()}
        assert written == {(one.nonce, one.key): plain_binding(one) for one in followed}, (
            "what is stored is not what is"
        )
        for key in self.keys:
            sent = {nonce for whose, nonce, _ in wallet.left if whose == key}
            over = {ended.nonce for ended in wallet.fates.get(key, ())}
            assert len(sent - over) <= 1, "a key was sent with another nonce before its first one was used for good"
        assert not any(late for _, _, late in wallet.left), "a call left late"

    def check_ends(self) -> None:
        """What was told of each key is what is on the chain."""
        wallet = self.wallet
        landed = {made.key for made in self.calls}
        ends = [ended for ended_ones in wallet.fates.values() for ended in ended_ones]
        assert {ended.key for ended in ends if ended.end.fate is Fate.LANDED} == landed, "what was told is not what is"
        assert {binding.end is not None for binding in wallet.stored.values()} <= {True}
        wallet.do(c.Forget(keys=self.keys))
        wallet.write()
        assert not wallet.stored
        if not self.liars:
            assert not any(ended.end.was_unsent and ended.end.fate is Fate.LANDED for ended in ends), (
                "what was unsent was sent"
            )


_STEPS: tuple[Callable[[History], None], ...] = (
    *[History.place] * 5, *[History.place_again] * 3, *[History.tend] * 4, *[History.give_up] * 3, *[History.look] * 4,
    History.die, *[History.wait] * 2, *[History.mine] * 4, History.use_elsewhere, History.forget,
    *[History.reorg] * 2, *[History.finalize] * 3,
)  # fmt: skip
