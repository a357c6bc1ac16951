"""What people ask of the owner of an account, and how he, or whoever stands in for him, does it."""
