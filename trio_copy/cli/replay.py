"""`trio-copy replay FILE`"""

import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import trio
from attrs import define, evolve, field
from cyclopts import Parameter

from trio_copy.chain.feed import FeedItem
from trio_copy.cli.numbers import expect_positive
from trio_copy.cli.opened import Conf, find_plan, imported_follows
from trio_copy.cli.output import out, out_json
from trio_copy.cli.pnl import COLUMNS, Profit, read_profits
from trio_copy.cli.progress import progress
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Json, show
from trio_copy.clock import utc_date, wall_clock_from
from trio_copy.config import PluginTable
from trio_copy.engine.plan import Plan, make_plan
from trio_copy.engine.recorded_runs import was_cut_off
from trio_copy.engine.recording import RecordedQuotes, SeenQuote, read_recording
from trio_copy.engine.seams import Seams
from trio_copy.engine.wiring import open_service
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import ConfigError, ConnectionLost, StoreError
from trio_copy.model.follows import Follow
from trio_copy.telemetry.observer import Finished, Observers
from trio_copy.telemetry.render import totals_object
from trio_copy.telemetry.tally import Tally
from trio_copy.testing.virtual import run_virtually

_SETTLE_S = 300.0
"""Virtual time that is left at the end for whatever is still under way."""
_SEED = 1


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


@define(eq=False)
class _Replay:
    plan: Plan
    path: Path
    follows: tuple[Follow, ...]
    started_at: float
    figures: _Figures = field(factory=_Figures)
    profits: list[Profit] = field(factory=list)
    ended_at: float = 0.0


def replay(
    file: Annotated[Path, Parameter(help="What `trio-copy record` has written.")],
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
    plan = find_plan(conf, redactor)
    if plan.moves_money:
        raise ConfigError(
            ["replay: expected executors that only simulate, got one that moves money; use another --conf"]
        )
    chain_id, moments = read_recording(file)
    if chain_id != plan.settings.chain.chain_id:
        raise ConfigError([f"{file}: expected a recording of chain {plan.settings.chain.chain_id}, got {chain_id}"])
    first = next(moments, None)
    if first is None:
        raise ConfigError([f"{file}: the recording holds nothing"])
    memory = PluginTable(name="memory", plugin="memory", options={})
    # Nobody shares what is kept in memory: a replay has all accounts to itself.
    on_paper = make_plan(evolve(plan.settings, store=memory, shards=None), plan.registry, redactor)
    session = _Replay(on_paper, file, _imported(plan), first.at)
    with progress("replaying", _count(file)) as tell:
        if speed is None:
            run_virtually(_run, session, tell, seed=_SEED)
        else:
            from trio.testing import MockClock  # not above: it brings pytest along

            trio.run(_run, session, tell, clock=MockClock(rate=speed))
    _report(session, json=json)
    return 0


def _imported(plan: Plan) -> tuple[Follow, ...]:
    """Read the follows of the plan's store; of one that does not answer they are left out, and that is said."""
    try:
        return imported_follows(plan)
    except StoreError as error:
        sys.stderr.write(f"the follows in the store are left out: {error}\n")
        return ()


async def _run(session: _Replay, tell: Callable[[int], None]) -> None:
    wall = wall_clock_from(session.started_at)
    quotes = RecordedQuotes(wall, read_recording(session.path)[1])

    async def dial(url: str) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        raise ConnectionLost("a replay has no nodes")

    async def play(send: trio.MemorySendChannel[FeedItem]) -> None:
        _, moments = read_recording(session.path)
        for count, moment in enumerate(moments, 1):
            await trio.sleep(max(0.0, moment.at - wall()))
            if not isinstance(moment.seen, SeenQuote):
                await send.send(moment.seen)
            if count % 1000 == 0:
                tell(count)
        session.ended_at = wall()
        await trio.sleep(_SETTLE_S)

    seams = Seams(
        dial=dial,
        wall=wall,
        entropy=seeded_entropy(_SEED),
        observer=Observers([session.figures]),
        quotes=quotes,
        play=play,
        throwaway=True,
    )
    async with open_service(session.plan, seams, ()) as service:
        if session.follows:
            await service.store.follows.put(session.follows)
            for follow in session.follows:
                service.book.put(follow)
        await service.run()
        session.profits = await read_profits(service.store, "follower")


def _report(session: _Replay, *, json: bool) -> None:
    figures = session.figures
    if json:
        totals = totals_object(figures)
        rows = [{column.name: column.value(row) for column in COLUMNS} for row in session.profits]
        out_json({**totals, "pnl": rows, "digest": figures.digest})
        return
    ends = ", ".join(f"{count} {end.value}" for end, count in figures.ends.most_common()) or "none"
    refused = figures.skips + figures.refusals
    skips = ", ".join(f"{count} {code}" for code, count in refused.most_common()) or "nothing"
    out(f"{session.path}: {_lasted(session.ended_at - session.started_at)} from {utc_date(session.started_at)}")
    out(
        f"signals    {figures.signals} admitted, {figures.adopted} adopted after a reorg, {figures.retracted} retracted"
    )
    out(f"tasks      {figures.tasks} admitted: {ends}")
    out(f"not copied {skips}")
    show(COLUMNS, session.profits, json=False, csv_=False, empty="nothing was traded")
    if was_cut_off(session.path):
        out("cut off    the recording ends in the middle: whoever wrote it was killed")
    out(f"digest     {figures.digest} (equal figures have equal digests)")


def _lasted(seconds: float) -> str:
    """Write how long a recording is in the unit that tells the most."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} seconds"


def _count(path: Path) -> int:
    """Count the lines of a recording, for the progress bar."""
    return sum(1 for _ in read_recording(path)[1])
