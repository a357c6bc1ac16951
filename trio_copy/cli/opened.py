"""How commands that look into a store find it, and open it beside a running engine."""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import trio
from cyclopts import Parameter

from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.cli.progress import telling
from trio_copy.cli.suggest import suggested
from trio_copy.clock import anchored_wall_clock
from trio_copy.config.load import file_of
from trio_copy.engine.plan import Plan, load_plan
from trio_copy.errors import ConfigError, MadeEarlier, NotMadeYet, StoreError, StoreUnavailable, leaves_of
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.follows import Follow
from trio_copy.ports import Store, StoreContext
from trio_copy.telemetry.redaction import Redactor

_T = TypeVar("_T")
_VARIABLE = "TRIO_COPY_CONF"
HERE = Path("trio-copy.toml")
"""What `trio-copy init` writes."""
_USUAL = (HERE, Path("conf/prod.toml"))

_HELP = "The configuration, a TOML file. Default: $TRIO_COPY_CONF, else trio-copy.toml, else conf/prod.toml."
Conf = Annotated[Path | None, Parameter(name="--conf", help=_HELP)]
ConfArgument = Annotated[Path | None, Parameter(name="--conf", help=_HELP)]
"""The same where a command is about a configuration: it may stand there by itself, too."""


def find_conf(conf: Path | None) -> Path:
    """Return the configuration that a command was given, or the usual one. Raises `ConfigError` when there is none."""
    if conf is not None:
        return conf
    named = os.environ.get(_VARIABLE)
    usual = (Path(named),) if named else _USUAL
    for path in usual:
        if file_of(path).exists():
            return path
    if named:
        raise ConfigError([f"${_VARIABLE}: expected the path of a configuration, got {named}: there is no such file"])
    told = " and ".join(map(str, _USUAL))
    raise ConfigError([f"expected a configuration; none of ${_VARIABLE}, {told} leads to one"])


def find_plan(conf: Path | None, redactor: Redactor) -> Plan:
    """Load the configuration that a command was given, or the usual one. Raises `ConfigError` when it is wrong."""
    return load_plan(find_conf(conf), redactor)


def ask_store(plan: Plan, ask: Callable[[Store], Awaitable[_T]], *, make: bool = False) -> _T:
    """Open the plan's store as a guest and ask it something; an engine may be running on it.

    With `make`, a store that has no file yet gets one.

    Raises:
        ConfigError: the store lives inside an engine's process, or has no file yet.
    """
    if not plan.store.plugin.durable:
        name = plan.settings.store.name
        raise ConfigError(
            [f"store.{name}: lives and ends inside a run; this command needs a durable one, such as [store.sqlite]"]
        )
    tune_interpreter()
    with telling("asking the store"):
        return trio.run(ask_as_guest, plan, ask, make)


def devnet_facts(plan: Plan) -> tuple[TokenFacts, ...]:
    """Return what the devnet of a plan knows about the tokens of its script, where there is one."""
    if plan.settings.devnet is None:
        return ()
    from trio_copy.testing.devnet.market import seeded_market  # not above: a real chain needs no devnet

    return seeded_market((), plan.settings.devnet.seed, 0, 0).facts


def imported_follows(plan: Plan) -> tuple[Follow, ...]:
    """Return the follows that commands have put into a plan's store, if it has any already.

    Raises:
        ConfigError: as `ask_store`.
        StoreUnavailable: the store does not answer.
    """
    if not plan.store.plugin.durable:
        return ()

    async def ask(store: Store) -> tuple[Follow, ...]:
        _, follows = await store.follows.load()
        return tuple(follow for follow in follows if follow.source != "file")

    try:
        return ask_store(plan, ask)
    except NotMadeYet:
        return ()
    except BaseExceptionGroup as group:  # of the client of a server, which has tasks of its own
        leaves = list(leaves_of(group))
        if not all(isinstance(leaf, StoreError) for leaf in leaves):
            raise
        raise StoreUnavailable(str(leaves[0])) from group


async def ask_as_guest(plan: Plan, ask: Callable[[Store], Awaitable[_T]], make: bool = False) -> _T:
    """Open the plan's store as a guest and ask it something. Raises what the store raises."""
    context = StoreContext(
        settings=plan.store.settings,
        wall=anchored_wall_clock(),
        guest=True,
        shards=plan.shard_count,
        make=make,
    )
    with old_books(plan):
        async with plan.store.plugin.open(context) as store:
            return await ask(store)


@contextmanager
def old_books(plan: Plan) -> Iterator[None]:
    """Let what is said of a store that an earlier version made end with the command that exports its books."""
    try:
        yield
    except (MadeEarlier, BaseExceptionGroup) as error:
        for leaf in leaves_of(error):
            if isinstance(leaf, MadeEarlier):
                export = suggested("export-books", conf=plan.path)
                leaf.add_note(f"its follows and ledger are written to standard output by: {export}")
        raise
