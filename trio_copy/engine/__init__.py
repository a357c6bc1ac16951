"""The nursery tree and what runs in it."""
