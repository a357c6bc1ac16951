"""What may be signed with one wallet's key, and leave: rules that know nothing of strategy, only of what a signature could do.

Pure: `judge` decides and changes nothing, `pin` and `note` remember. Limits are about what left: an order that is signed, and
then denied by a cap, spends nothing. The journal tells of everything that ever left.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Set

from attrs import define, evolve, field, frozen

from trio_copy.config.wallets import WalletPolicy
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, ChainId, IntentKey
from trio_copy.model.orders import SignatureType
from trio_copy.model.units import Usd
from trio_copy.ports.signing import Spending
from trio_copy.signing.gas import DayGas, Gas, Nonce

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
OLDEST_S = DAY_S
"""How old an order's time may be. It is part of what an intent is, so a key older than this is never signed again, and the
body that left with it may be forgotten: one body per key for ever, in bounded memory."""
NEWEST_S = HOUR_S
"""How far an order's time may lie ahead of our clock, which may be wrong."""
_DIGEST_BYTES = 32
REMEMBERED_S = OLDEST_S + NEWEST_S
"""How long after it left the body of a key may still be asked for."""
_PINNED = 1_000
"""Bodies that were signed and have not left: most leave within milliseconds, and the others were denied. With the oldest of them
forgotten, a key could get a second signature; a second body of it could leave never."""


@frozen(kw_only=True)
class Signed:
    """One order that left, as it is remembered; or under which nonce it was signed."""

    maker: Address
    key: IntentKey
    digest: bytes
    at: float
    """Unix seconds at which it was let go."""
    side: Side
    max_cost: Usd
    by_transaction: bool = False
    """Whether it was let go to be signed under one nonce, so that each time counts."""
    nonce: Nonce | None = None
    """Under which it was signed then, which counts no more."""


@frozen(kw_only=True)
class Refuels:
    """Whom a funding wallet gives gas money to, which is all that it does."""

    operators: frozenset[Address]
    most_wei: int
    """At a time."""
    max_day_wei: int
    """In any 24 hours, as far as this process remembers."""


@define(eq=False)
class _Window:
    """What left within so many seconds, and what that adds up to."""

    seconds: float
    total: int = 0
    _left: deque[tuple[float, int]] = field(factory=deque)

    def add(self, at: float, amount: int) -> None:
        self._left.append((at, amount))
        self.total += amount

    def at(self, now: float) -> int:
        """Return the total at a moment; what is older is forgotten."""
        while self._left and self._left[0][0] <= now - self.seconds:
            self.total -= self._left.popleft()[1]
        return self.total


