"""Finds the verb and turns every way to fail into one clear line and an exit code.

0  done      1  the check failed, or the engine gave up      2  bad input, nothing was started      130  interrupted
"""

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress

from trio_copy import __version__
from trio_copy.cli.outlet import Outlet, Unwritable, prepare_streams
from trio_copy.cli.verbs import only_tells, overview
from trio_copy.errors import (
    ConfigError,
    MadeEarlier,
    PluginError,
    TrioCopyError,
    UnresolvedOrders,
    WrongChain,
    leaves_of,
)
from trio_copy.telemetry.redaction import Redactor
from trio_copy.telemetry.visible import visible, visible_lines

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
_HOMELESS = "Could not determine home directory."
"""What Python says, wherever a path with ~ is written out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    prepare_streams()
    if os.environ.get("HOME") == "":
        del os.environ["HOME"]  # it is none, and not the root of all files
    redactor = Redactor()
    for word in words:
        redactor.overhear(word)
    output, errors = Outlet(sys.stdout, redactor), Outlet(sys.stderr, redactor)
    with redirect_stdout(output), redirect_stderr(errors):
        try:
            try:
                code = _run(words, redactor)
            except (Exception, BaseExceptionGroup, KeyboardInterrupt, SystemExit) as error:
                # Nothing may pass by: Python itself would print what it has to say to the bare stream.
                # Rich turns a pipe that nobody reads into an exit.
                code = _unread(words) if _nobody_reads(error) else _explain(error, redactor)
        except (BrokenPipeError, Unwritable):
            code = EXIT_FAILED
        for outlet in (output, errors):
            try:
                outlet.flush()
            except BrokenPipeError:
                outlet.give_up()  # it is done, and whoever read it has seen enough
            except Unwritable as error:
                outlet.give_up()
                code = code or EXIT_FAILED
                if outlet is output:
                    _tell(_unwritten(error))
    return code


def _run(words: Sequence[str], redactor: Redactor) -> int:
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    match words:
        case [] | ["--help" | "-h"]:
            sys.stdout.write(f"{overview()}\n")
            return EXIT_DONE
        case ["--version"]:
            sys.stdout.write(f"{__version__}\n")
            return EXIT_DONE
    for word in words:
        if not (_is_text(word) or os.path.lexists(word) or os.path.lexists(word.partition("=")[2])):
            # It would be written into a store, by a person who is in a hurry.
            _tell(f'trio-copy: expected text in UTF-8, or the name of a file that is there, got "{word}"')
            return EXIT_BAD_INPUT
    from cyclopts import CycloptsError  # not above: what needs no verb shall not wait for the library of verbs

    from trio_copy.cli.command_line import command_line, examples_of
    from trio_copy.cli.misread import misread, names_no_file

    try:
        verb, bound, ours = command_line(words).parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _tell(f"trio-copy: {misread(error, words)}")
        return EXIT_BAD_INPUT
    if names_no_file(bound.arguments.values(), words):
        _tell('trio-copy: expected the name of a file, got ""')
        return EXIT_BAD_INPUT
    code = verb(*bound.args, **bound.kwargs, **dict.fromkeys(ours, redactor))
    sys.stdout.write(examples_of(words))
    return code if isinstance(code, int) else EXIT_DONE


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _nobody_reads(error: BaseException) -> bool:
    """Tell whether whoever read the output has gone; what is written inside a nursery comes as a group."""
    return isinstance(error.__context__, BrokenPipeError) or all(
        isinstance(leaf, BrokenPipeError) for leaf in leaves_of(error)
    )


def _unread(words: Sequence[str]) -> int:
    """Return how a command ends in the middle of which nobody read any more."""
    return EXIT_DONE if only_tells(words) else EXIT_FAILED


def _explain(error: BaseException, redactor: Redactor) -> int:
    leaves = list(leaves_of(error))
    if all(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return EXIT_INTERRUPTED
    if all(isinstance(leaf, Unwritable) for leaf in leaves):
        _tell(_unwritten(leaves[0]))
        return EXIT_FAILED
    if any(isinstance(leaf, RuntimeError) and str(leaf) == _HOMELESS for leaf in leaves):
        _tell("expected $HOME to be set: this user has no home, and a file is to lie below it (~)")
        return EXIT_BAD_INPUT
    if any(isinstance(leaf, FileNotFoundError) for leaf in leaves) and not _stands_in_a_folder():
        _tell(
            "the folder in which this was started was removed: go to another one, or to the new one of that name (cd)"
        )
        return EXIT_BAD_INPUT
    if any(isinstance(leaf, OSError) and leaf.errno in (errno.EMFILE, errno.ENFILE) for leaf in leaves):
        # First, because finding out who is to blame opens files.
        _tell("too many open files: raise the limit of the process (ulimit -n, LimitNOFILE= of systemd)")
        return EXIT_FAILED
    known = [leaf for leaf in leaves if isinstance(leaf, TrioCopyError)]
    from trio_copy.cli.blame import blamed, is_ours  # not above: it brings the registry along

    of_plugins = [blamed(leaf) for leaf in leaves if not isinstance(leaf, TrioCopyError)]
    if any(line is None or is_ours(line) for line in of_plugins):
        sys.stderr.write(visible_lines(redactor.redact_foreign("".join(traceback.format_exception(error)))))
    if None in of_plugins:
        _tell("trio-copy: this is a bug; the lines above say where")
        return EXIT_FAILED
    lines = [line for line in of_plugins if line is not None]
    lines += [line for leaf in known for line in _lines(leaf)]
    for line in dict.fromkeys(lines):
        _tell(line)
    bad_input = all(isinstance(leaf, (ConfigError, PluginError, WrongChain)) for leaf in leaves)
    return EXIT_BAD_INPUT if bad_input else EXIT_FAILED


def _stands_in_a_folder() -> bool:
    """Tell whether a path that does not begin with / can lead anywhere."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _lines(error: TrioCopyError) -> Sequence[str]:
    """Return the lines that an error was meant to have; what breaks a line in a foreign text is shown as such."""
    match error:
        case UnresolvedOrders() | MadeEarlier():
            return [*str(error).split("\n"), *getattr(error, "__notes__", ())]
        case ConfigError(problems=problems):
            return problems
        case _:
            return [str(error)]


def _unwritten(error: BaseException) -> str:
    return f"the output cannot be written: {getattr(error, 'strerror', None) or error}"


def _tell(line: str) -> None:
    with suppress(BrokenPipeError, Unwritable):  # nobody reads what went wrong; the exit code still tells
        sys.stderr.write(f"{visible(line)}\n")
