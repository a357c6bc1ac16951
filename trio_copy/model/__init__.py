"""Pure values: ids, money, fills, signals, follows, orders, positions.

Nothing here waits, reads a clock, draws a random number or imports a client library.
"""
