"""What each booking earned: the ledger retold sale by sale."""

from collections.abc import Iterable, Iterator

from attrs import evolve, frozen

from trio_copy.model.positions import EMPTY, EntryKind, LedgerEntry, Position, PositionKey
from trio_copy.model.units import Usd


@frozen
class Earned:
    """One entry that counts, and what it realised."""

    entry: LedgerEntry
    realised: Usd
    """Firm: settled for good."""
    provisional: Usd
    """Matched and not settled, or sold from what is not settled."""


def earned(entries: Iterable[LedgerEntry]) -> Iterator[Earned]:
    """Retell entries in the order of their booking; those that were reversed are left out, as if they never were."""
    ordered = tuple(entries)
    reversed_keys = {entry.of for entry in ordered if entry.kind is EntryKind.REVERSE}
    confirmed = {entry.of for entry in ordered if entry.kind is EntryKind.CONFIRM}
    positions: dict[PositionKey, Position] = {}
    for entry in ordered:
        if entry.kind in (EntryKind.REVERSE, EntryKind.CONFIRM) or entry.key in reversed_keys:
            continue
        before = positions.get(entry.position, EMPTY)
        after = positions[entry.position] = before.after(_settled(entry, confirmed))
        yield Earned(entry, after.realised - before.realised, after.provisional - before.provisional)


def _settled(entry: LedgerEntry, confirmed: set[str]) -> LedgerEntry:
    return evolve(entry, firm=True) if entry.key in confirmed else entry
