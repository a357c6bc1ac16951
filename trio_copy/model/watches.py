"""What watchdogs say about nodes and the clock, as it is shown to people and to other instances."""

from enum import Enum

from attrs import frozen


class Light(Enum):
    """What a watchdog makes of its figure."""

    GREEN = "green"
    RED = "red"
    UNKNOWN = "unknown"
    """Nothing to judge by, such as a node that does not tell what is finalized."""

    __hash__ = object.__hash__


@frozen(kw_only=True)
class Watch:
    """One watchdog's word."""

    name: str
    """What is watched, with its unit at the end, as head_age_s."""
    endpoint: str = ""
    """The node that is watched; empty for the machine's own clock and for the scan."""
    light: Light
    value: float | None = None
    """The figure; None while there is none."""
    limit: float
    """The largest figure, of either sign, that is still good."""
