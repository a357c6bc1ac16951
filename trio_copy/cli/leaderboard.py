"""`trio-copy leaders --source NAME`"""

from pathlib import Path

import trio

from trio_copy.cli.output import out
from trio_copy.cli.progress import progress
from trio_copy.cli.queries import When
from trio_copy.cli.sources import open_planned, source_of
from trio_copy.cli.troubles import Troubles
from trio_copy.clock import anchored_wall_clock
from trio_copy.engine.plan import load_plan
from trio_copy.engine.recordings.ranking import Costs, Ranking
from trio_copy.engine.recordings.ranking_wallets import WalletRanking
from trio_copy.entropy import system_entropy
from trio_copy.errors import ConfigError
from trio_copy.model.counts import counted
from trio_copy.registry import discover
from trio_copy.telemetry.redaction import Redactor

_WALLETS_MOST = 100


def read_leaderboard(
    name: str, conf: Path | None, redactor: Redactor, costs: Costs, *, top: int, since: str
) -> tuple[Ranking, list[str]]:
    """Read the best wallets of a venue and what they traded; returns a ranking to be finished, and what is to be said.

    Raises:
        ConfigError: a wrong option, or a source that knows no traders.
        PluginError: there is no such source.
        MarketsUnavailable: it does not answer.
    """
    if not 1 <= top <= _WALLETS_MOST:
        raise ConfigError([f"--top: expected a number from 1 to {_WALLETS_MOST}, got {top}"])
    when = When.present()
    begins = when.read(since, "--since")
    if begins >= when.now:
        raise ConfigError([f"--since: expected a time that is over, got {since}"])
    plan = None if conf is None else load_plan(conf, redactor)
    planned = source_of(plan, discover() if plan is None else plan.registry, name)
    ranking = Ranking.over(begins, when.now, costs, ())
    with Troubles() as troubles, progress("reading wallets", None) as tell:

        async def read() -> WalletRanking:
            wall = anchored_wall_clock()
            async with open_planned(planned, wall, system_entropy(), troubles.note) as source:
                reading = WalletRanking(
                    source=source, ranking=ranking, since=begins, until=when.now, most=top, on_progress=tell
                )
                await reading.run()
                return reading

        reading = trio.run(read)
    notes = []
    if reading.cut_off:
        notes.append(
            f"{counted(reading.cut_off, 'wallet')} traded more often than is read: the venue says which trades"
        )
    if reading.undecided:
        held = counted(reading.undecided, "token is", "tokens are")
        notes.append(f"{held} not decided: what is held counts at the last price of these wallets")
    return ranking, notes


def tell_notes(notes: list[str], *, quiet: bool) -> None:
    """Say what a person should know of a ranking; a program is told figures alone."""
    for note in () if quiet else notes:
        out(f"note: {note}")
