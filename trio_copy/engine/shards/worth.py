"""What an account's positions have gained or lost by their marks. Sync and pure."""

from trio_copy.accounts import Account
from trio_copy.accounts.cash import put_in
from trio_copy.config import EngineSettings
from trio_copy.copying.decide import no_wallet
from trio_copy.engine.shards.marks import Marks
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.units import Rounding, Usd

_HOLDS_S = 60.0
_LOOKS = 2
"""What nobody bids for any more counts on for a minute at least, and for so many looks."""


def held_since(settings: EngineSettings, now: float) -> float:
    """Return from when on a mark still counts, and what was bought counts as what it cost while it has none."""
    return now - max(_HOLDS_S, _LOOKS * settings.exits_every_s)


def unrealised(account: Account, marks: Marks, control: str, since: float) -> Usd | Reason:
    """Return what all that is held could be sold for, less what it cost; `control` is named where that is unknown.

    `since` is from when on marks count.
    """
    total = 0
    for (leader, token_id), holding in account.holdings.items():
        position = holding.now
        if not position.shares:
            continue
        mark = marks.of((account.follower, leader, token_id))
        if mark is not None and mark.at >= since:
            total += position.shares.at(mark.price, Rounding.DOWN).micro - position.cost.micro
        elif mark is not None or position.opened_at < since:
            return Reason(
                code=Code.WORTH_UNKNOWN,
                control=control,
                value=f"no bid of token {token_id}",
                limit="one of all that is held",
            )
    return Usd(total)


def equity(account: Account, start: Usd | None, marks: Marks, control: str, since: float) -> Usd | Reason:
    """Return what a paper wallet that began with `start` is worth: its money, and what is held at its marks."""
    if start is None:
        return no_wallet(account.follower)
    gained = unrealised(account, marks, control, since)
    if isinstance(gained, Reason):
        return gained
    return Usd(start.micro + put_in(account).micro + account.performance.realised.micro + gained.micro)
