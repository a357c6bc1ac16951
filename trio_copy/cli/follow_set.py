"""`trio-copy follow set`"""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

from cyclopts import Parameter

from trio_copy.cli.chosen import All, OfFollower, OfLeader, read_choice
from trio_copy.cli.follow_changes import Change, changes, expect_same, tell_changes
from trio_copy.cli.follow_files import make_follow
from trio_copy.cli.follow_lookup import all_follows, changeable, find_follow, plain_changes
from trio_copy.cli.named_leaders import find_leaders
from trio_copy.cli.opened import Conf, ask_store, find_plan
from trio_copy.cli.output import out
from trio_copy.cli.queries import nobody
from trio_copy.cli.question import Yes, agreed
from trio_copy.cli.redact import Redact
from trio_copy.config.strict import structure_layer
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError
from trio_copy.model.counts import counted
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.follows import Follow
from trio_copy.model.layers import layer, leaves
from trio_copy.ports import Store

_PROBLEMS_MOST = 20


def set_(
    words: Annotated[
        tuple[str, ...],
        Parameter(
            help="FOLLOWER:LEADER, unless many are meant, and PATH=VALUE, several if you like.", show_default=False
        ),
    ],
    /,
    *,
    follower: OfFollower = None,
    leader: OfLeader = None,
    all_: All = False,
    yes: Yes = False,
    redactor: Redact,
    conf: Conf = None,
) -> int:
    """Change settings of a follow, or of many; PATH= with nothing behind it takes one back to what the other levels say.

    What is going to change is shown before. With --follower, --leader or --all you are asked, and follows that stand in
    the configuration stay as they are.
    """
    name, settings = (None, words) if not words or "=" in words[0] else (words[0], words[1:])
    if not settings:
        raise ConfigError(["expected PATH=VALUE, such as size.ratio=0.05, got none"])
    plan = find_plan(conf, redactor)
    names = find_leaders(plan)
    chosen = read_choice(name, follower, leader, names, all_=all_)
    change = _change_of(settings, plan)

    async def look(store: Store) -> tuple[Sequence[Change], int]:
        if name is not None:
            changeable(await find_follow(store, name, plan), name)
        meant = [follow for follow in await all_follows(store, plan) if chosen.has(*follow.key)]
        free = [follow for follow in meant if follow.source != "file"]
        if not free:
            told = "no follow" if not meant else "only follows that stand in the configuration: change them there"
            raise ConfigError([f"expected follows of {chosen}, got {told}{nobody(plan, chosen.follower)}"])
        return tuple(changes(free, change(free))), len(meant) - len(free)

    shown, of_file = ask_store(plan, look)
    tell_changes(shown, names)
    if of_file:
        out(f"{counted(of_file, 'follow stands', 'follows stand')} in the configuration: not changed")
    if not shown:
        out("nothing changes")
        return 0
    if name is None and not agreed(f"Change {counted(len(shown), 'follow')}?", yes=yes):
        out("nothing was changed")
        return 1

    async def put(store: Store) -> None:
        found, _ = await look(store)
        expect_same(shown, found)
        await store.follows.put([new for _, new in found])

    ask_store(plan, put)
    out(f"{counted(len(shown), 'follow')} changed")
    return 0


def _change_of(settings: Sequence[str], plan: Plan) -> Callable[[Iterable[Follow]], list[Follow]]:
    """Return what makes of follows what they shall be. Raises `ConfigError`, as what is returned does."""
    terms = plan.settings.terms()
    dropped = {text[:-1] for text in settings if text.endswith("=")}
    structure_layer(dict.fromkeys(dropped - leaves(FollowSettings).keys()))
    changed = dict(structure_layer(plain_changes([text for text in settings if not text.endswith("=")])))

    def change(follows: Iterable[Follow]) -> list[Follow]:
        made, problems = [], list[str]()
        for follow in follows:
            own = {path: value for path, value in follow.own if path not in dropped} | changed
            try:
                made.append(make_follow(follow.follower, follow.leader, layer(own), terms))
            except ConfigError as error:
                problems += [f"{follow.name}: {problem}" for problem in error.problems]
        if problems:
            more = len(problems) - _PROBLEMS_MOST
            raise ConfigError([*problems[:_PROBLEMS_MOST], *([f"and {more} more"] if more > 0 else [])])
        return made

    return change
