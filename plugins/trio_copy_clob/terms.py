"""What the CLOB lets orders for a token be, and what is offered: asked of the CLOB's own host, for that is who judges them.

Terms are kept: they change seldom, and an order that is refused because they did lets them be read anew. The best prices
are those of a market source where one tells them, else of a book that is read each time; its tick is the newest there is. Where
several orders share a book, it is read whatever a source tells: nobody else tells of its depth.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import TypeVar

import msgspec
import trio
from attrs import define, evolve, field, frozen

from trio_copy.entropy import Entropy
from trio_copy.errors import OrderNotSent
from trio_copy.model.books import Book
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.fees import EXPONENT_MOST
from trio_copy.model.ids import TokenId
from trio_copy.model.orders import Market
from trio_copy.model.units import Price, Ratio, Shares
from trio_copy.model.venue_amounts import LEAST_PURCHASE
from trio_copy.ports import Facts, Quotes
from trio_copy_clob.books import STRUCTURED, book_of
from trio_copy_clob.pacing import LONGEST_TOLD_S, Growing, told_s
from trio_copy_clob.sending.calling import Caller, NoReply
from trio_copy_clob.sending.limits import Turns
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
_KEPT_S = 300.0
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
        with trio.CancelScope(deadline=until):  # noqa: ASYNC912  what is known needs no wait
            terms = await self._terms(token_id)
            quote = None if self.quotes is None else self.quotes.quote(token_id)
            book = None
            if (with_book or quote is None) and terms.open:
                terms, book = await self._book(token_id, terms)
                quote = None if book is None else book.quote
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
                book=book if with_book else None,
            )
        raise OrderNotSent("the venue does not say in time what orders may be")

    def forget(self, token_id: TokenId) -> None:
        """Read its terms anew: they are not what they were."""
        self._kept.pop(token_id, None)

    def exchange(self, token_id: TokenId) -> str:
        """Return which exchange trades a token, as far as that is known without asking."""
        kept = self._kept.get(token_id)
        return kept.terms.exchange if kept is not None else "" if token_id & STRUCTURED else "v3"

    async def _terms(self, token_id: TokenId) -> Terms:
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
                    terms = await self._read_terms(token_id)
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
        if kept is None or trio.current_time() - kept.at > _KEPT_S or kept.heard != self._heard(token_id):
            return None
        return kept.terms

    def _heard(self, token_id: TokenId) -> TokenFacts | None:
        return None if self.facts is None else self.facts.of(token_id)

    async def _read_terms(self, token_id: TokenId) -> Terms:
        body = await self._get(f"/markets-by-token/{token_id}")
        if body is not None:
            with _believed(f"token {token_id}"):
                condition = condition_of(_row(body, QuestionRow).condition_id)
            body = await self._get(f"/clob-markets/{condition}")
        if body is None:
            raise OrderNotSent(f"token {token_id}: the venue knows no market of it")
        return read_terms(body, token_id)

    async def _book(self, token_id: TokenId, terms: Terms) -> tuple[Terms, Book | None]:
        body = await self._get("/book", [("token_id", str(token_id))])
        if body is None:
            return evolve(terms, open=False), None
        with _believed(f"book of token {token_id}"):
            row = _row(body, BookRow)
            book = book_of(row, self.now())
            another = row.version is not None and (row.version == "v2") != (terms.exchange == "v3")
            if book.token_id != token_id or another:
                self.forget(token_id)
                raise ValueError("it is of another token, or of another exchange")
        return evolve(terms, tick=book.tick or terms.tick, minimum=book.minimum or terms.minimum), book

    async def _get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> bytes | None:
        """Ask until there is an answer; the time of the caller ends it. None where there is nothing of the kind."""
        pauses = Growing(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while True:
            await self.reads.wait(is_exit=False)
            until = trio.current_time() + _ANSWER_S
            reply = await self.caller.call("GET", path, headers={}, params=params, until=until)
            pause_s = pauses.next_s(self.entropy)
            if not isinstance(reply, NoReply):
                match reply.status:
                    case 200:
                        return reply.body
                    case 404:
                        return None
                    case 408 | 425 | 429:
                        rest_s = told_s(reply.headers.get("retry-after", ""), self.now()) or 0.0
                        pause_s = max(pause_s, min(rest_s, LONGEST_TOLD_S))
                        if reply.status == 429:
                            self.reads.rest(pause_s)
                    case status if status < 500:
                        raise OrderNotSent(f"{path}: HTTP status {status}")
            await trio.sleep(pause_s)


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
