"""Fleets: which operator carries what, and how all of them are kept in gas money. Pure."""
