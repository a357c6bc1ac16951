"""How fast a signer may be, and whoever asks from one address: buckets that fill up again with time.

A signer that is too fast is refused. An address that is too fast waits: what it asks is answered later, and not refused.
"""

from collections.abc import Mapping

import trio
from attrs import define, field

from trio_copy.model.ids import Address
from trio_copy.testing.clob_venue.faults import ClobFaults, Tier
from trio_copy.testing.clob_venue.refusals import TOO_MANY, Refused

RATES: Mapping[Tier, tuple[int, int, int, int]] = {
    Tier.STANDARD: (40, 60, 80, 120),
    Tier.COPPER: (60, 90, 120, 180),
    Tier.BRONZE: (80, 120, 160, 240),
    Tier.SILVER: (200, 300, 400, 600),
    Tier.GOLD: (400, 600, 800, 1200),
    Tier.PLATINUM: (450, 675, 900, 1350),
    Tier.DIAMOND: (525, 787, 1050, 1575),
    Tier.ELITE: (600, 900, 1200, 1800),
    Tier.UNLIMITED: (10**9, 10**9, 10**9, 10**9),
}
"""Orders a second, and at once; cancels a second, and at once."""


OF_ADDRESS: Mapping[tuple[str, str], int] = {
    ("POST", "/order"): 5000,
    ("POST", "/orders"): 2000,
    ("DELETE", "/order"): 5000,
    ("DELETE", "/orders"): 2000,
    ("DELETE", "/cancel-all"): 250,
    ("DELETE", "/cancel-market-orders"): 1500,
    ("GET", "/balance-allowance"): 200,
    ("GET", "/balance-allowance/update"): 200,
    ("POST", "/auth/api-key"): 100,
    ("GET", "/auth/derive-api-key"): 100,
    ("GET", "/book"): 1500,
    ("POST", "/books"): 500,
}
"""Requests in ten seconds; of all others together, `OF_ALL`."""
OF_ALL = 9000
_TEN_S = 10


@define
class _Bucket:
    tokens: float
    at: float


@define(eq=False)
class RateLimits:
    faults: ClobFaults
    _buckets: dict[tuple[Address, str], _Bucket] = field(factory=dict)
    _of_address: dict[tuple[str, str], _Bucket] = field(factory=dict)

    def take(self, signer: Address, kind: str, cost: int, *, may_owe: bool = False) -> None:
        """Take the cost of a request, all or nothing, from the bucket `orders` or `cancels`. Refuses by 429."""
        rate, burst = self._rates(kind)
        now = trio.current_time()
        bucket = self._buckets.setdefault((signer, kind), _Bucket(burst, now))
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < cost and not (may_owe and bucket.tokens > 0):
            raise Refused(429, TOO_MANY, retry_after_s=1 + int((cost - bucket.tokens) / rate))
        bucket.tokens -= cost

    def wait_s(self, method: str, path: str) -> float:
        """Take note of a request, and return how long its answer has to wait: all of them come from one address."""
        if self.faults.tier is Tier.UNLIMITED:
            return 0.0
        mine = ((method, path), OF_ADDRESS.get((method, path), OF_ALL))
        return max(self._owed_s(*limit) for limit in (mine, (("", ""), OF_ALL)))

    def _owed_s(self, key: tuple[str, str], most: int) -> float:
        now, rate = trio.current_time(), most / _TEN_S
        bucket = self._of_address.setdefault(key, _Bucket(most, now))
        bucket.tokens = min(most, bucket.tokens + (now - bucket.at) * rate) - 1
        bucket.at = now
        return max(0.0, -bucket.tokens / rate)

    def headers(self, signer: Address, kind: str) -> list[tuple[bytes, bytes]]:
        """Return what an answer says about the bucket."""
        rate, burst = self._rates(kind)
        bucket = self._buckets.get((signer, kind))
        left = burst if bucket is None else int(bucket.tokens)
        return [
            (b"Poly-RateLimit-Remaining", str(left).encode()),
            (b"Poly-RateLimit-Reset", str(-((left - burst) // rate)).encode()),
            (b"Poly-RateLimit-Tier", self.faults.tier.value.encode()),
        ]

    def tier(self) -> dict[str, object]:
        """Write `/v1/user/rate-limit-tier`."""
        orders, orders_burst, cancels, cancels_burst = RATES[self.faults.tier]
        return {
            "tier": self.faults.tier.value.capitalize(),
            "orders": {"rate": orders, "burst": orders_burst},
            "cancels": {"rate": cancels, "burst": cancels_burst},
        }

    def _rates(self, kind: str) -> tuple[int, int]:
        rates = RATES[self.faults.tier]
        return rates[:2] if kind == "orders" else rates[2:]
