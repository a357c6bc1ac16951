"""Passes events on to plugins that observe. One that raises is logged; no trade depends on it."""

import pluggy
import structlog
from attrs import define, field

from trio_copy.errors import is_ctrl_c
from trio_copy.model.decisions import Skip
from trio_copy.model.signals import Signal
from trio_copy.telemetry.observer import Finished, Observer


@define(eq=False)
class PluginObserver(Observer):
    plugins: pluggy.PluginManager
    logger: structlog.typing.FilteringBoundLogger
    _listening: dict[str, list[tuple[str, pluggy.HookCaller]]] = field(init=False)
    """By hook, who implements it: each is called apart, so that the one that fails is known, and the others hear."""

    def __attrs_post_init__(self) -> None:
        plugins = self.plugins.get_plugins()
        self._listening = {
            hook: [
                (impl.plugin_name, self.plugins.subset_hook_caller(hook, plugins - {impl.plugin}))
                for impl in getattr(self.plugins.hook, hook).get_hookimpls()
            ]
            for hook in ("trio_copy_on_report", "trio_copy_on_skip", "trio_copy_on_alert")
        }

    def on_finished(self, finished: Finished) -> None:
        if finished.report is not None:
            self._call("trio_copy_on_report", task=finished.task, report=finished.report, outcome=finished.outcome)

    def on_skip(self, skip: Skip, signal: Signal) -> None:
        self._call("trio_copy_on_skip", skip=skip)

    def on_alert(self, kind: str, detail: str) -> None:
        self._call("trio_copy_on_alert", kind=kind, detail=detail)

    def _call(self, hook: str, **what: object) -> None:
        for name, call in self._listening[hook]:
            try:
                call(**what)
            except (Exception, SystemExit, KeyboardInterrupt) as error:
                # A plugin's bug must not stop a trade; the log keeps the traceback.
                if is_ctrl_c(error):
                    raise
                self.logger.exception("observer-failed", plugin=name, call=hook)
