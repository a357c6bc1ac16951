"""Files that people name: what is none of them is told, and none is waited for.

A pipe has no end that anybody promises, a device may have none at all, and to open a pipe waits until somebody opens its other
end: whoever reads a whole file would use up the memory, or hang, where one line could say what is wrong.
"""

import os
import stat
from pathlib import Path

_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def trouble_of_place(path: Path) -> str | None:
    """Say what stands where a file is expected; None where it is a file, or nothing yet. Links are followed."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return None  # whoever opens it is told why it cannot be
    return None if stat.S_ISREG(mode) else f"expected a file, got {_KINDS.get(stat.S_IFMT(mode), 'a device')}"


def open_promptly(path: str, flags: int, mode: int = 0o666) -> int:
    """Open a file for `open(..., opener=open_promptly)`, without waiting for the other end of a pipe.

    Where nobody writes, such a pipe is empty; where nobody reads, `OSError` is raised. Reading and writing wait as ever.
    """
    number = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    os.set_blocking(number, True)
    return number
