"""`trio-copy leaders [FILE]`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trio_copy.chain.decoders.order_filled import OrderFilledDecoder, OrderFilledSettings
from trio_copy.cli.durations import Duration, Time
from trio_copy.cli.followed import rank_followed
from trio_copy.cli.leaderboard import read_leaderboard, tell_notes
from trio_copy.cli.output import out
from trio_copy.cli.progress import progress
from trio_copy.cli.redact import Redact
from trio_copy.cli.tables import Column, Csv, Json, dollars, short, show, signed_dollars
from trio_copy.cli.verdicts import percent, signed_percent
from trio_copy.config import to_checksum
from trio_copy.engine.plan import load_plan
from trio_copy.engine.recordings.ranking import Costs, Ranked, Ranking
from trio_copy.engine.recordings.recording import read_recording
from trio_copy.errors import ConfigError
from trio_copy.model.units import BPS, NO_USD, Usd
from trio_copy.ports import Decoder

_TOP, _SINCE = 20, "7d"
COLUMNS: tuple[Column[Ranked], ...] = (
    Column("wallet", lambda row: to_checksum(row.wallet), shown=short),
    Column("earned", lambda row: str(Usd(row.copied.equity)), right=True, shown=signed_dollars),
    Column("return", lambda row: row.copied.return_bps, right=True, shown=signed_percent),
    Column("own", lambda row: str(Usd(row.own)), right=True, shown=signed_dollars),
    Column("at_risk", lambda row: str(Usd(row.copied.at_risk)), right=True, shown=dollars),
    Column("drawdown", lambda row: str(Usd(row.copied.drawdown)), right=True, shown=dollars),
    Column("won", lambda row: row.copied.win_bps, right=True, shown=percent, detail=True),
    Column("trades", lambda row: row.trades, right=True),
    Column("tokens", lambda row: row.tokens, right=True, detail=True),
    Column("largest", lambda row: row.largest_bps, right=True, shown=percent, detail=True),
    Column("maker", lambda row: row.maker_bps, right=True, shown=percent, detail=True),
    Column("slip_bps", lambda row: row.copied.slippage_bps, right=True, detail=True),
    Column("fees", lambda row: str(Usd(row.copied.fees)), right=True, shown=dollars, detail=True),
)


def leaders(
    file: Annotated[
        Path | None,
        Parameter(help="What `trio-copy fetch` or `trio-copy record` has written; without it, those you follow."),
    ] = None,
    /,
    *,
    stake: Annotated[str, Parameter(help="What each entry is copied with, in USD.")] = "10",
    latency: Annotated[Duration, Parameter(help="From a wallet's block to the copy: 2s, 500ms.")] = Time(2),
    slippage_bps: Annotated[int, Parameter(help="How much worse than the wallet's price a copy is at best.")] = 50,
    fee_bps: Annotated[int, Parameter(help="What the venue charges, of the notional.")] = 0,
    source: Annotated[
        str | None, Parameter(help="Rank the best wallets of this market source instead: polymarket.")
    ] = None,
    top: Annotated[int, Parameter(help="With --source: how many of them, by what they earned themselves.")] = _TOP,
    since: Annotated[str, Parameter(help="With --source: from here on, such as 7d or 2026-11-22.")] = _SINCE,
    conf: Annotated[
        Path | None,
        Parameter(
            help="Read FILE with this configuration's decoders and contracts; without FILE, rank those of its books."
        ),
    ] = None,
    redactor: Redact,
    json: Json = False,
    csv: Csv = False,
) -> int:
    """Rank those you follow by what copying them brought, or the wallets of a recording by what a follower could have earned.

    Without FILE, out of the books of a store: what was earned, of which part is held at the last known bid; the return on the
    most that was ever at risk; how far what was made ever fell; slippage against the leader, and what the same shares would
    have cost more, or brought less, by the book 1 s, 5 s and 30 s later, in basis points.

    With FILE, after latency, slippage and fees: every entry is copied with the same stake, every exit in proportion; what is held
    at the end counts at the last known price. Own is what the same stakes earned at the wallet's own prices: what is between the
    two, no follower can have. Largest is the part of the turnover in one token, maker the part in which the wallet's order rested.

    With --source, the same as with FILE, of the wallets that a venue says have earned most, by the trades that it tells of them;
    what is held of a decided question counts at what it pays.
    """
    costs = _costs(stake, latency, slippage_bps, fee_bps)
    if source is not None:
        if file is not None:
            raise ConfigError([f"--source: expected no FILE beside it, got {file}"])
        ranking, notes = read_leaderboard(source, conf, redactor, costs, top=top, since=since)
        show(COLUMNS, ranking.finish(), json=json, csv_=csv, empty="nobody traded at a price")
        tell_notes(notes, quiet=json or csv)
        return 0
    if (top, since) != (_TOP, _SINCE):
        raise ConfigError(["--top, --since: expected --source as well, got none"])
    if file is None:
        if costs != _costs("10", 2.0, 50, 0):
            raise ConfigError(["--stake, --latency, --slippage-bps, --fee-bps: expected a FILE as well, got none"])
        return rank_followed(conf, redactor, json=json, csv=csv)
    chain_id, decoders = 137, list[Decoder]([OrderFilledDecoder(frozenset(OrderFilledSettings().exchanges))])
    if conf is not None:
        plan = load_plan(conf, redactor)
        chain_id, decoders = plan.settings.chain.chain_id, list(plan.decoders.values())
    recorded_of, moments = read_recording(file)
    if recorded_of != chain_id:
        raise ConfigError([f"{file}: expected a recording of chain {chain_id}, got {recorded_of}"])
    ranking = Ranking.over(0.0, 1.0, costs, decoders)
    with progress("ranking", None) as tell:
        for count, moment in enumerate(moments):
            ranking.take(moment)
            if count % 1000 == 0:
                tell(count)
    show(COLUMNS, ranking.finish(), json=json, csv_=csv, empty="nobody traded at a price")
    if ranking.unreadable and not (json or csv):
        out(f"note: {ranking.unreadable} of its logs cannot be read with these decoders")
    return 0


def _costs(stake: str, latency_s: float, slippage_bps: int, fee_bps: int) -> Costs:
    problems, dollars_each = [], NO_USD
    try:
        dollars_each = Usd.parse(stake)
    except ValueError as error:
        problems.append(f"--stake: {error}")
    else:
        if not NO_USD < dollars_each <= Usd.parse(1_000_000):
            problems.append(f"--stake: expected more than 0 and at most 1,000,000, got {stake}")
    for option, bps in (("--slippage-bps", slippage_bps), ("--fee-bps", fee_bps)):
        if not 0 <= bps <= BPS:
            problems.append(f"{option}: expected a number from 0 to {BPS}, got {bps}")
    if problems:
        raise ConfigError(problems)
    return Costs(stake=dollars_each, latency_s=latency_s, slippage_bps=slippage_bps, fee_bps=fee_bps)
