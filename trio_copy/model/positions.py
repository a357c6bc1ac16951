"""The ledger: immutable entries, and positions as folds over them.

A position belongs to (follower, leader, token). Its lots are sold first in, first out. What the venue has matched but the
chain has not settled is provisional: it counts for what can be sold and spent, and is shown apart until it is firm.
"""

from collections import defaultdict
from collections.abc import Iterable
from enum import Enum
from functools import reduce

from attrs import evolve

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, SignalId, TaskId, TokenId
from trio_copy.model.units import NO_PRICE, NO_SHARES, NO_USD, Price, Rounding, Shares, Usd
from trio_copy.model.values import value

PositionKey = tuple[FollowerId, Address, TokenId]
_BUY = Side.BUY


class EntryKind(Enum):
    FILL = "fill"
    """The follower's order was executed."""
    REDEMPTION = "redemption"
    """The question was resolved: the shares became what they pay."""
    CONFIRM = "confirm"
    """An earlier entry is settled for good."""
    REVERSE = "reverse"
    """An earlier entry was matched but never settled: it did not happen."""
    CORRECT = "correct"
    """An earlier entry settled with other amounts: this one has the difference, below zero for what is less."""
    MISSED = "missed"
    """The leader left and this follower could not: only how much the leader still holds changes."""

    __hash__ = object.__hash__


_MISSED, _CORRECT = EntryKind.MISSED, EntryKind.CORRECT
_ABOUT_OTHERS = (EntryKind.CONFIRM, EntryKind.REVERSE, _CORRECT)
GHOST_LEAST = Shares(10_000)
"""Fewer shares than this are what rounding leaves: venues trade in hundredths of a share."""


@value
class LedgerEntry:
    """One booking; `key` makes it count once however often it is booked."""

    key: str
    """The intent key of a fill; other kinds add their kind to it."""
    task_id: TaskId
    signal_id: SignalId
    follower: FollowerId
    leader: Address
    token_id: TokenId
    side: Side
    shares: Shares
    notional: Usd
    fee: Usd
    booked_at: float
    """Unix seconds."""
    leader_shares: Shares = NO_SHARES
    """The leader's shares that this answers: what he bought, or sold of it."""
    reference: Price = NO_PRICE
    """The leader's price, which slippage is measured against; 0 where there was none."""
    firm: bool = True
    """False while the venue has matched the order but nothing is settled."""
    kind: EntryKind = EntryKind.FILL
    of: str = ""
    """The key of the entry that a CONFIRM, REVERSE or CORRECT is about."""
    why: str = ""
    """Of a CORRECT: what its venue says about it."""

    @property
    def position(self) -> PositionKey:
        return (self.follower, self.leader, self.token_id)

    @property
    def price(self) -> Price | None:
        shares = self.shares.micro
        return self.notional.per(self.shares, Rounding.NEAREST) if shares and self.kind is not _CORRECT else None

    @property
    def slippage_bps(self) -> int | None:
        """How much worse than the leader's price it was."""
        price = self.price
        return None if price is None else slippage_bps(self.side, self.reference, price)

    def corrected(self, by: "LedgerEntry") -> "LedgerEntry":
        """Return this entry as a CORRECT of it leaves it: what it counts as from then on, in its old place."""
        return evolve(self, shares=self.shares + by.shares, notional=self.notional + by.notional, fee=self.fee + by.fee)

    @property
    def is_ghost(self) -> bool:
        """Whether it takes back a fill that was told and never settled, or a part of one."""
        undone = self.kind is _CORRECT and self.shares.micro <= -GHOST_LEAST.micro
        return undone or self.kind is EntryKind.REVERSE


@value
class Lot:
    """Shares bought by one entry and not sold yet."""

    key: str
    shares: Shares
    cost: Usd
    """Paid for the shares still held, fees included."""
    opened_at: float
    firm: bool


