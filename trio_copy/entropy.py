"""The one place that draws random numbers: to spread retries and to lock keys away, never for an identity."""

import os
import random

Entropy = random.Random


def system_entropy() -> Entropy:
    return random.Random()


def seeded_entropy(seed: int) -> Entropy:
    return random.Random(seed)


def unguessable(length: int) -> bytes:
    """Return so many bytes that nobody can foretell."""
    return os.urandom(length)
