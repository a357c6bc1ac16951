"""What a doctor looks at before wallets trade by transactions. It changes nothing: nothing is signed, nothing is sent.

looking    how contracts and nodes are asked, and their answers read
at_venues  chain, code at each address of the settings, decimals, and whether market makers and pools are what they should be
of_wallets who may send for a wallet, their gas money and nonces, and what venues may take
examine    all of it, in the order in which people read it
"""
