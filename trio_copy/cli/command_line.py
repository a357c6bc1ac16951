"""The verbs as a command line; each is imported when it is called."""

from collections.abc import Sequence

from cyclopts import App

from trio_copy import __version__
from trio_copy.cli.verbs import ABOUT, GROUPS, VERBS


def command_line(words: Sequence[str] = ()) -> App:
    """Make the command line; the verbs among `words` show the whole of their help instead of its first line."""
    app = App(name="trio-copy", version=__version__, help=ABOUT)
    for verb, summary in VERBS.items():
        name = verb.replace("-", "_")
        app.command(f"trio_copy.cli.{name}:{name}", name=verb, help=None if verb in words else summary)
    for group, summary in GROUPS.items():
        app.command(f"trio_copy.cli.{group}:app", name=group, help=None if group in words else summary)
    return app
