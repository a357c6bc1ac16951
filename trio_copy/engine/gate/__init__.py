"""From the feed to the shards: read, decode, admit once, and decide for each follow."""
