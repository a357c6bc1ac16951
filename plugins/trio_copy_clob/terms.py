"""What the CLOB lets orders for a token be, and what is offered: asked of the CLOB's own host, for that is who judges them.

Terms are kept: they change seldom, and an order that is refused because they did lets them be read anew. The best prices
are those of a market source where one tells them, else of a book that is read each time; its tick is the newest there is. Where
several orders share a book, it is read whatever a source tells: nobody else tells of its depth.

What cannot be read is asked for again, as what does not come is. An exit leaves without what it only would like to know: a book,
or newer terms than were read before.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from functools import partial
from typing import TypeVar

import msgspec
import trio
from attrs import define, evolve, field, frozen

from trio_copy.entropy import Entropy
from trio_copy.errors import OrderNotSent
from trio_copy.model.books import Book, Quote
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.fees import EXPONENT_MOST
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import Market
from trio_copy.model.units import Price, Ratio, Shares
from trio_copy.model.venue_amounts import LEAST_PURCHASE
from trio_copy.ports import Facts, Quotes
from trio_copy_clob.books import STRUCTURED, book_of
from trio_copy_clob.pacing import LONGEST_TOLD_S, Growing, told_s
from trio_copy_clob.sending.bodies import object_of
from trio_copy_clob.sending.calling import Caller, NoReply
from trio_copy_clob.sending.limits import Turns
from trio_copy_clob.sending.texts import Row, row_of
from trio_copy_clob.wire import (
    MISREAD,
    BookRow,
    ClobFeeRow,
    ClobMarketRow,
    QuestionRow,
    clean,
    condition_of,
    price_of,
    ratio_of,
    read,
    shares_of,
    token_of,
)

_T = TypeVar("_T", bound=msgspec.Struct)
_R = TypeVar("_R")
_KEPT_S = 300.0
_CLOSED_KEPT_S = 1.0
"""That no orders are taken may be over in a moment; hundreds who ask at once are told the same."""
_CLOSED_AGAIN_S = 1.5
"""So much later an exit asks again whether no orders are taken, before it ends by that."""
_EXIT_WAITS_S = 0.5
"""So long an exit waits for what it can leave without."""
_KEPT = 10_000
_ANSWER_S = 3.0
"""How long one answer is waited for; it is asked again then."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0


@frozen(kw_only=True)
class Terms:
    tick: Price
    minimum: Shares
    fee_rate: Ratio
    fee_exponent: int
    exchange: str
    open: bool


@frozen
class _Kept:
    terms: Terms
    at: float
    """By Trio's clock."""
    heard: TokenFacts | None
    """What a market source said of the token by then: where it says something else, it has heard of a change."""


