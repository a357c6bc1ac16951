"""What Redis says when it does not do what was asked, by the name it gives: each has its own meaning here."""

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


class Broken(Exception):
    """The connection ended, or never came up; what was asked may have been done."""


class NoGroupError(ResponseError):
    """A stream's consumer group is gone."""


class FencedError(ResponseError):
    """The shard is somebody else's now."""


class NotLeasedError(ResponseError):
    """The task is not leased to whoever wants to end it."""


class UnknownKeyError(ResponseError):
    """The journal knows no such order."""


class NotPersistingError(ResponseError):
    """Redis cannot write its snapshots, or has too few replicas, and therefore takes no writes."""


_BY_NAME: dict[str, type[RedisError]] = {
    "OOM": OutOfMemoryError,
    "READONLY": ReadOnlyError,
    "NOSCRIPT": NoScriptError,
    "NOGROUP": NoGroupError,
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
    "LEASE": NotLeasedError,
    "UNKNOWNKEY": UnknownKeyError,
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
    # An error inside a script carries the script's name in front, and behind it the place.
    for word in text.split()[:3]:
        if word.strip("-:") in _BY_NAME:
            return _BY_NAME[word.strip("-:")](text)
    return ResponseError(text)


def advice(error: Exception) -> str:
    """Say what an operator can do about an error."""
    match error:
        case OutOfMemoryError():
            return "Redis has no memory left (OOM): raise maxmemory, or lower keep_s and history_max of [store.redis]"
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
