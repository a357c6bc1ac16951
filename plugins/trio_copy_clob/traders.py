"""Who earned most, and what a wallet traded, by the Data API."""

from collections import Counter
from collections.abc import Sequence

import msgspec
from attrs import evolve

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, Hash32
from trio_copy.model.past_trades import PastTrade
from trio_copy_clob.asking import Asker
from trio_copy_clob.pacing import LEADERBOARD, TRADES, Route
from trio_copy_clob.wire import (
    MISREAD,
    LeaderRow,
    PageRow,
    TradeRow,
    address_of,
    each,
    hash_of,
    paged,
    past_price_of,
    shares_of,
    token_of,
)

_ROWS_PER_PAGE = 500
_PAGES_MOST = 200
_PERIODS = ((1.0, "day"), (7.0, "week"), (31.0, "month"))
_DAY_S = 86_400.0
_Words = list[tuple[str, str]]


async def read_best_wallets(asker: Asker, lasts_s: float, most: int) -> list[Address]:
    """Ask who earned most in about so long up to now, the best first. Raises `MarketsUnavailable`."""
    period = next((name for days, name in _PERIODS if lasts_s <= days * _DAY_S), "all")
    words = [("time_period", period), ("sort_by", "PNL")]
    found: dict[Address, None] = {}
    for row in each(await _pages(asker, LEADERBOARD, words, most), LeaderRow):
        try:
            if isinstance(row, ValueError):
                raise row
            found[address_of(row.user_id or row.proxy_wallet or "")] = None
        except MISREAD as error:
            asker.troubles.leave_out("a wallet of the leaderboard", error)
    return list(found)[:most]


async def read_trades(asker: Asker, wallet: Address, since: float, until: float, most: int) -> list[PastTrade]:
    """Ask what a wallet traded, and which of it took what others had offered. Raises `MarketsUnavailable`."""
    words = [("user", wallet), ("start", str(int(since))), ("end", str(int(until)))]
    everything = await _trades(asker, wallet, [*words, ("taker_only", "false")], most)
    # Nothing in a trade says whose order rested: those that are not among the takers' did.
    taken = Counter(await _trades(asker, wallet, [*words, ("taker_only", "true")], most))
    found = []
    for trade in everything:
        maker = not taken[trade]
        taken[trade] -= not maker
        found.append(evolve(trade, maker=maker))
    return sorted((one for one in found if since <= one.at < until), key=lambda one: one.at)


async def _trades(asker: Asker, wallet: Address, words: _Words, most: int) -> list[PastTrade]:
    trades = []
    for row in each(await _pages(asker, TRADES, words, most), TradeRow):
        try:
            trade = _trade(row)
            if trade.wallet != wallet:
                raise ValueError("nobody asked for that wallet")
        except MISREAD as error:
            asker.troubles.leave_out("a trade", error)
            continue
        trades.append(trade)
    return trades


def _trade(row: TradeRow | ValueError) -> PastTrade:
    if isinstance(row, ValueError):
        raise row
    if row.side not in Side.__members__:
        raise ValueError("expected BUY or SELL")
    shares = shares_of(row.size)
    if not shares:
        raise ValueError("a trade of nothing")
    return PastTrade(
        at=float(row.timestamp),
        wallet=address_of(row.proxy_wallet),
        token_id=token_of(row.token_id),
        side=Side[row.side],
        shares=shares,
        price=past_price_of(row.price),
        tx_hash=Hash32(hash_of(row.transaction_hash)),
        maker=None,
    )


async def _pages(asker: Asker, route: Route, words: _Words, most: int) -> Sequence[msgspec.Raw]:
    """Turn pages until there are so many rows, or no more."""
    rows: list[msgspec.Raw] = []
    cursor: str | None = None
    for _ in range(_PAGES_MOST):
        # How many rows a page has is said with the first one; the cursor knows it.
        turn = ("limit", str(min(most, _ROWS_PER_PAGE))) if cursor is None else ("cursor", cursor)
        page: PageRow | None = await asker.ask(route, paged, params=[*words, turn])
        if page is None:
            break
        rows += page.data
        last, cursor = cursor, page.pagination.next_cursor
        if cursor is None or cursor == last or not page.data or len(rows) >= most:
            break
    return rows[:most]
