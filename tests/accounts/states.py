"""An account's whole state, to be compared: what it keeps, and what it has derived from that."""

from typing import Any

from trio_copy.accounts import Account
from trio_copy.accounts.documents import Plain, documents_of
from trio_copy.records import read_plain, write_plain

Documents = dict[tuple[str, str], Plain]


def kept(account: Account) -> dict[str, Any]:
    """What outlives the process."""
    return {
        "orders": account.orders,
        "holdings": account.holdings,
        "waiting": account.waiting,
        "dead": account.dead,
        "recent": account.recent,
        "windows": account.windows,
        "performance": account.performance,
        "mode": account.mode,
    }


def derived(account: Account) -> dict[str, Any]:
    """What is added up from what is kept."""
    exposure = account.exposure
    return {
        "cost": dict(exposure._cost),
        "spots": dict(exposure._spots),
        "entered": dict(exposure._entered),
        "version": exposure.version,
        "held": dict(account.held),
        "promised": dict(account._promised),
        "order of": dict(account._order_of),
    }


def documents(account: Account) -> Documents:
    """Its documents, as they come back from JSON."""
    return {(one.kind, one.name): read_plain(write_plain(one.body)) for one in documents_of(account)}
