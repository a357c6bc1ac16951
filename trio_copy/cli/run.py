"""`trio-copy run CONF`"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from functools import partial
from pathlib import Path
from typing import Annotated

import trio
from attrs import define, evolve, field
from cyclopts import Parameter

from trio_copy.accounts import OpenOrder
from trio_copy.cli.durations import Duration
from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.cli.last_resort import LastResort
from trio_copy.cli.live import LiveKeys, open_for_live
from trio_copy.cli.numbers import expect_positive
from trio_copy.cli.opened import ConfArgument, find_conf, old_books
from trio_copy.cli.play_money import PlayMoney, open_play_money
from trio_copy.cli.printer import Above, Printer
from trio_copy.cli.redact import Redact
from trio_copy.cli.standing import Standings, gas_objects, read_standings, standing_lines, standing_objects
from trio_copy.cli.suggest import pasteable, suggested
from trio_copy.cli.world import World, open_world
from trio_copy.clock import WallClock, anchored_wall_clock
from trio_copy.engine.borders.calls import Calls
from trio_copy.engine.opening import open_service
from trio_copy.engine.plan import Plan, load_plan
from trio_copy.engine.recordings.recorded_markets import recorded_by
from trio_copy.engine.recordings.recording import Recorder
from trio_copy.engine.seams import Seams
from trio_copy.engine.sending.reconciler import told_open
from trio_copy.engine.service import Service
from trio_copy.entropy import Entropy, system_entropy
from trio_copy.errors import ChainError, ConfigError, InvariantBroken, TrioCopyError, UnresolvedOrders, leaves_of
from trio_copy.model.counts import counted
from trio_copy.model.leader_names import LeaderNames
from trio_copy.model.slices import shrink
from trio_copy.ports import to_thread_run_sync
from trio_copy.telemetry.jsonlines import JsonLines
from trio_copy.telemetry.log import LogObserver, configure_logs
from trio_copy.telemetry.log_file import LogFile
from trio_copy.telemetry.observer import Observers
from trio_copy.telemetry.plugins import PluginObserver
from trio_copy.telemetry.render import status_object, totals_object
from trio_copy.telemetry.tally import Tally
from trio_copy.telemetry.tape import Tape, status_lines, summary_lines

_ALERTS_EVERY_S = 1.0
_STATUS_EVERY_S = 0.5
_SUMMARY_S = 5.0
_TABLES_AT_ONCE = 2_000
_RECORDED_S = 2.0
"""How long it may take to write down what came of the sends that a second signal lets finish."""
_STATUS_EVERY_LINES_S = 5.0
"""In a pipe a status is a line of its own, so it comes less often."""


def run(
    conf: ConfArgument = None,
    *,
    redactor: Redact,
    for_: Annotated[
        Duration | None, Parameter(name="--for", help="Stop by itself after this long: 500ms, 20s, 5m, 1h.")
    ] = None,
    json: Annotated[bool, Parameter(negative=(), help="One JSON object per line instead of the tape.")] = False,
    live: Annotated[
        bool, Parameter(negative=(), help="Needed where engine.mode is live: executors may move money.")
    ] = False,
    verbose: Annotated[bool, Parameter(negative=(), help="Log every decision to standard error.")] = False,
    from_head: Annotated[
        bool, Parameter(negative=(), help="Forget how far the last run had come; copy nothing older than the head.")
    ] = False,
) -> int:
    """Follow the leaders and copy what they trade.

    Ctrl-C, or SIGTERM, closes the intake and finishes what was admitted; a second one stops at once. SIGHUP reads the
    configuration again: follows and followers change while running, and a bad file changes nothing.
    """
    conf = find_conf(conf)
    plan = load_plan(conf, redactor)
    return run_plan(plan, conf, for_, json=json, live=live, verbose=verbose, record=None, from_head=from_head)


def run_plan(
    plan: Plan,
    conf: Path,
    for_: float | None,
    *,
    json: bool,
    live: bool,
    verbose: bool,
    record: Path | None,
    from_head: bool = False,
) -> int:
    """Run a configuration, and write a recording of it when `record` names a file."""
    expect_positive(for_=for_)
    if plan.settings.engine.mode == "live" and not live:
        armed = suggested("run", str(conf), "--live")
        raise ConfigError([f"{conf}: engine.mode is live: if real orders are meant, start it with: {armed}"])
    if live and plan.settings.engine.mode != "live":
        raise ConfigError([f'{conf}: engine.mode: expected "live" with --live, got "{plan.settings.engine.mode}"'])
    tune_interpreter()
    if plan.settings.anvil is not None:
        _fetch_anvil()
    try:
        with open_play_money(plan) as play:
            keys = open_for_live(plan, conf) if play is None else LiveKeys(wallets=play.keys, fleets=play.fleets)
            session = _Session(conf, plan, for_, json, verbose, record, from_head, keys, play)
            with session.foreign_lines(), old_books(plan):
                code = trio.run(_run, session)
    except* UnresolvedOrders as group:
        for error in leaves_of(group) if plan.store.plugin.durable else ():
            error.add_note(f"they are listed by: {suggested('orders', 'list', conf=conf)}")
            error.add_note(f"how one is settled: {suggested('orders', 'settle', '--help')}")
        raise
    if session.output.stuck or session.logs.stuck:
        os._exit(code)  # a thread hangs in a write that nobody reads; Python would wait for it
    return code


def _fetch_anvil() -> None:
    """Fetch what a real node with venues is made of, before anything waits for it. Raises `ConfigError`."""
    from trio_copy.cli.progress import progress  # not above: only a demonstration needs them
    from trio_copy.testing.anvil.packages import fetch_all, is_complete

    if not is_complete():
        with progress("fetching the node and its contracts by npm, once", None) as tell:
            for number, _ in enumerate(fetch_all(), 1):
                tell(number)


def one_terminal() -> bool:
    """Tell whether standard output and error are the same terminal, where one would run into the other."""
    streams = (sys.stdout, sys.stderr)
    return all(stream.isatty() for stream in streams) and len({os.ttyname(stream.fileno()) for stream in streams}) == 1


@define(eq=False)
class _Session:
    conf: Path
    plan: Plan
    for_s: float | None
    json: bool
    verbose: bool
    record: Path | None
    from_head: bool
    keys: LiveKeys = field(repr=False)
    play: PlayMoney | None
    output: Printer = field(init=False)
    logs: Printer = field(init=False)

    @contextmanager
    def foreign_lines(self) -> Iterator[None]:
        """Show what plugins and libraries print to standard error above the status, not in the middle of it."""
        with redirect_stderr(Above(self.output, sys.stderr)) if self.logs is self.output else nullcontext():
            yield

    def __attrs_post_init__(self) -> None:
        if self.play is not None:
            self.plan = evolve(self.plan, settings=self.play.stage(self.plan.settings))
        self.output = Printer(sys.stdout, live=sys.stdout.isatty() and not self.json)
        self.logs = self.output if self.output.live and one_terminal() else Printer(sys.stderr, live=False)

    def trading_at(self, world: World) -> Plan:
        """Return the world's plan; where play money trades at its contracts, with guards that know them."""
        if self.play is None or not world.policy:
            return world.plan
        self.play = self.play.trading_at(world.policy, world.plan.settings.chain.chain_id)
        return evolve(world.plan, settings=self.play.stage(world.plan.settings))


