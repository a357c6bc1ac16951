"""Whoever types what README and docs show gets what they promise, on a terminal of any width."""

import io
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import frozen

from tests.docs.commands import PARSED, ROOT, RUN, SHORTER, blocks, modules, spans, words_of
from tests.docs.world import furnish
from trio_copy.cli import main
from trio_copy.cli.command_line import command_line
from trio_copy.cli.verbs import GROUPS, VERBS

WIDTHS = (80, 120, 200)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SAYS_THAT_IT_CUTS = re.compile(r"\N{HORIZONTAL ELLIPSIS}|\.\.|no room for")


class Terminal(io.StringIO):
    """What standard output is where a person looks at it."""

    def isatty(self) -> bool:
        return True


@frozen
class Typed:
    code: int
    output: str
    errors: str

    @property
    def lines(self) -> list[str]:
        """What stood on the terminal at any time, but for what must not be cut into lines: JSON, and commands to be pasted."""
        lines = re.split(r"[\r\n]+", _CONTROL.sub("", self.output))
        return [line.rstrip() for line in lines if "trio-copy " not in line and not line.startswith("{")]


def _type(command: str, patch: pytest.MonkeyPatch) -> Typed:
    output, errors = Terminal(), io.StringIO()
    with patch.context() as here:
        # The follows of docs/money.md are alice's.
        own = "books" if re.search("alice|follow (im|ex)port", command) else "prod"
        here.setenv("TRIO_COPY_CONF", f"conf/{own}.toml")
        here.setattr(sys, "stdout", output)
        here.setattr(sys, "stderr", errors)
        here.setattr(sys, "stdin", Answers("n\n" * 9))
        code = main(words_of(command))
    return Typed(code, output.getvalue(), errors.getvalue())


class Answers(io.StringIO):
    """What standard input is where a person sits, and says no."""

    def isatty(self) -> bool:
        return True


def test_every_command_in_a_block_is_in_the_table() -> None:
    """A new one gets a row in tests/docs/commands.py: what it ends with, or why it is only parsed. An old one goes."""
    shown = {block.command for block in blocks()}

    assert len(shown) > 40
    assert shown == RUN.keys() | PARSED.keys()


@pytest.mark.parametrize("command", [*RUN, *PARSED])
def test_every_command_in_a_block_is_read_by_the_command_line(command: str) -> None:
    """Verbs, options and values are what they were when the text was written."""
    words = words_of(command)

    command_line(words).parse_args(words, exit_on_error=False, print_error=False)


def test_every_command_that_can_be_run_does_what_it_says(tmp_path: Path) -> None:
    """It ends as it should; no line is wider than the terminal, and what had to be left out is told."""
    typed = {width: _type_all(tmp_path / f"{width}", width) for width in WIDTHS}
    widest = typed[WIDTHS[-1]]
    wrong = {
        f"{width} columns: {command}": why
        for width in WIDTHS
        for command in RUN
        if (why := _wrong(command, width, typed[width][command], widest[command]))
    }

    assert wrong == {}


def _type_all(folder: Path, width: int) -> Mapping[str, Typed]:
    """Type everything that can be run, in the order of the table, on a terminal of this width."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        task = furnish(folder, patch)
        patch.setenv("COLUMNS", str(width))
        patch.setenv("TERM", "xterm-256color")
        patch.delenv("NO_COLOR", raising=False)
        return {command: _type(SHORTER.get(command, command).replace("57efd6", task[:6]), patch) for command in RUN}


def _wrong(command: str, width: int, found: Typed, widest: Typed) -> str:
    """Say what is wrong with what was seen; nothing, as a rule."""
    said = found.output + found.errors
    if found.code != RUN[command] or "Traceback" in said:
        return f"exit code {found.code}: {said}"
    if wide := [line for line in found.lines if len(line) > width]:
        return f"too wide: {wide}"
    repeats = (
        command not in SHORTER and "conf/books.toml" not in command
    )  # what runs a while says something else each time
    missing = _words(widest) - _words(found) if repeats else set()
    return "" if not missing or _SAYS_THAT_IT_CUTS.search(found.output) else f"cut without a word: {missing}"


def _words(found: Typed) -> set[str]:
    """Return what was told, without what is different each time."""
    return set(re.findall(r"[a-z]{3,}", found.output))


def test_every_command_in_a_sentence_names_a_verb_and_its_options() -> None:
    """Nobody is told to type what does not exist."""
    known, wrong = command_line(), []
    for span in {span.command: span for span in spans()}.values():
        verb, *words = re.sub(r" / \w+", "", span.command).split()
        if verb == "help":
            continue
        assert verb in VERBS | GROUPS, span
        page = known[verb]
        if verb in GROUPS and words and not words[0].startswith("--"):
            below = words.pop(0)
            if below not in page:  # a group alone does nothing: `explain TASK` is no command
                wrong += [(span, below)]
                continue
            page = page[below]
        if options := [word for word in words if word.startswith("--")]:
            told = [name for one in page.assemble_argument_collection() for name in one.names]
            wrong += [(span, option) for option in options if option not in told]

    assert wrong == []


def test_every_module_that_is_to_be_run_knows_its_options() -> None:
    """`python -m ...` of a checkout: the module is there, and it reads what it is told."""
    wrong = []
    for shown in {shown.command: shown for shown in modules()}.values():
        module, *words = words_of(shown.command)
        file = ROOT.joinpath(*module.split("."))
        file = file / "__main__.py" if file.is_dir() else file.with_suffix(".py")
        text = file.read_text() if file.exists() else ""
        if not text or any(word not in text for word in words if word.startswith("--")):
            wrong.append(shown)

    assert wrong == []
