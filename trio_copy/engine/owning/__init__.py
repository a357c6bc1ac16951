"""Who owns which shard: leased, taken over, handed on."""
