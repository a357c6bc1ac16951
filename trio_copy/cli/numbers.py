"""Numbers on the command line."""

from math import inf

from trio_copy.errors import ConfigError


def expect_positive(**values: float | None) -> None:
    """Refuse options that make no sense at zero or below; None stands for an option that was not given.

    Raises:
        ConfigError: naming each of them as it is typed.
    """
    problems = [
        f"--{name.replace('_', '-').strip('-')}: expected a number above 0, got {value:g}"
        for name, value in values.items()
        if value is not None and not 0 < value < inf  # also what is no number
    ]
    if problems:
        raise ConfigError(problems)
