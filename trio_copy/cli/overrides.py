"""Settings that are tried out: PATH=VALUE,VALUE of a command line, each in place of what the configuration says."""

import re
from collections.abc import Sequence
from itertools import product

from attrs import evolve, frozen

from trio_copy.cli.follow_files import parse_value
from trio_copy.config.strict import structure_layer
from trio_copy.engine.plan import Plan, make_plan
from trio_copy.errors import ConfigError
from trio_copy.model.follow_settings import contradictions
from trio_copy.model.follows import Follow

_MOST = 100
"""Settings that are compared at once: more are a search, whose best one is luck."""
_OF_EXECUTOR = re.compile(r"^executor\.(?P<name>.+)\.(?P<option>[a-z_]+)$")
_APART = re.compile(r",(?![^\[]*\])")
"""A comma that does not stand within brackets."""


@frozen
class Override:
    path: str
    text: str
    """The value, as it was typed."""

    def __str__(self) -> str:
        return f"{self.path}={self.text}"


Setting = tuple[Override, ...]
"""What is tried out together."""


def read_settings(texts: Sequence[str]) -> list[Setting]:
    """Read every combination of what was typed; one without anything where nothing was.

    Raises:
        ConfigError: not PATH=VALUE, a path twice, or too many combinations.
    """
    choices: dict[str, list[Override]] = {}
    for text in texts:
        path, equals, values = text.partition("=")
        parts = [part.strip() for part in _APART.split(values)]
        if not equals or not path or not all(parts):
            raise ConfigError(
                [f'--set: expected PATH=VALUE or PATH=VALUE,VALUE, such as size.ratio=0.02,0.05, got "{text}"']
            )
        if path in choices:
            raise ConfigError(
                [f"--set: expected each setting once, with its values behind each other, got {path} twice"]
            )
        choices[path] = [Override(path, part) for part in dict.fromkeys(parts)]
    count = 1
    for values_of_one in choices.values():
        count *= len(values_of_one)
    if count > _MOST:
        raise ConfigError([f"--set: expected at most {_MOST} combinations, got {count:,}"])
    return list(product(*choices.values()))


def overridden(plan: Plan, setting: Setting) -> Plan:
    """Put values in place of a plan's own, at every level: they hold for every follow.

    Raises:
        ConfigError: there is no such setting, or it cannot have this value.
    """
    settings, problems = plan.settings, list[str]()
    for one in setting:
        of_executor = _OF_EXECUTOR.match(one.path)
        value = parse_value(one.path, one.text)
        if of_executor is not None:
            tables = [table for table in settings.executor if table.name == of_executor["name"]]
            if not tables:
                names = ", ".join(table.name for table in settings.executor)
                problems.append(f"--set: {one.path}: expected an executor of the configuration ({names})")
            executors = tuple(
                evolve(table, options={**table.options, of_executor["option"]: value}) if table in tables else table
                for table in settings.executor
            )
            settings = evolve(settings, executor=executors)
            continue
        try:
            ((_, checked),) = structure_layer({one.path: value})
        except ConfigError as error:
            problems.extend(f"--set: {problem}" for problem in error.problems)
            continue
        settings = evolve(
            settings,
            defaults=settings.defaults.with_value(one.path, checked),
            leader=tuple(table.without(one.path) for table in settings.leader),
            follower=tuple(table.without(one.path) for table in settings.follower),
            follow=tuple(table.without(one.path) for table in settings.follow),
        )
    terms = settings.terms()
    for follow in settings.follows() if not problems else ():
        problems.extend(f"--set: {path}: {problem}" for path, problem in contradictions(terms.of(follow).settings))
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    try:
        return evolve(make_plan(settings, plan.registry, plan.redactor), path=plan.path)
    except ConfigError as error:
        raise ConfigError([f"--set: {problem}" for problem in error.problems]) from None


def without_own(follows: Sequence[Follow], setting: Setting) -> tuple[Follow, ...]:
    """Return follows that say nothing of their own about what is tried out."""
    paths = {one.path for one in setting}
    return tuple(
        evolve(follow, own=tuple((path, value) for path, value in follow.own if path not in paths))
        for follow in follows
    )
