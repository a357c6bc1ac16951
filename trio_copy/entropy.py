"""The one place that draws random numbers: only to spread retries, never for an identity."""

import random

Entropy = random.Random


def system_entropy() -> Entropy:
    return random.Random()


def seeded_entropy(seed: int) -> Entropy:
    return random.Random(seed)
