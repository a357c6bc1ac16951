"""What a wallet's calls would do at the head, before anything is sent: by the transaction, and where that hides it, by the calls.

What is refused now needs no nonce.
"""

from collections.abc import Collection, Hashable, Sequence

import trio
from attrs import evolve, frozen

from trio_copy.errors import ChainError, OrderNotSent
from trio_copy.model.ids import Address
from trio_copy.transactions.calls import Call
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.sending.cause import Cause
from trio_copy_onchain.sending.known_gas import KnownGas
from trio_copy_onchain.sending.operator import NoCoin, Operator
from trio_copy_onchain.tx.answers import Before, Estimate, gas_limit
from trio_copy_onchain.tx.reverts import Lacks
from trio_copy_onchain.wallets.probing import probe, read_probe
from trio_copy_onchain.wallets.seam import WalletKind


@frozen(kw_only=True)
class Refusal:
    """Why a call is not sent: by the contract, or because it takes more gas than may be spent on one."""

    words: str
    killed: bool = False
    """Whether for the price, or the time: nothing else is wrong."""
    lacks: Lacks = Lacks.NOTHING


@frozen
class Like:
    """Which calls are alike, so that one may take as much gas as another has."""

    known: KnownGas
    key: Hashable


async def with_gas(
    cause: Cause,
    calls: Sequence[Call],
    kind: WalletKind,
    operator: Operator,
    until: float,
    *,
    margin_bps: int,
    max_gas: int,
    like: Like | None = None,
) -> Cause | Refusal:
    """Return a cause with the gas that it may use, or why it is not sent.

    Raises:
        OrderNotSent: no node says, or, as `NoCoin`, the operator cannot pay for gas; then it is paused.
    """
    known = None if like is None else like.known.of(like.key, trio.current_time())
    # The margin comes on top of what it was tried with, as it does of an estimate: between now and its block more may be needed.
    if known is not None and await operator.chain.goes_through(operator.address, cause.call, known, until):
        estimate = Estimate(before=Before.READY, gas=known)
    else:
        estimate = await tried(operator.chain, cause.call, calls, kind, operator.address, cause.prices, until)
    match estimate.before:
        case Before.KILLED | Before.REJECTED:
            killed = estimate.before is Before.KILLED
            return Refusal(words=estimate.words, killed=killed, lacks=estimate.lacks)
        case Before.NO_FUNDS:
            operator.pause(estimate.words)
            raise NoCoin(f"operator {operator.address} cannot pay for gas: {estimate.words}")
        case Before.UNKNOWN:
            raise OrderNotSent(f"no node says whether it would go through: {estimate.words}")
    gas = gas_limit(estimate.gas, margin_bps=margin_bps, most=max_gas)
    if gas is None:
        return Refusal(words=f"it takes {estimate.gas} gas, and max_gas is {max_gas}")
    if like is not None and estimate.gas != known:
        # Not what is too much: no other call like it would be tried with less.
        like.known.note(like.key, estimate.gas, trio.current_time())
    return evolve(cause, gas=gas)


async def tried(
    chain: Chain,
    outer: Call,
    calls: Sequence[Call],
    kind: WalletKind,
    operator: Address,
    prices: Collection[str],
    until: float,
) -> Estimate:
    """Say whether an operator's transaction would go through, how much gas it takes, and if not, why not. Raises nothing."""
    estimate = await chain.estimate(operator, outer, prices, until)
    if estimate.before is not Before.REJECTED or not any(word in estimate.words.lower() for word in kind.hides):
        return estimate
    try:
        told: bytes | ChainError = await chain.nodes.ask("eth_call", probe(calls, kind.address), until)
    except ChainError as error:
        told = error
    return read_probe(told, estimate, prices)