@define(eq=False, kw_only=True)
class Guard:
    """Stands before one wallet's key."""

    name: str
    """Of the table [wallet.NAME]."""
    maker: Address
    chain_id: ChainId
    policy: WalletPolicy
    kind: SignatureType = SignatureType.EOA
    """How it acts on the chain."""
    refuels: Refuels | None = None
    """Of a funding wallet."""
    armed_until: float = 0.0
    """Unix seconds up to which a person has allowed that it trades. Afterwards exits are signed, and nothing else; 0 for nothing."""
    armed_at: float = 0.0
    """Unix seconds at which this process noticed the last arming."""
    _left: dict[IntentKey, Signed] = field(factory=dict)
    """What left, here or elsewhere."""
    _pinned: OrderedDict[IntentKey, bytes] = field(factory=OrderedDict)
    """Of those that were signed here and have not left."""
    on_nonce: Callable[[Signed], None] = lambda signed: None
    """Hears under which nonce a trade was signed first: the next process has to know."""
    on_gas: Callable[[Gas], None] = lambda gas: None
    """Hears what gas a signature may cost beyond what counts of its nonce."""
    gas: DayGas = field(factory=DayGas)
    """What gas may have cost within a day."""
    _nonces: dict[IntentKey, set[Nonce]] = field(factory=dict)
    """Under which something was signed for what left, and for acts."""
    _open: dict[IntentKey, bool] = field(factory=dict)
    """What this process has let go by transaction and signed under no nonce yet, and whether that it counts is durable."""
    _in_order: deque[tuple[float, IntentKey]] = field(factory=deque)
    _hour: _Window = field(factory=lambda: _Window(HOUR_S))
    _day: _Window = field(factory=lambda: _Window(DAY_S))
    _buys: _Window = field(factory=lambda: _Window(MINUTE_S))
    _sells: _Window = field(factory=lambda: _Window(MINUTE_S))
    _refuelled: _Window = field(factory=lambda: _Window(DAY_S))

    def judge(self, wanted: Spending, digest: bytes, now: float, *, anew: bool = False) -> Reason | None:
        """Return why a digest must not be signed, or its order not leave; None where it may.

        What has left counts already, except where it is to leave `anew`.
        """
        policy, odd = self.policy, self.wrong_length(digest)
        if odd is not None:
            return odd
        # Whoever is not asked in time has positions all the same: what was bought while it was armed can be sold.
        if now >= self.armed_until and (wanted.side is Side.BUY or not self.armed_until):
            return self.refusal(f"wallet.{self.name}", "not armed", f"an arming: `trio-copy arm {self.name}`")
        if wanted.chain_id != self.chain_id:
            return self.refusal("chain.chain_id", str(wanted.chain_id), str(self.chain_id))
        if wanted.contract not in policy.contracts:
            return self.limit("contracts", wanted.contract, ", ".join(policy.contracts) or "none")
        if wanted.maker != self.maker:
            return self.refusal(f"wallet.{self.name}.address", wanted.maker, self.maker)
        if not now - OLDEST_S < wanted.at < now + NEWEST_S:
            return self.refusal(
                "signing.folder", f"{now - wanted.at:.0f} s old", f"from {-NEWEST_S:.0f} to {OLDEST_S:.0f} s"
            )
        other = self.other_body(wanted.key, digest)
        if other is not None:
            return other
        # What left is nothing new: it counts already, whatever the limits are by now.
        return None if wanted.key in self._left and not anew else self._over_limit(wanted, now)

    def _over_limit(self, wanted: Spending, now: float) -> Reason | None:
        policy = self.policy
        if wanted.side is Side.SELL:
            if wanted.limit_price < policy.min_price:
                return self.limit("min_price", str(wanted.limit_price), str(policy.min_price))
            return self._too_often(self._sells, now)
        cost = wanted.max_cost
        if wanted.limit_price > policy.max_price:
            return self.limit("max_price", str(wanted.limit_price), str(policy.max_price))
        if cost <= Usd(0) or cost > policy.max_order_usd:
            return self.limit("max_order_usd", str(cost), f"above 0, at most {policy.max_order_usd}")
        for control, window, most in (
            ("max_hour_usd", self._hour, policy.max_hour_usd),
            ("max_day_usd", self._day, policy.max_day_usd),
        ):
            total = Usd(window.at(now)) + cost
            if total > most:
                return self.limit(control, str(total), str(most))
        return self._too_often(self._buys, now)

    def _too_often(self, window: _Window, now: float) -> Reason | None:
        orders, most = window.at(now) + 1, self.policy.max_minute_orders
        return self.limit("max_minute_orders", str(orders), str(most)) if orders > most else None

    def wrong_length(self, digest: bytes) -> Reason | None:
        """Return that something is no digest; None where it may be one."""
        if len(digest) == _DIGEST_BYTES:
            return None
        return self.refusal("digest", f"a length of {len(digest)}", f"{_DIGEST_BYTES} bytes")

    def other_body(self, key: IntentKey, digest: bytes) -> Reason | None:
        """Return that something else was signed for a key before; None where nothing was, or the same."""
        left = self._left.get(key)
        body = self._pinned.get(key, digest) if left is None else left.digest
        if body == digest:
            return None
        return self.refusal("signing.folder", f"{digest.hex()[:16]}..", f"{body.hex()[:16]}.., signed before")

    def refuelled(self, now: float) -> int:
        """Return the wei that it gave to operators within a day."""
        return self._refuelled.at(now)

    def nonces(self, key: IntentKey) -> Set[Nonce]:
        """Return under which nonces a trade, or an act, was signed, as far as is remembered."""
        return self._nonces.get(key, frozenset())

    def sender_of(self, key: IntentKey) -> Address | None:
        """Return whose transaction was signed for a trade, or an act, as far as is remembered; None for the wallet's own."""
        return next((nonce.account for nonce in self.nonces(key) if nonce.account != self.maker), None)

    def pin_act(self, key: IntentKey, digest: bytes, nonce: Nonce, now: float, wei: int) -> None:
        """Remember what is signed for an act, and count what it gives to operators, once for each nonce."""
        self.pin(key, digest)
        if nonce not in self.nonces(key):
            self._nonces.setdefault(key, set()).add(nonce)
            if self.refuels is not None:
                self._refuelled.add(now, wei)

    def count_gas(self, gas: Gas) -> None:
        """Count the gas of what is signed."""
        if self.gas.count(gas):
            self.on_gas(gas)

    def is_open(self, key: IntentKey) -> bool:
        """Tell whether a trade was let go here, and signed under no nonce since."""
        return key in self._open

    def may_sign(self, key: IntentKey) -> bool:
        """Tell whether a trade may be signed under one nonce more: it is open, and what it counts durable."""
        return self._open.get(key, False)

    def let_go(self, wanted: Spending, digest: bytes, now: float, *, by_transaction: bool) -> Signed | None:
        """Count what was judged, and return what is to be written down; None where it counts already.

        What leaves by transaction is to be signed once that is durable (`end_release`).
        """
        key = wanted.key
        if self.is_open(key) if by_transaction else key in self._left:
            return None
        signed = Signed(
            maker=self.maker,
            key=key,
            digest=digest,
            at=now,
            side=wanted.side,
            max_cost=wanted.max_cost,
            by_transaction=by_transaction,
        )
        self.note(signed)
        if by_transaction:
            self._open[key] = False
        return signed

    def end_release(self, key: IntentKey) -> None:
        """Remember that what a trade counts is durable, so that it may be signed."""
        if key in self._open:
            self._open[key] = True

    def pin_nonce(self, left: Signed, nonce: Nonce, now: float) -> None:
        """Remember under which nonce a trade is signed; under another one it is signed once it is let go anew."""
        if nonce not in self.nonces(left.key):
            self._open.pop(left.key, None)
            signed = evolve(left, at=now, nonce=nonce)
            self.note(signed)
            self.on_nonce(signed)

    def pin(self, key: IntentKey, digest: bytes) -> None:
        """Remember what is signed for a key that nothing has left with: it counts for no limit."""
        if key not in self._left:
            self._pinned[key] = digest
            if len(self._pinned) > _PINNED:
                old, _ = self._pinned.popitem(last=False)
                self._nonces.pop(old, None)

    def note(self, signed: Signed) -> bool:
        """Remember and count what leaves, here or elsewhere; False where another body of the same key has left before."""
        left = self._left.get(signed.key)
        if left is not None and left.digest != signed.digest:
            return False
        if signed.nonce is not None:
            if left is not None:
                self._nonces.setdefault(signed.key, set()).add(signed.nonce)
            return True
        if left is not None and not signed.by_transaction:
            return True
        self._left[signed.key] = signed
        if left is None:
            self._pinned.pop(signed.key, None)
            self._in_order.append((signed.at, signed.key))
        while self._in_order and self._in_order[0][0] < signed.at - REMEMBERED_S:
            _, old = self._in_order.popleft()
            self._left.pop(old, None)
            self._nonces.pop(old, None)
            self._open.pop(old, None)
        buy = signed.side is Side.BUY
        (self._buys if buy else self._sells).add(signed.at, 1)
        if buy:
            self._hour.add(signed.at, signed.max_cost.micro)
            self._day.add(signed.at, signed.max_cost.micro)
        return True

    def limit(self, name: str, value: str, limit: str) -> Reason:
        """Say which limit of the wallet's policy is broken."""
        return self.refusal(f"wallet.{self.name}.policy.{name}", value, limit)

    def left(self, key: IntentKey) -> Signed | None:
        """Return what has left for a key, and is remembered."""
        return self._left.get(key)

    def refusal(self, control: str, value: str, limit: str) -> Reason:
        """Say why something is not signed, or does not leave."""
        return Reason(code=Code.GUARD_REFUSED, control=control, value=value, limit=limit)
