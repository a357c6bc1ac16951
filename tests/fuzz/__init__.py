"""Mutated frames through the reading side: nothing that a node sends may crash it or fill the memory."""
