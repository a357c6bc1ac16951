"""What a wallet's nonces may be asked. Everything that an answer depends on is in the command, or in what they are."""

from collections.abc import Callable, Collection, Mapping

from attrs import field, frozen

from trio_copy.model.ids import Hash32, IntentKey
from trio_copy_onchain.tx.receipts import Receipt
from trio_copy_onchain.tx.sendings import Sending
from trio_copy_onchain.tx.texts import Proves

SignFor = Callable[[int], Sending]
"""Signs something with a nonce. Pure."""


@frozen(kw_only=True)
class Bind:
    """Give a key its nonce; one that has one keeps it, with what was signed for it. Late, it gets none."""

    key: IntentKey
    until: float
    """Unix seconds from which on it would be late."""
    sign: SignFor
    at: float


@frozen(kw_only=True)
class Fill:
    """Use a nonce that nothing of ours has, for later ones wait behind it."""

    nonce: int
    sign: SignFor
    at: float


@frozen(kw_only=True)
class Replace:
    """Sign another one for a bound nonce, which pays an eighth more: the same call, or what does nothing."""

    nonce: int
    sign: SignFor
    at: float


@frozen(kw_only=True)
class Send:
    """Hand out the bytes that may leave now, for the first time or once more."""

    nonce: int
    at: float


@frozen(kw_only=True)
class Hear:
    """Learn what all nodes together said of bytes that left; of bytes that were cut off on their way, NOTHING."""

    nonce: int
    hash: Hash32
    proves: Proves


@frozen(kw_only=True)
class GiveUp:
    """Free a nonce, where that is proven to be harmless: every node refused everything of it."""

    nonce: int


@frozen(kw_only=True)
class See:
    """Learn what the chain shows of the wallet. Of what several nodes say the least counts: it only delays, and too much
    would take for final what is not."""

    latest: int
    """Nonces that are used at the head."""
    foremost: int = 0
    """The same as the node says that has seen most: counts where nothing of ours is known, as after a journal was lost."""
    pending: int
    """The same with what waits in a pool, that of others too."""
    final: int
    """Nonces that are used in final blocks."""
    final_block: int
    receipts: Mapping[Hash32, Receipt | None] = field(factory=dict)
    """Of all hashes that were asked for; None where no node has one."""
    used: Mapping[int, Hash32] = field(factory=dict)
    """By which transaction nonces were used in final blocks, as far as somebody looked: see `receipts.read_used`."""


@frozen(kw_only=True)
class Adopt:
    """Follow what was found on the chain for a key, and nobody has written down any more: a nonce, or one more transaction of it."""

    key: IntentKey
    until: float
    sending: Sending


@frozen(kw_only=True)
class Pay:
    """Take note what the gas of a key's transaction has cost, in wei."""

    key: IntentKey
    wei: int


@frozen(kw_only=True)
class Forget:
    """Forget keys that have ended, and that nobody asks about any more."""

    keys: Collection[IntentKey]


Command = Bind | Fill | Replace | Send | Hear | GiveUp | See | Adopt | Pay | Forget
