"""Asks a person for what nobody may see."""

import getpass

from trio_copy.cli.question import somebody_answers
from trio_copy.errors import ConfigError
from trio_copy.signing.keys import Ask
from trio_copy.telemetry.visible import visible


def who_answers() -> Ask | None:
    """Return how to ask for a secret; None where nobody sits at a terminal."""
    return ask_secret if somebody_answers() else None


def ask_secret(question: str) -> str:
    """Ask for a secret without an echo. Raises `ConfigError` when the answers end."""
    try:
        return getpass.getpass(visible(question))
    except EOFError:
        raise ConfigError([f"{question.strip().rstrip(':')}: expected an answer; nothing was done"]) from None
