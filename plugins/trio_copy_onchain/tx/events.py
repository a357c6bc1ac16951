"""What happened to a wallet's nonces: facts that `Nonces.apply` turns into what they are now."""

from enum import Enum

from attrs import frozen

from trio_copy.model.ids import Hash32, IntentKey
from trio_copy_onchain.tx.sendings import Binding, Inclusion, Sending


@frozen(kw_only=True)
class Bound:
    binding: Binding


@frozen(kw_only=True)
class Replaced:
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


class Fate(Enum):
    LANDED = "its call was mined for good; the receipt says what came of it"
    CANCELLED = "what does nothing was mined in its place, for good"
    DISPLACED = "something else has used its nonce, for good"


@frozen(kw_only=True)
class Ended:
    nonce: int
    key: IntentKey | None
    fate: Fate
    hash: Hash32
    """Of what has used the nonce."""
    was_unsent: bool = False
    """Whether it had been given up: with LANDED, a node lied, and a person has to look."""


@frozen(kw_only=True)
class Noted:
    """How far the wallet's nonces are used. Kept in memory only."""

    latest: int
    pending: int
    final: int


Event = Bound | Replaced | Left | Heard | Unsent | Mined | Unmined | Ended | Noted
