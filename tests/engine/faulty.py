"""Executors that break their contract, one way each: the table that the conformance suite and a running engine are tried with."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import define, evolve, frozen

from trio_copy.errors import OrderUncertain, UnresolvedOrders
from trio_copy.model.books import Quote
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.fills import Side
from trio_copy.model.follows import Follower
from trio_copy.model.ids import FollowerId, IntentKey, OrderId, TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order, Status, Wallet
from trio_copy.model.units import NO_USD, Price, Ratio, Rounding, Shares, Usd
from trio_copy.ports import Executor, ExecutorContext, ExecutorPlugin
from trio_copy.testing.scripted import ScriptedExecutor


def same(answer: Any, *_: Any) -> Any:
    return answer


@define(eq=False)
class FaultyExecutor(ScriptedExecutor):
    """The scripted executor, whose answers pass through a fault once it is switched on."""

    call: str = ""
    spoil: Callable[..., Any] = same
    """Given the right answer and, of a report, its order; returns, raises or awaits something else."""
    switched_on: bool = True
    side: Side | None = None
    """The side whose orders are spoiled; None for both."""

    def _spoils(self, call: str, side: Side | None = None) -> bool:
        return self.switched_on and self.call == call and self.side in (None, side)

    async def market(self, token_id: TokenId) -> Any:
        market = Market(token_id=token_id, tick=Price(1), minimum=Shares(0), fee_bps=100, closed=self.closed)
        return await _spoiled(self.spoil, market) if self._spoils("market") else market

    def prepare(self, key: IntentKey, intent: Any, wallet: Wallet, market: Market) -> Any:
        order = super().prepare(key, intent, wallet, market)
        return self.spoil(order) if self._spoils("prepare", intent.side) else order

    async def submit(self, order: Order) -> Any:
        report = await super().submit(order)
        if self._spoils("find", order.side):
            raise OrderUncertain("no answer")  # so that it is asked for
        return await _spoiled(self.spoil, report, order) if self._spoils("submit", order.side) else report

    async def find(self, order: Order) -> Any:
        report = await super().find(order)
        spoils = self._spoils("find", order.side) and report is not None
        return await _spoiled(self.spoil, report, order) if spoils else report


async def _spoiled(spoil: Callable[..., Any], *answer: Any) -> Any:
    spoiled = spoil(*answer)
    return await spoiled if hasattr(spoiled, "__await__") else spoiled


def faulty_plugin(executor: FaultyExecutor) -> ExecutorPlugin:
    @asynccontextmanager
    async def open_faulty(context: ExecutorContext) -> AsyncGenerator[Executor, None]:
        executor.name = context.name
        yield executor

    return ExecutorPlugin(name="faulty", open=open_faulty, moves_money=False)


@frozen(kw_only=True)
class Fault:
    name: str
    call: str
    spoil: Callable[..., Any]
    says: str
    """What the alert says of it."""
    side: Side | None = None
    fails: str = ""
    """The check of the conformance suite that finds it; empty where only a running engine can."""

    hides: bool = False
    """Whether the venue finds nothing afterwards: what it finds would settle the matter."""

    def executor(self) -> FaultyExecutor:
        return FaultyExecutor(call=self.call, spoil=self.spoil, side=self.side, hide=self.hides)


_REFUSED = Reason(code=Code.GUARD_REFUSED, control="a limit", value="2", limit="1")


def raises(error: BaseException) -> Callable[..., Any]:
    def spoil(*_: Any) -> Any:
        raise error

    return spoil


def _in_a_nursery(*_: Any) -> Any:
    async def spoil() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise ZeroDivisionError("a bug")

    return spoil()


def past_the_constructor(of: type, micro: Any) -> Any:
    """Make an amount that its constructor refuses."""
    made: Any = object.__new__(of)
    object.__setattr__(made, "micro", micro)
    return made


class _Evil(Shares):
    """Smaller than anything it is compared with."""

    __slots__ = ()

    def __gt__(self, other: Any) -> bool:
        return False

    def __le__(self, other: Any) -> bool:
        return True


class _UnreadableError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


def but(**changes: Any) -> Callable[..., Any]:
    """Change some fields of the right answer."""
    return lambda answer, *_: evolve(answer, **changes)


def filled(factor: str = "1", *, price: str = "1", **changes: Any) -> Callable[..., Any]:
    """Report a fill of so many times the order, at so many times the limit price, but for some changes."""

    def spoil(report: ExecutionReport, order: Order) -> ExecutionReport:
        shares = _times(order.shares, factor)
        notional = _times(shares.at(order.limit_price, Rounding.DOWN), price)
        whole = evolve(report, status=Status.FILLED, shares=shares, notional=notional, fee=NO_USD)
        return evolve(whole, **changes)

    return spoil


def _overcharged(report: ExecutionReport, order: Order) -> ExecutionReport:
    whole: ExecutionReport = filled()(report, order)
    return evolve(whole, fee=_times(whole.notional, "0.011"))


def _larger(factor: str) -> Callable[..., Any]:
    return lambda order: evolve(order, shares=_times(order.shares, factor))


def _priced(more: int) -> Callable[..., Any]:
    return lambda order: evolve(order, limit_price=Price(order.limit_price.micro + more))


def _times(amount: Any, factor: str) -> Any:
    return type(amount)(amount.micro * Ratio.parse(factor).micro // 1_000_000)


def nothing(*_: Any) -> None:
    """Answer None."""


def seven(*_: Any) -> int:
    return 7


async def _later(answer: Any) -> Any:
    await trio.lowlevel.checkpoint()
    return answer


def _unsaid(report: ExecutionReport, order: Order) -> ExecutionReport:
    return object.__new__(ExecutionReport)


_MARKET, _INSIDE, _REPORT = (
    "markets_describe_their_token",
    "sizing_goes_downwards_only",
    "a_report_stays_inside_the_order",
)
_OTHER = Wallet(follower=FollowerId("mallory"), address=None)


WRONG_MARKETS = tuple(
    Fault(name=f"market: {name}", call="market", spoil=spoil, says=says, fails=_MARKET)
    for name, spoil, says in (
        ("nothing", nothing, "expected Market, was None"),
        ("a number", seven, "expected Market, was 7"),
        ("a text", lambda market: "open", "expected Market, was 'open'"),
        ("another token", but(token_id=TokenId(99)), "another token"),
        ("no tick", but(tick=Price(0)), "tick"),
        ("a negative tick", but(tick=Price(-1)), "tick"),
        ("a tick as float", but(tick=0.01), "tick"),
        ("a negative minimum", but(minimum=Shares(-1)), "minimum"),
        ("a minimum in dollars", but(minimum=Usd(1)), "minimum"),
        ("a minimum of 2^70", but(minimum=Shares(1 << 70)), "minimum"),
        ("a negative fee", but(fee_bps=-100), "fee"),
        ("a fee as float", but(fee_bps=1.5), "fee"),
        ("a fee as bool", but(fee_bps=True), "fee"),
        ("a fee above everything", but(fee_bps=10_001), "fee"),
        ("a fee rate above everything", but(fee_rate=Ratio(1_000_001)), "fee rate"),
        ("a fee rate as float", but(fee_rate=0.05), "fee rate"),
        ("no exponent", but(fee_exponent=0), "exponent"),
        ("an exponent as bool", but(fee_exponent=True), "exponent"),
        ("a huge exponent", but(fee_exponent=10**9), "exponent"),
        ("a least cost in shares", but(least_cost=Shares(1)), "least cost"),
        ("a negative least cost", but(least_cost=Usd(-1)), "least cost"),
        ("an exchange as a number", but(exchange=2), "exchange"),
        ("closed with True", but(closed=True), "closed"),
        ("a quote as a tuple", but(quote=(1, 2)), "quote"),
        ("a negative bid", but(quote=Quote(bid=Price(-1), ask=None)), "quote"),
        ("a book as a number", but(book=7), "expected Book, was 7"),
    )
)  # fmt: skip

WRONG_ORDERS = tuple(
    Fault(name=f"prepare: {name}", call="prepare", spoil=spoil, says=says, fails=fails, side=side)
    for name, spoil, says, fails, side in (
        ("nothing", nothing, "expected Order, was None", "", None),
        ("an async method", _later, "expected Order, was <coroutine", "", None),
        ("another key", but(key=IntentKey("0")), "key", _INSIDE, None),
        ("another executor", but(executor="sim"), "executor", "", None),
        ("another wallet", but(wallet=_OTHER), "wallet", _INSIDE, None),
        ("a wallet of another class", but(wallet=Follower(follower=FollowerId("alice"), executor="odd")), "wallet", _INSIDE, None),
        ("the other side", but(side=Side.SELL), "side", _INSIDE, Side.BUY),
        ("the other side of a sale", but(side=Side.BUY), "side", _INSIDE, Side.SELL),
        ("a side as text", but(side="buy"), "side", _INSIDE, None),
        ("another token", but(token_id=TokenId(9)), "token", _INSIDE, None),
        ("no id", but(order_id=OrderId("")), "id", _INSIDE, None),
        ("an id as bytes", but(order_id=b"1"), "id", _INSIDE, None),
        ("an id that nobody can write down", but(order_id=OrderId("\ud800")), "id", _INSIDE, None),
        ("a body as text", but(body="body"), "body", _INSIDE, None),
        ("a hundred times the shares", _larger("100"), "shares", _INSIDE, None),
        ("a millionth too many", _larger("1.000001"), "shares", _INSIDE, None),
        ("negative shares", but(shares=Shares(-1)), "shares", _INSIDE, None),
        ("shares that compare as they like", but(shares=_Evil(1 << 60)), "shares", _INSIDE, None),
        ("shares as int", but(shares=1), "shares", _INSIDE, None),
        ("shares of half a millionth", but(shares=past_the_constructor(Shares, 0.5)), "shares", "", None),
        ("a worse price", _priced(1), "limit price", _INSIDE, Side.BUY),
        ("a worse price of a sale", _priced(-1), "limit price", _INSIDE, Side.SELL),
        ("a negative price", but(limit_price=Price(-1)), "limit price", _INSIDE, None),
        ("more cash than was wanted", but(max_cost=Usd(10**9)), "cost", _INSIDE, Side.BUY),
        ("no cash for its shares", but(max_cost=NO_USD), "greatest cost", _INSIDE, Side.BUY),
        ("a sale that costs", but(max_cost=Usd(1)), "greatest cost", _INSIDE, Side.SELL),
        ("shares that nobody signed for", but(refused=_REFUSED), "why an order is none", _INSIDE, None),
        ("a refusal as text", but(refused="no"), "why an order is none", _INSIDE, None),
        ("cash as int", but(max_cost=1), "greatest cost", _INSIDE, None),
        ("always one id", but(order_id=OrderId("same")), "id", "keys_tell_orders_apart", None),
    )
)  # fmt: skip


_LIES: tuple[tuple[str, Callable[[ExecutionReport, Order], Any], str, Side | None], ...] = (
    ("nothing", nothing, "expected ExecutionReport, was None", None),
    ("a number", seven, "expected ExecutionReport, was 7", None),
    ("an order", lambda report, order: order, "expected ExecutionReport", None),
    ("another order's id", but(order_id=OrderId("other")), "another order's", None),
    ("ten times the order", filled("10"), "cost", Side.BUY),
    ("a sale of a millionth too many", filled("1.000001"), "shares", Side.SELL),
    ("three times the limit price", filled(price="3"), "cost", Side.BUY),
    ("half of it at twice the price", filled("0.5", price="2"), "price", Side.BUY),
    ("a sale at half the limit price", filled(price="0.5"), "price", Side.SELL),
    ("a sale at two dollars a share", filled(price="4"), "price", Side.SELL),
    ("shares for nothing", filled(notional=NO_USD), "price", Side.BUY),
    ("negative shares", filled(shares=Shares(-5), notional=NO_USD), "shares", None),
    ("a negative cost", filled(notional=Usd(-5_000_000)), "notional", None),
    ("a negative fee", filled(fee=Usd(-1)), "fee", None),
    ("a fee above the market's", _overcharged, "fee", None),
    ("2^70 shares", filled(shares=Shares(1 << 70), notional=NO_USD), "shares", None),
    ("shares as float", but(shares=10.0), "shares", None),
    ("shares as dollars", but(shares=Usd(10)), "shares", None),
    ("a status as text", but(status="filled"), "status", None),
    ("a settlement as text", but(settlement="firm"), "settlement", None),
    ("a detail as bytes", but(detail=b"x"), "detail", None),
    ("killed with shares", filled(status=Status.KILLED), "killed with shares", None),
    ("absent with shares", filled(status=Status.ABSENT), "absent with shares", None),
    ("rejected with shares", filled(status=Status.REJECTED), "rejected with shares", None),
    ("filled without shares", filled("0"), "filled without shares", None),
    ("partial without shares", filled("0", status=Status.PARTIAL), "partial without shares", None),
    ("stale with shares", filled(stale=True), "made for another market", None),
    ("stale as a number", but(stale=1), "stale", None),
    ("off the book as a number", but(off_book=1), "off the book", None),
    ("off the book, and filled", filled(off_book=True), "off the book", None),
    ("money without shares", filled("0", status=Status.KILLED, notional=Usd(1)), "money without shares", None),
    ("an empty object", _unsaid, "unreadable", None),
)  # fmt: skip

WRONG_REPORTS = tuple(
    Fault(
        name=f"{call}: {name}", call=call, spoil=spoil, says=says, side=side, fails=_REPORT if call == "submit" else ""
    )
    for call in ("submit", "find")
    for name, spoil, says, side in _LIES
    if not (call == "find" and spoil is nothing)  # there it is an answer
)

BUGS = tuple(
    Fault(name=f"{call}: raises {name}", call=call, spoil=spoil, says=says, hides=call == "submit")
    for call in ("market", "prepare", "submit", "find")
    for name, spoil, says in (
        ("KeyError", raises(KeyError("tokens")), "raised KeyError: 'tokens'"),
        ("SystemExit", raises(SystemExit("bye")), "raised SystemExit: bye"),
        ("KeyboardInterrupt", raises(KeyboardInterrupt()), "raised KeyboardInterrupt"),
        ("an error of ours", raises(UnresolvedOrders("nonsense")), "raised UnresolvedOrders: nonsense"),
        ("what nobody can write down", raises(ValueError("half \ud800")), "raised ValueError: half ?"),
        ("an unreadable error", raises(_UnreadableError()), "raised _UnreadableError"),
        ("in a nursery", _in_a_nursery, "raised ZeroDivisionError: a bug"),
    )
    if not (call == "prepare" and spoil is _in_a_nursery)  # it is not async
)

FAULTS = (*WRONG_MARKETS, *WRONG_ORDERS, *WRONG_REPORTS, *BUGS)


def name_of_fault(fault: Fault) -> str:
    return fault.name
