"""What a venue has written down against what the books say, once engines have come to their end: one sentence for whatever differs."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import msgspec
from attrs import define, field, frozen

from tests.crash.books import Books
from tests.crash.checker import AtVenue, History
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, OrderId, TokenId
from trio_copy.model.orders import ExecutionReport, Order, SignatureType, Status
from trio_copy.model.positions import EntryKind
from trio_copy.model.units import Shares, Usd
from trio_copy.native import SecretKey
from trio_copy.testing.clob_venue import Accepted, Answered, Filled, Settled, VenueRecord

_CLOSE = 100
"""Millionths by which a trade may lie off the price that an order names: what rounding leaves of a ten-thousandth."""
Moved = Mapping[tuple[Address, TokenId, Side], Mapping[str, int]]
"""Shares, cash and fee, by wallet, token and side."""


@frozen(kw_only=True)
class Member:
    """A follower and what it pays with."""

    name: FollowerId
    key: SecretKey = field(repr=False)
    address: Address
    kind: SignatureType


@define(eq=False, kw_only=True)
class Left:
    """What is left of a history at a venue, besides the books."""

    record: VenueRecord
    members: Sequence[Member]
    signing: Path
    """Of the guards."""
    truth: Mapping[str, int]
    """The leaders' orders on the chain, by hash, with their blocks."""
    armed: int | None
    """The block from which on engines copied; None where none ever did."""
    sent: Mapping[OrderId, Order]

    def problems(self, books: Books) -> list[str]:
        """Compare all of it with the books."""
        names, venue, wrong = [one.name for one in self.members], [], list[str]()
        for one in self._at_venue():
            if isinstance(one, str):
                wrong.append(one)
            else:
                venue.append(one)
        verdict = History(
            truth=self.truth,
            armed={} if self.armed is None else dict.fromkeys(names, self.armed),
            venue=venue,
            books=books,
            followers=names,
        ).check()
        return [
            *verdict.lost,
            *verdict.doubled,
            *verdict.wrong,
            *wrong,
            *self._off_limits(),
            *self._uncounted(venue),
            *self._unequal(books),
        ]

    @cached_property
    def undone(self) -> set[str]:
        """Trades that the chain did not keep."""
        return {one.trade_id for one in self.record.of(Settled) if one.status == "FAILED"}

    def _at_venue(self) -> Iterator[AtVenue | str]:
        """Yield every order that reached the venue, whether it was taken or not, as of its last sending; or what is wrong with it."""
        bodies, last = defaultdict[str, set[str]](set), dict[str, float]()
        for one in self.record.of(Answered):
            if (one.method, one.path) != ("POST", "/order"):
                continue
            for order_id in one.order_ids:
                last[order_id] = one.at_ms / 1000
                bodies[order_id].add(one.body)
        for order_id, at in last.items():
            order, fills = self.sent.get(OrderId(order_id)), self.record.fills(order_id)
            if order is None:
                yield f"nobody sent {order_id}"
                continue
            if len(bodies[order_id]) > 1:
                yield f"{order_id} was sent with {len(bodies[order_id])} bodies"
            kept = [fill for fill in fills if fill.trade_id not in self.undone]
            failed = bool(fills) and not kept
            yield AtVenue(
                order=order,
                report=_report(order, fills if failed else kept),
                told=_report(order, fills),
                failed=failed,
                at=at,
            )

    def _off_limits(self) -> Iterator[str]:
        """Yield orders that got more than they were signed for, or at a worse price."""
        for taken in {one.order_id: one for one in self.record.of(Accepted)}.values():
            fills = self.record.fills(taken.order_id)
            shares, cash = sum(one.shares for one in fills), sum(one.cash for one in fills)
            buys = taken.side is Side.BUY
            given, got = (cash, shares) if buys else (shares, cash)
            if given > taken.maker_amount:
                yield f"{taken.order_id} gave {given} of {taken.maker_amount}"
            if taken.maker_amount * got + _CLOSE * taken.taker_amount < taken.taker_amount * given:
                yield f"{taken.order_id} gave {given} for {got}, signed was {taken.maker_amount} for {taken.taker_amount}"
            if taken.order_type in ("FAK", "FOK") and len({one.at_ms for one in fills}) > 1:
                yield f"{taken.order_id} was filled at several times"

    def _uncounted(self, venue: Iterable[AtVenue]) -> Iterator[str]:
        """Yield orders that reached the venue and are not in the journal of their guard, once."""
        counted = Counter(keys_in(self.signing))
        for key in {one.order.key for one in venue} | set(counted):
            if counted[key] != 1:
                yield f"{key} left, and was counted {counted[key]} times"

    def _unequal(self, books: Books) -> Iterator[str]:
        """Yield what wallets gave and got otherwise than the books say, to the millionth."""
        booked, filled = self.booked(books), defaultdict[tuple[Address, TokenId, Side], Counter[str]](Counter)
        for fill in self.record.of(Filled):
            if fill.trade_id not in self.undone:
                sums = filled[Address(fill.wallet), fill.token_id, fill.side]
                sums.update(shares=fill.shares, cash=fill.cash, fee=fill.fee)
        for key in {*booked, *filled}:
            if (ours := booked.get(key, Counter())) != filled[key]:
                yield f"{key}: the books say {dict(ours)}, the venue {dict(filled[key])}"

    def booked(self, books: Books) -> Moved:
        """Return what the books say that wallets gave and got, without what was undone."""
        undone = {one.of for one in books.entries if one.kind is EntryKind.REVERSE}
        booked: dict[tuple[Address, TokenId, Side], Counter[str]] = defaultdict(Counter)
        addresses = {one.name: one.address for one in self.members}
        for one in books.entries:
            if one.kind in (EntryKind.FILL, EntryKind.CORRECT) and not {one.key, one.of} & undone:
                sums = booked[addresses[one.follower], one.token_id, one.side]
                sums.update(shares=one.shares.micro, cash=one.notional.micro, fee=one.fee.micro)
        return booked


def keys_in(signing: Path) -> Iterator[str]:
    """Yield the keys of what guards have let leave, as their journals tell it."""
    for path in signing.glob("signed-*"):
        for line in path.read_bytes().splitlines():
            yield msgspec.json.decode(line)[2]


def _report(order: Order, fills: Sequence[Filled]) -> ExecutionReport:
    return ExecutionReport(
        order_id=order.order_id,
        status=Status.PARTIAL if fills else Status.KILLED,
        shares=Shares(sum(fill.shares for fill in fills)),
        notional=Usd(sum(fill.cash for fill in fills)),
        fee=Usd(sum(fill.fee for fill in fills)),
    )
