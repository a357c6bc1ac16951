"""What a configuration calls things by, and what it calls by a name that is nobody's.

Both are read from the plain file, before its shapes are checked: a mistyped number must not hide a mistyped name.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from trio_copy.config.problems import suggestion
from trio_copy.model.follows import EVERYBODY

_CALLED = (
    ("endpoint", "name"),
    ("follower", "id"),
    ("follow", "leader"),
    ("leader", "address"),
    ("leader", "name"),
    ("follow", "name"),
)


def names_in(table: Mapping[str, Any], plugin_tables: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of followers, leaders, nodes, executors, stores, wallets and the like: they are no secrets."""
    for kind in plugin_tables:
        named = table.get(kind)
        if isinstance(named, dict):
            yield from named
    for kind, key in _CALLED:
        yield from (row[key] for _, row in _rows(table, kind) if isinstance(row.get(key), str))


def wrong_references(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem for each follower without its executor or wallet, wallet without its fleet, and follow without its follower."""
    for kind in ("executor", "wallet"):
        tables = table.get(kind, {})
        if isinstance(tables, dict):
            known = ", ".join(sorted(tables)) or "none"
            for index, name in _texts(table, "follower", kind):
                if name not in tables:
                    yield (
                        f'follower[{index}].{kind}: expected a configured {kind} ({known}), got "{name}"'
                        + suggestion(name, tables)
                    )
    yield from _wrong_fleets(table)
    followers = {name for _, name in _texts(table, "follower", "id")}
    if len(followers) < len({str(row.get("id")) for _, row in _rows(table, "follower")}):
        return  # an id cannot be read, which is told: whoever means that one is not wrong a second time
    for index, name in _texts(table, "follow", "follower"):
        if name == EVERYBODY or (name not in followers and EVERYBODY not in followers):
            yield (
                f'follow[{index}].follower: expected the id of a [[follower]], got "{name}"'
                + suggestion(name, followers)
            )


def _wrong_fleets(table: Mapping[str, Any]) -> Iterator[str]:
    fleets, wallets = table.get("fleet", {}), table.get("wallet", {})
    if isinstance(fleets, dict) and isinstance(wallets, dict):
        known = ", ".join(sorted(fleets)) or "none"
        for wallet, row in wallets.items():
            name = row.get("fleet") if isinstance(row, dict) else None
            if isinstance(name, str) and name not in fleets:
                yield f'wallet.{wallet}.fleet: expected a configured fleet ({known}), got "{name}"' + suggestion(
                    name, fleets
                )


def _texts(table: Mapping[str, Any], kind: str, key: str) -> Iterator[tuple[int, str]]:
    for index, row in _rows(table, kind):
        if isinstance(text := row.get(key), str):
            yield index, text


def _rows(table: Mapping[str, Any], kind: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    rows = table.get(kind)
    if isinstance(rows, list):
        yield from ((index, row) for index, row in enumerate(rows) if isinstance(row, dict))
