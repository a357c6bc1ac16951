"""Runs the questions named on the command line, or all of them."""

import importlib
import platform
import sys

QUESTIONS = (
    "start",
    "decode",
    "account",
    "gate",
    "wire",
    "memory",
    "book",
    "changes",
    "reload",
    "books",
    "markets",
    "stores",
    "redis",
    "signing",
    "transactions",
    "clob",
    "onchain",
)


def main() -> None:
    print(f"Python {platform.python_version()} on {platform.machine()}\n")
    for name in sys.argv[1:] or QUESTIONS:
        importlib.import_module(f"bench.{name}").main()
        print()


if __name__ == "__main__":
    main()
