"""What goes on beside a running service: signals are heard, the status is shown, and its end is brought about."""

import signal
from collections.abc import Callable

import trio

from trio_copy.cli.last_resort import LastResort
from trio_copy.cli.printer import Printer
from trio_copy.cli.session import Session
from trio_copy.engine.plan import load_plan
from trio_copy.engine.service import Service
from trio_copy.errors import TrioCopyError
from trio_copy.model.counts import counted
from trio_copy.model.slices import shrink
from trio_copy.telemetry.jsonlines import JsonLines
from trio_copy.telemetry.log import LogObserver
from trio_copy.telemetry.observer import Observers
from trio_copy.telemetry.render import status_object
from trio_copy.telemetry.tally import Tally
from trio_copy.telemetry.tape import Tape, status_lines

_ALERTS_EVERY_S = 1.0
_STATUS_EVERY_S = 0.5
_TABLES_AT_ONCE = 2_000
_STATUS_EVERY_LINES_S = 5.0
"""In a pipe a status is a line of its own, so it comes less often."""


async def run_service(
    session: Session,
    last_resort: LastResort,
    service: Service,
    printer: Printer,
    shown: JsonLines | Tape,
    tally: Tally,
    observer: Observers,
) -> bool:
    """Run until somebody or something ends it. True when it was stopped at once."""
    interrupted = False

    def stop_at_once() -> None:
        nonlocal interrupted
        interrupted = True
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_listen, session, last_resort, service, nursery, stop_at_once)
        nursery.start_soon(_show_status, service, printer, shown, tally)
        nursery.start_soon(_count_alerts, observer)
        nursery.start_soon(_drain_when_unread, service, printer)
        if session.for_s is not None:
            nursery.start_soon(_drain_after, service, session.for_s)
        await service.run()
        nursery.cancel_scope.cancel()
    return interrupted


async def _listen(
    session: Session,
    last_resort: LastResort,
    service: Service,
    nursery: trio.Nursery,
    stop_at_once: Callable[[], None],
) -> None:
    draining = False
    reloading = trio.Lock()
    with (
        trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals,
        last_resort.counting((signal.SIGINT, signal.SIGTERM)),
    ):
        async for number in signals:
            if number == signal.SIGHUP:
                # Reading the file may hang; the next signal must still be heard.
                nursery.start_soon(_reload, session, service, reloading)
            elif draining:
                stop_at_once()
            else:
                draining = True
                service.seams.observer.on_step("draining", "finishing what was admitted; again to stop at once")
                service.drain()


async def _reload(session: Session, service: Service, one_at_a_time: trio.Lock) -> None:
    observer = service.seams.observer
    try:
        async with one_at_a_time:
            plan = await trio.to_thread.run_sync(load_plan, session.conf, session.plan.redactor, abandon_on_cancel=True)
            settings = plan.settings if session.play is None else session.play.stage(plan.settings)
            needs_restart = await service.apply(settings)
            tables = list(settings.follow)
            del plan, settings
            observer.on_step("reloaded", counted(len(tables), "follow"))
            if needs_restart:
                told = f"changed, but in force only after a restart: {', '.join(needs_restart)}"
                observer.on_alert("restart-needed", told)
            for _ in shrink(tables, _TABLES_AT_ONCE):  # nobody needs them any more, and a million take long to go
                await trio.lowlevel.checkpoint()
    except TrioCopyError as error:
        observer.on_alert("reload-refused", f"nothing was changed: {error}")


async def _show_status(service: Service, printer: Printer, shown: JsonLines | Tape, tally: Tally) -> None:
    every = _STATUS_EVERY_S if printer.live else _STATUS_EVERY_LINES_S
    while True:  # to the very end: a drain may take long, and says what it waits for
        await trio.sleep(every)
        status = service.status()
        match shown:
            case JsonLines():
                shown.line("status", {**status_object(status, tally), "lines_dropped": printer.dropped})
            case Tape() if printer.live:
                printer.status(*status_lines(status, tally, printer.width))
            case Tape():
                printer.text(*status_lines(status, tally))


async def _count_alerts(observer: Observers) -> None:
    while True:
        await trio.sleep(_ALERTS_EVERY_S)
        observer.look()


async def _drain_when_unread(service: Service, printer: Printer) -> None:
    await printer.closed.wait()
    service.drain()


async def tell_unwritten(observer: Observers, log: LogObserver, printer: Printer) -> None:
    """Tell, once, that what should be shown cannot be written."""
    await printer.failed.wait()
    detail = f"lines cannot be written and are dropped: {printer.failure}"
    log.logger.error("output-lost", detail=detail)  # alerts go to the output, and that is what failed
    observer.on_alert("output-lost", detail)


async def _drain_after(service: Service, seconds: float) -> None:
    await trio.sleep(seconds)
    service.drain()
