"""A slice of accounts, what waits in its lanes, and all that its one owner keeps and writes of it."""
