"""Whose turn it is to send: what the venue lets one signer send by its tier, and one address of the internet in all.

Exits go before entries, also before those that wait longer. What a bucket holds is known to the venue alone: after a start
it counts as empty, for another instance may have emptied it a moment ago. `Retry-After` stops everybody who waits.
"""

from collections import deque
from collections.abc import Mapping

import trio
from attrs import define, field, frozen

from trio_copy_clob.pacing import Bucket

_READY_S = 1e-9
"""What is that near is now: time is a float."""
_BURST = 1.5
"""A quiet signer may send so many seconds' worth of orders at once; all tiers are alike in that."""
_ADDRESS_PER_S, _ADDRESS_BURST = 190.0, 2500.0
"""Together they stay below 5,000 orders in ten seconds and 120,000 in ten minutes, wherever those begin."""
_CANCELS_PER_ORDER = 2.0
_LONGEST_REST_S = 60.0
"""No answer to one order holds all others up for longer."""
_OF_SIGNER = "poly-ratelimit-"
"""So the headers begin that tell of a signer's own bucket."""
_READS_PER_S = 600.0
"""Of the 900 that one address may ask of this host in all; orders and cancels need the rest."""


@frozen
class Tier:
    """What the volume of 30 days earns a signer."""

    name: str
    orders_per_s: float


TIERS = {
    tier.name: tier
    for tier in (
        Tier("standard", 40),
        Tier("copper", 60),
        Tier("bronze", 80),
        Tier("silver", 200),
        Tier("gold", 400),
        Tier("platinum", 450),
        Tier("diamond", 525),
        Tier("elite", 600),
    )
}
"""`GET /v1/user/rate-limit-tier` names one, and so does the header `Poly-RateLimit-Tier`."""
STANDARD = TIERS["standard"]


def tier_of(text: str) -> Tier:
    """Return the tier that the venue names; one that nobody knows gets what everybody has."""
    return TIERS.get(text.strip().lower(), STANDARD)


@define(eq=False)
class _Waiting:
    woken: trio.Event = field(factory=trio.Event)


@define(eq=False)
class Turns:
    """One bucket, and those that wait for it."""

    bucket: Bucket
    _exits: deque[_Waiting] = field(factory=deque)
    _entries: deque[_Waiting] = field(factory=deque)
    _rest_until: float = -float("inf")

    def take_nowait(self) -> bool:
        """Take a turn if nobody waits for one; returns whether there was one."""
        if self._exits or self._entries or self._ready_s() > _READY_S:
            return False
        self.bucket.take(trio.current_time())
        return True

    async def wait(self, *, is_exit: bool) -> None:
        """Wait for a turn, and take it. Whoever gives up waiting, cancelled, takes none."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.take_nowait():
            return
        mine, line = _Waiting(), self._exits if is_exit else self._entries
        line.append(mine)
        try:
            while True:
                first = self._first() is mine
                wait_s = self._ready_s() if first else float("inf")
                if wait_s <= _READY_S:
                    self.bucket.take(trio.current_time())
                    return
                with trio.move_on_after(wait_s):
                    await mine.woken.wait()
                    mine.woken = trio.Event()
        finally:
            line.remove(mine)
            following = self._first()
            if following is not None:
                following.woken.set()

    def rest(self, told_s: float) -> None:
        """Let nobody through for so many seconds: the venue has said so."""
        self._rest_until = max(self._rest_until, trio.current_time() + told_s)

    def _ready_s(self) -> float:
        now = trio.current_time()
        return max(self.bucket.ready_in(now), self._rest_until - now)

    def _first(self) -> _Waiting | None:
        line = self._exits or self._entries
        return line[0] if line else None


@define(eq=False)
class SignerLimits:
    """The two buckets of one signer."""

    orders: Turns
    cancels: Turns

    def set_tier(self, tier: Tier) -> None:
        """Keep to another tier from now on."""
        self.orders.bucket.per_s = tier.orders_per_s
        self.cancels.bucket.per_s = tier.orders_per_s * _CANCELS_PER_ORDER


def rest_after(status: int, headers: Mapping[str, str], rest_s: float, own: Turns, everybodys: Turns) -> None:
    """Rest for as long as an answer asks for: a signer where it is about his own bucket, else all who send from here.

    `headers` are found by names in small letters.
    """
    if status == 429 and any(name.startswith(_OF_SIGNER) for name in headers):
        own.rest(rest_s)
        return
    for turns in (own, everybodys):
        turns.rest(min(rest_s, _LONGEST_REST_S))


def limits_of_signer(tier: Tier = STANDARD) -> SignerLimits:
    now = trio.current_time()
    orders = Bucket(tier.orders_per_s, _BURST, free_at=now)
    return SignerLimits(Turns(orders), Turns(Bucket(tier.orders_per_s * _CANCELS_PER_ORDER, _BURST, free_at=now)))


def limits_of_address(used: float) -> Turns:
    """Make the turns of all that leave from here; `used` is the part of the venue's limit that is ours."""
    per_s = _ADDRESS_PER_S * used
    return Turns(Bucket(per_s, _ADDRESS_BURST / _ADDRESS_PER_S, free_at=trio.current_time()))


def limits_of_reads(used: float) -> Turns:
    """Make the turns of all that is only asked from here; `used` as above."""
    return Turns(Bucket(_READS_PER_S * used))
