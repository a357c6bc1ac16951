"""What must not be sent at all, and why: what the venue has refused for good, and where it asks for patience.

Sync state: what changes it is told once, by the event that each change returns. A stop without an end is lifted by a person,
who has mended its cause and arms a wallet again; what ends by itself is tried again by whoever comes first, and begins anew
where it is refused.
"""

from enum import Enum

from attrs import define, field, frozen

from trio_copy.model.ids import TokenId

SHORT_S = 30.0
"""How long a wallet's side rests after two refusals for want of balance: what is not settled yet needs about so long."""
_SHORT_AGAIN_S = 2 * SHORT_S
PAUSED_S = 30.0
"""How long entries rest where the venue does not say."""

EGRESS_S = 300.0
"""How long nothing leaves from a place that is refused and not blocked: asking again at once makes such a page last longer."""


class Stop(Enum):
    """What is stopped."""

    WALLET = "wallet stopped"
    ENTRIES_OF_WALLET = "no entries of this wallet"
    EXITS_OF_WALLET = "no exits of this wallet"
    SIGNER = "signer stopped"
    EGRESS = "egress stopped"
    ENTRIES = "entries paused"
    EXITS = "exits wait"
    """For as long as the venue asks for, and nobody hears of it: they are tried again until their deadline."""
    RESTARTING = "the venue is restarting"
    """Stops nothing: whoever sends tries within his deadline, and people see why it takes so long."""

    __hash__ = object.__hash__


_OF_SIDE = {True: Stop.EXITS_OF_WALLET, False: Stop.ENTRIES_OF_WALLET}


@frozen(kw_only=True)
class Stopped:
    """Something is stopped, or is so no longer."""

    stop: Stop
    who: str
    """The address of the wallet or the signer; empty where it is about all of them."""
    why: str
    until: float | None = None
    """By Trio's clock; None for good."""
    lifted: bool = False
    at: float = 0.0
    """When it began, by Trio's clock."""

    def __str__(self) -> str:
        who = f" ({self.who})" if self.who else ""
        return f"{self.stop.value}{who}{', no longer' if self.lifted else ''}: {self.why}"


@define(eq=False)
class Stops:
    """All that stands at the moment."""

    _standing: dict[tuple[Stop, str], Stopped] = field(factory=dict)
    _short: dict[tuple[str, TokenId | None], float] = field(factory=dict)
    """When a wallet was refused for want of balance last: of a token that is sold, or None for cash."""

    def stop(self, stop: Stop, who: str, why: str, *, until: float | None = None, now: float) -> Stopped | None:
        """Stop something; returns what a person should hear, or None where he has heard it."""
        before = self._find(stop, who, now)
        if before is not None and before.until is None:
            return None
        self._standing[stop, who] = stopped = Stopped(stop=stop, who=who, why=why, until=until, at=now)
        return None if before is not None and until is not None else stopped

    def lift(self, stop: Stop, who: str = "") -> Stopped | None:
        """Let something go on; returns what a person should hear, or None where it was not stopped."""
        before = self._standing.pop((stop, who), None)
        if before is None:
            return None
        return Stopped(stop=stop, who=who, why=before.why, lifted=True)

    def armed(self, *, wallet: str, signer: str, at: float) -> list[Stopped]:
        """A person has armed a wallet at a moment: what was stopped for good before, of it, of its signer or of all of them, is
        tried again. Returns what a person should hear."""
        if not self._standing:
            return []
        asked = ((Stop.EGRESS, ""), (Stop.SIGNER, signer), (Stop.WALLET, wallet), (Stop.ENTRIES_OF_WALLET, wallet))
        before = [self._standing.get(key) for key in asked]
        ended = [one for one in before if one is not None and one.until is None and one.at < at]
        lifted = [self.lift(one.stop, one.who) for one in ended]
        return [one for one in lifted if one is not None]

    def went_well(self) -> list[Stopped]:
        """The venue takes orders: what it said of all of them is over. Returns what a person should hear."""
        self.lift(Stop.EXITS)
        lifted = [self.lift(stop) for stop in (Stop.ENTRIES, Stop.RESTARTING)]
        return [one for one in lifted if one is not None]

    def short(self, wallet: str, sold: TokenId | None, *, why: str, sent_at: float, now: float) -> Stopped | None:
        """Note a refusal for want of balance, of a token that is sold or of cash: the second of the same within a while stops
        this side of the wallet for some time.

        After the first one, the venue has read the balance again: it was not its memory.
        """
        again = self.was_short(wallet, sold, sent_at=sent_at, now=now)
        self._short = {key: at for key, at in self._short.items() if now - at < _SHORT_AGAIN_S}
        self._short[wallet, sold] = now
        side = _OF_SIDE[sold is not None]
        return self.stop(side, wallet, why, until=now + SHORT_S, now=now) if again else None

    def was_short(self, wallet: str, sold: TokenId | None, *, sent_at: float, now: float) -> bool:
        """Tell whether a wallet was refused for want of a token, or of cash, a moment before an order was sent.

        What was on its way then was refused by the same memory.
        """
        at = self._short.get((wallet, sold), -float("inf"))
        return at <= sent_at and now - at < _SHORT_AGAIN_S

    def had_enough(self, wallet: str, sold: TokenId) -> None:
        """Note that a wallet sold a token: what was missing of it before, the venue had not read yet. It may be so once more."""
        self._short.pop((wallet, sold), None)

    def why(self, *, wallet: str, signer: str, is_exit: bool, now: float) -> Stopped | None:
        """Return what stops an order, the widest first; None where nothing does."""
        if not self._standing:
            return None
        asked = [(Stop.EGRESS, ""), (Stop.SIGNER, signer), (Stop.WALLET, wallet), (_OF_SIDE[is_exit], wallet)]
        asked.append((Stop.EXITS if is_exit else Stop.ENTRIES, ""))
        return next((found for key in asked if (found := self._find(*key, now)) is not None), None)

    def is_restarting(self, now: float) -> bool:
        """Tell whether the venue was not ready when it was asked last."""
        return self._find(Stop.RESTARTING, "", now) is not None

    def standing(self, now: float) -> list[Stopped]:
        """Return all that stands, for people."""
        return [found for key in list(self._standing) if (found := self._find(*key, now)) is not None]

    def _find(self, stop: Stop, who: str, now: float) -> Stopped | None:
        found = self._standing.get((stop, who))
        if found is not None and found.until is not None and found.until <= now:
            del self._standing[stop, who]
            return None
        return found
