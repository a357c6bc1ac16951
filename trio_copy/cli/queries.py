"""The filters that every command about records has in common."""

import re
from datetime import UTC, datetime
from typing import Annotated

from attrs import frozen
from cyclopts import Parameter

from trio_copy.cli.durations import parse_duration
from trio_copy.cli.named_leaders import read_leader
from trio_copy.clock import anchored_wall_clock
from trio_copy.config.problems import suggestion
from trio_copy.engine.plan import Plan
from trio_copy.errors import ConfigError
from trio_copy.model.facts import FactQuery
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.leader_names import LeaderNames

_AGO = re.compile(r"^\d+(\.\d+)?(ms|s|m|h|d)$")
FollowerOption = Annotated[str | None, Parameter(name="--follower", help="Only this follower's.")]
LeaderOption = Annotated[
    str | None, Parameter(name="--leader", help="Only what was copied from this leader: his address or name.")
]
TokenOption = Annotated[str | None, Parameter(name="--token", help="Only this outcome token.")]
SinceOption = Annotated[
    str | None,
    Parameter(name="--since", help="From here on: 2026-11-22, 2026-11-22T14:30 (UTC), or 3h for three hours ago."),
]
UntilOption = Annotated[str | None, Parameter(name="--until", help="Up to here, like --since.")]
LimitOption = Annotated[int, Parameter(name="--limit", help="The newest so many.")]


@frozen
class When:
    """The present, read once per command."""

    now: float

    @classmethod
    def present(cls) -> "When":
        return cls(anchored_wall_clock()())

    def read(self, text: str, option: str) -> float:
        """Read a point in time as Unix seconds.

        Raises:
            ConfigError: it is none.
        """
        if _AGO.match(text):
            return self.now - parse_duration(text)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ConfigError(
                [f'{option}: expected a time such as 2026-11-22, 2026-11-22T14:30 or 3h, got "{text}"']
            ) from None
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def nothing(words: str, plan: Plan, follower: str | None) -> str:
    """Say that nothing was found; and where nobody is called like the follower that was asked for, who is."""
    return f"{words}{nobody(plan, follower)}"


def nobody(plan: Plan, follower: str | None) -> str:
    """Say that nobody is called like a follower, and who is nearly; nothing about one whom the configuration names.

    Where it lets anybody follow, only the nearest name is said: the one who was asked for may exist.
    """
    followers = plan.settings.followers()
    if follower is None or follower in followers.named:
        return ""
    unknown = "" if follower in followers else f'; the configuration has no follower "{follower}"'
    return f"{unknown}{suggestion(follower, followers.named)}"


def read_query(
    follower: str | None,
    leader: str | None,
    token: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    names: LeaderNames,
) -> FactQuery:
    """Read the common filters; which kinds of facts are meant, the reader of the books knows.

    Raises:
        ConfigError: with one line for every filter that is wrong.
    """
    when, problems = When.present(), []
    address = token_id = start = end = None
    try:
        address = None if leader is None else read_leader(leader, names)
    except ValueError as error:
        problems.append(f"--leader: {error}")
    if token is not None:
        if token.isdecimal() and int(token) < 2**256:
            token_id = TokenId(int(token))
        else:
            problems.append(f'--token: expected a token id, a whole number under 2^256, got "{token}"')
    try:
        start = None if since is None else when.read(since, "--since")
        end = None if until is None else when.read(until, "--until")
    except ConfigError as error:
        problems.extend(error.problems)
    if start is not None and end is not None and start >= end:
        problems.append(f"--until: expected a time after --since, got {until}")
    if limit < 1:
        problems.append(f"--limit: expected a number above 0, got {limit}")
    if problems:
        raise ConfigError(problems)
    return FactQuery(
        kinds=(),
        follower=None if follower is None else FollowerId(follower),
        leader=address,
        token_id=token_id,
        since=start,
        until=end,
        limit=limit,
    )


def utc(unix_s: float | None) -> str | None:
    """Write a point in time in UTC, to the millisecond."""
    if unix_s is None:
        return None
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def utc_short(text: str) -> str:
    """Shorten what `utc` wrote, for people."""
    return text[5:19].replace("T", " ")
