"""`trio-copy completion SHELL`"""

import sys
from typing import Annotated, Literal

from cyclopts import Parameter

from trio_copy.cli.redact import Redact


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="Whose script it is.")], /, *, redactor: Redact
) -> int:
    """Print a script that lets a shell complete commands and options.

    Bash takes what `trio-copy completion bash` prints by `eval`, or from a file; zsh and fish from where they look for
    completions.
    """
    from trio_copy.cli.command_line import command_line  # not above: it lists this verb

    sys.stdout.write(command_line().generate_completion(prog_name="trio-copy", shell=shell) + "\n")
    return 0
