"""Copies by transaction, where anybody may trade: what moves money or shares on a chain without a venue in between."""
