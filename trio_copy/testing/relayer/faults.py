"""What this relayer may do wrong besides what any server may. Set it while it runs."""

from enum import StrEnum

from attrs import define

from trio_copy.testing.devnet.words import manner
from trio_copy.testing.market_server.faults import VenueFaults


class Settles(StrEnum):
    """What becomes of an action that was taken."""

    PROMPTLY = "promptly"
    """Carried to the chain, mined, confirmed."""
    NEW = "new"
    """It is never carried."""
    EXECUTED = "executed"
    """It is carried, and nothing more is told of it."""
    FAILED = "failed"
    """It is given up, and was never carried."""
    INVALID = "invalid"


@define(eq=False)
class RelayerFaults(VenueFaults):
    """What this relayer does wrong."""

    path: str = manner("all", 'which requests the faults of answers are of: "/submit", "/relay-payload" or "all"')
    carried_out: bool = manner(
        False, "does what it was asked before it stalls, drops the connection or answers a status"
    )
    lose_reply: bool = manner(False, "does what it was asked, and ends the connection instead of answering")
    text: str | None = manner(None, "refuses in these words, with status 400 where no other is given")
    settles: Settles = manner(Settles.PROMPTLY, "what becomes of actions", bare=Settles.FAILED)
    nonce_off: int = manner(0, "tells a nonce that is so much off", bare=-1, least=-1_000)
    mute: bool = manner(False, "tells no transaction hash")

    def meets(self, path: str) -> bool:
        """Tell whether the answer to a request is to be faulty, and count it."""
        return self.path in ("all", path) and self.of("relayer")
