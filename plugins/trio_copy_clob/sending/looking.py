"""Looks an order up: at the venue first how it stands, then its trades, then the chain, so that none of them is older."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

import trio
from attrs import define, field

from trio_copy.errors import ExecutorError
from trio_copy.model.ids import OrderId
from trio_copy.model.orders import ExecutionReport, Order
from trio_copy_clob.sending.calling import NoReply
from trio_copy_clob.sending.credentials import VenueSigner
from trio_copy_clob.sending.proof import Evidence, prove
from trio_copy_clob.sending.seen import SeenFill, SeenOrder, TradeState, by_order, order_of, read_page, trades_of
from trio_copy_clob.sending.sent import Sendings

_PAGES = 20
_NEVER = 1 << 62
_FIRST_CURSOR = "MA=="
_EARLIER_S = 600
"""An order is as old as the trade that it copies; clocks differ by less."""
_MADE_AT = re.compile(rb'"timestamp":"(\d{1,15})"')

ReadFills = Callable[[Order], Awaitable[tuple[SeenFill, ...]]]
"""Asks the chain what it filled of an order. Raises `ExecutorError` when nobody answers."""


def rests(order: Order) -> bool:
    """Tell whether an order stays open where it is not filled: its frozen body says so, a GTC or GTD order."""
    return b'"orderType":"GT' in order.body


def made_at(order: Order) -> int:
    """Return since when an order may have been matched, in Unix seconds; 0 where its body does not say."""
    found = _MADE_AT.search(order.body)
    return max(0, int(found[1]) // 1000 - _EARLIER_S) if found else 0


@define(eq=False)
class TradesRead:
    """The trades of one signer, read once for all who ask meanwhile: many orders are waited for at a time."""

    signer: VenueSigner
    _rows: Mapping[OrderId, Sequence[bytes]] = field(factory=dict)
    """By the orders that they name."""
    _whole: bool = False
    _since: int = 0
    _wanted: int = _NEVER
    """The earliest moment that anybody who waits has asked for."""
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
        self._wanted = min(self._wanted, since)
        async with self._one:
            if self._number <= before or self._since > since:
                self._begun = number = self._begun + 1
                since, self._wanted = min(since, self._wanted), _NEVER
                rows, self._whole = await self._read(since, until)
                self._rows, self._since, self._number = by_order(rows), since, number
            found, whole = self._rows, self._whole
            if not self._one.statistics().tasks_waiting:
                self._rows, self._number = {}, 0  # nobody else may use them: thousands of signers would keep much
            return found, whole

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
    _trades: dict[str, TradesRead] = field(factory=dict)
    """By the address of the signer."""

    async def look_up(self, order: Order, signer: VenueSigner, until: float) -> ExecutionReport | None:
        """Say what became of an order, as far as that is proven; None where nobody can tell yet.

        Raises:
            ExecutorError: nobody answers.
        """
        asked_at = trio.current_time()
        if self.sendings.of(order.order_id, asked_at).told is not None and not rests(order):
            # It is over, and how much it filled is known: how it stands adds nothing, unless some of it was undone.
            seen = await self._seen(order, signer, until, asked_at, None)
            if all(trade.state is not TradeState.FAILED for trade in seen.trades):
                return prove(order, seen, rests=False)
        standing = await self._standing(order, signer, until)
        return prove(order, await self._seen(order, signer, until, asked_at, standing), rests=rests(order))

    async def _seen(
        self, order: Order, signer: VenueSigner, until: float, asked_at: float, standing: SeenOrder | None
    ) -> Evidence:
        """Read the trades and the chain, after how it stands was asked, if it was."""
        sent = self.sendings.of(order.order_id, asked_at)
        trades = self._trades.setdefault(signer.address, TradesRead(signer))
        rows, whole = await trades.since(made_at(order), until)
        found, read_all = trades_of(rows.get(order.order_id, ()), order)
        if standing is not None or found:
            self.sendings.is_there(order.order_id, asked_at)
        fills, heard = await self._fills(order)
        return Evidence(
            trades=found,
            order=standing,
            fills=fills,
            whole=whole and read_all and heard,
            quiet_s=asked_at - sent.at,
            there=self.sendings.of(order.order_id, asked_at).there,
            told=sent.told,
        )

    async def _fills(self, order: Order) -> tuple[tuple[SeenFill, ...] | None, bool]:
        """Ask the chain, where there is one; one that does not answer proves nothing, and holds up no other proof."""
        try:
            return (None if self.read_fills is None else await self.read_fills(order)), True
        except ExecutorError:
            return None, False

    async def _standing(self, order: Order, signer: VenueSigner, until: float) -> SeenOrder | None:
        body = await read(signer, f"/data/order/{order.order_id}", until)
        try:
            return None if body is None else order_of(body, order)
        except ValueError as error:
            raise ExecutorError(f"order {order.order_id} cannot be read: {error}"[:200]) from None


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
