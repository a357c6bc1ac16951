"""What happened to a wallet's nonces: facts that `Nonces.apply` turns into what they are now."""

from attrs import frozen

from trio_copy.model.ids import Hash32, IntentKey
from trio_copy_onchain.tx.sendings import Binding, End, Inclusion, Sending


@frozen(kw_only=True)
class Bound:
    binding: Binding


@frozen(kw_only=True)
class Replaced:
    sending: Sending


@frozen(kw_only=True)
class Recognised:
    """Was signed for a bound nonce by a process whose journal was lost."""

    sending: Sending


@frozen(kw_only=True)
class Left:
    """Bytes are on their way. Kept in memory only: forgotten, it is a doubt."""

    sending: Sending


@frozen(kw_only=True)
class Heard:
    """Nodes have answered. Kept in memory only."""

    nonce: int
    hash: Hash32
    refused: bool


@frozen(kw_only=True)
class Unsent:
    """Nothing of it is anywhere: its nonce is free for another key. It is followed all the same, for a node may have lied."""

    nonce: int
    key: IntentKey | None


@frozen(kw_only=True)
class Mined:
    nonce: int
    inclusion: Inclusion


@frozen(kw_only=True)
class Unmined:
    """A reorg took it back: it is pending again."""

    nonce: int


@frozen(kw_only=True)
class Ended:
    nonce: int
    key: IntentKey | None
    end: End


@frozen(kw_only=True)
class Paid:
    """A receipt has told what the gas of something that ended has cost, in wei."""

    key: IntentKey
    wei: int


@frozen(kw_only=True)
class Forgotten:
    """Nobody asks about it any more."""

    key: IntentKey


@frozen(kw_only=True)
class Noted:
    """How far the wallet's nonces are used. Kept in memory only."""

    latest: int
    foremost: int
    pending: int
    final: int


Event = Bound | Replaced | Recognised | Left | Heard | Unsent | Mined | Unmined | Ended | Paid | Forgotten | Noted
