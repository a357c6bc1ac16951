"""How Python itself runs in a process that makes many small values and few cycles, and has stores that work in threads."""

import gc
import sys

_SWITCH_S = 0.001
"""A store's thread needs the interpreter some ten times a commit, and everybody whose copy is in it waits: at Python's own 5 ms,
longer than for the disk."""


def tune_interpreter() -> None:
    """Collect rarely, never look again at what was loaded before the engine started, and let threads have their turn soon.

    With the defaults, collections run in the middle of bursts and are the longest pauses of the engine, and whoever reads
    books waits for them half of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    sys.setswitchinterval(_SWITCH_S)
