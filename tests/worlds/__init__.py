"""Seeded worlds that misbehave, compared with the truth: the chain they ended up with."""
