"""What a deed takes, as the chain is now: words for a person, and the calls that he agrees to.

questions   which conditions can be split, merged and redeemed here
making      from calls to acts of one kind of wallet: together, or one after the other; their keys and their gas
planner     approve, split, merge and redeem
"""
