"""What Redis says when it does not do what was asked, by the name it gives: each has its own meaning here."""

import re

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from trio_copy.errors import LeaseLost, StoreError, StoreForgot


class Broken(Exception):
    """The connection ended, or never came up; what was asked may have been done."""


class FencedError(ResponseError):
    """A script found a higher token: whoever called it is the owner no more."""


class ForgotError(ResponseError):
    """A script did not find what its caller had left."""


class NotPersistingError(ResponseError):
    """Redis cannot write its snapshots, or has too few replicas, and therefore takes no writes."""


_BY_NAME: dict[str, type[RedisError]] = {
    "OOM": OutOfMemoryError,
    "READONLY": ReadOnlyError,
    "NOSCRIPT": NoScriptError,
    "LOADING": BusyLoadingError,
    "MASTERDOWN": MasterDownError,
    "CLUSTERDOWN": ClusterDownError,
    "TRYAGAIN": TryAgainError,
    "NOAUTH": AuthenticationError,
    "WRONGPASS": AuthenticationError,
    "NOPERM": NoPermissionError,
    "MISCONF": NotPersistingError,
    "NOREPLICAS": NotPersistingError,
    "BUSY": BusyLoadingError,
    "FENCED": FencedError,
    "FORGOT": ForgotError,
}
PASSING = (
    Broken,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NotPersistingError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
"""What passes by itself or by an operator's hand: the call waits and is repeated."""
_IN_SCRIPT = re.compile(r"@user_script: ?\d+: -([A-Z]+)\b")
_NO_PASSWORD_SET = ("without any password configured", "no password is set")


def answer_error(text: str) -> RedisError:
    """Make an exception of an error reply."""
    name, _, rest = text.partition(" ")
    if name == "MOVED":
        return MovedError(rest)
    if name == "ASK":
        return AskError(rest)
    if any(words in text for words in _NO_PASSWORD_SET):
        return AuthenticationWrongNumberOfArgsError(text)
    # Redis 6 tells of an error inside a script behind where it happened.
    inside = _IN_SCRIPT.search(text)
    if inside is not None and inside[1] in _BY_NAME:
        return _BY_NAME[inside[1]](text)
    # An error inside a script carries the script's name in front, and behind it the place.
    for word in text.split()[:3]:
        if word.strip("-:") in _BY_NAME:
            return _BY_NAME[word.strip("-:")](text)
    return ResponseError(text)


def meaning(error: ResponseError) -> StoreError:
    """Make a store's error of what a script or a command answered."""
    match error:
        case FencedError():
            return LeaseLost(str(error).removeprefix("FENCED "))
        case ForgotError():
            return StoreForgot(str(error).removeprefix("FORGOT "))
        case _:
            return StoreError(f"Redis refused: {error}")  # a bug of ours, or somebody changed the data by hand


def advice(error: Exception) -> str:
    """Say what an operator can do about an error."""
    match error:
        case OutOfMemoryError():
            return "Redis has no memory left (OOM): raise maxmemory, or lower keep_days and facts_max of [store.redis]"
        case ReadOnlyError():
            return "this Redis is a replica now (READONLY): looking for the primary"
        case BusyLoadingError():
            return "Redis is loading its data (LOADING) or busy with a script (BUSY): waiting"
        case NotPersistingError():
            return f"Redis cannot keep what it is told: {error}"
        case MasterDownError() | ClusterDownError() | TryAgainError():
            return f"the Redis cluster is changing its shape: {error}"
        case _:
            return str(error)
