"""Readers of contract logs, each for one family of contracts. They are plugins like anybody's."""
