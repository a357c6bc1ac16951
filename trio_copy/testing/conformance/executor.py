"""What every executor promises."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import trio
from attrs import evolve

from trio_copy.errors import OrderNotSent
from trio_copy.model.breaches import breach_of_lane, breach_of_market, breach_of_order, breach_of_report
from trio_copy.model.decisions import OrderIntent
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, IntentKey, TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order, Settlement, Status, Wallet
from trio_copy.model.units import NO_SHARES, Price, Rounding, Shares, Usd
from trio_copy.ports import Executor
from trio_copy.testing.samples import sample_intent, sample_signal, sample_task

OpenExecutorForTest = Callable[[], AbstractAsyncContextManager[Executor]]
ExecutorCheck = Callable[[OpenExecutorForTest], Awaitable[None]]

_WALLET = Wallet(follower=FollowerId("alice"), address=None)
_SIDES = (Side.BUY, Side.SELL)
_LATER_S = 90.0
_LOOKS = 4
_FAR = 4_000_000_000
_UNHEARD_OF = TokenId((1 << 256) - 1)


async def _prepare(executor: Executor, number: int = 1, side: Side = Side.BUY) -> Order:
    intent = sample_intent(side)
    market = await executor.market(intent.token_id)
    order = executor.prepare(_key(number, side), intent, _WALLET, market)
    # As the engine does: fills are judged by it.
    return evolve(order, fee_bps=market.fee_bps, fee_rate=market.fee_rate, fee_exponent=market.fee_exponent)


def _key(number: int, side: Side) -> IntentKey:
    """Return a key of its own for each order, as in life: a signer signs one body for one key."""
    return sample_task(sample_signal(2 * number + _SIDES.index(side), side=side)).key


async def preparing_is_pure(open_executor: OpenExecutorForTest) -> None:
    """The same intent gives the same bytes and the same id, in another instance too, and later as well.

    What an order says of time follows from its intent, `leader_time` and `rest_until`, and never from a clock.
    """
    async with open_executor() as one, open_executor() as other:
        for side in _SIDES:
            first = await _prepare(one, side=side)
            await trio.sleep(_LATER_S)
            assert first == await _prepare(one, side=side) == await _prepare(other, side=side)


async def keys_tell_orders_apart(open_executor: OpenExecutorForTest) -> None:
    """Two intents that differ only in their key are two orders."""
    async with open_executor() as executor:
        first, second = await _prepare(executor, 1), await _prepare(executor, 2)
        assert first.order_id != second.order_id
        assert first.body != second.body


async def sizing_goes_downwards_only(open_executor: OpenExecutorForTest) -> None:
    """An order lies inside its intent: never more shares, cash or another token, never a worse price.

    What it may spend at most it says itself, `max_cost`, and that is within its intent's; a sale spends nothing.

    The engine judges by the same `breach_of_order`, and sends nothing that it objects to.
    """
    async with open_executor() as executor:
        for side in _SIDES:
            intent, order = sample_intent(side), await _prepare(executor, side=side)
            key = _key(1, side)
            assert breach_of_order(order, order.executor, key, intent, _WALLET) is None


async def lanes_are_named_and_pure(open_executor: OpenExecutorForTest) -> None:
    """A lane is a tuple of texts, the same for the same intent, in another instance too.

    The engine judges by the same `breach_of_lane`.
    """
    async with open_executor() as one, open_executor() as other:
        for side in _SIDES:
            intent = sample_intent(side)
            lane = one.lane(intent, _WALLET)
            assert breach_of_lane(lane) is None
            assert lane == one.lane(intent, _WALLET) == other.lane(intent, _WALLET)


async def a_report_stays_inside_the_order(open_executor: OpenExecutorForTest) -> None:
    """What is filled costs at most what the order may spend, at its average price or better, and its status says so.

    A purchase may bring more shares than it named, where they were cheaper; a sale never sells more.

    The engine judges by the same `breach_of_report`, and books nothing that it objects to.
    """
    async with open_executor() as executor:
        for number in range(20):
            for side in _SIDES:
                order = await _prepare(executor, number, side)
                assert breach_of_report(await executor.submit(order), order) is None
                found = await executor.find(order)
                assert found is None or breach_of_report(found, order) is None


async def the_same_order_fills_once(open_executor: OpenExecutorForTest) -> None:
    """Sending the same bytes again tells the same story and fills nothing more."""
    async with open_executor() as executor:
        order = await _prepare(executor)
        first = await executor.submit(order)
        assert first == await executor.submit(order) == await executor.find(order)


async def an_order_never_sent_is_not_found(open_executor: OpenExecutorForTest) -> None:
    """Looking for what is not there finds nothing, or the proof that it is not there, and changes nothing."""
    async with open_executor() as executor:
        order = await _prepare(executor)
        for _ in range(2):
            found = await executor.find(order)
            assert found is None or (found.status, found.shares) == (Status.ABSENT, NO_SHARES)


async def a_cancelled_send_can_be_looked_up(open_executor: OpenExecutorForTest) -> None:
    """After a cancellation the order is found with its outcome, or sending it again fills it once."""
    async with open_executor() as executor:
        order = await _prepare(executor)
        with trio.CancelScope() as scope:
            scope.cancel()
            await executor.submit(order)
        found: ExecutionReport | None = await executor.find(order)
        again = await executor.submit(order)
        assert found is None or not found.proven or found == again
        assert again == await executor.find(order)


async def markets_describe_their_token(open_executor: OpenExecutorForTest) -> None:
    """A market names the token it was asked for, a tick that is not zero, a minimum and a fee; all of the right types."""
    async with open_executor() as executor:
        token = sample_intent().token_id
        assert breach_of_market(await executor.market(token), token) is None


async def a_book_is_shown_whole(open_executor: OpenExecutorForTest) -> None:
    """With `market_with_book`, a market as `market` tells it, and a book that can be believed; without, nobody asks for one."""
    async with open_executor() as executor:
        show: Callable[[TokenId], Awaitable[Market]] | None = getattr(executor, "market_with_book", None)
        if show is not None:
            token = sample_intent().token_id
            assert breach_of_market(await show(token), token) is None


async def an_unknown_token_is_refused_by_name(open_executor: OpenExecutorForTest) -> None:
    """Of a token that no venue can know there is a market that says why it is closed, or `OrderNotSent`, or any other."""
    async with open_executor() as executor:
        try:
            market = await executor.market(_UNHEARD_OF)
        except OrderNotSent:
            return
        assert breach_of_market(market, _UNHEARD_OF) is None


async def an_order_of_nothing_is_not_made_up(open_executor: OpenExecutorForTest) -> None:
    """An intent of no shares is prepared as an order of no shares."""
    async with open_executor() as executor:
        intent = evolve(sample_intent(), shares=NO_SHARES)
        market = await executor.market(intent.token_id)
        order = executor.prepare(sample_task(sample_signal(1)).key, intent, _WALLET, market)
        assert not order.shares


async def what_is_firm_stays_as_it_is(open_executor: OpenExecutorForTest) -> None:
    """What settles may differ from what was told, inside the order; once it is told to be FIRM, or undone, that is the end.

    The engine corrects what was pending, and nothing else: what contradicts a FIRM report changes no book.
    """
    async with open_executor() as executor:
        for side in _SIDES:
            order = await _prepare(executor, 4, side)
            last = await executor.submit(order)
            for _ in range(_LOOKS):
                await trio.sleep(_LATER_S)
                found = await executor.find(order)
                if found is None:
                    continue
                assert breach_of_report(found, order) is None
                over = last.shares and last.settlement in (Settlement.FIRM, Settlement.FAILED)
                assert not over or _settled(found) == _settled(last)
                last = found


def _settled(report: ExecutionReport) -> tuple[Shares, Usd, Usd, Settlement]:
    return (report.shares, report.notional, report.fee, report.settlement)


async def what_rests_is_called_off_once_and_for_all(open_executor: OpenExecutorForTest) -> None:
    """After `cancel`, however often, `find` tells an end, or that it is off the book, and takes nothing back; an order never
    sent stays unheard of.

    Of an executor without `cancel` no order rests: it is asked for none.
    """
    async with open_executor() as executor:
        cancel: Callable[[Order], Awaitable[None]] | None = getattr(executor, "cancel", None)
        if cancel is None:
            assert (await executor.submit(await _prepare(executor))).status is not Status.RESTING
            return
        order, never_sent = await _prepare_to_rest(executor, 1), await _prepare_to_rest(executor, 2)
        before = await executor.submit(order)
        assert breach_of_report(before, order) is None
        for _ in range(2):
            await cancel(order)
            await cancel(never_sent)
            found = await executor.find(order)
            assert found is None or breach_of_report(found, order) is None
            assert found is None or ((found.proven or found.off_book) and found.shares >= before.shares)
            unheard_of = await executor.find(never_sent)
            assert unheard_of is None or unheard_of.status is Status.ABSENT
        entry, leaving = _to_rest(), sample_intent(Side.SELL)
        assert executor.lane(entry, _WALLET) == executor.lane(leaving, _WALLET)


async def what_is_post_only_takes_nothing(open_executor: OpenExecutorForTest) -> None:
    """Sent, it rests or is refused, whatever is offered at its limit; of an executor without `cancel` nothing is post-only."""
    async with open_executor() as executor:
        if getattr(executor, "cancel", None) is None:
            return
        intent = evolve(sample_intent(), order_type="GTC", rest_until=_FAR, post_only=True)
        market = await executor.market(intent.token_id)
        order = executor.prepare(sample_task(sample_signal(3)).key, intent, _WALLET, market)
        report = await executor.submit(order)
        assert not report.shares
        assert report.status in (Status.RESTING, Status.REJECTED)


def _to_rest() -> OrderIntent:
    """A purchase at a cent, which nothing offered meets."""
    intent = sample_intent()
    limit = Price(10_000)
    cost = intent.shares.at(limit, Rounding.UP)
    return evolve(intent, limit_price=limit, max_cost=cost, order_type="GTC", rest_until=_FAR)


async def _prepare_to_rest(executor: Executor, number: int) -> Order:
    intent = _to_rest()
    market = await executor.market(intent.token_id)
    order = executor.prepare(sample_task(sample_signal(number)).key, intent, _WALLET, market)
    return evolve(order, fee_bps=market.fee_bps)


EXECUTOR_CHECKS: tuple[ExecutorCheck, ...] = (
    preparing_is_pure,
    keys_tell_orders_apart,
    sizing_goes_downwards_only,
    lanes_are_named_and_pure,
    a_report_stays_inside_the_order,
    the_same_order_fills_once,
    an_order_never_sent_is_not_found,
    a_cancelled_send_can_be_looked_up,
    markets_describe_their_token,
    a_book_is_shown_whole,
    an_unknown_token_is_refused_by_name,
    an_order_of_nothing_is_not_made_up,
    what_is_firm_stays_as_it_is,
    what_rests_is_called_off_once_and_for_all,
    what_is_post_only_takes_nothing,
)
"""Every check of the contract."""
