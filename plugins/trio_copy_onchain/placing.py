"""From an intent to the call that is frozen in its order, and back. Pure.

The body is what the wallet itself calls: `[1, wallet, [[to, data, value], ...], until, since]`. Who carries it, with which nonce and for
which fees, is not part of it: of one key, whatever is sent makes these calls.
"""

from typing import Any

import msgspec
from attrs import frozen

from trio_copy.model.decisions import Code, OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, ChainId, IntentKey, OrderId
from trio_copy.model.orders import Order
from trio_copy.model.units import MICRO, Price
from trio_copy.records import write_plain
from trio_copy.transactions.calls import Call, call_digest
from trio_copy_onchain.holdings.approvals import Allowance
from trio_copy_onchain.holdings.of_venues import approval_of
from trio_copy_onchain.markets import Terms
from trio_copy_onchain.venues.amounts import Decimals
from trio_copy_onchain.venues.seam import Swap

_READ = msgspec.json.Decoder(list[Any])
_VERSION = 1


@frozen(kw_only=True)
class Body:
    """What an order's frozen bytes say."""

    wallet: Address
    calls: tuple[Call, ...]
    """The trade last; before it what it needs, where the wallet makes both in one transaction."""
    until: float
    """Unix seconds from which on it is not to be mined any more."""
    since: float
    """Unix seconds of what the intent comes from: nothing of it can have left before."""

    @property
    def trade(self) -> Call:
        return self.calls[-1]

    def frozen(self) -> bytes:
        calls = [[call.to, call.data.hex(), call.value] for call in self.calls]
        return write_plain([_VERSION, self.wallet, calls, self.until, self.since])

    @classmethod
    def of(cls, order: Order) -> "Body":
        """Read an order's body. Raises `ValueError`: it is none of ours."""
        try:
            version, wallet, written, until, since = _READ.decode(order.body)
            calls = tuple(
                Call(to=Address(to), data=bytes.fromhex(data), value=int(value)) for to, data, value in written
            )
        except (ValueError, TypeError, msgspec.MsgspecError) as error:
            raise ValueError(f"expected the body of an order on the chain: {error}") from None
        if version != _VERSION or not calls:
            raise ValueError(f"expected a body of version {_VERSION} with calls, was {version} with {len(calls)}")
        return cls(wallet=Address(wallet), calls=calls, until=float(until), since=float(since))


def swap_of(intent: OrderIntent, wallet: Address, terms: Terms, *, until: float, room_bps: int) -> Swap | Reason:
    """Size an intent to its venue: always downwards; or say why nothing is left."""
    limit = Price(min(max(intent.limit_price.micro, 1), MICRO - 1))
    decimals, partial = terms.decimals, intent.order_type == "FAK"
    cash = decimals.cash_units(intent.max_cost) if intent.side is Side.BUY else 0
    shares = decimals.shares_units(intent.shares) if intent.side is Side.SELL else 0
    if not (cash or shares):
        return _too_small(intent)
    swap = Swap(
        wallet=wallet, side=intent.side, cash=cash, shares=shares, limit=limit, partial=partial, deadline=int(until)
    )
    if intent.side is Side.BUY:
        return swap
    named = terms.venue.sale_cash(swap, terms.answers, room_bps)
    return Swap(
        wallet=wallet, side=Side.SELL, cash=named, shares=shares, limit=limit, partial=partial, deadline=int(until)
    )


def swap_again(order: Order, body: Body, decimals: Decimals) -> Swap:
    """Return what an order that was prepared gives, and for what at least; not what cash a sale names."""
    limit = Price(min(max(order.limit_price.micro, 1), MICRO - 1))
    cash = decimals.cash_units(order.max_cost) if order.side is Side.BUY else 0
    shares = decimals.shares_units(order.shares) if order.side is Side.SELL else 0
    return Swap(wallet=body.wallet, side=order.side, cash=cash, shares=shares, limit=limit, deadline=int(body.until))


def calls_of(terms: Terms, swap: Swap, *, approves: bool) -> tuple[Call, ...]:
    """Return the trade, and before it the allowance that it uses up, where the wallet makes both in one transaction.

    Raises:
        ValueError: it is so little that nothing would come of it.
    """
    trade, approval = terms.venue.call(swap), approval_of(terms.venue, swap, terms.collateral)
    return (approval.call, trade) if approves and isinstance(approval, Allowance) else (trade,)


def order_id(chain_id: ChainId, body: Body, key: IntentKey) -> OrderId:
    """Name an order before anything of it is sent: by what it does, and for which key."""
    return OrderId("0x" + call_digest(chain_id, body.wallet, body.trade.marked(key)).hex())


def _too_small(intent: OrderIntent) -> Reason:
    value = f"{intent.max_cost} USD" if intent.side is Side.BUY else f"{intent.shares} shares"
    return Reason(code=Code.VENUE_REFUSED, control="venue.minimum", value=value, limit="a unit of the token")


def nothing_of(error: ValueError) -> Reason:
    """Say why no call was made."""
    return Reason(
        code=Code.VENUE_REFUSED, control="venue.minimum", value=str(error), limit="a trade that exchanges something"
    )
