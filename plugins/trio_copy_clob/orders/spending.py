"""What an order may do, in the words of a key's guard: the same before it is signed, and read again from its frozen body."""

from trio_copy.model.fills import Side
from trio_copy.model.ids import ChainId, IntentKey
from trio_copy.model.orders import Order
from trio_copy.model.units import NO_USD, Price, Usd
from trio_copy.ports.signing import Spending
from trio_copy_clob.orders.body import read_body
from trio_copy_clob.orders.exchanges import EXCHANGES, Exchange, exchange_of
from trio_copy_clob.orders.order import ClobOrder, struct_hash
from trio_copy_clob.orders.signing import digests_at

_MS = 1000


def spending_of(key: IntentKey, order: ClobOrder, exchange: Exchange, limit_price: Price) -> Spending:
    """Say what an order may do at most. Its limit is not among the fields that are signed."""
    return Spending(
        key=key,
        side=order.side,
        token_id=order.token_id,
        limit_price=limit_price,
        max_cost=Usd(order.maker_amount) if order.side is Side.BUY else NO_USD,
        chain_id=exchange.chain_id,
        contract=exchange.contract,
        maker=order.maker,
        at=float(-(-order.timestamp // _MS)),  # the time of an order is up to a second behind its leader's block
    )


def frozen_spending(order: Order, chain_id: ChainId) -> tuple[Spending, bytes]:
    """Read from a frozen body what its order may do, and the digest that was signed for it.

    The body does not name its exchange; the order's id is its digest at one of them.

    Raises:
        ValueError: it is no body of an order, or that of another one.
    """
    read = read_body(order.body)
    try:
        contents = struct_hash(read)
    except OverflowError as error:
        raise ValueError(f"expected the frozen body of an order: {error}") from None
    for exchange in (exchange_of(name, chain_id) for name in EXCHANGES):
        digests = digests_at(exchange, read, contents)
        if f"0x{digests.order_id.hex()}" == order.order_id:
            return spending_of(order.key, read, exchange, order.limit_price), digests.to_sign
    raise ValueError(f"expected the body of order {order.order_id}, got that of another one")
