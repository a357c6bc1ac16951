"""The second transport: a venue's relayer carries to the chain what a wallet signed, and pays for the gas.

For Safes, proxy wallets and deposit wallets of people who hold no gas money. What the relayer says is a hint; the chain is
the proof.
"""
