"""One run of the engine: everything is opened, run and told of, and closed again."""

import logging
import os
import sys
from functools import partial
from pathlib import Path

import trio

from trio_copy.cli.ending import expect_all_ended, left_open, summarise, why_not_armed
from trio_copy.cli.last_resort import LastResort
from trio_copy.cli.open_world import open_world
from trio_copy.cli.printer import Printer
from trio_copy.cli.session import Session
from trio_copy.cli.standing import Standings, read_standings
from trio_copy.cli.suggest import pasteable
from trio_copy.cli.tending import run_service, tell_unwritten
from trio_copy.cli.world import World
from trio_copy.clock import WallClock, anchored_wall_clock
from trio_copy.engine.borders.calls import Calls
from trio_copy.engine.opening import open_service
from trio_copy.engine.recordings.recorded_markets import recorded_by
from trio_copy.engine.recordings.recording import Recorder
from trio_copy.engine.seams import Seams
from trio_copy.entropy import Entropy, system_entropy
from trio_copy.errors import ChainError
from trio_copy.model.leader_names import LeaderNames
from trio_copy.ports import to_thread_run_sync
from trio_copy.telemetry.jsonlines import JsonLines
from trio_copy.telemetry.log import LogObserver, configure_logs
from trio_copy.telemetry.log_file import LogFile
from trio_copy.telemetry.observer import Observers
from trio_copy.telemetry.plugins import PluginObserver
from trio_copy.telemetry.tally import Tally
from trio_copy.telemetry.tape import Tape

_SUMMARY_S = 5.0
_RECORDED_S = 2.0
"""How long it may take to write down what came of the sends that a second signal lets finish."""


async def run_session(session: Session) -> int:
    """Run until somebody or something ends it; returns the exit code: 130 where a second signal stopped it at once.

    Raises:
        UnresolvedOrders: it ended, and left orders that are proven by nobody.
        InvariantBroken: a copy was lost.
        TrioCopyError: whatever else kept it from going on.
    """
    wall, entropy = anchored_wall_clock(), system_entropy()
    tally = Tally()
    printer, logs = session.output, session.logs
    level = logging.DEBUG if session.verbose else logging.ERROR  # alerts and steps are on the tape and among the events
    json = session.json or not sys.stderr.isatty()
    redactor = session.plan.redactor
    log = LogObserver(configure_logs(logs, json=json, level=level, redactor=redactor))
    kept = _log_file(session, wall, log)
    async with trio.open_nursery() as printing:
        printing.start_soon(printer.run)
        if kept is not None:
            printing.start_soon(kept.run)
        if logs is not printer:
            printing.start_soon(logs.run)
        try:
            async with open_world(session.plan, wall, keys=session.keys.wallets, fleets=session.keys.fleets) as world:
                plan = session.trading_at(world)
                names = LeaderNames()
                shown = _shown(session, printer, wall, world, names)
                plugins = PluginObserver(session.plan.registry.observers, log.logger)
                written = []
                if kept is not None:
                    written = [LogObserver(configure_logs(kept, json=True, level=logging.DEBUG, redactor=redactor))]
                observer = Observers(
                    [tally, shown, log, plugins, *written],
                    lambda text: pasteable(redactor.redact(names.in_text(text)), session.conf),
                    wall=wall,
                    alert_every_s=session.plan.settings.engine.alert_every_s,
                )
                printing.start_soon(tell_unwritten, observer, log, printer)
                instance = _instance_name(entropy)
                redactor.recognise(instance)
                calls = Calls(observer.on_alert)
                grace_s = session.plan.settings.engine.send_timeout_s + _RECORDED_S
                last_resort = LastResort(grace_s=grace_s, under_way=calls.under_way)
                seams = Seams(
                    dial=world.dial,
                    wall=wall,
                    clock=wall,
                    entropy=entropy,
                    observer=observer,
                    quotes=world.quotes,
                    catalog=world.catalog,
                    open_socket=world.open_socket,
                    names=names,
                    in_thread=last_resort.watched(to_thread_run_sync),
                    instance=instance,
                    from_head=session.from_head,
                    keys=session.keys.wallets,
                    fleets=session.keys.fleets,
                    calls=calls,
                )
                for step, detail in world.steps:
                    observer.on_step(step, detail)
                if session.record is not None:
                    seams = await _record(session, session.record, seams, printing)
                async with open_service(plan, seams, world.endpoints) as service:
                    standings: Standings | None = None
                    try:
                        interrupted = await run_service(session, last_resort, service, printer, shown, tally, observer)
                        if not interrupted:
                            standings = await read_standings(service.store, world.labels)
                    finally:
                        observer.look(end=True)
                        still_open = left_open(service)
                        lost = summarise(service, printer, shown, tally, len(still_open), standings)
                    if not interrupted:
                        expect_all_ended(lost, still_open, "an earlier run" if service.proving else "this run")
                    # Whoever has read enough, and went away, need not hear that nothing came of it yet.
                    unread = printer.closed.is_set()
                    if service.gate.sealed is None and not service.intake.was_paused and not unread:
                        raise ChainError(f"nothing was followed: {why_not_armed(service)}")
        finally:
            printer.finish()
            logs.finish()
            # An error would cancel the printers before the last lines, and the end of the status line, are written.
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _SUMMARY_S):
                await printer.wait_written()
                await logs.wait_written()
            # A recording, and a log that is kept in a file, are written until somebody says that nothing more will come.
            printing.cancel_scope.cancel()
    return 130 if interrupted else 0


def _instance_name(entropy: Entropy) -> str:
    """Name this process so that no other one, of today or before, has the same name."""
    return f"{os.uname().nodename}-{os.getpid()}-{entropy.randrange(1 << 16):04x}"


async def _record(session: Session, path: Path, seams: Seams, nursery: trio.Nursery) -> Seams:
    """Begin to record; returns the seams of an engine that is recorded."""
    recorder = Recorder(
        path,
        session.plan.settings.chain.chain_id,
        seams.wall,
        lambda detail: seams.observer.on_alert("recording-ended", detail),
    )
    markets = session.plan.markets
    recorded = recorded_by(recorder, seams, None if markets is None else markets.name)
    await nursery.start(recorder.run)
    seams.observer.on_step("recording", f"to {path}")
    return recorded


def _log_file(session: Session, wall: WallClock, log: LogObserver) -> LogFile | None:
    """Open the file that the configuration wants the log to be kept in."""
    settings = session.plan.settings.log
    if not settings.file:
        return None
    kept = LogFile(
        path=Path(settings.file),
        max_mib=settings.max_mib,
        keep=settings.keep,
        wall=wall,
        on_trouble=lambda detail: log.logger.error("log-ended", detail=detail),
    )
    kept.open()
    return kept


def _shown(session: Session, printer: Printer, wall: WallClock, world: World, names: LeaderNames) -> JsonLines | Tape:
    if session.json:
        return JsonLines(printer.line, wall)
    told = partial(pasteable, conf=session.conf)
    return Tape(printer.text, wall, world.labels, names, width=lambda: printer.width, told=told)
