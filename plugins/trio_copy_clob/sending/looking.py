"""Looks an order up: at the venue first how it stands, then its trades, then the chain, so that none of them is older.

The chain is asked before anything is final, because its fee and its word count; and now and then about what the venue does not
prove, at growing times. What is on its way and will be told by the venue is not worth its requests.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

import trio
from attrs import define, evolve, field

from trio_copy.errors import ExecutorError
from trio_copy.model.ids import OrderId
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy.model.units import Shares, Usd
from trio_copy.ports import tell_nobody
from trio_copy_clob.sending.calling import NoReply
from trio_copy_clob.sending.chain_logs import SeenFill
from trio_copy_clob.sending.credentials import VenueSigner
from trio_copy_clob.sending.proof import QUIET_S, Evidence, lacks, prove
from trio_copy_clob.sending.seen import SeenOrder, TradeState, by_order, order_of, read_page, trades_of
from trio_copy_clob.sending.sent import Sendings, Sent

_PAGES = 20
_FIRST_CURSOR = "MA=="
_APART_S = 3600
"""Who asks for so much more is no company once that is too much to be read: of an order that is open for days, for instance."""
_EARLIER_S = 600
"""An order is as old as the trade that it copies; clocks differ by less."""
_EARLIER_BY_CHAIN_S = 120
"""The same by the chain's own clock, of which the time of an order is made."""
_CHAIN_S = 3.0
"""The chain has so long to answer; nothing else waits longer for it."""
_MARGIN_S = 0.05
"""So long before its caller gives up, a look says what it knows."""
_UNSEEN_S, _UNCONFIRMED_S = 15.0, 60.0
"""From so long after the last send on, the chain may know what the venue does not tell, or does not confirm."""
_MADE_AT = re.compile(rb'"timestamp":"(\d{1,15})"')

ReadFills = Callable[[Order, int, float], Awaitable[tuple[SeenFill, ...]]]
"""Asks the chain what it filled of an order that was made at a Unix second; see `ChainFills.of`."""


def rests(order: Order) -> bool:
    """Tell whether an order stays open where it is not filled: its frozen body says so, a GTC or GTD order."""
    return b'"orderType":"GT' in order.body


