"""`trio-copy exit`"""

from collections.abc import Collection, Sequence
from typing import Annotated

import trio
from cyclopts import Parameter

from trio_copy.cli.asked import PATIENCE_S, asker_of, new_name
from trio_copy.cli.chosen import Chosen, read_choice
from trio_copy.cli.labels import catalog_of
from trio_copy.cli.named_leaders import find_leaders
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.positions import EVERYTHING, HeldPosition, held_positions
from trio_copy.cli.queries import nobody
from trio_copy.cli.question import Yes, agreed
from trio_copy.cli.redact import Redact
from trio_copy.cli.suggest import suggested
from trio_copy.engine.books.stories import stories
from trio_copy.engine.people.requests import leave
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError, Refused, Unanswered
from trio_copy.model.catalog import Catalog, Labels
from trio_copy.model.counts import counted
from trio_copy.model.decisions import End
from trio_copy.model.ids import TaskId, TokenId
from trio_copy.model.leader_names import LeaderNames
from trio_copy.ports import Store

_LOOK_EVERY_S = 0.5


def exit(
    position: Annotated[
        str | None, Parameter(help="FOLLOWER:LEADER:TOKEN, the token by its first digits.", show_default=False)
    ] = None,
    /,
    *,
    follower: Annotated[str | None, Parameter(help="Every position of this follower.")] = None,
    leader: Annotated[str | None, Parameter(help="Every position copied from this leader.")] = None,
    market: Annotated[str | None, Parameter(help="Every position of this token or condition id.")] = None,
    all_: Annotated[bool, Parameter(name="--all", negative=(), help="Every position.")] = False,
    yes: Yes = False,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Sell positions at what the market bids, down to `leaving.exit_slippage_bps` under it; a running engine does it.

    What is going to be sold is shown, and you are asked. Exit code 0 only when everything was sold whole. What an engine's
    mode `halt-all` holds back is not sent.
    """
    plan = find_plan(conf, redactor)
    names = find_leaders(plan)
    token = ""
    if position is not None:
        name, _, token = position.rpartition(":")
        if market or not token.isdecimal():
            raise ConfigError([f'expected FOLLOWER:LEADER:TOKEN, without --market, got "{position}"'])
        chosen = read_choice(name, follower, leader, names, all_=all_)
    elif market is not None and not (follower or leader or all_):
        chosen = Chosen(None, None)
    elif not (follower or leader or all_):
        raise ConfigError(
            ["expected a position, FOLLOWER:LEADER:TOKEN, or some by --follower, --leader or --market, or --all"]
        )
    else:
        chosen = read_choice(None, follower, leader, names, all_=all_)

    async def look(store: Store) -> Sequence[HeldPosition]:
        catalog = await catalog_of(store, plan)
        tokens = None if market is None else _tokens_of(market, catalog)
        held = await held_positions(store, EVERYTHING, Labels(catalog))
        return [
            one
            for one in held
            if chosen.has(one.key[0], one.key[1])
            and str(one.key[2]).startswith(token)
            and (tokens is None or one.key[2] in tokens)
        ]

    found = ask_store(plan, look)
    if not found:
        who, see = nobody(plan, chosen.follower), suggested("positions", conf=plan.path)
        raise ConfigError([f"expected what is held, got nothing{who}; see: {see}"])
    if position is not None and len(found) > 1:
        raise ConfigError([f'expected one position, got {len(found)} whose token begins with "{token}"'])
    for one in found:
        out(_words(one, names))
    if not agreed(f"Sell {counted(len(found), 'position')} at what the market bids?", yes=yes):
        out("nothing was sold")
        return 1

    async def sell(store: Store) -> bool:
        return all([await _sell(store, plan, one, names) for one in found])

    return 0 if ask_store(plan, sell) else 1


async def _sell(store: Store, plan: Plan, one: HeldPosition, names: LeaderNames) -> bool:
    """Ask the owner of the account to sell a position, wait for what comes of it, and say it."""
    asker, what = asker_of(store, plan), _name(one, names)
    request = leave(new_name("exit"), one.key, asker.wall())
    try:
        answer = await asker.ask(plan.shard_of(one.key[0]), request)
    except (Refused, Unanswered) as error:
        out(f"{what}: {error}")
        return False
    task, _, words = answer.partition(" ")
    out(f"{what}: {words}")
    with trio.move_on_after(PATIENCE_S):
        while True:
            told = await _end_of(store, TaskId(task))
            if told is not None:
                end, words = told
                out(f"{what}: {words}")
                return end is End.FILLED
            await trio.sleep(_LOOK_EVERY_S)
    comes = suggested("explain", "trade", task[:12], conf=plan.path)
    out(f"{what}: no end after {PATIENCE_S:g} s; what comes of it is told by: {comes}")
    return False


async def _end_of(store: Store, task: TaskId) -> tuple[End, str] | None:
    for story in await stories(store.history, task):
        outcome = story.record.outcome
        if outcome is not None:
            sold = ", ".join(f"{one.shares} at {one.price}" for one in story.entries if one.shares)
            why = outcome.reason
            words = f"{outcome.end.value}{f', sold {sold}' if sold else ''}"
            return outcome.end, words if why is None else f"{words}: {why.code.name} ({why.control}: {why.value})"
    return None


def _tokens_of(market: str, catalog: Catalog) -> Collection[TokenId]:
    """Return the tokens of a market: one by its number, all of a question by its condition id."""
    if market.isdecimal():
        return (TokenId(int(market)),)
    known = filter(None, map(catalog.of, catalog))
    found = [facts.token_id for facts in known if facts.condition_id.lower() == market.lower()]
    if not found:
        raise ConfigError([f'--market: expected a token id, or a condition id that the catalog knows, got "{market}"'])
    return found


def _name(one: HeldPosition, names: LeaderNames) -> str:
    follower, leader, token = one.key
    return f"{follower}:{names.of(leader) or leader} {one.label or f'token {token}'}"


def _words(one: HeldPosition, names: LeaderNames) -> str:
    worth = "nobody has told a bid yet" if one.mark is None else f"{one.value} USD at the last bid, {one.mark.price}"
    return f"{_name(one, names)}: {one.position.shares} shares, cost {one.position.cost} USD; {worth}"
