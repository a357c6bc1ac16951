"""What a plugin may implement. Hooks are synchronous and run at wiring time or as observers, never to trade.

A plugin is a module named in the entry point group `trio_copy` whose functions carry `@hookimpl`. It is *available*
when installed and *active* only when the configuration names what it registers.
"""

from collections.abc import Callable

import pluggy

from trio_copy.model.decisions import CopyTask, Outcome, Skip
from trio_copy.model.orders import ExecutionReport
from trio_copy.ports import DecoderPlugin, ExecutorPlugin, MarketsPlugin, StorePlugin

PROJECT = "trio_copy"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def trio_copy_register_executors(register: Callable[[ExecutorPlugin], None]) -> None:
    """Call `register` once per executor. Called while the program is wired; import heavy things inside `open`."""


@hookspec
def trio_copy_register_stores(register: Callable[[StorePlugin], None]) -> None:
    """Call `register` once per store. Called while the program is wired."""


@hookspec
def trio_copy_register_decoders(register: Callable[[DecoderPlugin], None]) -> None:
    """Call `register` once per decoder. Called while the program is wired."""


@hookspec
def trio_copy_register_markets(register: Callable[[MarketsPlugin], None]) -> None:
    """Call `register` once per market source. Called while the program is wired; import heavy things inside `open`."""


@hookspec
def trio_copy_on_report(task: CopyTask, report: ExecutionReport, outcome: Outcome) -> None:
    """Observe a copy whose outcome is known. Must return at once; an exception is logged and changes nothing."""


@hookspec
def trio_copy_on_skip(skip: Skip) -> None:
    """Observe a signal that a follow did not want. Must return at once; an exception is logged and changes nothing."""


@hookspec
def trio_copy_on_alert(kind: str, detail: str) -> None:
    """Observe something a person should look at. Must return at once; an exception is logged and changes nothing."""
