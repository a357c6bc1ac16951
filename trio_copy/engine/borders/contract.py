"""The border to executors: what one answers is judged before it is believed, shown or kept.

    market, prepare   a breach ends the task with its reason (`ContractBroken`): nothing was sent
    submit            a breach proves nothing (`OrderUncertain`): the order may be at the venue
    find, cancel      a breach is no answer (None)
    both              a report that cannot be (`ReportBroken`): no later one of that order is believed, a person decides

An executor never ends the engine, whatever it raises, and others do not notice. Each breach is told once, with plugin,
distribution and call, and again after a hundred and ten thousand of its kind. Three in a row open the breaker: for a
minute entries through this executor end before they are prepared, exits go on. Texts pass the redactor. Decision 0020.
"""

from collections import OrderedDict
from collections.abc import Callable
from math import inf
from typing import Any, NoReturn

import trio
from attrs import define, evolve, field

from trio_copy.config import EngineSettings
from trio_copy.engine.borders.breaker import BREAKER_AT, BREAKER_S, Breaker
from trio_copy.engine.borders.calls import Call, Calls, Method, NoAnswer, NotAwaitable, Whose
from trio_copy.engine.borders.clean_texts import CleanTexts, raised
from trio_copy.errors import ContractBroken, ExecutorError, OrderNotSent, OrderUncertain, ReportBroken, is_ctrl_c
from trio_copy.model.breaches import (
    Breach,
    breach_of_lane,
    breach_of_market,
    breach_of_order,
    breach_of_report,
    judged,
    shown,
)
from trio_copy.model.decisions import OrderIntent
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, OrderId, TokenId, token_text
from trio_copy.model.orders import ExecutionReport, Market, Order, Wallet
from trio_copy.ports import Executor, JournalledExecutor
from trio_copy.telemetry.redaction import Redactor

_BUY = Side.BUY
_LEAST_S = 1.0
"""A send is waited for so long at least, however soon its task's deadline is: given up at once, it would be unproven for nothing."""
_REMEMBERED = 20_000
"""Orders whose ids are known, so that no second one goes out under the same."""


