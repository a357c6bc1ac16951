"""What the chain shows of an action: whether a transaction carried it, and whether it did what it should. Pure.

A relayer may name any transaction. It counts where the wallet's own contract says in the logs what it did, and where the
wallet's signature stands in the calldata: nobody but its owner can have made it.
"""

from collections.abc import Sequence
from enum import Enum

from attrs import frozen

from trio_copy.model.ids import Address, Hash32
from trio_copy.model.logs import RawLog
from trio_copy.model.orders import SignatureType
from trio_copy.native import keccak
from trio_copy.transactions.relayed import RelayContracts
from trio_copy_onchain.relayer.submitted import Signing
from trio_copy_onchain.tx.receipts import Receipt

_WORD = 32


def _topic(event: str) -> Hash32:
    return Hash32("0x" + keccak(event.encode()).hex())


SUCCESS, FAILURE = _topic("ExecutionSuccess(bytes32,uint256)"), _topic("ExecutionFailure(bytes32,uint256)")
"""What a Safe tells of each execution, with the hash of what was signed: each of them uses one nonce."""
RELAYED = _topic("TransactionRelayed(address,address,address,bytes4,uint8,uint256)")
_RELAYED_WELL = 0


class Outcome(Enum):
    DONE = "it happened"
    FAILED = "its nonce is used, and nothing else has happened"
    REVERTED = "nothing has happened: its nonce is not used by this"
    FOREIGN = "the transaction is about something else"

    __hash__ = object.__hash__


@frozen(kw_only=True)
class Place:
    """Whose action it is."""

    kind: SignatureType
    wallet: Address
    owner: Address
    contracts: RelayContracts


def outcome_of(place: Place, signings: Sequence[Signing], receipt: Receipt, calldata: bytes) -> Outcome:
    """Say what a transaction that was mined did for an action."""
    signed = any(one.mark in calldata for one in signings)
    if not receipt.succeeded:
        return Outcome.REVERTED if signed else Outcome.FOREIGN
    match place.kind:
        case SignatureType.SAFE:
            statements = {one.statement for one in signings}
            for log in receipt.logs:
                if log.address == place.wallet and executed(log) in statements:
                    return Outcome.DONE if log.topics[0] == SUCCESS else Outcome.FAILED
            return Outcome.FOREIGN
        case SignatureType.PROXY:
            return _of_hub(place, receipt.logs) if signed else Outcome.FOREIGN
        case _:
            return Outcome.DONE if signed else Outcome.FOREIGN


def executed(log: RawLog) -> Hash32 | None:
    """Return of which statement a log of a Safe tells; None where it tells of none."""
    if not log.topics or log.topics[0] not in (SUCCESS, FAILURE):
        return None
    if len(log.topics) > 1:  # Safes from 1.4 on
        return log.topics[1]
    return Hash32("0x" + log.data[:_WORD].hex()) if len(log.data) >= _WORD else None


def _of_hub(place: Place, logs: Sequence[RawLog]) -> Outcome:
    """The hub mines what fails as well, and says so."""
    owner = "0x" + "0" * 24 + place.owner[2:]
    told = [
        int.from_bytes(log.data[_WORD : 2 * _WORD])
        for log in logs
        if log.address == place.contracts.relay_hub
        and len(log.topics) == 4
        and log.topics[0] == RELAYED
        and log.topics[2] == owner
        and len(log.data) >= 2 * _WORD
    ]
    if len(told) != 1:
        return Outcome.FOREIGN
    return Outcome.DONE if told[0] == _RELAYED_WELL else Outcome.FAILED
