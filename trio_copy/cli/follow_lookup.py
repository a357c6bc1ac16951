"""Finds follows by their names, in the store and in the configuration, and reads what a person wants to change of them."""

from collections.abc import Sequence

from trio_copy.cli.follow_files import parse_value
from trio_copy.cli.suggest import suggested
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError
from trio_copy.model.follows import Follow
from trio_copy.model.leader_names import LeaderNames
from trio_copy.ports import Store


async def all_follows(store: Store, plan: Plan) -> list[Follow]:
    """Return what the store holds, and what the file says that no run has put there yet."""
    _, held = await store.follows.load()
    follows = {follow.key: follow for follow in (*plan.settings.follows(), *held)}
    return [follows[key] for key in sorted(follows)]


async def find(store: Store, name: str, plan: Plan) -> Follow | None:
    """Return a follow by its name, where there is one. Raises `ConfigError` where a leader's name says too little."""
    follower, _, leader = name.partition(":")
    follows = await all_follows(store, plan)
    names = LeaderNames()
    names.learn(plan.settings.terms(), follows)
    wanted = {leader.lower(), *names.called(leader)}
    found = [follow for follow in follows if follow.follower == follower and follow.leader in wanted]
    if len(found) > 1:
        told = ", ".join(follow.name for follow in found)
        raise ConfigError([f'expected one follow, "{name}" is the name of several: {told}'])
    return next(iter(found), None)


async def find_follow(store: Store, name: str, plan: Plan) -> Follow:
    """Return a follow by its name. Raises `ConfigError` when there is none."""
    found = await find(store, name, plan)
    if found is None:
        raise ConfigError(
            [
                f'expected a follow, named FOLLOWER:LEADER, got "{name}"; they are listed by:'
                f" {suggested('follow', 'list', conf=plan.path)}"
            ]
        )
    return found


def changeable(follow: Follow, name: str) -> Follow:
    """Return a follow that commands may change. Raises `ConfigError` for one of the configuration."""
    if follow.source == "file":
        raise ConfigError([f"{name} stands in the configuration: change it there, then send SIGHUP or restart"])
    return follow


def plain_changes(settings: Sequence[str]) -> dict[str, object]:
    """Read PATH=VALUE as a person types it. Raises `ConfigError` where the sign is missing."""
    plain: dict[str, object] = {}
    for text in settings:
        path, equals, value = text.partition("=")
        if not equals:
            raise ConfigError([f'expected PATH=VALUE, such as size.ratio=0.05, got "{text}"'])
        plain[path] = parse_value(path, value)
    return plain
