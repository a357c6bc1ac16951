"""The way of a call to the chain and back: who sends it, what is written down before, and what became of it."""