@value
class Position:
    """What one follower holds of one token on one leader's account."""

    lots: tuple[Lot, ...] = ()
    shares: Shares = NO_SHARES
    """Of all lots together; kept, because adding up hundreds of lots for each booking would cost more than the booking."""
    cost: Usd = NO_USD
    """Of all lots together, fees included."""
    realised: Usd = NO_USD
    """Firm: proceeds of what was sold or redeemed, less fees, less its cost (rounded up)."""
    provisional: Usd = NO_USD
    """The same of sales that are not settled, or that sold what is not settled."""
    fees: Usd = NO_USD
    leader_shares: Shares = NO_SHARES
    """What the leader still holds of what these lots copied."""
    oversold: Shares = NO_SHARES
    """Sold without being held: only when a purchase, or a part of it, was taken back after it was sold on."""

    @property
    def firm_shares(self) -> Shares:
        return Shares(sum([lot.shares.micro for lot in self.lots if lot.firm]))

    @property
    def opened_at(self) -> float:
        """Unix seconds at which the oldest lot was bought; 0 where there is none."""
        return self.lots[0].opened_at if self.lots else 0.0

    @property
    def average_cost(self) -> Price | None:
        return self.cost.per(self.shares, Rounding.UP) if self.lots else None

    def after(self, entry: LedgerEntry) -> "Position":
        """Fold a FILL, REDEMPTION or MISSED in. The other kinds change an earlier entry: see `fold`."""
        if entry.kind is _MISSED:
            return evolve(self, leader_shares=self._leader_left(entry))
        shares, fee = entry.shares.micro, entry.fee.micro
        if not shares:
            return self
        fees = Usd(self.fees.micro + fee) if fee else self.fees
        if entry.side is _BUY:
            cost = Usd(entry.notional.micro + fee) if fee else entry.notional
            return Position(
                (*self.lots, Lot(entry.key, entry.shares, cost, entry.booked_at, entry.firm)),
                Shares(self.shares.micro + shares),
                Usd(self.cost.micro + cost.micro),
                self.realised,
                self.provisional,
                fees,
                Shares(self.leader_shares.micro + entry.leader_shares.micro),
                self.oversold,
            )
        lots, paid, short, firm = _sold(self.lots, shares)
        gained = entry.notional.micro - fee - paid
        settled = firm and entry.firm
        return Position(
            lots,
            Shares(self.shares.micro - shares + short),
            Usd(self.cost.micro - paid),
            Usd(self.realised.micro + gained) if settled else self.realised,
            self.provisional if settled else Usd(self.provisional.micro + gained),
            fees,
            self._leader_left(entry) if lots else NO_SHARES,
            Shares(self.oversold.micro + short) if short else self.oversold,
        )

    def _leader_left(self, entry: LedgerEntry) -> Shares:
        return Shares(max(0, self.leader_shares.micro - entry.leader_shares.micro))


EMPTY = Position()


def fold(entries: Iterable[LedgerEntry]) -> Position:
    """Return the position that its entries, in the order of booking, add up to. This is the definition."""
    ordered = tuple(entries)
    reversed_keys = {entry.of for entry in ordered if entry.kind is EntryKind.REVERSE}
    confirmed = {entry.of for entry in ordered if entry.kind is EntryKind.CONFIRM}
    corrections: defaultdict[str, list[LedgerEntry]] = defaultdict(list)
    for entry in ordered:
        if entry.kind is _CORRECT:
            corrections[entry.of].append(entry)
    position = EMPTY
    for entry in ordered:
        if entry.kind not in _ABOUT_OTHERS and entry.key not in reversed_keys:
            counts = reduce(LedgerEntry.corrected, corrections[entry.key], entry)
            position = position.after(evolve(counts, firm=True) if entry.key in confirmed else counts)
    return position


@value(kw_only=True)
class Booking:
    """What booking an entry changed."""

    first: bool
    """False when the entry was booked before; the rest then tells what it changed at that time."""
    realised: Usd = NO_USD
    released: Usd = NO_USD
    """By how much the open cost fell; negative when it rose."""
    closed: bool = False
    """Whether the position held shares before and holds none now."""
    opened: bool = False
    """Whether it holds shares now and held none before."""

    @classmethod
    def of(cls, before: Position, after: Position) -> "Booking":
        return cls(
            first=True,
            realised=after.realised + after.provisional - before.realised - before.provisional,
            released=before.cost - after.cost,
            closed=bool(before.lots) and not after.lots,
            opened=bool(after.lots) and not before.lots,
        )


@value(kw_only=True)
class Mark:
    """What a position could be sold for."""

    price: Price
    """The best bid when it was last looked at."""
    peak: Price
    """The highest bid since the position was opened."""
    at: float
    """Unix seconds."""


def _sold(lots: tuple[Lot, ...], shares: int) -> tuple[tuple[Lot, ...], int, int, bool]:
    """Take millionths of shares from the oldest lots: what is left, what they cost, what was missing, whether all were firm."""
    cost, left, firm = 0, shares, True
    for number, lot in enumerate(lots):
        if not left:
            return lots[number:], cost, 0, firm
        held, paid = lot.shares.micro, lot.cost.micro
        firm = firm and lot.firm
        if held > left:
            part = -(-paid * left // held)
            rest = Lot(lot.key, Shares(held - left), Usd(paid - part), lot.opened_at, lot.firm)
            return (rest, *lots[number + 1 :]), cost + part, 0, firm
        cost, left = cost + paid, left - held
    return (), cost, left, firm


def slippage_bps(side: Side, reference: Price, price: Price) -> int | None:
    """Return how much worse than a reference a price was, in basis points rounded up; negative when better."""
    if not reference:
        return None
    worse = price.micro - reference.micro if side is Side.BUY else reference.micro - price.micro
    return -(-worse * 10_000 // reference.micro)
