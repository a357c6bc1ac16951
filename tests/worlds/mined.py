"""A chain that carries out what is sent to it: calls of one market maker, by accounts and by Safes, and what does nothing.

Each block has the state after it, so that a reorg takes back money, shares and nonces alike. What was once taken by any node may be
mined whenever its nonce is the next one, whatever the nodes have dropped since.
"""

from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field, frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, Hash32, IntentKey, TokenId
from trio_copy.testing.devnet.chain import DevChain, DevLog, DevTx, fake_hash
from trio_copy.transactions.calls import Call
from trio_copy.transactions.transaction import Transaction, hash_of, read_signed
from trio_copy_onchain.tx.fees import GWEI
from trio_copy_onchain.venues import abi
from trio_copy_onchain.venues.fpmm import FpmmState
from trio_copy_onchain.wallets.safe import Safe
from trio_copy_onchain.wallets.seam import key_of

MAKER, CTF, USDC = (Address("0x" + digits * 20) for digits in ("f1", "c7", "dc"))
MULTI_SEND = Address("0xa238cbeb142c10ef7ad8442c6d1f9e89e07e7761")
TOKENS = (TokenId(7_001), TokenId(7_002))
FEE = 2 * 10**16
_ONE = 10**18
_UINTS = ("uint256",) * 3
BUY, SELL = abi.selector("buy", *_UINTS), abi.selector("sell", *_UINTS)
_BOUGHT = abi.topic("FPMMBuy(address,uint256,uint256,uint256,uint256)")
_SOLD = abi.topic("FPMMSell(address,uint256,uint256,uint256,uint256)")
_TRADE_GAS, _REFUSED_GAS, _NOTHING_GAS = 150_000, 60_000, 21_000


class Reverted(Exception):
    """A contract refuses."""


@define
class State:
    """What the chain knows after a block."""

    pool: list[int]
    nonces: dict[Address, int] = field(factory=dict)
    cash: dict[Address, int] = field(factory=dict)
    shares: dict[tuple[Address, int], int] = field(factory=dict)

    def copy(self) -> "State":
        return State(list(self.pool), dict(self.nonces), dict(self.cash), dict(self.shares))

    def trade(self, wallet: Address, data: bytes) -> DevLog:
        """Carry out a call of the market maker. Raises `Reverted`."""
        amount, outcome, bound = abi.words(data[4:100], 3)
        maker = FpmmState(tuple(self.pool), FEE)
        if data[:4] == BUY:
            fee, shares = amount * FEE // _ONE, maker.bought_for(amount, outcome)
            if shares is None or shares < bound:
                raise Reverted("minimum buy amount not reached")
            self._move(wallet, outcome, -amount, shares)
            self.pool = [had + amount - fee for had in self.pool]
            self.pool[outcome] -= shares
            topic = _BOUGHT
        elif data[:4] == SELL:
            fee, sold = amount * FEE // (_ONE - FEE), maker.sold_for(amount, outcome)
            if sold is None or sold > bound:
                raise Reverted("maximum sell amount exceeded")
            shares = sold
            self._move(wallet, outcome, amount, -shares)
            self.pool[outcome] += shares
            self.pool = [had - amount - fee for had in self.pool]
            topic = _SOLD
        else:
            raise Reverted("no such function")
        topics = (topic, abi.address_topic(wallet), f"0x{outcome:064x}")
        return DevLog(address=MAKER, topics=topics, data=b"".join(one.to_bytes(32) for one in (amount, fee, shares)))

    def _move(self, wallet: Address, outcome: int, cash: int, shares: int) -> None:
        has = self.cash.get(wallet, 0) + cash, self.shares.get((wallet, outcome), 0) + shares
        if min(has) < 0:
            raise Reverted("SafeMath: subtraction overflow")
        self.cash[wallet], self.shares[wallet, outcome] = has


@frozen(kw_only=True)
class Tx:
    """One that may be mined: signed by somebody, or a leader's, of which nobody needs the bytes."""

    hash: Hash32
    sender: Address
    call: Call
    raw: bytes = b""
    signed: Transaction | None = None

    @classmethod
    def of(cls, raw: bytes) -> "Tx":
        signed, sender = read_signed(raw)
        call = Call(to=signed.to, data=signed.data, value=signed.value)
        return cls(hash=hash_of(raw), sender=sender, call=call, raw=raw, signed=signed)

    @property
    def key(self) -> IntentKey | None:
        """Return whose order it carries; None where it does nothing."""
        return None if self.signed is None or not self.call.data else key_of(self.call)


