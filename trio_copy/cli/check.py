"""`trio-copy check CONF`"""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trio_copy.cli.live import live_places
from trio_copy.cli.opened import ConfArgument, devnet_facts, find_conf, imported_follows
from trio_copy.cli.output import out
from trio_copy.cli.progress import telling
from trio_copy.cli.redact import Redact
from trio_copy.engine.lacking import lacking
from trio_copy.engine.plan import Plan, load_plan, read_facts
from trio_copy.errors import ConfigError, StoreError
from trio_copy.model.counts import counted
from trio_copy.model.follows import Follow
from trio_copy.signing.keys import troubles_of, warning_of

_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
"""What other programs take for a way out, and we do not: whoever reads every answer could change what is bought."""


def check(
    conf: ConfArgument = None,
    *,
    redactor: Redact,
    connect: Annotated[
        bool, Parameter(negative=(), help="Also try each node, the market source and the store, one line for each.")
    ] = False,
) -> int:
    """Validate a configuration without starting anything, and list every problem at once.

    Follows that were put into a store's file count too; a server is asked for its own only with --connect. Exits with 0
    when it is good, with 2 when it is not, and with 1 when something does not answer.
    """
    conf = find_conf(conf)
    plan = load_plan(conf, redactor)
    settings = plan.settings
    imported = _look_into(plan, conf, connect=connect)
    if settings.devnet is not None and settings.devnet.faults:
        from trio_copy.cli.open_world import check_script  # only here: it brings a node and a market along

        check_script(settings.devnet)
    leaders = {follow.leader for follow in (*settings.follows(), *imported)}
    where = "a devnet inside the process" if settings.devnet else counted(len(settings.endpoint), "endpoint")
    where = where if settings.anvil is None else "an anvil that is started with the run"
    out(f"{conf}: good")
    out(f"  chain {settings.chain.chain_id} over {where}; decoders {', '.join(plan.decoders)}")
    who = f"{counted(len(leaders), 'leader')} by {counted(len(settings.follower), 'follower')}"
    stored = f", {len(imported)} of them in the store" if imported else ""
    out(f"  {counted(len(settings.follow) + len(imported), 'follow')} of {who}{stored}")
    executors = ", ".join(executor.name for executor in plan.executors) or "none"
    markets = "" if plan.markets is None else f"markets {plan.markets.name}, "
    out(f"  store {settings.store.name}, executors {executors}, {markets}mode {settings.engine.mode}")
    for place in live_places(settings):
        if (warning := warning_of(place)) is not None:
            out(f"  {place.where}: {warning}")
    return _try_connections(plan) if connect else 0


def _look_into(plan: Plan, conf: Path, *, connect: bool) -> tuple[Follow, ...]:
    """Return the follows of the store, once everything that the configuration asks for was found to be there.

    Raises:
        ConfigError: with every problem.
    """
    problems: list[str] = []
    imported: tuple[Follow, ...] = ()
    try:
        facts = read_facts(plan)
    except ConfigError as error:
        problems += (plan.places.located(conf, f"catalog.file: {problem}") for problem in error.problems)
    log = plan.settings.log.file
    if log and not Path(log).parent.is_dir():
        problems.append(plan.places.located(conf, f"log.file: the directory {Path(log).parent} does not exist"))
    for place in live_places(plan.settings):
        problems += (plan.places.located(conf, problem) for problem in troubles_of(place))
    # A server is somebody else's machine: it is not asked unless that was asked for.
    looks = connect or not plan.store.plugin.shared
    try:
        imported = imported_follows(plan) if looks else ()
    except StoreError:
        looks = False  # its line tells why
    except ConfigError as error:
        problems += (plan.places.located(conf, problem) for problem in error.problems)
        problems += getattr(error, "__notes__", ())
    if not problems and (looks or plan.settings.follow):
        follows = (*plan.settings.follows(), *imported)
        lacks = lacking(plan, follows, lambda: (*facts, *devnet_facts(plan)))
        problems += (plan.places.located(conf, problem) for problem in lacks)
    if problems:
        raise ConfigError(problems)
    return imported


def _try_connections(plan: Plan) -> int:
    import trio  # not above: a check without it needs no node

    from trio_copy.chain.dial import dial_network
    from trio_copy.cli.connections import try_connections
    from trio_copy.clock import anchored_wall_clock

    with telling("connecting"):
        tried = trio.run(try_connections, plan, dial_network, anchored_wall_clock())
    for one in tried:
        out(f"  {'ok' if one.ok else 'FAILED':<6} {one.name}: {one.told}")
    if not tried:
        out("  nothing to connect to: the chain begins with a run, and the store lives inside the process")
    good = all(one.ok for one in tried)
    if not good and (proxies := [name for name in _PROXIES if os.environ.get(name)]):
        out(f"  {', '.join(proxies)}: not used; connections go straight to nodes and venue")
    return 0 if good else 1
