"""Writes results to standard output, for commands that run no engine."""

import sys

import msgspec

from trio_copy.telemetry.visible import escaped_json, visible


def out(line: str) -> None:
    """Write a line for people to standard output."""
    sys.stdout.write(visible(line) + "\n")


def out_json(value: object) -> None:
    """Write a value as one line of JSON to standard output."""
    sys.stdout.write(escaped_json(msgspec.json.encode(value).decode()) + "\n")