async def _run(session: _Session) -> int:
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
                printing.start_soon(_tell_unwritten, observer, log, printer)
                instance = instance_name(entropy)
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
                        interrupted = await _run_service(session, last_resort, service, printer, shown, tally, observer)
                        if not interrupted:
                            standings = await read_standings(service.store, world.labels)
                    finally:
                        observer.look(end=True)
                        left_open = _left_open(service)
                        lost = _summarise(service, printer, shown, tally, len(left_open), standings)
                    if not interrupted:
                        _expect_all_ended(lost, left_open, "an earlier run" if service.proving else "this run")
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


def why_not_armed(service: Service) -> str:
    """Tell why an engine never came so far as to follow anything."""
    if service.proving:
        return "the end came while the venue was still asked what became of an earlier run's orders"
    if why := service.watchdogs.clock.skew.refused or service.scanner.not_armed:
        return why
    if any(endpoint.connects for endpoint in service.pool.endpoints):
        return "the end came before a node told its head"
    whys = [f"{endpoint.name}: {endpoint.last_error}" for endpoint in service.pool.endpoints if endpoint.last_error]
    return ": ".join(["no node was ever reached", *whys[:1]])


def instance_name(entropy: Entropy) -> str:
    """Name this process so that no other one, of today or before, has the same name."""
    return f"{os.uname().nodename}-{os.getpid()}-{entropy.randrange(1 << 16):04x}"


