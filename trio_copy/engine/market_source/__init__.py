"""What tokens are about, what they cost and how questions were decided, as the market source tells it."""
