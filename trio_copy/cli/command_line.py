"""The verbs as a command line; each is imported when it is called."""

from collections.abc import Sequence
from textwrap import wrap

from cyclopts import App, Parameter
from cyclopts.help import format_usage

from trio_copy import __version__
from trio_copy.cli.verbs import ABOUT, EXAMPLES, GROUPS, VERBS

_HELP = frozenset({"--help", "-h"})
_EXAMPLE_WIDE = 74
"""Characters of a line of an example: with its margin and a backslash, 80 are not used up."""


def command_line(words: Sequence[str] = ()) -> App:
    """Make the command line; the verbs among `words` show the whole of their help instead of its first line."""
    # An option that can be left out needs no second one that says so.
    app = App(
        name="trio-copy", version=__version__, help=ABOUT, default_parameter=Parameter(negative=(), show_default=_told)
    )
    for verb, summary in VERBS.items():
        name = verb.replace("-", "_")
        app.command(f"trio_copy.cli.{name}:{name}", name=verb, help=None if verb in words else summary)
    for group, summary in GROUPS.items():
        app.command(f"trio_copy.cli.{group}:app", name=group, help=None if group in words else summary)
    if not _HELP.isdisjoint(words):
        _complete_page(app, words)
    return app


def _told(default: object) -> str | None:
    """Write a default, where there is one: that what may be left out is left out is no news."""
    return None if default in (None, False, ()) else str(default)


def _complete_page(app: App, words: Sequence[str]) -> None:
    """Name the arguments in the first line of a page of help."""
    page, chain = app, []
    for word in words:
        if word.startswith("-") or word not in page:
            break
        page = page[word]
        chain.append(word)
    if not chain or page.default_command is None:
        return
    optional = [
        one.name.lstrip("-").upper() + ("..." if one.field_info.kind is one.field_info.VAR_POSITIONAL else "")
        for one in page.assemble_argument_collection(parse_docstring=False)
        if one.field_info.is_positional and not one.required
    ]
    usage = format_usage(app, chain).plain.strip().replace("[ARGS...]", "[ARGS]")
    page.usage = f"Usage: {usage}".replace("[ARGS]", " ".join(f"[{name}]" for name in optional)) + "\n"


def examples_of(words: Sequence[str]) -> str:
    """Write what stands below a page of help: its examples, each of which can be pasted; empty where no page is asked for.

    A terminal breaks none of their lines, and nothing stands behind a backslash: a shell would take the rest for another command.
    """
    pages = [" ".join(words[:length]) for length in (2, 1)]
    examples = next((EXAMPLES[page] for page in pages if page in EXAMPLES), ()) if not _HELP.isdisjoint(words) else ()
    lines = [
        " \\\n        ".join(wrap(f"trio-copy {one}", _EXAMPLE_WIDE, break_long_words=False, break_on_hyphens=False))
        for one in examples
    ]
    return "".join(["\nExamples:\n", *(f"    {line}\n" for line in lines)]) if lines else ""
