"""When a stop is lifted: a person has armed a wallet since, and says by that that what stood in the way is mended."""

from attrs import define


@define(eq=False)
class Lifting:
    """Lets each arming lift what is stopped once, however our clock is set. Moments are Unix seconds."""

    _by: float = 0.0
    """The arming that has lifted a stop last."""

    def lifts(self, armed_at: float, *, stopped_at: float, now: float) -> bool:
        """Tell whether an arming lifts a stop, and remember it."""
        # Where our clock was set back since, nobody can tell which was first: it is tried once.
        later = stopped_at < armed_at or now < stopped_at
        if not later or armed_at == self._by:
            return False
        self._by = armed_at
        return True
