"""How a run ends: what is said of it, and whether it ended well."""

from collections.abc import Sequence

from trio_copy.accounts import OpenOrder
from trio_copy.cli.printer import Printer
from trio_copy.cli.standing import Standings, gas_objects, standing_lines, standing_objects
from trio_copy.engine.sending.reconciler import told_open
from trio_copy.engine.service import Service
from trio_copy.errors import InvariantBroken, UnresolvedOrders
from trio_copy.model.counts import counted
from trio_copy.telemetry.jsonlines import JsonLines
from trio_copy.telemetry.render import totals_object
from trio_copy.telemetry.tally import Tally
from trio_copy.telemetry.tape import Tape, summary_lines


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


def left_open(service: Service) -> Sequence[OpenOrder]:
    """Return the orders that are left to nobody; where another instance lives, it looks after them."""
    return service.left_open if service.keeper is None or service.keeper.alone else ()


def expect_all_ended(lost: int | None, left_open: Sequence[OpenOrder], whose: str = "this run") -> None:
    """Let no run end well that leaves something behind: a supervisor, or a person, would not look."""
    if lost:
        raise InvariantBroken(
            f"{counted(lost, 'task was', 'tasks were')} admitted, neither ended nor left: a copy was lost"
        )
    if left_open:
        raise UnresolvedOrders(told_open(f"ended, but {counted(len(left_open), 'order')} of {whose}", left_open))


def summarise(
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