async def _record(session: _Session, path: Path, seams: Seams, nursery: trio.Nursery) -> Seams:
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


def _log_file(session: _Session, wall: WallClock, log: LogObserver) -> LogFile | None:
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


def _shown(session: _Session, printer: Printer, wall: WallClock, world: World, names: LeaderNames) -> JsonLines | Tape:
    if session.json:
        return JsonLines(printer.line, wall)
    told = partial(pasteable, conf=session.conf)
    return Tape(printer.text, wall, world.labels, names, width=lambda: printer.width, told=told)


async def _run_service(
    session: _Session,
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
    session: _Session,
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


async def _reload(session: _Session, service: Service, one_at_a_time: trio.Lock) -> None:
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


async def _tell_unwritten(observer: Observers, log: LogObserver, printer: Printer) -> None:
    await printer.failed.wait()
    detail = f"lines cannot be written and are dropped: {printer.failure}"
    log.logger.error("output-lost", detail=detail)  # alerts go to the output, and that is what failed
    observer.on_alert("output-lost", detail)


async def _drain_after(service: Service, seconds: float) -> None:
    await trio.sleep(seconds)
    service.drain()


def _left_open(service: Service) -> Sequence[OpenOrder]:
    """Return the orders that are left to nobody; where another instance lives, it looks after them."""
    return service.left_open if service.keeper is None or service.keeper.alone else ()


def _expect_all_ended(lost: int | None, left_open: Sequence[OpenOrder], whose: str = "this run") -> None:
    """Let no run end well that leaves something behind: a supervisor, or a person, would not look."""
    if lost:
        raise InvariantBroken(
            f"{counted(lost, 'task was', 'tasks were')} admitted, neither ended nor left: a copy was lost"
        )
    if left_open:
        raise UnresolvedOrders(told_open(f"ended, but {counted(len(left_open), 'order')} of {whose}", left_open))


def _summarise(
    service: Service,
    printer: Printer,
    shown: JsonLines | Tape,
    tally: Tally,
    unproven: int,
    standings: Standings | None,
) -> int | None:
    """Write what happened since the start; returns what `Service.lost` does.

    Where nobody asked the store where the followers stand, because the run failed, nothing is said of it.
    """
    status = service.status()
    left, lost = status.left, service.lost(tally.tasks, tally.ends.total())
    if isinstance(shown, JsonLines):
        totals = {**totals_object(tally), "left": left, "lost": lost, "unproven": unproven, "reorgs": status.reorgs}
        totals |= {"late_logs": status.late_logs, "followers": [] if standings is None else standing_objects(standings)}
        totals["gas"] = [] if standings is None else gas_objects(standings)
        shown.line("summary", {**totals, "lines_dropped": printer.dropped})
        return lost
    printer.status()  # what it said last is not so any more
    for line in (
        *summary_lines(status, tally, lost, left, unproven, printer.width),
        *(() if standings is None else standing_lines(standings, printer.width)),
    ):
        printer.text(line)
    return lost
