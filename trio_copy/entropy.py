"""The one place that draws random numbers: only to spread retries, never for an identity."""

import random

Entropy = random.Random


def system_entropy() -> Entropy:
    return random.Random()  # noqa: S311  jitter, not secrecy


def seeded_entropy(seed: int) -> Entropy:
    return random.Random(seed)  # noqa: S311  reproducible runs
