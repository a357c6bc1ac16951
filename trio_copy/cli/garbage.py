"""Garbage collection for a process that makes many small values and few cycles."""

import gc


def relax_garbage_collection() -> None:
    """Collect rarely, and never look again at what was loaded before the engine started.

    With the defaults, collections run in the middle of bursts and are the longest pauses of the engine, and whoever reads
    books waits for them half of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
