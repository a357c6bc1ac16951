"""Whose error it is: an exception that nobody has named is told in one line when it comes out of a plugin."""

from collections.abc import Iterator
from types import FrameType

from trio_copy.registry import OWN_DISTRIBUTION, plugin_packages

_SHARED = ("trio_copy.model", "trio_copy.records", "trio_copy.ports", "trio_copy.clock", "trio_copy.errors")
"""Ours, but called by plugins: what they raise there is the mistake of whoever called."""


def blamed(error: BaseException) -> str | None:
    """Name distribution, call and line of the plugin that an exception comes from; None when it is not a plugin's.

    The innermost frame decides that is a plugin's or the engine's: an error of ours that only passes through a plugin on
    its way out (every store and executor is a context around the engine) is none of the plugin's.
    """
    packages = plugin_packages()
    for frame, line in reversed(list(_frames(error))):
        module = str(frame.f_globals.get("__name__", ""))
        package = module.partition(".")[0]
        if package in packages:
            code = frame.f_code
            where = f"{code.co_qualname} ({module}:{line})"
            return f"plugin {packages[package]}, {where}: {type(error).__name__}: {error}"
        if package == "trio_copy" and not module.startswith(_SHARED):
            return None
    return None


def is_ours(line: str) -> bool:
    """Tell whether a plugin that was blamed came with the program: then its author wants to see all of it."""
    return line.startswith(f"plugin {OWN_DISTRIBUTION} ")


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next
