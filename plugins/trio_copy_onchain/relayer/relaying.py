"""What comes next for an action, from what was signed, what the relayer said and what the chain shows. Pure.

One rule holds all others: what is signed for a key has one nonce of its wallet, until something else has used that nonce in
a final block. The wallet's contract takes one body of a nonce, so that one at most of all that was signed happens,
whatever the relayer does with it, and however often it is handed over.
"""

from enum import Enum

from attrs import define, frozen

from trio_copy.model.ids import Hash32
from trio_copy.model.orders import SignatureType
from trio_copy_onchain.relayer.looking import Look
from trio_copy_onchain.relayer.proof import Outcome
from trio_copy_onchain.relayer.submitted import MOST_SIGNINGS, Action

LIFE_S = 600
"""How long what is signed for a deposit wallet is good."""
_LEAST_LIFE_S = 300
"""With less than that left, the relayer does not take it."""


class Step(Enum):
    SIGN = "sign with the wallet's next nonce"
    SIGN_AGAIN = "sign with the same nonce, for what was signed has run out"
    SUBMIT = "hand over what was signed, the same bytes"
    FOLLOW = "ask the relayer how far it has come"
    WAIT = "look again later"
    UNPROVEN = "its nonce is used, and nobody can tell by what: nothing is signed anew"
    MINED = "it happened; a reorg may still undo it"
    LANDED = "it happened, for good"
    REFUSED = "nothing has happened"
    LATE = "nothing has happened, and it is too late for it"

    __hash__ = object.__hash__


@define
class Heard:
    """What the relayer has said of an action, as far as this process has heard: forgotten, it is a doubt."""

    doubtful: bool = False
    """Whether the relayer may have it: it was handed over, and not turned away."""
    turned_away: str = ""
    """What came in place of an answer the last time."""
    given_up: str | None = None
    """Why it failed, as the relayer says."""
    given_up_at: int = 0
    """The chain's head when it said so."""
    mined: Hash32 | None = None
    """Which transaction it is, as long as a reorg may still undo it."""
    again_at: float = -float("inf")
    """Trio time from which on it may be handed over again."""


@frozen(kw_only=True)
class Moment:
    unix_s: float
    until: float
    """Unix seconds from which on it is not handed over any more."""


def step_of(action: Action | None, look: Look, heard: Heard, kind: SignatureType, moment: Moment) -> Step:
    """Say what comes next."""
    late = moment.unix_s >= moment.until
    if action is None:
        return Step.LATE if late else Step.SIGN
    if action.landed is not None:
        return Step.LANDED
    found = look.found
    if found is not None and found.outcome is Outcome.DONE:
        return Step.LANDED if found.final else Step.MINED
    failed = found is not None and found.outcome is Outcome.FAILED
    if failed and not (found is not None and found.final):
        return Step.WAIT
    if failed and action.refused is None:
        return Step.REFUSED
    if failed or look.displaced:
        if heard.doubtful and not failed and not look.explained:
            return Step.UNPROVEN
        return Step.LATE if late else Step.SIGN
    if look.latest > action.nonce:
        return Step.WAIT  # something has used its nonce: what it was, only a final block tells
    return _unused(action, look, heard, kind, moment)


def _unused(action: Action, look: Look, heard: Heard, kind: SignatureType, moment: Moment) -> Step:
    """Say what comes next while the action's nonce is not used."""
    if heard.given_up is not None:
        # A transaction that failed may still be mined anew in another branch, with another end.
        settled = look.final_block >= heard.given_up_at and (look.found is None or look.found.final)
        return Step.REFUSED if settled else Step.WAIT
    if action.newest.transaction_id is not None:
        return Step.FOLLOW
    if moment.unix_s >= moment.until:
        return Step.WAIT if heard.doubtful else Step.LATE
    if kind is SignatureType.DEPOSIT and action.newest.deadline < moment.unix_s + _LEAST_LIFE_S:
        # None of them may be forgotten: each could be what has happened.
        return Step.SIGN_AGAIN if len(action.signings) < MOST_SIGNINGS else Step.WAIT
    return Step.SUBMIT
