"""Puts the verbs together and turns every way to fail into one clear line and an exit code.

0  done      1  the check failed, or the engine gave up      2  bad input, nothing was started      130  interrupted
"""

import os
import sys
import traceback
from collections.abc import Iterator, Sequence

from cyclopts import App, CycloptsError

from trio_copy import __version__
from trio_copy.cli import (
    check,
    decode,
    devnet,
    dlq,
    drain,
    explain,
    follow,
    load,
    mode,
    orders,
    plugins,
    pnl,
    positions,
    record,
    replay,
    run,
    selftest,
    skips,
    status,
    trades,
    verify,
)
from trio_copy.errors import ConfigError, PluginError, TrioCopyError, WrongChain
from trio_copy.telemetry.redaction import redact

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

app = App(
    name="trio-copy",
    version=__version__,
    help="""Copy what leaders trade on Polygon, for every follower exactly once.

    Start with `trio-copy run conf/demo.toml`: it needs no network, no key and no server.
    """,
)
for verb in (
    run.run,
    check.check,
    status.status,
    drain.drain,
    positions.positions,
    pnl.pnl,
    trades.trades,
    skips.skips,
    mode.mode,
    record.record,
    replay.replay,
    plugins.plugins,
    decode.decode,
    selftest.selftest,
    devnet.devnet,
):
    app.command(verb)
for group in (follow, explain, orders, dlq, load, verify):
    app.command(group.app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(words, exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception as error:
        return _explain(error)
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> int:
    leaves = list(_leaves(error))
    known = [leaf for leaf in leaves if isinstance(leaf, TrioCopyError)]
    if len(known) < len(leaves):
        sys.stderr.write(redact("".join(traceback.format_exception(error))))
        sys.stderr.write("trio-copy: this is a bug; the lines above say where\n")
        return EXIT_FAILED
    for line in dict.fromkeys(str(leaf) for leaf in known):
        sys.stderr.write(f"{redact_lines(line)}\n")
    bad_input = all(isinstance(leaf, (ConfigError, PluginError, WrongChain)) for leaf in known)
    return EXIT_BAD_INPUT if bad_input else EXIT_FAILED


def redact_lines(text: str) -> str:
    """Redact line by line, so that one secret does not swallow its neighbours."""
    return "\n".join(redact(line) for line in text.splitlines())


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
