"""`trio-copy backtest CONF FILE`"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from attrs import evolve
from cyclopts import Parameter
from msgspec.structs import replace

from trio_copy.cli.compared import compare
from trio_copy.cli.drawing import draw_png, draw_svg
from trio_copy.cli.figure import figure_of
from trio_copy.cli.output import out, out_json
from trio_copy.cli.overrides import Setting, overridden, read_settings, without_own
from trio_copy.cli.progress import progress
from trio_copy.cli.queries import utc
from trio_copy.cli.recorded import Recorded, lasted, play, recorded
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Json, show
from trio_copy.cli.verdicts import COMPARED, FIGURES, NOT_MADE, Figures, NotMade, Verdict, write_figures
from trio_copy.clock import utc_date
from trio_copy.config import to_checksum
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.plan import Plan, load_plan
from trio_copy.engine.recordings.judge import Judge
from trio_copy.engine.recordings.recorded_runs import was_cut_off
from trio_copy.errors import ConfigError
from trio_copy.files import open_promptly
from trio_copy.model.catalog import Catalog
from trio_copy.model.counts import counted
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import Address, FollowerId

_FORMS = {".svg": draw_svg, ".png": draw_png}
_BY_PRICE = ("take_profit_bps", "stop_loss_bps", "trailing_bps")


def backtest(
    conf: Annotated[Path, Parameter(help="The configuration, a TOML file: its follows, settings and simulated venue.")],
    file: Annotated[Path, Parameter(help="What `trio-copy fetch` or `trio-copy record` has written.")],
    /,
    *,
    set_: Annotated[
        tuple[str, ...],
        Parameter(
            name="--set",
            help="PATH=VALUE instead of what the configuration says; PATH=VALUE,VALUE compares. Several give every combination.",
        ),
    ] = (),
    csv: Annotated[Path | None, Parameter(help="Write the table to this file, every figure whole.")] = None,
    plot: Annotated[Path | None, Parameter(help="Draw equity and drawdown into this file: an .svg, or a .png.")] = None,
    redactor: Redact,
    json: Json = False,
) -> int:
    """Play a recording through the engine, on paper, and say what each leader was worth.

    What is held at the end counts at the last price that the recording knows of its token. At risk is the most that was
    ever paid for what was held at the same time; the return is of that. What was not copied is valued as if it had been
    bought and sold at the leader's prices: above 0 the control has cost so much, below 0 it has saved it. The same inputs
    give the same bytes. docs/backtest.md says how each figure is worked out.
    """
    if plot is not None and plot.suffix not in _FORMS:
        raise ConfigError([f"--plot: expected a name that ends with {' or '.join(_FORMS)}, got {plot}"])
    for option, path in (("--csv", csv), ("--plot", plot)):
        if path is not None and not path.absolute().parent.is_dir():
            raise ConfigError([f"{option}: {path} cannot be written: the directory {path.parent} does not exist"])
    plan, settings = load_plan(conf, redactor), read_settings(set_)
    # All of them before the first one is played: a mistake in the last one costs nothing.
    plans = [overridden(plan, setting) if setting else plan for setting in settings]
    what = recorded(file, plans[0], verb="backtest")
    if len(settings) > 1:
        if plot is not None:
            raise ConfigError(["--plot: expected one setting to be drawn, got --set with several"])
        return _compare(conf, file, settings, csv, json=json)
    what = evolve(what, follows=without_own(what.follows, settings[0]))
    judge, verdict = judged(what, settings[0])
    rows = [*verdict.leaders, verdict.total]
    if csv is not None:
        write_figures(csv, rows)
    if plot is not None:
        _plot(plot, what, judge)
    if json:
        out_json(verdict)
        return 0
    out(
        f"{file}: {lasted(what.ended_at - what.started_at)} from {utc_date(what.started_at)},"
        f" {counted(judge.total.signals, 'signal')} of {counted(len(verdict.leaders), 'leader')}"
    )
    show(FIGURES, rows, json=False, csv_=False, empty="nothing was traded")
    if verdict.not_copied:
        out("")
        show(NOT_MADE, verdict.not_copied, json=False, csv_=False, empty="")
    for note in verdict.notes:
        out(f"note: {note}")
    return 0


def _compare(conf: Path, file: Path, settings: Sequence[Setting], csv: Path | None, *, json: bool) -> int:
    with progress("comparing", len(settings)) as tell:
        verdicts = compare(conf, file, settings, tell)
    rows = [
        replace(verdict.total, name=" ".join(map(str, setting)))
        for setting, verdict in zip(settings, verdicts, strict=True)
    ]
    if csv is not None:
        write_figures(csv, rows)
    if json:
        for verdict in verdicts:
            out_json(verdict)
        return 0
    show(COMPARED, rows, json=False, csv_=False, empty="")
    for note in dict.fromkeys(note for verdict in verdicts for note in verdict.notes):
        out(f"note: {note}")
    return 0


def judged(what: Recorded, setting: Setting = ()) -> tuple[Judge, Verdict]:
    """Play a recording and judge what came of it."""
    book, catalog = FollowBook(), Catalog()

    def settings_of(follower: FollowerId, leader: Address) -> FollowSettings | None:
        terms = book.find(follower, leader)
        return None if terms is None else terms.settings

    judge = Judge.over(what.started_at, what.ended_at, settings_of=settings_of, facts_of=catalog.of)
    with progress("playing", what.moments) as tell:
        play(what, [judge], tell, on_moment=judge.note_moment, book=book, catalog=catalog)
    leaders = [Figures.of(to_checksum(leader), judge.leaders[leader]) for leader in sorted(judge.leaders)]
    return judge, Verdict(
        begins=utc(what.started_at) or "",
        ends=utc(what.ended_at) or "",
        settings={one.path: one.text for one in setting},
        total=Figures.of("total", judge.total),
        leaders=leaders,
        not_copied=[NotMade.of(one) for one in judge.forgone],
        notes=_notes(what, judge),
    )


def _plot(plot: Path, what: Recorded, judge: Judge) -> None:
    curve = judge.total.curve
    assert curve is not None  # that of the total is always kept
    try:
        with open(plot, "wb", opener=open_promptly) as file:
            file.write(_FORMS[plot.suffix](figure_of(f"{what.path.name}: all leaders together", curve)))
    except OSError as error:
        raise ConfigError([f"--plot: {plot} cannot be written: {error.strerror}"]) from None


def _notes(what: Recorded, judge: Judge) -> list[str]:
    notes = []
    if judge.without_mark:
        held = counted(judge.without_mark, "token")
        notes.append(f"{held} held at the end, of which the recording knows no price: counted as worth nothing")
    silent = [] if judge.quotes else _rules_by_price(what.plan)
    if silent:
        notes.append(f"{', '.join(silent)} never fired: the recording has no prices, so nobody knew one")
    if was_cut_off(what.path):
        notes.append("the recording ends in the middle: whoever wrote it was killed")
    return notes


def _rules_by_price(plan: Plan) -> list[str]:
    """Name the rules of the configuration that need a bid."""
    terms = plan.settings.terms()
    leaving = [terms.of(follow).settings.leaving for follow in plan.settings.follows()]
    return [f"leaving.{name}" for name in _BY_PRICE if any(getattr(one, name) is not None for one in leaving)]
