"""What people have wallets do: planned by what the chain says, carried out once, told when it is final."""
