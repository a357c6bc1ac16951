"""Watches an engine play a recording, and says what each leader was worth. Sync; memory grows with what is held, not with time.

A mark is here the last price that the recording knows of a token: the last fill of a leader, or the last bid of a book that
was recorded, whichever came later. Of a token without any, what is held counts as worth nothing.
"""

from collections.abc import Callable, Sequence

from attrs import define, evolve, field

from trio_copy.engine.recordings.forgone import Forgone, Refusals, wanted_size
from trio_copy.engine.recordings.recorded_lines import Moment, SeenQuote
from trio_copy.engine.recordings.standing import Curve, Standing
from trio_copy.model.books import SeenPrice
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.decisions import Code, End, Skip
from trio_copy.model.facts import Amounts
from trio_copy.model.fills import Fill, Kind, Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import Address, FollowerId, SignalId, TokenId
from trio_copy.model.positions import EntryKind, LedgerEntry, PositionKey
from trio_copy.model.resolutions import Decided, Resolution
from trio_copy.model.signals import Signal
from trio_copy.model.units import MICRO, Price
from trio_copy.telemetry.observer import Finished, Observer

_FILLED = (End.FILLED, End.PARTIAL)


@define(eq=False)
class _Open:
    """One position, from its opening to its end, in millionths."""

    shares: int = 0
    gained: int = 0


