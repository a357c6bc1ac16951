"""What an executor that moves money is given in place of a key: somebody who signs what a guard lets pass."""

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from trio_copy.model.decisions import Code, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, ChainId, IntentKey, TokenId
from trio_copy.model.orders import Wallet
from trio_copy.model.units import Price, Usd
from trio_copy.ports.acting import Act
from trio_copy.transactions.relayed import Relayed
from trio_copy.transactions.transaction import Transaction


@frozen(kw_only=True)
class Spending:
    """What an order may do at most once it is signed, in the words of the guard's policy."""

    key: IntentKey
    side: Side
    token_id: TokenId
    limit_price: Price
    max_cost: Usd
    """What a BUY may cost at most before fees; zero for a SELL."""
    chain_id: ChainId
    contract: Address
    """The exchange that checks the signature."""
    maker: Address
    """Whose money or shares move."""
    at: float
    """Unix seconds of the leader's block, or of what else the intent comes from: the same on every retry."""


@frozen(kw_only=True)
class Access:
    """What proves to a venue who we are: typed data (EIP-712) of a domain without a contract, so that it can move nothing."""

    name: str
    """Of the domain, with its version."""
    version: str
    chain_id: ChainId
    statement: bytes
    """The hash of the struct that is signed, 32 bytes."""


class Nothing:
    """Why a transaction does nothing: it takes a nonce from another, or fills a gap."""


NOTHING = Nothing()
Purpose = Spending | Act | Nothing
"""What a transaction is for. A guard reads what it does from its bytes, and refuses what is not for that.

Of a trade, `Spending.contract` is the contract that the wallet calls for it: a market maker, or a router.
"""
NOT_LET_GO = "release"
"""The control of a refusal which a `release` would end: nothing is known of one for that nonce. It may be the signature of an
earlier process, which wrote down no nonce, or wrote elsewhere; let go once more, it counts once more."""


NO_BARE_DIGEST = Reason(
    code=Code.GUARD_REFUSED,
    control="sign",
    value="a bare digest",
    limit="a transaction, which can be read; an executor that signs orders for a venue sets `signs_orders=True` in its"
    " ExecutorPlugin",
)
"""Why who sends transactions gets no digest signed, and what its author does about it."""


class Signer(Protocol):
    """Signs with the key of one wallet. It has a guard, and a memory that outlives the process."""

    @property
    def address(self) -> Address:
        """The key's own address: who signs, whatever account pays."""
        ...

    @property
    def armed_at(self) -> float:
        """When a person armed the wallet last, in Unix seconds, as soon as this process knows it; 0 where nobody did.

        Whatever he had to mend before that, he says is mended: a venue that had refused the wallet for good is tried again.
        """
        ...

    def sign(self, wanted: Spending, digest: bytes) -> bytes | Reason:
        """Return the 65 bytes of a signature of a digest, or why there is none. Never waits, never raises.

        For one intent key there is one digest for ever: the same one is signed again, another never. It counts for no limit
        yet, for an order may still come to nothing: it must not leave the process before `release` has returned. Refused
        for whoever sends transactions (`ExecutorPlugin.signs_orders`).
        """
        ...

    def sign_access(self, access: Access) -> bytes | Reason:
        """Return the signature of a statement that moves nothing, or why there is none. It needs no arming.

        The signer works the digest out by itself, so that no order can be signed this way.
        """
        ...

    def sign_transaction(self, transaction: Transaction, purpose: Purpose) -> bytes | Reason:
        """Return the 65 bytes of a signature of a transaction, or why there is none. Never waits, never raises.

        Of a trade, its call was released before (`call_digest` as the digest), once for each nonce: what only has other fees
        is signed again, after a restart too. Where that is missing, the refusal's control is `NOT_LET_GO`. What does nothing is
        signed as far as its gas may cost that much. Nothing of it leaves the process before `wait_counted` has returned.
        """
        ...

    def sender_of(self, key: IntentKey) -> Address | None:
        """Return which operator's transaction was signed for a key, as far as is remembered; None for none, and for the wallet's own.

        Another operator's is not signed for it: of two that have left, both could happen. Never waits, never raises.
        """
        ...

    def sign_relayed(self, relayed: Relayed, purpose: Purpose) -> bytes | Reason:
        """Return the signature of calls that a relayer carries to the chain; judged as those of a transaction."""
        ...

    async def wait_counted(self) -> None:
        """Wait until everything that was signed here counts on the disk: under which nonces, and what its gas may cost.

        What was signed at the same time becomes durable together. Cancelled, it counts all the same.

        Raises:
            OrderNotSent: it cannot be written down. Nothing that was signed since may leave, but for what does nothing.
        """
        ...

    async def release(self, wanted: Spending, digest: bytes) -> None:
        """Judge an order that is about to leave once more, count it, and wait until that is on the disk; nothing leaves before.

        Whoever signed it, in whatever process. What was released is released again, and counts once. Cancelled, it counts
        all the same. Of transactions, each time is good for one nonce; what was signed since the last time counts anew.

        Raises:
            OrderNotSent: the guard refuses, and `reason` says why; or what it counts could not be written, or another process
                released another body meanwhile: nothing may be sent.
        """
        ...


class Signers(Protocol):
    """The signers of the wallets that pay for one executor's followers."""

    def of(self, wallet: Wallet) -> Signer | None:
        """Return who signs for a wallet; None for one on paper, or whose key was not opened when the process began."""
        ...

    def operators(self, wallet: Wallet) -> Sequence[Signer]:
        """Return who may send a wallet's transactions: those of its fleet, or the one that signs for it. Empty as `of` is None."""
        ...
