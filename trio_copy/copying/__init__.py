"""What to copy: the follow book, filters and sizing. Pure and sync; the engine acts on what is decided here."""
