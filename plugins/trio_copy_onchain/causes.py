"""Why an order's transactions are signed, and how long who asks for it waits."""

import trio

from trio_copy.errors import OrderNotSent
from trio_copy.model.ids import ChainId
from trio_copy.model.orders import Order, Wallet
from trio_copy.ports import Signer, Spending
from trio_copy.transactions.calls import Call, call_digest
from trio_copy_onchain.markets import Terms
from trio_copy_onchain.placing import Body
from trio_copy_onchain.sending.cause import Cause
from trio_copy_onchain.sending.operator import Operator
from trio_copy_onchain.tx.sendings import Binding
from trio_copy_onchain.wallets.kinds import WalletContracts, of_wallet
from trio_copy_onchain.wallets.seam import WalletKind

_MARGIN_S = 0.05
"""So long before its caller gives up, an order is left to be looked up: what is told then is known, and not cut off."""
_LONGEST_S = 60.0


def cause_of(
    chain_id: ChainId,
    order: Order,
    body: Body,
    terms: Terms,
    kind: WalletKind,
    operator: Operator,
    signer: Signer,
    binding: Binding | None = None,
) -> Cause:
    """Say why an order's transactions are signed; of one that has a nonce, with the call and the gas that it has."""
    call, gas = kind.outer(body.calls, operator.address, order.key), 0
    signed = None if binding is None or binding.end is not None else binding.call
    if signed is not None:
        call, gas = Call(to=signed.to, data=signed.data, value=signed.value), signed.gas
    spending = Spending(
        key=order.key,
        side=order.side,
        token_id=order.token_id,
        limit_price=order.limit_price,
        max_cost=order.max_cost,
        chain_id=chain_id,
        contract=body.trade.to,
        maker=body.wallet,
        at=body.since,
    )
    return Cause(
        key=order.key,
        signer=signer,
        purpose=spending,
        call=call,
        gas=gas,
        until=body.until,
        released=call_digest(chain_id, body.wallet, body.trade),
        prices=terms.venue.words,
    )


def body_of(order: Order) -> Body:
    """Read what an order's frozen bytes say. Raises `OrderNotSent`: they are none of ours."""
    try:
        return Body.of(order)
    except ValueError as error:
        raise OrderNotSent(str(error)) from None


def kind_of(wallet: Wallet, contracts: WalletContracts) -> WalletKind:
    """Return how a wallet acts. Raises `OrderNotSent`: by no transaction of ours."""
    try:
        return of_wallet(wallet, contracts)
    except ValueError as error:
        raise OrderNotSent(str(error)) from None


def until() -> float:
    """Return until when there is time, by Trio's clock: a moment before whoever called gives up."""
    return min(trio.current_effective_deadline() - _MARGIN_S, trio.current_time() + _LONGEST_S)
