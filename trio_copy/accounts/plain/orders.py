"""Orders with their wallets, and what was reported of them."""

from attrs import evolve

from trio_copy.accounts.plain.expected import Plain
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, FollowerId, IntentKey, OrderId, TokenId, token_text
from trio_copy.model.orders import ExecutionReport, Order, Settlement, SignatureType, Status, Wallet
from trio_copy.model.units import MICRO, Price, Ratio, Shares, Usd

_BUY = Side.BUY
_STALE, _OFF_BOOK = 1, 2


def plain_order(order: Order) -> Plain:
    """Write an order with its whole body."""
    return [
        order.key,
        order.order_id,
        order.executor,
        order.wallet.follower,
        _plain_address(order.wallet),
        order.side._value_,
        token_text(order.token_id),
        order.shares.micro,
        order.limit_price.micro,
        order.body.hex(),
        # Most venues take a part of the notional, or nothing: it is one number then.
        [order.fee_bps, order.fee_rate.micro, order.fee_exponent] if order.fee_rate.micro else order.fee_bps,
        # Only where it is not what its shares cost at its limit.
        *([order.max_cost.micro] if order.max_cost.micro != _cost_at_limit(order) else ()),
    ]


def order_of(plain: Plain) -> Order:
    """Read an order."""
    key, order_id, executor, follower, address, side, token_id, shares, limit_price, body, fee, *cost = plain
    fee_bps, fee_rate, fee_exponent = fee if isinstance(fee, list) else (fee, 0, 1)
    order = Order(
        key=IntentKey(key),
        order_id=OrderId(order_id),
        executor=executor,
        wallet=_wallet_of(follower, address),
        side=Side(side),
        token_id=TokenId(int(token_id)),
        shares=Shares(shares),
        limit_price=Price(limit_price),
        body=bytes.fromhex(body),
        fee_bps=fee_bps,
        fee_rate=Ratio(fee_rate),
        fee_exponent=fee_exponent,
    )
    return evolve(order, max_cost=Usd(cost[0])) if cost else order


def _plain_address(wallet: Wallet) -> Plain | Address | None:
    if not wallet.name:
        return wallet.address
    # Only where there is one: most wallets have none.
    return [wallet.address, wallet.name, int(wallet.signature_type), *([wallet.fleet] if wallet.fleet else ())]


def _wallet_of(follower: str, plain: Plain | str | None) -> Wallet:
    address, name, signature_type, *fleet = (
        plain if isinstance(plain, list) else (plain, "", 0)
    )  # on paper it has no name
    return Wallet(
        follower=FollowerId(follower),
        address=None if address is None else Address(address),
        name=name,
        signature_type=SignatureType(signature_type),
        fleet=fleet[0] if fleet else "",
    )


def _cost_at_limit(order: Order) -> int:
    """Return what `greatest_cost` does, in millionths."""
    return -(-order.shares.micro * order.limit_price.micro // MICRO) if order.side is _BUY else 0


def plain_report(report: ExecutionReport, beside: OrderId | None = None) -> Plain:
    """Write a report; without its order's id where that stands beside it."""
    return [
        None if report.order_id == beside else report.order_id,
        report.status._value_,
        report.shares.micro,
        report.notional.micro,
        report.fee.micro,
        report.settlement._value_,
        report.detail,
        # Only where it is: it hardly ever happens, and this is written with every copy.
        *([_STALE * report.stale + _OFF_BOOK * report.off_book] if report.stale or report.off_book else ()),
    ]


def report_of(plain: Plain) -> ExecutionReport:
    """Read a report."""
    order_id, status, shares, notional, fee, settlement, detail, *flags = plain
    return ExecutionReport(
        order_id=OrderId(order_id),
        status=Status(status),
        shares=Shares(shares),
        notional=Usd(notional),
        fee=Usd(fee),
        settlement=Settlement(settlement),
        detail=detail,
        stale=bool(flags and flags[0] & _STALE),
        off_book=bool(flags and flags[0] & _OFF_BOOK),
    )
