"""Passes events on to plugins that observe. One that raises is logged; no trade depends on it."""

from collections.abc import Callable

import pluggy
import structlog
from attrs import define

from trio_copy.model.decisions import Skip
from trio_copy.model.signals import Signal
from trio_copy.telemetry.observer import Finished, Observer


@define(eq=False)
class PluginObserver(Observer):
    plugins: pluggy.PluginManager
    logger: structlog.typing.FilteringBoundLogger

    def on_finished(self, finished: Finished) -> None:
        hook = self.plugins.hook.trio_copy_on_report
        if finished.report is not None and hook.get_hookimpls():
            self._call(lambda: hook(task=finished.task, report=finished.report, outcome=finished.outcome))

    def on_skip(self, skip: Skip, signal: Signal) -> None:
        hook = self.plugins.hook.trio_copy_on_skip
        if hook.get_hookimpls():
            self._call(lambda: hook(skip=skip))

    def on_alert(self, kind: str, detail: str) -> None:
        hook = self.plugins.hook.trio_copy_on_alert
        if hook.get_hookimpls():
            self._call(lambda: hook(kind=kind, detail=detail))

    def _call(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception:
            # A plugin's bug must not stop a trade; the log keeps the traceback.
            self.logger.exception("observer-failed")
