"""A process that holds keys leaves no image of its memory behind."""

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def keep_out_of_dumps() -> None:
    """Let no core be written of this process, and no other process of this user read its memory. Linux; else only the first."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
