"""Who has a wallet act: an operator by a transaction, or the relayer."""

from trio_copy.errors import ChainError, OrderNotSent
from trio_copy.model.orders import SignatureType
from trio_copy.ports import Act, Deed
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.operators import Operators
from trio_copy_onchain.relayer.submitted import name_of


async def is_relayed(act: Act, operators: Operators, chain: Chain, until: float) -> bool:
    """Tell whether an act goes by the relayer: that of a deposit wallet, and of one whose operators have no coin at all.

    Who has begun an act goes on with it: both together could do it twice.

    Raises:
        OrderNotSent: no node tells what the operators have.
    """
    wallet = act.wallet
    if wallet.signature_type is SignatureType.EOA or act.deed is Deed.REFUEL or wallet.address is None:
        return False
    if wallet.signature_type is SignatureType.DEPOSIT:
        return True
    among = [operator for operator, _ in operators.of(wallet)]
    name = name_of(chain.chain_id, wallet.address, act.key)
    if any(name in operator.written.journal.documents() for operator in among):
        return True
    if any(operator.binding(act.key) is not None for operator in among):
        return False
    try:
        return not any([await chain.balance(operator.address, until) for operator in among])
    except ChainError as error:
        raise OrderNotSent(f"no node tells what the operators of {wallet.name} have: {error}") from None