@define(eq=False, kw_only=True)
class Contract:
    """An executor that keeps its contract, whatever the one inside does."""

    inner: Executor
    whose: Whose
    settings: EngineSettings
    redactor: Redactor
    calls: Calls
    rests: bool = False
    """Whether its orders can rest."""
    shows_books: bool = False
    """Whether it can show whole books."""
    journalled: JournalledExecutor | None = None
    """The one inside, where it keeps a journal."""
    on_alert: Callable[[str, str], None]
    _market: Call = field(init=False)
    _market_with_book: Call = field(init=False)
    _prepare: Call = field(init=False)
    _lane: Call = field(init=False)
    _submit: Call = field(init=False)
    _find: Call = field(init=False)
    _cancel: Call = field(init=False)
    _texts: CleanTexts = field(init=False)
    _breaker: Breaker = field(init=False)
    _prepared: OrderedDict[OrderId, IntentKey] = field(factory=OrderedDict)

    def __attrs_post_init__(self) -> None:
        self._texts = CleanTexts(self.redactor)
        self._breaker = Breaker(texts=self._texts, on_alert=self.on_alert)
        self._market, self._prepare, self._lane, self._submit, self._find, self._cancel = (
            self.calls.of(self.whose, name) for name in ("market", "prepare", "lane", "submit", "find", "cancel")
        )
        self._market_with_book = self.calls.of(self.whose, "market_with_book") if self.shows_books else self._market

    @property
    def market_timeout_s(self) -> float:
        """How long a market may take: nothing is sent later than `deadline_s`, so a later answer serves nobody."""
        return min(self.settings.send_timeout_s, self.settings.deadline_s)

    async def market(self, token_id: TokenId) -> Market:
        """Ask the venue about a token.

        Raises:
            OrderNotSent: the executor says so, or does not answer in time.
            ContractBroken: it answered what it must not.
        """
        return await self._ask_market(self._market, self.inner.market, token_id)

    async def market_for_exit(self, token_id: TokenId) -> Market:
        """Ask the same for an exit, of an executor that tells the two apart. Raises what `market` does."""
        method: Method = getattr(self.inner, "market_for_exit", self.inner.market)
        return await self._ask_market(self._market, method, token_id)

    async def market_with_book(self, token_id: TokenId) -> Market:
        """Ask the venue about a token, and for its book. Raises what `market` does."""
        method: Method = getattr(self.inner, "market_with_book", _no_book)
        return await self._ask_market(self._market_with_book, method, token_id)

    async def _ask_market(self, call: Call, method: Method, token_id: TokenId) -> Market:
        try:
            market = await self._ask(call, self.market_timeout_s, method, token_id)
        except NoAnswer as slow:
            raise OrderNotSent(f"{call}: {slow}") from None
        except OrderUncertain as error:
            self._break(call, raised(error))
        except _Broken as broken:
            self._break(call, broken.breach)
        if (breach := judged(breach_of_market, market, token_id)) is not None:
            self._break(call, breach)
        self._breaker.in_a_row.pop(call.name, None)
        checked: Market = market
        return checked if checked.closed is None else evolve(checked, closed=self._texts.clean(checked.closed))

    def prepare(self, key: IntentKey, intent: OrderIntent, wallet: Wallet, market: Market) -> Order:
        """Freeze an order that lies inside its intent, and note the fee that its fills are judged by.

        Raises:
            OrderNotSent: the executor says so.
            ContractBroken: it answered what it must not, or the breaker is open and this is an entry.
        """
        call, began = self._prepare, self.calls.now()
        self.expect_allowed(intent.side, began)
        try:
            order = self.inner.prepare(key, intent, wallet, market)
        except OrderNotSent as error:
            raise self._texts.not_sent(error) from error
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            if is_ctrl_c(error):
                raise
            self._break(call, raised(error))
        finally:
            self.calls.measure(call, began)
        breach = judged(breach_of_order, order, self.whose.name, key, intent, wallet)
        if breach is None and self._prepared.get(order.order_id, key) != key:
            breach = Breach("an order's id", f"expected one of its own, was {shown(order.order_id)} again")
        if breach is not None:
            close = getattr(order, "close", None)
            if callable(close):
                close()  # a coroutine that nobody will await, if `prepare` was made async
            self._break(call, breach)
        _remember(self._prepared, order.order_id, key)
        self._breaker.in_a_row.pop(call.name, None)
        if order.refused is not None:
            order = evolve(order, refused=self._texts.reason(order.refused))
        noted = order.fee_bps is market.fee_bps and order.fee_exponent is market.fee_exponent
        return order if noted and order.fee_rate is market.fee_rate else _with_fee(order, market)

    def expect_allowed(self, side: Side, now: float | None = None) -> None:
        """Raise `ContractBroken` for an entry while the breaker is open: what was prepared before does not leave then either."""
        if side is _BUY and (self.calls.now() if now is None else now) < self._breaker.open_until:
            raise ContractBroken(f"{self.whose}: no entries for {BREAKER_S:g} s after {BREAKER_AT} breaches in a row")

    def lane(self, intent: OrderIntent, wallet: Wallet) -> tuple[str, ...]:
        """Name what must not run at once; where the executor cannot say, the follower's trades of a token."""
        call, began = self._lane, self.calls.now()
        try:
            lane = self.inner.lane(intent, wallet)
            breach = judged(breach_of_lane, lane)
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            if is_ctrl_c(error):
                raise
            breach = raised(error)
        finally:
            self.calls.measure(call, began)
        if breach is None:
            return lane
        self._breaker.note(call, breach)
        return (wallet.follower, token_text(intent.token_id))

    async def submit(
        self, order: Order, within: trio.CancelScope | None = None, left_s: float = inf
    ) -> ExecutionReport | OrderNotSent | OrderUncertain:
        """Send an order, inside a scope that the caller keeps for it; see `Calls.watch_within`.

        It is over after `left_s`, what is left until the task's deadline, so that nothing is sent again after that; but not
        within less than a second, for what has just left is answered.

        Returns what the executor reports, or that nothing was sent, or that nobody knows: it says so, or does not answer in
        time, or reports what cannot be, which is `ReportBroken`.
        """
        call, most_s = self._submit, self.settings.send_timeout_s
        timeout_s = min(most_s, max(_LEAST_S, left_s))
        try:
            # Where the task's time is over, the executor is not to blame.
            report = await self._ask(call, timeout_s, self.inner.submit, order, within, tells_slow=timeout_s == most_s)
        except (OrderNotSent, OrderUncertain) as error:
            return error
        except NoAnswer as slow:
            return OrderUncertain(f"{call}: {slow}")
        except _Broken as broken:
            self._breaker.note(call, broken.breach)
            return OrderUncertain(self._texts.line(call, broken.breach))
        if (breach := self._judge_report(call, report, order)) is not None:
            return ReportBroken(self._texts.line(call, breach))
        self._breaker.in_a_row.pop(call.name, None)
        return self._texts.report(report)

    async def find(self, order: Order) -> ExecutionReport | None:
        """Look an order up; None when nothing is known, or nobody answers in time.

        Raises:
            ExecutorError: the executor says so.
            ReportBroken: it reports what cannot be.
        """
        call = self._find
        try:
            report = await self._ask(call, self.settings.send_timeout_s, self.inner.find, order)
        except NoAnswer:
            return None
        except _Broken as broken:
            self._breaker.tell(call, broken.breach)
            return None
        if report is None:
            return None
        if (breach := self._judge_report(call, report, order)) is not None:
            raise ReportBroken(self._texts.line(call, breach))
        return self._texts.report(report)

    async def cancel(self, order: Order) -> None:
        """Call an order off; what came of it `find` tells. Does nothing where nobody answers in time.

        Raises:
            ExecutorError: the executor says so.
        """
        # One that says that its orders rest, and cannot call them off, breaks its contract as any other does.
        cancel: Method = getattr(self.inner, "cancel", _no_cancel)
        try:
            await self._ask(self._cancel, self.settings.send_timeout_s, cancel, order)
        except NoAnswer:
            return
        except _Broken as broken:
            self._breaker.tell(self._cancel, broken.breach)

    async def _ask(
        self,
        call: Call,
        timeout_s: float,
        method: Method,
        asked: object,
        within: trio.CancelScope | None = None,
        *,
        tells_slow: bool = True,
    ) -> Any:  # noqa: ANN401  whatever it returns
        """Make a call; raises what the contract allows, `NoAnswer`, and `_Broken` for everything else."""
        try:
            if within is not None:
                return await self.calls.watch_within(within, call, timeout_s, method, asked)
            return await self.calls.watch(call, timeout_s, method, asked)
        except trio.Cancelled:
            raise
        except NoAnswer as slow:
            if tells_slow:
                self._breaker.tell(call, Breach("slow", str(slow)), kind="executor-slow")
            raise
        except OrderNotSent as error:
            raise self._texts.not_sent(error) from error
        except OrderUncertain as error:
            raise OrderUncertain(self._texts.of_error(error)) from error
        except NotAwaitable as error:
            raise _Broken(Breach("no async method", f"expected something to await, was {error}")) from error
        except (Exception, BaseExceptionGroup, KeyboardInterrupt, SystemExit) as error:
            if is_ctrl_c(error):
                raise
            if isinstance(error, BaseExceptionGroup) and error.split(trio.Cancelled)[1] is None:
                raise
            if type(error) is ExecutorError and call.name in ("find", "cancel"):
                raise ExecutorError(self._texts.of_error(error)) from error
            # A cancellation in a group with something else may be lost here: the next await meets it again.
            raise _Broken(raised(error)) from error

    def _judge_report(self, call: Call, report: object, order: Order) -> Breach | None:
        breach = judged(breach_of_report, report, order)
        if breach is not None:
            self._breaker.note(call, breach)
        return breach

    def _break(self, call: Call, breach: Breach) -> NoReturn:
        self._breaker.note(call, breach)
        raise ContractBroken(self._texts.line(call, breach))


class _Broken(Exception):
    """A call that raised what its contract does not know."""

    def __init__(self, breach: Breach) -> None:
        super().__init__(str(breach))
        self.breach = breach


def _no_cancel(_order: object) -> NoReturn:
    raise NotImplementedError("there is no method cancel")


def _no_book(_token_id: object) -> NoReturn:
    raise NotImplementedError("there is no method market_with_book")


def _with_fee(order: Order, market: Market) -> Order:
    return Order(
        key=order.key,
        order_id=order.order_id,
        executor=order.executor,
        wallet=order.wallet,
        side=order.side,
        token_id=order.token_id,
        shares=order.shares,
        limit_price=order.limit_price,
        body=order.body,
        fee_bps=market.fee_bps,
        fee_rate=market.fee_rate,
        fee_exponent=market.fee_exponent,
        max_cost=order.max_cost,
        refused=order.refused,
    )


def _remember(known: OrderedDict[OrderId, IntentKey], order_id: OrderId, key: IntentKey) -> None:
    known[order_id] = key
    known.move_to_end(order_id)
    if len(known) > _REMEMBERED:
        known.popitem(last=False)
