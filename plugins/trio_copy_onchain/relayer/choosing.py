"""Who has a wallet act: an operator by a transaction, or the relayer."""

from trio_copy.errors import ChainError, OrderNotSent
from trio_copy.model.orders import SignatureType
from trio_copy.ports import Act, Deed
from trio_copy_onchain.acting.cost import Cost
from trio_copy_onchain.causes import kind_of
from trio_copy_onchain.operators import Operators
from trio_copy_onchain.relayer.submitted import name_of


async def is_relayed(act: Act, operators: Operators, cost: Cost, until: float) -> bool:
    """Tell whether an act goes by the relayer: that of a deposit wallet, and of one none of whose operators can pay for its gas.

    Who has begun an act goes on with it: both together could do it twice. Where nobody tells what its gas costs, whoever has
    any coin may try.

    Raises:
        OrderNotSent: no node tells what the operators have.
    """
    wallet, chain = act.wallet, cost.chain
    if not may_be_relayed(act) or wallet.address is None:
        return False
    if wallet.signature_type is SignatureType.DEPOSIT:
        return True
    among = [operator for operator, _ in operators.of(wallet)]
    name = name_of(chain.chain_id, wallet.address, act.key)
    if any(name in operator.written.journal.documents() for operator in among):
        return True
    if operators.holder(act.key) is not None:
        return False
    try:
        has = {operator.address: await chain.balance(operator.address, until) for operator in among}
    except ChainError as error:
        raise OrderNotSent(f"no node tells what the operators of {wallet.name} have: {error}") from None
    richest = max(has, key=has.__getitem__)
    if not has[richest]:
        return True
    try:
        call = kind_of(wallet, cost.contracts).outer(act.calls, richest, act.key)
    except ValueError:
        return False  # it is no operator's: that is told where it is tried
    return has[richest] < await cost.of_sending(richest, call, until)


def may_be_relayed(act: Act) -> bool:
    """Tell whether a relayer carries such an act at all."""
    return act.wallet.signature_type is not SignatureType.EOA and act.deed is not Deed.REFUEL
