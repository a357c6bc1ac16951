"""Transactions of one wallet: their bytes, their fees, what nodes say of them, and which of them has which nonce. Pure.

Nothing here knows a connection, a clock or a key: bytes and answers come in as arguments, and what follows from them is
returned as values.
"""
