"""Plays something in a process of its own: what is broken there on purpose is whole again here."""

import os
import pickle
import traceback
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class BrokeApart(Exception):
    """What was played in a forked process ended with an error."""


def apart(run: Callable[[], _T]) -> _T:
    """Return what a function returns in a forked process. Raises `BrokeApart`, once its error is written on standard error."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as out:
                out.write(pickle.dumps(run()))
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)  # a child must never come back into its parent's code
    os.close(writer)
    with os.fdopen(reader, "rb") as found:
        text = found.read()
    if os.waitpid(pid, 0)[1]:
        raise BrokeApart("what was played apart broke; the lines above say where")
    answer: _T = pickle.loads(text)
    return answer
