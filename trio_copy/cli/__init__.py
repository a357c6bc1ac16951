"""The command line: one file a verb."""

from trio_copy.cli.app import main

__all__ = ["main"]
