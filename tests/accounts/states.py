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
        "windows": {name: window for name, window in account.windows.items() if window.used},
        "performance": account.performance,
        "mode": account.mode,
        "fundings": account.fundings,
    }


def derived(account: Account) -> dict[str, Any]:
    """What is added up from what is kept."""
    exposure = account.exposure
    return {
        "cost": open_cost(account),
        "scopes": {name: scope.spots for name, scope in exposure._scopes.items()},
        "spots": {spot: place.count for spot, place in exposure._places.items()},
        "entered": dict(exposure._entered),
        "version": exposure.version,
        "held": held(account),
        "promised": dict(account._promised),
        "order of": dict(account._order_of),
    }


def open_cost(account: Account) -> dict[str, int]:
    """What is open by everything that a cap may be about, as far as it costs anything."""
    return {name: scope.cost for name, scope in account.exposure._scopes.items() if scope.cost}


def held(account: Account) -> dict[str, int]:
    """What open orders may use of each window."""
    return {name: window.held for name, window in account.windows.items() if window.held}


def documents(account: Account) -> Documents:
    """Its documents, as they come back from JSON."""
    return {(one.kind, one.name): read_plain(write_plain(one.body)) for one in documents_of(account)}
