"""What this venue may do wrong besides what a market server may: each was met at the real one. Set them while it runs."""

from enum import StrEnum

from attrs import define

from trio_copy.testing.devnet.words import manner
from trio_copy.testing.market_server.faults import VenueFaults


class Mode(StrEnum):
    """What the venue lets people do."""

    OPEN = "open"
    DISABLED = "disabled"
    CANCEL_ONLY = "cancel_only"
    POST_ONLY = "post_only"
    RESTARTING = "restarting"
    """It answers 425 to whatever is about orders."""


class OrderAnswer(StrEnum):
    """How an order that is taken is answered."""

    RIGHT = "right"
    ERROR = "error"
    """200, success, and a refusal in `errorMsg`: it was not taken."""
    LIVE = "live"
    """It waits, and `later` says what becomes of it; so for the next two."""
    DELAYED = "delayed"
    UNMATCHED = "unmatched"
    OTHER_ID = "other_id"
    """By the id of another order."""
    NO_ID = "no_id"
    NO_AMOUNTS = "no_amounts"


class Later(StrEnum):
    """What becomes of an order that was made to wait."""

    MATCHED = "matched"
    """It meets the book of that moment."""
    KILLED = "killed"


class Settles(StrEnum):
    """How trades become final."""

    PROMPTLY = "promptly"
    NEVER = "never"
    RETRIED = "retried"
    """Promptly, after one transaction that failed."""
    FAILED = "failed"
    """Not at all: the trade is undone."""
    UNDONE = "undone"
    """Undone after it was mined."""


class Standing(StrEnum):
    """What a wallet may do."""

    OPEN = "open"
    CLOSED_ONLY = "closed_only"
    BANNED = "banned"
    DEPOSIT_ONLY = "deposit_only"
    """Only with a wallet of signature type 3."""


class Tier(StrEnum):
    """How fast a signer may be."""

    STANDARD = "standard"
    COPPER = "copper"
    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"
    PLATINUM = "platinum"
    DIAMOND = "diamond"
    ELITE = "elite"
    UNLIMITED = "unlimited"


@define(eq=False)
class ClobFaults(VenueFaults):
    """What this venue does wrong."""

    # Answers, whichever of those above
    path: str = manner(
        "all", 'which requests the faults of answers are of: "/order", "POST /order", "/data/" for all below, or "all"'
    )
    carried_out: bool = manner(
        False, "does what it was asked before it stalls, drops the connection or answers a status"
    )
    lose_reply: bool = manner(False, "does what it was asked, and ends the connection instead of answering")
    text: str | None = manner(None, "refuses in these words")

    # Orders
    mode: Mode = manner(Mode.OPEN, "what people may do", bare=Mode.DISABLED)
    order_answer: OrderAnswer = manner(OrderAnswer.RIGHT, "how orders are answered", bare=OrderAnswer.DELAYED)
    later: Later = manner(Later.MATCHED, "what becomes of orders that were made to wait", bare=Later.KILLED)
    later_s: int = manner(3, "how long orders are made to wait")
    remembers_killed: bool = manner(False, "takes the bytes of an order that filled nothing for a duplicate")
    standing: Standing = manner(Standing.OPEN, "what every wallet may do", bare=Standing.CLOSED_ONLY)
    tier: Tier = manner(Tier.STANDARD, "how fast signers may be", bare=Tier.UNLIMITED)

    # Trades
    settles: Settles = manner(Settles.PROMPTLY, "how trades become final", bare=Settles.FAILED)
    mined_after_s: int = manner(2, "how long after its match a trade is mined")
    confirmed_after_s: int = manner(2, "how long after that it is confirmed")
    trades_lag_s: int = manner(0, "trades are told of only so long after they were matched", bare=30)
    counts_lag_s: int = manner(0, "orders count what was matched of them only so long after it was", bare=30)
    later_part: int = manner(
        0, "so many per cent of what an order takes are a trade of their own, which is told of later", bare=20
    )
    later_part_s: int = manner(25, "how much later that is, from the match on")
    prefixed: bool = manner(
        False, "writes statuses as TRADE_STATUS_MINED and ORDER_STATUS_LIVE, on the user channel not"
    )
    stale_cache: bool = manner(False, "what a wallet has is read anew only where a client asks for that")

    # The rest
    clock_off_s: int = manner(0, "its clock is so far ahead", bare=100, least=-1_000_000)
    geoblocked: bool = manner(False, "says that this address may not trade")
    mute_user_channel: bool = manner(False, "says nothing but PONG on the user channel")

    def meets(self, host: str, method: str, path: str) -> bool:
        """Tell whether the answer to a request is to be faulty, and count it."""
        written = f"{method} {path}" if " " in self.path else path
        meant = written.startswith(self.path) if self.path.endswith("/") else self.path in ("all", written)
        return meant and self.of(host)
