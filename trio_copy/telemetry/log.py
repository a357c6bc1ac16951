"""Structured logs on standard error: constant event names with fields; pretty on a terminal, JSON lines for machines."""

import sys
from collections.abc import MutableMapping
from typing import Any, Protocol

import structlog
from attrs import define

from trio_copy.model.decisions import Skip
from trio_copy.model.signals import Signal
from trio_copy.telemetry.observer import Finished, Observer
from trio_copy.telemetry.redaction import Redactor
from trio_copy.telemetry.visible import visible_lines


class Sink(Protocol):
    """Where lines go. Must not block when an engine runs in the same thread."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


def configure_logs(
    stream: Sink, *, json: bool, level: int, redactor: Redactor
) -> structlog.typing.FilteringBoundLogger:
    """Return the root logger; every line passes the redaction. `level` is one of `logging`'s numbers."""
    last: list[Any] = [structlog.processors.JSONRenderer()]
    if not json:
        last = [_show_control_characters, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(stream),  # type: ignore[arg-type]  # it only writes and flushes
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redactor.redact_event,
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    return logger


def _show_control_characters(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Let no text from outside move the cursor of a terminal."""
    return {name: visible_lines(value) if isinstance(value, str) else value for name, value in event.items()}


@define(eq=False)
class LogObserver(Observer):
    """Writes what an operator looks for later; each line carries the identities that lead to the others."""

    logger: structlog.typing.FilteringBoundLogger

    def on_step(self, step: str, detail: str) -> None:
        self.logger.info("step", step=step, detail=detail)

    def on_signal(self, signal: Signal, admission: str, tasks: int, decided_at: float) -> None:
        self.logger.debug(
            "signal", signal_id=signal.signal_id, tx_hash=signal.tx_hash, admission=admission, tasks=tasks
        )

    def on_skip(self, skip: Skip, signal: Signal) -> None:
        self.logger.debug(
            "skip",
            signal_id=skip.signal_id,
            follower=skip.follower,
            code=skip.reason.code.name,
            control=skip.reason.control,
            value=skip.reason.value,
            limit=skip.reason.limit,
        )

    def on_finished(self, finished: Finished) -> None:
        task, report, reason = finished.task, finished.report, finished.outcome.reason
        self.logger.debug(
            "finished",
            signal_id=task.signal.signal_id,
            task_id=task.task_id,
            follower=task.follower,
            order_id=report.order_id if report else None,
            end=finished.outcome.end.value,
            code=reason.code.name if reason else None,
        )

    def on_retracted(self, signal: Signal, suspended: int, started: int) -> None:
        self.logger.warning("retracted", signal_id=signal.signal_id, suspended=suspended, started=started)

    def on_alert(self, kind: str, detail: str) -> None:
        self.logger.warning("alert", kind=kind, detail=detail)

    def on_quarantined(self, kind: str, detail: str) -> None:
        self.logger.warning("quarantined", kind=kind, detail=detail)
