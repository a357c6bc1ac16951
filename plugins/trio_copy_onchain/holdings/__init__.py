"""What wallets hold besides orders: what they let venues take, what they split and merge, and what is paid in the end. Pure.

Amounts are whole units of a token, as the chain counts them.
"""
