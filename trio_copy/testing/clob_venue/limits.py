"""How fast a signer may be: two buckets, one for orders and one for cancels, that fill up again with time."""

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


@define
class _Bucket:
    tokens: float
    at: float


@define(eq=False)
class RateLimits:
    faults: ClobFaults
    _buckets: dict[tuple[Address, str], _Bucket] = field(factory=dict)

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
