"""Shipped for plugin authors and for the demonstrations: a devnet, fakes, and the conformance suites of the ports."""
