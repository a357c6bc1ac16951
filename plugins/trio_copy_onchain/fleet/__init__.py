"""Fleets: which operator carries what. Pure. How they are kept in gas money: `trio_copy.transactions.refuelling`."""
