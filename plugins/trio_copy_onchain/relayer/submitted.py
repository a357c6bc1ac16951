"""What was signed for a relayer, written down before it leaves: a document for each action.

The name is `relay/CHAIN/WALLET/KEY`. The body is JSON: `[1, nonce, since_block, at, [[deadline, gas_limit, relay, statement,
signature, transaction id, transaction hash], ...], refused, landed]`; the signature in hex as it was made, `at` in Unix
seconds, `refused` a text or null, `landed` null or `[transaction hash, block number]`.
"""

from collections.abc import Iterator, Mapping

import msgspec
from attrs import evolve, frozen

from trio_copy.model.ids import Address, ChainId, Hash32, IntentKey
from trio_copy_onchain.tx.wire import MISREAD, address_of, bytes_of, hash_of

_VERSION = 1
_KIND = "relay"
_SIGNATURE_BYTES = 65
MOST_SIGNINGS = 64


@frozen(kw_only=True)
class Signing:
    """One body that was signed for an action, and what the relayer has said of it."""

    statement: Hash32
    """`Relayed.statement`."""
    signature: bytes
    """Of `Relayed.digest`, 65 bytes that end with 27 or 28."""
    deadline: int = 0
    gas_limit: int = 0
    relay: Address | None = None
    transaction_id: str | None = None
    tx_hash: Hash32 | None = None

    @property
    def mark(self) -> bytes:
        """Return by what the signature is known in a transaction, however it is written there: all ways begin so."""
        return self.signature[:32]


@frozen(kw_only=True)
class Action:
    """All that was signed for one key: all of it has one nonce, so that one of it happens at most."""

    nonce: int
    since_block: int
    """The chain's head when the first of it was signed: it happened later, if it did."""
    at: float
    signings: tuple[Signing, ...]
    """Oldest first, never empty."""
    refused: str | None = None
    """Why nothing came of it, as far as the relayer says, and the chain has shown. The nonce stays its own all the same."""
    landed: tuple[Hash32, int] | None = None
    """Which transaction it was, and in which block: for good."""

    @property
    def newest(self) -> Signing:
        return self.signings[-1]

    @property
    def open(self) -> bool:
        return self.refused is None and self.landed is None

    def with_newest(self, signing: Signing) -> "Action":
        return evolve(self, signings=(*self.signings[:-1], signing))

    def signed_again(self, signing: Signing) -> "Action":
        return evolve(self, signings=(*self.signings, signing), refused=None)


class _Row(msgspec.Struct, array_like=True):
    deadline: int
    gas_limit: int
    relay: str | None
    statement: str
    signature: str
    transaction_id: str | None
    tx_hash: str | None


class _Body(msgspec.Struct, array_like=True):
    version: int
    nonce: int
    since_block: int
    at: float
    signings: list[_Row]
    refused: str | None
    landed: tuple[str, int] | None


def name_of(chain_id: ChainId, wallet: Address, key: IntentKey) -> str:
    return f"{_KIND}/{chain_id}/{wallet}/{key}"


def write_action(action: Action) -> bytes:
    rows = [
        _Row(
            deadline=one.deadline,
            gas_limit=one.gas_limit,
            relay=one.relay,
            statement=one.statement,
            signature="0x" + one.signature.hex(),
            transaction_id=one.transaction_id,
            tx_hash=one.tx_hash,
        )
        for one in action.signings
    ]
    body = _Body(
        version=_VERSION,
        nonce=action.nonce,
        since_block=action.since_block,
        at=action.at,
        signings=rows,
        refused=action.refused,
        landed=action.landed,
    )
    return msgspec.json.encode(body)


def read_action(body: bytes) -> Action:
    """Read a document back. Raises `ValueError` where it is none."""
    try:
        told = msgspec.json.decode(body, type=_Body)
        signings = tuple(map(_signing_of, told.signings))
        if told.version != _VERSION or not signings:
            raise ValueError(f"expected version {_VERSION}, and something that was signed")
        landed = None if told.landed is None else (hash_of(told.landed[0]), told.landed[1])
    except MISREAD as error:
        raise ValueError(f"expected a stored action of a relayer, was {body[:80]!r}: {error}") from None
    return Action(
        nonce=told.nonce,
        since_block=told.since_block,
        at=told.at,
        signings=signings,
        refused=told.refused,
        landed=landed,
    )


def _signing_of(row: _Row) -> Signing:
    signature = bytes_of(row.signature, _SIGNATURE_BYTES)
    if len(signature) != _SIGNATURE_BYTES:
        raise ValueError(f"expected a signature of {_SIGNATURE_BYTES} bytes")
    return Signing(
        statement=hash_of(row.statement),
        signature=signature,
        deadline=row.deadline,
        gas_limit=row.gas_limit,
        relay=None if row.relay is None else address_of(row.relay),
        transaction_id=row.transaction_id,
        tx_hash=None if row.tx_hash is None else hash_of(row.tx_hash),
    )


def actions_of(
    documents: Mapping[str, bytes], chain_id: ChainId, wallet: Address
) -> Iterator[tuple[IntentKey, Action]]:
    """Yield the actions of a wallet by their keys. Raises `ValueError` for a document that cannot be read."""
    before = name_of(chain_id, wallet, IntentKey(""))
    for name, body in documents.items():
        if name.startswith(before):
            yield IntentKey(name.removeprefix(before)), read_action(body)
