"""Keys, and what guards them: sources, policies, the journal of what was signed, and who has armed which wallet."""
