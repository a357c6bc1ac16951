"""What a wallet's calls would do at the head, before anything is sent: by the transaction, and where that hides it, by the calls."""

from collections.abc import Collection, Sequence

from trio_copy.errors import ChainError
from trio_copy.model.ids import Address
from trio_copy.transactions.calls import Call
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.tx.answers import Before, Estimate
from trio_copy_onchain.wallets.probing import probe, read_probe
from trio_copy_onchain.wallets.seam import WalletKind


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