def made_at(order: Order, earlier_s: int = _EARLIER_S) -> int:
    """Return since when an order may have been matched, in Unix seconds; 0 where its body does not say."""
    found = _MADE_AT.search(order.body)
    return max(0, int(found[1]) // 1000 - earlier_s) if found else 0


@define(eq=False)
class TradesRead:
    """The trades of one signer, read once for all who ask meanwhile: many orders are waited for at a time."""

    signer: VenueSigner
    _rows: Mapping[OrderId, Sequence[bytes]] = field(factory=dict)
    """By the orders that they name."""
    _whole: bool = False
    _since: int = 0
    _wanted: list[int] = field(factory=list)
    """Since when those who wait want to know."""
    _begun: int = 0
    """Counts the reads."""
    _number: int = 0
    """Which of them brought these rows."""
    _one: trio.Lock = field(factory=trio.Lock)

    async def since(self, since: int, until: float) -> tuple[Mapping[OrderId, Sequence[bytes]], bool]:
        """Return the rows of trades since a Unix second, as of now or later, and whether these are all of them.

        Raises:
            ExecutorError: nobody answers.
        """
        before = self._begun
        self._wanted.append(since)
        try:
            async with self._one:
                if self._number <= before or not self._serves(since):
                    await self._read_from(min(self._wanted), until)
                    if not self._serves(since):
                        await self._read_from(min(one for one in self._wanted if since - one <= _APART_S), until)
                found, whole = self._rows, self._whole
                if not self._one.statistics().tasks_waiting:
                    self._rows, self._number = {}, 0  # nobody else may use them: thousands of signers would keep much
                return found, whole
        finally:
            self._wanted.remove(since)

    async def _read_from(self, since: int, until: float) -> None:
        self._begun = number = self._begun + 1
        rows, self._whole = await self._read(since, until)
        self._rows, self._since, self._number = by_order(rows), since, number

    def _serves(self, since: int) -> bool:
        """Tell whether what was read last is good for who wants to know since then: what was cut off for another is not."""
        return self._since <= since and (self._whole or since - self._since <= _APART_S)

    async def _read(self, since: int, until: float) -> tuple[list[bytes], bool]:
        rows: list[bytes] = []
        cursor: str | None = _FIRST_CURSOR
        seen = set[str]()
        while cursor is not None and cursor not in seen and len(seen) < _PAGES:
            seen.add(cursor)
            # By time, and not by token: the venue looks for the taker's, and a maker may have met the other answer's.
            params = [("after", str(since)), ("next_cursor", cursor)]
            body = await read(self.signer, "/data/trades", until, params)
            try:
                page, cursor = read_page(body or b"")
            except ValueError as error:
                raise ExecutorError(f"trades cannot be read: {error}"[:200]) from None
            rows += page
        return rows, cursor is None


@define(eq=False, kw_only=True)
class Looking:
    sendings: Sendings
    read_fills: ReadFills | None = None
    """None where no chain is configured."""
    on_trouble: Callable[[str, str], None] = tell_nobody
    _trades: dict[str, TradesRead] = field(factory=dict)
    """By the address of the signer."""

    async def look_up(self, order: Order, signer: VenueSigner, until: float) -> ExecutionReport | None:
        """Say what became of an order, as far as that is proven; None where nobody can tell yet.

        Raises:
            ExecutorError: nobody answers.
        """
        asked_at = trio.current_time()
        sent = self.sendings.of(order.order_id, asked_at)
        away: ExecutorError | None = None
        try:
            seen = await self._at_venue(order, signer, sent, asked_at, until)
        except ExecutorError as error:
            # All of an order that is on the chain is proven without the venue; nothing else is.
            away = error
            seen = Evidence(whole=False, there=sent.there, told=sent.told, was_on_chain=sent.on_chain, shown=sent.shown)
        report = prove(order, seen, rests=rests(order))
        if self.read_fills is not None and _worth_asking(report, seen, sent, asked_at):
            report, seen = await self._by_chain(order, seen, report, self.read_fills)
        if (report is None or report.off_book) and not sent.lacks and (lacking := lacks(order, seen)) is not None:
            self.sendings.lacks(order.order_id, asked_at)
            self.on_trouble("venue-unclear", f"order {order.order_id}: {lacking}")
        if report is None and away is not None:
            raise away
        return report

    async def _at_venue(self, order: Order, signer: VenueSigner, sent: Sent, asked_at: float, until: float) -> Evidence:
        if sent.told is not None and not rests(order):
            # It is over, and how much it filled is known: how it stands adds nothing, unless some of it was undone.
            seen = await self._seen(order, signer, until, asked_at, None)
            if all(trade.state is not TradeState.FAILED for trade in seen.trades):
                return seen
        standing = await self._standing(order, signer, until)
        return await self._seen(order, signer, until, asked_at, standing)

    async def _seen(
        self, order: Order, signer: VenueSigner, until: float, asked_at: float, standing: SeenOrder | None
    ) -> Evidence:
        """Read the trades, after how it stands was asked, if it was."""
        sent = self.sendings.of(order.order_id, asked_at)
        trades = self._trades.setdefault(signer.address, TradesRead(signer))
        rows, whole = await trades.since(made_at(order), until)
        found, read_all = trades_of(rows.get(order.order_id, ()), order)
        lived_at = sent.at
        if standing is not None or found:
            self.sendings.is_there(order.order_id, asked_at)
            if rests(order):
                # It may have rested for hours since it was sent: what it filled at last is as young as the end of that.
                open_ = standing is not None and standing.open
                shows = (standing, frozenset((trade.trade_id, trade.shares) for trade in found))
                lived_at = self.sendings.looked(order.order_id, asked_at, shows, open_=open_)
        return Evidence(
            trades=found,
            order=standing,
            whole=whole and read_all,
            quiet_s=asked_at - lived_at,
            there=self.sendings.of(order.order_id, asked_at).there,
            told=sent.told,
            was_on_chain=sent.on_chain,
            shown=sent.shown,
        )

    async def _by_chain(
        self, order: Order, seen: Evidence, by_venue: ExecutionReport | None, read_fills: ReadFills
    ) -> tuple[ExecutionReport | None, Evidence]:
        """Say the same with what the chain says, and return what it said. One that does not answer holds up nothing that the
        venue proves alone.
        """
        now, fills = trio.current_time(), None
        until = min(now + _CHAIN_S, trio.current_effective_deadline() - _MARGIN_S)
        try:
            fills = await read_fills(order, made_at(order, _EARLIER_BY_CHAIN_S), until)
        except ExecutorError:
            pass
        else:
            self.sendings.chain_looked(order.order_id, now, sum(one.shares for one in fills))
        on_chain = seen.was_on_chain or bool(fills)
        seen = evolve(seen, fills=fills, heard=fills is not None, there=seen.there or on_chain, was_on_chain=on_chain)
        report = prove(order, seen, rests=rests(order))
        if report is None and by_venue is not None and by_venue.shares and by_venue.settlement is Settlement.FIRM:
            # It would leave the order, as a fee does that the market did not name. What the venue has confirmed stands.
            told = "; ".join(f"{Shares(one.shares)} for {Usd(one.paid)}, fee {Usd(one.fee)}" for one in fills or ())
            self.on_trouble("venue-unclear", f"order {order.order_id}: the chain says {told}"[:300])
            return by_venue, seen
        return report, seen

    async def _standing(self, order: Order, signer: VenueSigner, until: float) -> SeenOrder | None:
        body = await read(signer, f"/data/order/{order.order_id}", until)
        try:
            return None if body is None else order_of(body, order)
        except ValueError as error:
            raise ExecutorError(f"order {order.order_id} cannot be read: {error}"[:200]) from None


def _worth_asking(report: ExecutionReport | None, seen: Evidence, sent: Sent, now: float) -> bool:
    """Tell whether to ask the chain, after what the venue proves."""
    if report is not None and report.status is Status.RESTING:
        # Off the book, and the minute is over in which its trades are told: perhaps they never are.
        return report.off_book and seen.quiet_s >= QUIET_S and now >= sent.chain_at
    if report is not None and report.settlement in (Settlement.FIRM, Settlement.FAILED):
        return True
    since_s = _UNSEEN_S if report is None else _UNCONFIRMED_S
    return now >= max(sent.at + since_s, sent.chain_at)


async def read(
    signer: VenueSigner, path: str, until: float, params: list[tuple[str, str]] | None = None
) -> bytes | None:
    """Ask for something of one signer; None where there is none.

    Raises:
        ExecutorError: nobody answers, or not with what was asked for.
    """
    reply = await signer.ask("GET", path, until=until, params=params or ())
    if isinstance(reply, NoReply):
        raise ExecutorError(f"{path}: {reply.why}")
    if reply.status == 404:
        return None
    if reply.status != 200:
        raise ExecutorError(f"{path}: HTTP status {reply.status}")
    return reply.body
