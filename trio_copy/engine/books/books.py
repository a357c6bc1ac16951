"""What stores keep about copies, as values: whoever asks reads here, and knows neither documents nor facts."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf, nextafter
from operator import itemgetter

from attrs import evolve, frozen

from trio_copy.accounts import DeadLetter, OpenOrder, Waiting
from trio_copy.accounts.documents import (
    dead_letter_of,
    mode_of,
    open_order_of,
    waiting_of,
)
from trio_copy.accounts.telling import SkipTold, TaskEnd
from trio_copy.engine.shards.marks import mark_of
from trio_copy.engine.shards.stored import booked_by, kept_in, stored_holding, stored_place, told_by
from trio_copy.model.control import ModeChange
from trio_copy.model.decisions import Reason
from trio_copy.model.facts import Fact, FactQuery, Sums
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, SignalId, TokenId
from trio_copy.model.positions import EntryKind, LedgerEntry, Mark, Position, PositionKey
from trio_copy.model.units import Price, Shares, Usd
from trio_copy.ports import FORGOTTEN_TOKEN, Document, History

BOOKINGS = ("filled", "entry")
"""Kinds of facts that carry a ledger entry."""
_NOT_COPIED = ("skip", "ended")
_PAGE = 2000


@frozen
class Trade:
    """A booking that moved shares, and whether it is settled."""

    entry: LedgerEntry
    settlement: str
    """firm, provisional or reversed."""


@frozen(kw_only=True)
class NotCopied:
    """A signal that a follow did not want, or a task that ended without a fill."""

    at: float
    signal_id: SignalId
    follower: FollowerId
    leader: Address
    token_id: TokenId
    side: Side
    leader_shares: Shares
    leader_price: Price | None
    reason: Reason


async def tell_trades(history: History, query: FactQuery, tell: Callable[[Trade], None]) -> None:
    """Tell of what was bought, sold and redeemed, newest first; memory does not grow with how much it is."""
    later: dict[str, EntryKind] = {}
    left = query.limit

    def take_fates(page: Sequence[Fact]) -> bool:
        later.update(_fates(_entries(page)))
        return True

    def take(page: Sequence[Fact]) -> bool:
        nonlocal left
        entries = list(_entries(page))
        # First all of them: what was confirmed within the moment of its booking may stand before or behind it.
        later.update(_fates(entries))
        for entry in entries:
            corrects = entry.kind is EntryKind.CORRECT
            if (entry.shares or corrects) and left:
                left -= 1
                # A correction is as firm as what it corrects, which is older and comes after it.
                fate = later.get(entry.of) if corrects else later.pop(entry.key, None)
                tell(Trade(entry, _settlement(entry, fate)))
        return left > 0

    if query.until is not None:
        # A confirmation or reversal is an entry of its own, newer than what it is about.
        await walk(history, evolve(query, kinds=("entry",), since=query.until, until=None), take_fates)
    await walk(history, evolve(query, kinds=BOOKINGS), take)


async def tell_not_copied(history: History, query: FactQuery, tell: Callable[[NotCopied], None]) -> None:
    """Tell of copies that were not made, newest first."""
    left = query.limit

    def take(page: Sequence[Fact]) -> bool:
        nonlocal left
        for fact in page[:left]:
            tell(_not_copied(fact))
        left -= min(left, len(page))
        return left > 0

    await walk(history, evolve(query, kinds=_NOT_COPIED), take)


async def walk(history: History, query: FactQuery, take: Callable[[Sequence[Fact]], bool]) -> None:
    """Hand over the facts of a query, newest first and whatever its limit, until `take` answers that it has enough.

    They come in pages that are short enough to be held; the facts of one moment are never divided.
    """
    size, until = min(query.limit + 1, _PAGE), query.until
    while True:
        page = await history.facts(evolve(query, until=until, limit=size))
        if len(page) < size:
            take(page)
            return
        last = page[-1].at
        whole = [fact for fact in page if fact.at > last]
        if not whole:
            size *= 2  # a moment in which more was told than a page holds
            continue
        if not take(whole):
            return
        size, until = max(size, _PAGE), nextafter(last, inf)


async def sums(history: History, query: FactQuery, by: str) -> Sums:
    """Add up what was booked, by follower, leader, token_id or day."""
    return await history.sums(evolve(query, kinds=BOOKINGS), (by,))


async def positions(history: History, follower: FollowerId | None = None) -> Mapping[PositionKey, Position]:
    """Return what is held, sorted: of one follower, or of all."""
    return {key: stored_holding(parts).now for key, parts in await _stored_positions(history, follower)}


async def earned_positions(history: History, query: FactQuery) -> Mapping[PositionKey, Position]:
    """Return what the bookings of each position earned, held or not; its shares and their cost are left out.

    Of bookings that the store has let go it is not known any more which position they were about.
    """
    found = await history.sums(evolve(query, kinds=BOOKINGS), ("follower", "leader", "token_id"))
    return {
        (FollowerId(follower), Address(leader), TokenId(int(token))): Position(
            fees=Usd(fees), realised=Usd(realised), provisional=Usd(provisional)
        )
        for (follower, leader, token), (trades, _, _, fees, realised, provisional) in sorted(found.items())
        if trades and token != FORGOTTEN_TOKEN
    }


async def held(history: History, query: FactQuery) -> Iterator[tuple[PositionKey, Position, Mark | None]]:
    """Return what is held, with what it could be sold for when it was last looked at: of a query's follower, leader and token.

    Sorted by their keys. Each is read when it is its turn, for there may be many.
    """
    marks = {(one.follower, one.name): one for one in await history.documents("mark", query.follower)}
    return _held(await _stored_positions(history, query.follower), marks, query)


async def _stored_positions(
    history: History, follower: FollowerId | None
) -> Sequence[tuple[PositionKey, Sequence[Document]]]:
    """Return the documents of each position, sorted by its key; its own is the first of them."""
    found: defaultdict[PositionKey, list[Document]] = defaultdict(list)
    for document in await history.documents("position", follower):
        spot, _ = stored_place(document)
        found[(document.follower, *spot)].append(document)
    return sorted(found.items(), key=itemgetter(0))


def _held(
    positions: Iterable[tuple[PositionKey, Sequence[Document]]],
    marks: Mapping[tuple[FollowerId, str], Document],
    query: FactQuery,
) -> Iterator[tuple[PositionKey, Position, Mark | None]]:
    for key, parts in positions:
        if query.leader in (None, key[1]) and query.token_id in (None, key[2]):
            position = stored_holding(parts).now
            if position.lots:
                mark = marks.get((parts[0].follower, parts[0].name))
                yield key, position, None if mark is None else kept_in(mark, mark_of)


async def open_orders(history: History, follower: FollowerId | None = None) -> Sequence[OpenOrder]:
    """Return the orders whose outcome is not proven and booked for good, oldest first."""
    found = [kept_in(document, open_order_of) for document in await history.documents("order", follower)]
    return sorted(found, key=lambda one: one.placed_at)


async def waiting_tasks(history: History) -> Sequence[Waiting]:
    """Return the tasks that wait durably, suspended ones among them."""
    return [kept_in(document, waiting_of) for document in await history.documents("waits")]


async def dead_letters(history: History) -> Sequence[DeadLetter]:
    """Return the tasks that a person has to decide about, oldest first."""
    found = [kept_in(document, dead_letter_of) for document in await history.documents("dead")]
    return sorted(found, key=lambda letter: letter.at)


async def follower_modes(history: History) -> Mapping[FollowerId, ModeChange]:
    """Return the modes that hold for one follower each."""
    found = ((one.follower, kept_in(one, mode_of)) for one in await history.documents("money"))
    return {follower: change for follower, change in found if change is not None}


def _entries(page: Iterable[Fact]) -> Iterable[LedgerEntry]:
    for fact in page:
        entry = booked_by(fact)
        if entry is not None:
            yield entry


def _fates(entries: Iterable[LedgerEntry]) -> Iterable[tuple[str, EntryKind]]:
    """Yield which bookings were confirmed or reversed: each is said once."""
    return ((entry.of, entry.kind) for entry in entries if entry.kind in (EntryKind.CONFIRM, EntryKind.REVERSE))


def _settlement(entry: LedgerEntry, later: EntryKind | None) -> str:
    if later is EntryKind.REVERSE:
        return "reversed"
    return "firm" if entry.firm or later is EntryKind.CONFIRM else "provisional"


def _not_copied(fact: Fact) -> NotCopied:
    told = told_by(fact)
    if isinstance(told, SkipTold):
        signal, side, reason = told.signal, told.signal.side, told.skip.reason
    else:
        assert isinstance(told, TaskEnd)
        assert told.outcome is not None
        assert told.outcome.reason is not None
        signal, side, reason = told.task.signal, told.task.intent.side, told.outcome.reason
    return NotCopied(
        at=fact.at,
        signal_id=fact.signal_id,
        follower=fact.follower,
        leader=fact.leader,
        token_id=fact.token_id,
        side=side,
        leader_shares=signal.shares,
        leader_price=signal.price,
        reason=reason,
    )
