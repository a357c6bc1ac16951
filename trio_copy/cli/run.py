"""`trio-copy run CONF`"""

import os
from pathlib import Path
from typing import Annotated

import trio
from cyclopts import Parameter

from trio_copy.cli.durations import Duration
from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.cli.live import LiveKeys, open_for_live
from trio_copy.cli.numbers import expect_positive
from trio_copy.cli.opened import ConfArgument, find_conf, old_books
from trio_copy.cli.play_money import open_play_money
from trio_copy.cli.redact import Redact
from trio_copy.cli.running import run_session
from trio_copy.cli.session import Session
from trio_copy.cli.suggest import suggested
from trio_copy.engine.plan import Plan, load_plan
from trio_copy.errors import ConfigError, UnresolvedOrders, leaves_of


def run(
    conf: ConfArgument = None,
    *,
    redactor: Redact,
    for_: Annotated[
        Duration | None, Parameter(name="--for", help="Stop by itself after this long: 500ms, 20s, 5m, 1h.")
    ] = None,
    json: Annotated[bool, Parameter(negative=(), help="One JSON object per line instead of the tape.")] = False,
    live: Annotated[
        bool, Parameter(negative=(), help="Needed where engine.mode is live: executors may move money.")
    ] = False,
    verbose: Annotated[bool, Parameter(negative=(), help="Log every decision to standard error.")] = False,
    from_head: Annotated[
        bool, Parameter(negative=(), help="Forget how far the last run had come; copy nothing older than the head.")
    ] = False,
) -> int:
    """Follow the leaders and copy what they trade.

    Ctrl-C, or SIGTERM, closes the intake and finishes what was admitted; a second one stops at once. SIGHUP reads the
    configuration again: follows and followers change while running, and a bad file changes nothing.
    """
    conf = find_conf(conf)
    plan = load_plan(conf, redactor)
    return run_plan(plan, conf, for_, json=json, live=live, verbose=verbose, record=None, from_head=from_head)


def run_plan(
    plan: Plan,
    conf: Path,
    for_: float | None,
    *,
    json: bool,
    live: bool,
    verbose: bool,
    record: Path | None,
    from_head: bool = False,
) -> int:
    """Run a configuration, and write a recording of it when `record` names a file."""
    expect_positive(for_=for_)
    if plan.settings.engine.mode == "live" and not live:
        armed = suggested("run", str(conf), "--live")
        raise ConfigError([f"{conf}: engine.mode is live: if real orders are meant, start it with: {armed}"])
    if live and plan.settings.engine.mode != "live":
        raise ConfigError([f'{conf}: engine.mode: expected "live" with --live, got "{plan.settings.engine.mode}"'])
    tune_interpreter()
    if plan.settings.anvil is not None:
        _fetch_anvil()
    try:
        with open_play_money(plan) as play:
            keys = open_for_live(plan, conf) if play is None else LiveKeys(wallets=play.keys, fleets=play.fleets)
            session = Session(conf, plan, for_, json, verbose, record, from_head, keys, play)
            with session.foreign_lines(), old_books(plan):
                code = trio.run(run_session, session)
    except* UnresolvedOrders as group:
        for error in leaves_of(group) if plan.store.plugin.durable else ():
            error.add_note(f"they are listed by: {suggested('orders', 'list', conf=conf)}")
            error.add_note(f"how one is settled: {suggested('orders', 'settle', '--help')}")
        raise
    if session.output.stuck or session.logs.stuck:
        os._exit(code)  # a thread hangs in a write that nobody reads; Python would wait for it
    return code


def _fetch_anvil() -> None:
    """Fetch what a real node with venues is made of, before anything waits for it. Raises `ConfigError`."""
    from trio_copy.cli.progress import progress  # not above: only a demonstration needs them
    from trio_copy.testing.anvil.packages import fetch_all, is_complete

    if not is_complete():
        with progress("fetching the node and its contracts by npm, once", None) as tell:
            for number, _ in enumerate(fetch_all(), 1):
                tell(number)
