"""What an engine saw, written down, fetched from the past, played again and judged."""
