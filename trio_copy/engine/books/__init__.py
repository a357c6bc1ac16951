"""What stores keep about copies, for people who ask."""
