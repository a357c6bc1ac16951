"""Accounts and what they tell, in the form in which stores keep them, and back."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from trio_copy.accounts import Account, Spot
from trio_copy.accounts.copied import Copied, copied_in
from trio_copy.accounts.documents import PlainDocument, account_of
from trio_copy.accounts.facts import Record, entry_in, fact_of, record_of
from trio_copy.accounts.holdings import Holding
from trio_copy.accounts.names import place_of
from trio_copy.accounts.sighted import looks_of
from trio_copy.accounts.telling import Told
from trio_copy.accounts.written_positions import holding_of
from trio_copy.errors import StoreError
from trio_copy.model.catalog import Catalog
from trio_copy.model.facts import Fact
from trio_copy.model.ids import FollowerId
from trio_copy.model.positions import LedgerEntry
from trio_copy.model.sightings import Looks
from trio_copy.ports import Document
from trio_copy.records import read_part, read_parts, read_plain, write_plain

_T = TypeVar("_T")


def stored_account(follower: FollowerId, catalog: Catalog, documents: Iterable[Document]) -> Account:
    """Read an account; one without documents is new.

    Raises:
        StoreError: a document is not what its kind promises.
    """
    plain = (PlainDocument(one.kind, one.name, read_plain(one.body)) for one in documents)
    try:
        return account_of(follower, catalog, plain)
    except ValueError as error:
        raise StoreError(str(error)) from error


def stored_place(document: Document) -> tuple[Spot, int | None]:
    """Read which position a document is about, as `names.place_of`. Raises `StoreError` when its name is no such name."""
    try:
        return place_of(document.name)
    except ValueError as error:
        raise StoreError(
            f"expected a stored position of {document.follower}, was {document.name[:80]}: {error}"
        ) from error


def stored_holding(documents: Sequence[Document]) -> Holding:
    """Read a position from its own document, which is the first, and its bundles, of the same moment.

    Raises:
        StoreError: they are not what their kind promises.
    """
    own, *others = documents
    # The bundle 0 is never written apart: a second document that claims to be the position's own is refused as one.
    bundles = {stored_place(one)[1] or 0: read_plain(one.body) for one in others}
    return kept_in(own, lambda body: holding_of(body, bundles))


def stored_fact(told: Told) -> Fact:
    """Write what an account told."""
    return fact_of(told, write_plain)


def told_by(fact: Fact) -> Record:
    """Read what an account told. Raises `StoreError` when it is not what its kind promises."""
    try:
        return record_of(fact, read_plain(fact.body))
    except ValueError as error:
        raise StoreError(str(error)) from error


def booked_by(fact: Fact) -> LedgerEntry | None:
    """Read the booking that a fact of kind filled or entry carries. Raises `StoreError` as `told_by`."""
    try:
        return entry_in(fact, read_parts(fact.body), read_part)
    except ValueError as error:
        raise StoreError(f"{error}, was {fact.body[:80]!r}") from error


def looked_by(fact: Fact) -> Looks:
    """Read looks. Raises `StoreError` as `told_by`."""
    try:
        return looks_of(fact.key, read_plain(fact.body))
    except ValueError as error:
        raise StoreError(str(error)) from error


def copied_by(fact: Fact) -> Copied | None:
    """Read what a venue made of the order that a fact tells of. Raises `StoreError` as `told_by`."""
    try:
        return copied_in(fact, read_parts(fact.body), read_part)
    except ValueError as error:
        raise StoreError(f"{error}, was {fact.body[:80]!r}") from error


def kept_in(document: Document, read: Callable[[list[Any]], _T]) -> _T:
    """Read one document. Raises `StoreError` when it is not what its kind promises."""
    try:
        return read(read_plain(document.body))
    except (ValueError, TypeError, KeyError, IndexError) as error:
        what = f"{document.kind} {document.name} of {document.follower}"
        raise StoreError(f"expected a stored {what}, was {document.body[:80]!r}: {error}") from error
