"""What goes on a chain: calls of contracts, the transactions that carry them, and what of both is signed. Pure.

Nothing here knows a connection, a clock or a key.
"""
