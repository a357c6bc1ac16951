"""What people and machines get to see: observers, counters, logs. Nothing here can change what is traded."""