@frozen(kw_only=True)
class Mined:
    """What became of a transaction in a block."""

    tx: Tx
    succeeded: bool
    gas: int
    price: int
    log: DevLog | None = None

    @property
    def bought(self) -> bool:
        return self.log is not None and self.log.topics[0] == _BOUGHT


def leaders(number: int, leader: Address, side: Side, outcome: int, cash: int) -> Tx:
    """Return a leader's trade, whatever it costs him."""
    selector, bound = (BUY, 0) if side is Side.BUY else (SELL, (1 << 128) - 1)
    data = selector + b"".join(one.to_bytes(32) for one in (cash, outcome, bound))
    return Tx(hash=fake_hash("leader", number), sender=leader, call=Call(to=MAKER, data=data))


@define(eq=False)
class MinedChain:
    dev: DevChain
    safes: frozenset[Address]
    state: dict[Hash32, State] = field(factory=dict)
    """After each block that ever was."""
    mined: dict[Hash32, tuple[Mined, ...]] = field(factory=dict)
    """In each block that ever was, by its hash."""
    taken: dict[Hash32, Tx] = field(factory=dict)
    """What some node has had."""
    base_fee: int = 30 * GWEI
    gas_factor: int = 100
    """In per cent: how much a trade takes of what it usually does."""

    def begin(self, cash: Mapping[Address, int], pool: int) -> None:
        """Say who has what before the first block."""
        self.state[self.dev.head.ref.hash] = State([pool, pool], {}, dict(cash))

    @property
    def head(self) -> State:
        return self.state[self.dev.head.ref.hash]

    @property
    def standing(self) -> Sequence[Mined]:
        """Return all that stands on the chain."""
        return [one for block in self.dev.blocks for one in self.mined.get(block.ref.hash, ())]

    def candidates(self, nonces: Mapping[Address, int]) -> list[Tx]:
        """Return what a block could hold next of what some node has had, where so many nonces are used."""
        return [
            tx
            for tx in self.taken.values()
            if tx.signed is not None
            and tx.signed.nonce == nonces.get(tx.sender, 0)
            and tx.signed.max_fee >= self.base_fee
        ]

    def mine(self, some: Iterable[Tx]) -> list[Mined]:
        """Put a block on top, in which each is carried out whose nonce is the next by then."""
        state, done = self.head.copy(), list[Mined]()
        for tx in some:
            if tx.signed is None or tx.signed.nonce == state.nonces.get(tx.sender, 0):
                done.append(self._carry_out(state, tx))
        kept = [one for one in done if one.tx.signed is not None or one.succeeded]
        made = [DevTx(tx_hash=one.tx.hash, logs=() if one.log is None else (one.log,)) for one in kept]
        # Listeners answer from within: what is in the block has to be known before they hear of it.
        listeners, self.dev.on_block[:] = list(self.dev.on_block), []
        block = self.dev.mine(*made)
        self.dev.on_block[:] = listeners
        self.state[block.ref.hash], self.mined[block.ref.hash] = state, tuple(kept)
        for listener in listeners:
            listener(block)
        return kept

    def drop(self, depth: int) -> list[Mined]:
        """Take the newest blocks off the chain; returns what was in them, oldest first."""
        dropped = self.dev.reorg(depth, ())
        return [one for block in reversed(dropped) for one in self.mined.get(block.ref.hash, ())]

    def _carry_out(self, state: State, tx: Tx) -> Mined:
        if tx.signed is not None:
            state.nonces[tx.sender] = tx.signed.nonce + 1
        price = 0 if tx.signed is None else min(tx.signed.max_fee, self.base_fee + tx.signed.tip)
        limit = 10**9 if tx.signed is None else tx.signed.gas
        if not tx.call.data:
            return Mined(tx=tx, succeeded=True, gas=_NOTHING_GAS, price=price)
        gas = _TRADE_GAS * self.gas_factor // 100
        if gas > limit:
            return Mined(tx=tx, succeeded=False, gas=limit, price=price)
        try:
            log = self.carried(state, tx.sender, tx.call)
        except Reverted:
            return Mined(tx=tx, succeeded=False, gas=_REFUSED_GAS, price=price)
        return Mined(tx=tx, succeeded=True, gas=gas, price=price, log=log)

    def carried(self, state: State, sender: Address, call: Call) -> DevLog:
        """Carry out what somebody calls, all of it or nothing. Raises `Reverted`."""
        if call.to not in self.safes:
            return state.trade(sender, call.data)
        try:
            *_, trade = Safe(address=call.to, multi_send=MULTI_SEND).inner(call)
            return state.trade(call.to, trade.data)
        except (Reverted, ValueError):
            raise Reverted("GS013") from None
