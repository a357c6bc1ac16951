"""The names of leaders, as commands show and take them."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TypeVar

from attrs import evolve

from trio_copy.cli.opened import ask_store
from trio_copy.cli.tables import Column, short
from trio_copy.config import checked_address
from trio_copy.config.problems import suggestion
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError
from trio_copy.model.ids import Address
from trio_copy.model.leader_names import LeaderNames
from trio_copy.ports import Store
from trio_copy.telemetry.visible import visible

_Row = TypeVar("_Row")


def find_leaders(plan: Plan) -> LeaderNames:
    """Read what leaders are called, in the configuration and in the store; a store that is not there says nothing."""
    names, terms, of_file = LeaderNames(), plan.settings.terms(), plan.settings.follows()
    names.learn(terms, of_file)

    async def load(store: Store) -> None:
        _, held = await store.follows.load()
        names.learn(terms, of_file, held)

    with suppress(ConfigError):  # whoever asks the store next says what is wrong with it
        ask_store(plan, load)
    return names


def read_leader(text: str, names: LeaderNames) -> Address:
    """Read a leader's address, or the name of one.

    Raises:
        ValueError: it is neither, or the name of several.
    """
    if text.lower().startswith("0x"):
        return checked_address(text)
    found = names.called(text)
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f'expected the name of one leader, "{text}" is that of {", ".join(found)}')
    raise ValueError(f'expected an address, or the name of a leader, got "{text}"{suggestion(text, names.known())}')


def with_names(
    columns: Sequence[Column[_Row]], names: LeaderNames, column: str = "leader", *, whole: bool = False
) -> tuple[Column[_Row], ...]:
    """Let people see names in the column of leaders, and a `whole` address where there is none; machines get addresses."""

    def shown(address: str) -> str:
        return visible(names.of(address) or (address if whole else short(address)))

    return tuple(evolve(one, shown=shown) if one.name == column else one for one in columns)


def with_name(leader: str, names: LeaderNames) -> str:
    """Write a leader with the name and with every digit."""
    name = names.of(leader)
    return leader if name is None else f"{name} ({leader})"
