"""Observers of plugins: what one of them does wrong is named, and nobody else notices."""

from types import ModuleType
from typing import Any

import pluggy
import pytest
import structlog

from trio_copy import hookspecs
from trio_copy.hookspecs import PROJECT, hookimpl
from trio_copy.telemetry.plugins import PluginObserver


@pytest.mark.parametrize("error", [ValueError("a bug"), SystemExit("bye"), KeyboardInterrupt()])
def test_an_observer_that_fails_is_named_and_the_others_hear(error: BaseException) -> None:
    """Whatever it raises: it neither ends the run nor keeps the event from whoever is called after it."""
    heard: list[str] = []

    def hear(kind: str, detail: str) -> None:
        heard.append(kind)

    def fail(kind: str, detail: str) -> None:
        raise error

    plugins = pluggy.PluginManager(PROJECT)
    plugins.add_hookspecs(hookspecs)
    for name, observe in (("one:a", hear), ("bad:b", fail), ("two:c", hear)):
        module: Any = ModuleType(name)
        module.trio_copy_on_alert = hookimpl(observe)
        plugins.register(module, name=name)
    with structlog.testing.capture_logs() as logs:
        logger: Any = structlog.get_logger()
        PluginObserver(plugins, logger).on_alert("reorg", "deep")
    assert heard == ["reorg", "reorg"]
    assert [(line["event"], line["plugin"], line["call"]) for line in logs] == [
        ("observer-failed", "bad:b", "trio_copy_on_alert")
    ]