@define(eq=False, kw_only=True)
class TermsReader:
    caller: Caller
    reads: Turns
    entropy: Entropy
    now: Callable[[], float]
    """Unix seconds by the venue's clock."""
    quotes: Quotes | None = None
    facts: Facts | None = None
    _kept: OrderedDict[TokenId, _Kept] = field(factory=OrderedDict)
    _asking: dict[TokenId, trio.Lock] = field(factory=dict)

    async def market(self, token_id: TokenId, until: float, *, with_book: bool = False) -> Market:
        """Return a token's market, until a moment of Trio's clock; with its book where several orders shall share that.

        Raises:
            OrderNotSent: nobody answers in time, or not so that it can be believed; or there is no such token.
        """
        with trio.CancelScope(deadline=until):
            terms, book = await self._terms(token_id, until), None
            quote = self._quote(token_id)
            if (with_book or quote is None) and terms.open:
                seen = await self._read_book(token_id, until)
                if seen is None:
                    terms, quote = evolve(terms, open=False), None
                else:
                    terms, quote = await self._by_book(terms, seen, until), seen.book.quote
                    book = seen.book if with_book else None
            return _market(token_id, terms, quote, book)
        raise OrderNotSent("the venue does not say in time what orders may be")

    async def market_for_exit(self, token_id: TokenId, until: float) -> Market:
        """Return a token's market, until a moment of Trio's clock, as far as an exit needs it; its best prices may be missing.

        That no orders are taken is asked twice, a while apart. A book that is not there proves nothing: the order itself is
        refused where there is none.

        Raises:
            OrderNotSent: as `market` does, of terms that were never read.
        """
        with trio.CancelScope(deadline=until):
            terms = await self._terms_of_exit(token_id, until)
            if not terms.open:
                await trio.sleep(_CLOSED_AGAIN_S)
                terms = await self._terms(token_id, until)
            quote = self._quote(token_id)
            if quote is None and terms.open:
                seen = None
                with suppress(OrderNotSent), trio.move_on_after(_EXIT_WAITS_S):
                    seen = await self._read_book(token_id, until)
                if seen is not None:
                    terms, quote = await self._by_book(terms, seen, until), seen.book.quote
            return _market(token_id, terms, quote, None)
        raise OrderNotSent("the venue does not say in time what orders may be")

    def forget(self, token_id: TokenId) -> None:
        """Read its terms anew: they are not what they were."""
        self._kept.pop(token_id, None)

    def exchange(self, token_id: TokenId) -> str:
        """Return which exchange trades a token, as far as that is known without asking."""
        kept = self._kept.get(token_id)
        return kept.terms.exchange if kept is not None else "" if token_id & STRUCTURED else "v3"

    def _quote(self, token_id: TokenId) -> Quote | None:
        return None if self.quotes is None else self.quotes.quote(token_id)

    async def _terms_of_exit(self, token_id: TokenId, until: float) -> Terms:
        """Return a token's terms, those of before where nobody tells new ones at once."""
        before = self._kept.get(token_id)
        if before is None or not before.terms.open:
            return await self._terms(token_id, until)
        with suppress(OrderNotSent), trio.move_on_after(_EXIT_WAITS_S):
            return await self._terms(token_id, until)
        return before.terms

    async def _terms(self, token_id: TokenId, until: float) -> Terms:
        await trio.lowlevel.checkpoint_if_cancelled()
        if (terms := self._known(token_id)) is not None:
            return terms
        # Many wait for one that asks; cancelled, the next of them asks himself.
        one = self._asking.setdefault(token_id, trio.Lock())
        try:
            async with one:
                terms = self._known(token_id)
                if terms is None:
                    heard = self._heard(token_id)
                    terms = await self._read_terms(token_id, until)
                    self._kept[token_id] = _Kept(terms, trio.current_time(), heard)
                    self._kept.move_to_end(token_id)
                    if len(self._kept) > _KEPT:
                        self._kept.popitem(last=False)
                return terms
        finally:
            if not one.statistics().tasks_waiting:
                self._asking.pop(token_id, None)

    def _known(self, token_id: TokenId) -> Terms | None:
        kept = self._kept.get(token_id)
        if kept is None or kept.heard != self._heard(token_id):
            return None
        kept_s = _KEPT_S if kept.terms.open else _CLOSED_KEPT_S
        return kept.terms if trio.current_time() - kept.at <= kept_s else None

    def _heard(self, token_id: TokenId) -> TokenFacts | None:
        return None if self.facts is None else self.facts.of(token_id)

    async def _read_terms(self, token_id: TokenId, until: float) -> Terms:
        condition = await self._get(f"/markets-by-token/{token_id}", partial(_read_condition, token_id), until)
        terms = None
        if condition is not None:
            terms = await self._get(f"/clob-markets/{condition}", lambda body: read_terms(body, token_id), until)
        if terms is None:
            raise OrderNotSent(f"token {token_id}: the venue knows no market of it")
        return terms

    async def _read_book(self, token_id: TokenId, until: float) -> "_SeenBook | None":
        """Read a book; None where the venue says that there is none."""

        def read_it(body: bytes) -> _SeenBook:
            with _believed(f"book of token {token_id}"):
                row = _row(body, BookRow)
                book = book_of(row, self.now())
                if book.token_id != token_id:
                    raise ValueError("it is of another token")
                return _SeenBook(book, row.version)

        return await self._get("/book", read_it, until, [("token_id", str(token_id))])

    async def _by_book(self, terms: Terms, seen: "_SeenBook", until: float) -> Terms:
        """Return terms with what the book knows better; an order for another exchange would never be filled."""
        token_id = seen.book.token_id
        if seen.is_elsewhere(terms):
            self.forget(token_id)
            terms = await self._terms(token_id, until)
        if seen.is_elsewhere(terms):
            self.forget(token_id)
            raise OrderNotSent(f"book of token {token_id}: it is of another exchange than its market")
        return evolve(terms, tick=seen.book.tick or terms.tick, minimum=seen.book.minimum or terms.minimum)

    async def _get(
        self, path: str, reads: Callable[[bytes], _R], until: float, params: Sequence[tuple[str, str]] = ()
    ) -> _R | None:
        """Ask until there is an answer that can be read; None where the venue says that there is nothing of the kind.

        Raises:
            OrderNotSent: there is none in time, and what came instead.
        """
        pauses = Growing(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while True:
            await self.reads.wait(is_exit=False)
            answer_until = min(until, trio.current_time() + _ANSWER_S)
            reply = await self.caller.call("GET", path, headers={}, params=params, until=answer_until)
            pause_s = pauses.next_s(self.entropy)
            if isinstance(reply, NoReply):
                why = f"{path}: {reply.why}"
            elif reply.status == 200:
                try:
                    return reads(reply.body)
                except OrderNotSent as error:
                    why = str(error)
            else:
                if reply.status == 404 and _says_none(reply.body):
                    return None
                why = f"{path}: HTTP status {reply.status}"
                rest_s = told_s(reply.headers.get("retry-after", ""), self.now()) or 0.0
                pause_s = max(pause_s, min(rest_s, LONGEST_TOLD_S))
                if reply.status == 429:
                    self.reads.rest(pause_s)
            if trio.current_time() + pause_s >= until:
                raise OrderNotSent(why)
            await trio.sleep(pause_s)


@frozen
class _SeenBook:
    book: Book
    version: str | None
    """The generation of its ledger; None where it is not told."""

    def is_elsewhere(self, terms: Terms) -> bool:
        """Tell whether it is of another exchange."""
        return self.version is not None and (self.version == "v2") != (terms.exchange == "v3")


def _market(token_id: TokenId, terms: Terms, quote: Quote | None, book: Book | None) -> Market:
    return Market(
        token_id=token_id,
        tick=terms.tick,
        minimum=terms.minimum,
        fee_bps=0,
        closed=None if terms.open else "the venue takes no orders for it",
        quote=quote,
        fee_rate=terms.fee_rate,
        fee_exponent=terms.fee_exponent,
        least_cost=LEAST_PURCHASE,
        exchange=terms.exchange,
        book=book,
    )


def _read_condition(token_id: TokenId, body: bytes) -> str:
    with _believed(f"token {token_id}"):
        return condition_of(_row(body, QuestionRow).condition_id)


def _says_none(body: bytes) -> bool:
    """Tell whether a 404 is about the market, and not about an address that nobody serves for a moment."""
    try:
        return row_of(str(object_of(body).get("error"))) is Row.NO_MARKET
    except ValueError:
        return False


def read_terms(body: bytes, token_id: TokenId) -> Terms:
    """Read `/clob-markets`. Raises `OrderNotSent` where orders cannot be made by it."""
    with _believed(f"market of token {token_id}"):
        row = _row(body, ClobMarketRow)
        if token_id not in {token_of(told.t) for told in row.t}:
            raise ValueError("it is about other tokens")
        if row.mts is None or row.mos is None:
            raise ValueError("it has no tick, or no minimum")
        fee = row.fd or ClobFeeRow(r=Decimal(0))  # a market without fees has no `fd` at all
        if fee.r is None:
            raise ValueError("its fee has no rate")
        rate = ratio_of(fee.r)
        exponent = Decimal(1) if fee.e is None or not rate.micro else fee.e
        if exponent not in range(1, EXPONENT_MOST + 1):
            raise ValueError(f"expected an exponent of the fee from 1 to {EXPONENT_MOST}, got {exponent:.6g}")
        return Terms(
            tick=price_of(row.mts),
            minimum=shares_of(row.mos),
            fee_rate=rate,
            fee_exponent=int(exponent),
            exchange=_exchange_of(row, token_id),
            open=row.ao is not False,
        )


@contextmanager
def _believed(what: str) -> Iterator[None]:
    """Say what cannot be read, or cannot be."""
    try:
        yield
    except MISREAD as error:
        raise OrderNotSent(f"{what}: {clean(error)}") from None


def _exchange_of(row: ClobMarketRow, token_id: TokenId) -> str:
    """Say which exchange trades a token; an order for another one would never be filled, so nothing is guessed."""
    newer = not token_id & STRUCTURED
    if row.v is not None and row.v not in ("v1", "v2"):
        raise ValueError(f'expected version v1 or v2, got "{clean(row.v)}"')
    if row.v == "v2" or (row.v is None and newer):
        return "v3"
    if row.nr is None:
        raise ValueError("it does not say whether it is one of several questions")
    return "v2-neg-risk" if row.nr else "v2"


def _row(body: bytes, of: type[_T]) -> _T:
    row = read(body, of)
    if isinstance(row, ValueError):
        raise row
    return row
