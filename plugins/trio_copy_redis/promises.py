"""What a Redis must promise before money depends on it: asked at the start, and refused with the cure.

CONFIG is asked first, INFO where there is no CONFIG (managed servers rarely allow it). The operator's word counts only
for what neither tells, and never against what either does.
"""

from collections.abc import Mapping

from attrs import frozen
from redis.exceptions import ResponseError

from trio_copy.errors import ConfigError
from trio_copy_redis.client import Client
from trio_copy_redis.connections import facts_of
from trio_copy_redis.wire import Wire

_OLDEST = (6, 2)
NO_WORD, APPENDONLY = "", "appendonly"
"""Words of `store.redis.trust`."""
_VOUCH = (
    'look it up where the server is set up, and then say store.redis.trust = "appendonly", which vouches for'
    " appendonly yes, appendfsync everysec or always, and maxmemory-policy noeviction"
)


@frozen(kw_only=True)
class Findings:
    """What a server says about itself; None where it does not tell."""

    policy: str | None
    appendonly: bool | None
    appendfsync: str | None


@frozen
class Verdict:
    problems: tuple[str, ...] = ()
    """Why no money may depend on it."""
    doubts: tuple[str, ...] = ()
    """What cannot be known and is left to the operator."""
    lies: tuple[str, ...] = ()
    """Where the operator's word is wrong."""


async def expect_safe(client: Client, *, live: bool, trust: str) -> list[str]:
    """Look at every server that takes writes; returns what is unsafe or not known, with its cure.

    Raises:
        ConfigError: a server is too old, money would depend on one that may forget or evict what it was told, or the
            operator vouches for what is not so.
    """
    problems, doubts, lies = [], [], []
    for wire in await client.primaries():
        version = tuple(int(part) for part in wire.facts.get("redis_version", "0.0").split(".")[:2])
        if version < _OLDEST:
            found = wire.facts.get("redis_version", "something else")
            raise ConfigError([f"store.redis.url: {wire.address.name}: expected Redis 6.2 or newer, got {found}"])
        verdict = judge(findings_of(await _config(wire), await _info(wire)), trust)
        problems += [f"{wire.address.name}: {problem}" for problem in verdict.problems]
        doubts += [f"{wire.address.name}: {doubt}" for doubt in verdict.doubts]
        lies += [f"store.redis.trust: {wire.address.name}: {lie}" for lie in verdict.lies]
    if lies:
        raise ConfigError(lies)
    if live and problems:
        raise ConfigError([f"store.redis.url: {problem}" for problem in problems])
    return problems + doubts


def findings_of(config: Mapping[str, str], info: Mapping[str, str]) -> Findings:
    """Put together what CONFIG and INFO say."""
    policy = config.get("maxmemory-policy") or info.get("maxmemory_policy")
    if policy is None and info.get("maxmemory") == "0":
        policy = "noeviction"  # a server without a limit never evicts, whatever its policy
    enabled = info.get("aof_enabled")
    # A server that loads what another one sends has its file switched off meanwhile: its "no" is none yet.
    unknown = enabled not in ("0", "1") or (enabled == "0" and info.get("loading") == "1")
    return Findings(
        policy=policy,
        appendonly=None if unknown else enabled == "1",
        appendfsync=config.get("appendfsync"),
    )


def judge(found: Findings, trust: str) -> Verdict:
    """Say what is wrong, what is not known, and what was vouched for and is not so."""
    wrong = []
    if found.policy not in (None, "noeviction"):
        wrong.append(
            f"maxmemory-policy is {found.policy}: a full server would drop orders; set maxmemory-policy noeviction"
        )
    if found.appendonly is False:
        wrong.append("appendonly is no: a crash would forget what was sent; set appendonly yes")
    elif found.appendfsync == "no":
        wrong.append("appendfsync is no: a crash would forget what was sent; set appendfsync everysec")
    if trust == APPENDONLY:
        return Verdict(problems=tuple(wrong), lies=tuple(f'"appendonly" was vouched for, but {one}' for one in wrong))
    silent = [
        name for name, value in (("maxmemory-policy", found.policy), ("appendonly", found.appendonly)) if value is None
    ]
    if silent:
        wrong.append(f"neither CONFIG nor INFO tells {' and '.join(silent)}: {_VOUCH}")
    elif found.appendfsync is None and found.appendonly:
        return Verdict(
            problems=tuple(wrong),
            doubts=(
                "keeps an append-only file, but without CONFIG nobody can be asked how often it reaches the disk:"
                f" appendfsync no would forget what was sent; {_VOUCH}",
            ),
        )
    return Verdict(problems=tuple(wrong))


async def _config(wire: Wire) -> dict[str, str]:
    """Return what CONFIG tells; a server without it, or a user who may not ask, tells nothing."""
    told: dict[str, str] = {}
    for name in ("maxmemory-policy", "appendfsync"):
        try:
            answer = await wire.call("CONFIG", "GET", name)
        except ResponseError:
            continue
        told |= {name: str(answer[1])} if answer and len(answer) > 1 else {}
    return told


async def _info(wire: Wire) -> dict[str, str]:
    told: dict[str, str] = {}
    for section in ("memory", "persistence"):
        try:
            told |= facts_of(await wire.call("INFO", section))
        except ResponseError:
            continue
    return told
