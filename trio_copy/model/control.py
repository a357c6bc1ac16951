"""What an operator and several instances agree on."""

from enum import Enum

from attrs import frozen


class Mode(Enum):
    """What the engine may do; it survives a restart and only a person raises it again."""

    RUN = "run"
    REDUCE_ONLY = "reduce-only"
    """Exits only."""
    HALT_NEW = "halt-new"
    """No new order; what was sent is still reconciled."""
    HALT_ALL = "halt-all"
    """Nothing at all is sent, reconciling included."""

    __hash__ = object.__hash__


@frozen(kw_only=True)
class ModeChange:
    mode: Mode
    why: str
    at: float
    """Unix seconds."""


@frozen(kw_only=True)
class Lease:
    """An expiring exclusive right."""

    name: str
    owner: str
    token: int
    """Fencing token: grows with every new owner, so that a paused one can be told apart."""
    until: float
    """Unix seconds."""


@frozen(kw_only=True)
class Instance:
    """One running process, as others see it."""

    instance: str
    seen_at: float
    """Unix seconds of the last heartbeat."""
