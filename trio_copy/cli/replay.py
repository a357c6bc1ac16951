"""`trio-copy replay FILE`"""

from hashlib import sha256
from pathlib import Path
from typing import Annotated

from attrs import define, field
from cyclopts import Parameter

from trio_copy.cli.numbers import expect_positive
from trio_copy.cli.opened import Conf, find_plan
from trio_copy.cli.output import out, out_json
from trio_copy.cli.pnl import COLUMNS
from trio_copy.cli.progress import progress
from trio_copy.cli.recorded import Played, Recorded, lasted, play, recorded
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Json, show
from trio_copy.clock import utc_date
from trio_copy.engine.recordings.recorded_runs import was_cut_off
from trio_copy.telemetry.observer import Finished
from trio_copy.telemetry.render import totals_object
from trio_copy.telemetry.tally import Tally


@define(eq=False)
class _Figures(Tally):
    """Totals, and a digest of every end, so that two replays can be told equal at a glance."""

    _digest: dict[str, str] = field(factory=dict)

    def on_finished(self, finished: Finished) -> None:
        super().on_finished(finished)
        report = finished.report
        filled = "-" if report is None else f"{report.shares} {report.notional} {report.fee}"
        self._digest[finished.task.task_id] = f"{finished.outcome.end.value} {filled}"

    @property
    def digest(self) -> str:
        return sha256("|".join(f"{task} {end}" for task, end in sorted(self._digest.items())).encode()).hexdigest()[:16]


def replay(
    file: Annotated[Path, Parameter(help="What `trio-copy record` or `trio-copy fetch` has written.")],
    /,
    *,
    redactor: Redact,
    conf: Conf = None,
    speed: Annotated[float | None, Parameter(help="Times real time; as fast as it goes if left out.")] = None,
    json: Json = False,
) -> int:
    """Run the engine on a recording in virtual time, on paper, and report what it would have done.

    The follows are those of the configuration and of its store; what they would do is kept in memory and changes nothing.
    As fast as it goes, the same recording and settings give the same figures each time.
    """
    expect_positive(speed=speed)
    what, figures = recorded(file, find_plan(conf, redactor), verb="replay"), _Figures()
    with progress("replaying", what.moments) as tell:
        played = play(what, [figures], tell, speed=speed)
    _report(what, played, figures, json=json)
    return 0


def _report(what: Recorded, played: Played, figures: _Figures, *, json: bool) -> None:
    if json:
        totals = totals_object(figures)
        rows = [{column.name: column.value(row) for column in COLUMNS} for row in played.profits]
        out_json({**totals, "pnl": rows, "digest": figures.digest})
        return
    ends = ", ".join(f"{count} {end.value}" for end, count in figures.ends.most_common()) or "none"
    refused = figures.skips + figures.refusals
    skips = ", ".join(f"{count} {code}" for code, count in refused.most_common()) or "nothing"
    out(f"{what.path}: {lasted(what.ended_at - what.started_at)} from {utc_date(what.started_at)}")
    out(
        f"signals    {figures.signals} admitted, {figures.adopted} adopted after a reorg, {figures.retracted} retracted"
    )
    out(f"tasks      {figures.tasks} admitted: {ends}")
    out(f"not copied {skips}")
    show(COLUMNS, played.profits, json=False, csv_=False, empty="nothing was traded")
    if was_cut_off(what.path):
        out("cut off    the recording ends in the middle: whoever wrote it was killed")
    out(f"digest     {figures.digest} (equal figures have equal digests)")
