"""What a doctor looks at before a wallet trades at the CLOB. It changes nothing: no key is made, no order is signed.

derived    which addresses follow from a key's, and what a wallet's own address says; pure
contracts  the contracts that have to be approved, and how their answers are read
on_chain   code, owner, money and approvals, and whether a deposit wallet takes its owner's signature
at_venue   clock and region; API key, balance by type, tier and closed-only, as the venue sees the signer
examine    all of it, in the order in which people read it
"""
