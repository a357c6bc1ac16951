"""How wallets of each kind act on the chain: what an operator sends so that a wallet makes its calls. Pure.

An *operator* is the externally owned account that sends and pays for gas: the wallet itself, or who may act for it.
"""