@define(eq=False, kw_only=True)
class Judge(Observer):
    total: Standing
    settings_of: Callable[[FollowerId, Address], FollowSettings | None]
    facts_of: Callable[[TokenId], TokenFacts | None]
    leaders: dict[Address, Standing] = field(factory=dict)
    marks: dict[TokenId, int] = field(factory=dict)
    """Last prices, in millionths of a USD per share."""
    at: float = 0.0
    """Unix seconds of what is played now."""
    quotes: int = 0
    """Books that were recorded."""
    _refusals: Refusals = field(factory=Refusals)
    _held: dict[TokenId, dict[Address, int]] = field(factory=dict)
    """Millionths of shares of all followers together."""
    _positions: dict[PositionKey, _Open] = field(factory=dict)
    _slots: dict[str, dict[TokenId, int]] = field(factory=dict)
    """The tokens of each question that is not decided, with their places among its answers."""
    _unsettled: dict[str, LedgerEntry] = field(factory=dict)
    """Fills that may still be undone, by key."""

    @classmethod
    def over(
        cls,
        start: float,
        end: float,
        *,
        settings_of: Callable[[FollowerId, Address], FollowSettings | None] = lambda follower, leader: None,
        facts_of: Callable[[TokenId], TokenFacts | None] = lambda token: None,
    ) -> "Judge":
        """Make one for a recording that begins and ends at these Unix seconds.

        Args:
            settings_of: tells what is in force for a follow; what is not known is not valued when it is refused.
            facts_of: tells of tokens; while it knows nothing of one, what that is worth is not either.
        """
        return cls(total=Standing(curve=Curve(start, end)), at=start, settings_of=settings_of, facts_of=facts_of)

    def of(self, leader: Address) -> Standing:
        return self.leaders.setdefault(leader, Standing())

    def note_moment(self, moment: Moment) -> None:
        """Hear what is played next."""
        self.at, seen = moment.at, moment.seen
        match seen:
            case SeenQuote(quote=quote) | SeenPrice(quote=quote):
                self.quotes += 1
                known = quote.bid if quote.price is None else quote.price
                if known is not None:
                    self._set_mark(seen.token_id, known.micro)
            case TokenFacts():
                self._slots.setdefault(seen.condition_id, {})[seen.token_id] = seen.slot
            case Decided():
                told = Resolution(condition_id=seen.condition_id, payouts=seen.payouts, block_number=0)
                for token, slot in self._slots.pop(seen.condition_id, {}).items():
                    self.decide(token, told.payout(slot))

    def on_fill(self, fill: Fill, signal_id: SignalId, source: str) -> None:
        self.of(fill.owner)
        if fill.price is not None:
            self._mark(fill.token_id, fill.price.micro)

    def on_signal(self, signal: Signal, admission: str, tasks: int, decided_at: float) -> None:
        if admission == "admitted" and signal.kind is not Kind.EXIT:
            self.total.signals += 1
            self.of(signal.leader).signals += 1
            self._refusals.note_signal(signal)

    def on_skip(self, skip: Skip, signal: Signal) -> None:
        settings = self.settings_of(skip.follower, skip.leader)
        intent = None if settings is None else wanted_size(signal, settings, self.facts_of(signal.token_id))
        self._refusals.refuse(signal, skip.reason, intent)

    def on_finished(self, finished: Finished) -> None:
        task, outcome = finished.task, finished.outcome
        if outcome.end is End.GATHERED:
            return
        for standing in (self.total, self.of(task.signal.leader)):
            standing.tasks += 1
            standing.orders += finished.started_at > 0
            standing.copies += outcome.end in _FILLED
        reason = outcome.reason
        if outcome.end not in _FILLED and reason is not None and reason.code is not Code.LEADER_LEFT:
            self._refusals.refuse(task.signal, reason, task.intent)

    def on_entry(self, entry: LedgerEntry, amounts: Amounts) -> None:
        before = self._unsettled.pop(entry.of, None) if entry.of else None
        sign, booked = 1, entry
        if before is not None and entry.kind is EntryKind.REVERSE:
            sign, booked = -1, before
        elif before is not None and entry.kind is EntryKind.CORRECT:
            booked = evolve(entry, reference=before.reference)
            self._unsettled[before.key] = before.corrected(entry)
        elif not (entry.firm or entry.of):
            self._unsettled[entry.key] = entry
        for standing in (self.total, self.of(entry.leader)):
            standing.book(booked, amounts, sign)
        self._move(booked, sign * (1 if booked.side is Side.BUY else -1), amounts[4] + amounts[5])
        self._look(entry.leader)

    def _move(self, entry: LedgerEntry, sign: int, gained: int) -> None:
        """Let shares come or go, and see whether a position begins or ends with it."""
        moved = sign * entry.shares.micro
        holders = self._held.setdefault(entry.token_id, {})
        before, mark = holders.get(entry.leader, 0), self.marks.get(entry.token_id, 0)
        holders[entry.leader] = before + moved
        self._revalue(entry.leader, before, before + moved, mark, mark)
        if not holders[entry.leader]:
            del holders[entry.leader]
        position = self._positions.setdefault(entry.position, _Open())
        held, position.shares = position.shares, position.shares + moved
        position.gained += gained
        if position.shares <= 0:
            del self._positions[entry.position]
            if held > 0 and moved < 0 and sign < 0 and entry.side is Side.SELL:
                self.total.close(position.gained)
                self.of(entry.leader).close(position.gained)

    def decide(self, token_id: TokenId, payout: Price) -> None:
        """Let what is held of a token be worth what it pays."""
        self._set_mark(token_id, payout.micro)

    def _mark(self, token_id: TokenId, price: int) -> None:
        self._set_mark(token_id, price)
        facts = self.facts_of(token_id)
        if facts is not None and facts.opposite is not None:
            self._set_mark(facts.opposite, max(0, MICRO - price))

    def _set_mark(self, token_id: TokenId, price: int) -> None:
        before = self.marks.get(token_id, 0)
        self.marks[token_id] = price
        if before == price:
            return
        for leader, shares in self._held.get(token_id, {}).items():
            self._revalue(leader, shares, shares, before, price)
            self._look(leader)

    def _revalue(self, leader: Address, shares: int, now: int, mark: int, price: int) -> None:
        change = now * price // MICRO - shares * mark // MICRO
        self.total.value += change
        self.of(leader).value += change

    def _look(self, leader: Address) -> None:
        self.of(leader).look(self.at)
        self.total.look(self.at)

    @property
    def without_mark(self) -> int:
        """Tokens that are held and of which the recording knows no price."""
        return sum(bool(holders) and token not in self.marks for token, holders in self._held.items())

    @property
    def forgone(self) -> Sequence[Forgone]:
        return self._refusals.judged(self.marks)
