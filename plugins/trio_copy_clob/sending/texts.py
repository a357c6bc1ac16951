"""The rows of the table of answers, and the venue's texts by which they are known."""

import re
from enum import Enum


class Meaning(Enum):
    """What an answer proves of the order that was sent."""

    FILLED = "matched, as told; the chain has the last word"
    OPEN = "accepted, and what comes of it is open"
    KILLED = "accepted, and ended without a fill"
    REJECTED = "refused for good"
    NOT_ACCEPTED = "certainly not accepted, and may be later"
    UNPROVEN = "it may be there"


class Do(Enum):
    """What comes next."""

    NOTHING = "nothing"
    LOOK_UP = "ask for the order by its id"
    SAME_BYTES = "the same bytes within the deadline, then ask for the order"
    LOOK_UP_FIRST = "wait, ask for the order, then the same bytes within the deadline"
    READ_MARKET = "read the market again, and make the order anew"
    FORGET_MARKET = "read the market again before the next order"
    REFRESH_BALANCE = "let the venue read the wallet's balance again, once"
    RENEW_KEY = "take the time and the API key anew, once, and send the same bytes"
    ASK_WHO = "take the time and the API key anew, once: told by the venue, the same bytes, else nothing more from this address"
    STOP_WALLET = "nothing more of this wallet"
    STOP_ENTRIES = "no entry more of this wallet"
    STOP_EGRESS = "nothing more from this address of the internet"
    PAUSE_ENTRIES = "no entries for a while; exits go on within their deadline"


class Row(Enum):
    """A kind of answer to `POST /order`: what it is, what it proves, what comes next."""

    MATCHED = "matched", Meaning.FILLED, Do.NOTHING
    UNTOLD = "matched, without amounts", Meaning.OPEN, Do.LOOK_UP
    LIVE = "live", Meaning.OPEN, Do.LOOK_UP
    UNMATCHED = "unmatched", Meaning.OPEN, Do.LOOK_UP
    HELD = "delayed: it cannot be called off yet", Meaning.OPEN, Do.LOOK_UP
    DUPLICATED = "it is there already", Meaning.OPEN, Do.LOOK_UP
    KILLED = "nothing to match", Meaning.KILLED, Do.NOTHING
    STALE_MARKET = "of another tick or version", Meaning.REJECTED, Do.READ_MARKET
    BALANCE = "no balance, or no allowance", Meaning.REJECTED, Do.REFRESH_BALANCE
    RULE = "against a rule of the venue", Meaning.REJECTED, Do.NOTHING
    TOO_SMALL = "smaller than the venue takes", Meaning.REJECTED, Do.FORGET_MARKET
    NO_MARKET = "no such market or book", Meaning.REJECTED, Do.FORGET_MARKET
    WALLET = "this wallet may not, or not so", Meaning.REJECTED, Do.STOP_WALLET
    CLOSED_ONLY = "this wallet may only leave", Meaning.REJECTED, Do.STOP_ENTRIES
    NOT_READY = "not ready yet", Meaning.NOT_ACCEPTED, Do.SAME_BYTES
    KEY = "the API key, or the time, is not good", Meaning.NOT_ACCEPTED, Do.RENEW_KEY
    BLOCKED = "region or datacentre is blocked", Meaning.NOT_ACCEPTED, Do.STOP_EGRESS
    BETWEEN = "refused, by whom cannot be read", Meaning.NOT_ACCEPTED, Do.ASK_WHO
    PAUSED = "trading is paused", Meaning.NOT_ACCEPTED, Do.PAUSE_ENTRIES
    UNSURE = "the venue itself does not know", Meaning.UNPROVEN, Do.LOOK_UP
    NOT_FOUND = "not found, and not said what", Meaning.UNPROVEN, Do.LOOK_UP
    TOO_OFTEN = "too often", Meaning.UNPROVEN, Do.LOOK_UP_FIRST
    SERVER = "the venue failed", Meaning.UNPROVEN, Do.SAME_BYTES
    NOVEL = "a text that nobody knows", Meaning.UNPROVEN, Do.LOOK_UP
    FOREIGN = "not about this order, or not to be read", Meaning.UNPROVEN, Do.LOOK_UP

    def __init__(self, what: str, meaning: Meaning, do: Do) -> None:
        self.what = what
        self.meaning = meaning
        self.do = do

    __hash__ = object.__hash__

    @property
    def alert(self) -> bool:
        """Whether a person should see it: the venue writes what is not understood here."""
        return self in (Row.NOVEL, Row.FOREIGN)


_TEXTS: tuple[tuple[Row, tuple[str, ...]], ...] = (
    # First what proves nothing, whatever else a text says; then what says more than the words that follow would.
    (Row.UNSURE, ("context canceled", "match delayed", "error delaying", "delaying_order", "execution_error")),
    (Row.DUPLICATED, ("duplicated",)),
    (
        Row.KILLED,
        (
            "couldn't be fully filled",
            "orders are fully filled or killed",
            "orders are filled or killed",
            "no orders found to match",
            "there are no matching orders",
            "fok_order_not_filled",
        ),
    ),
    (Row.NOT_READY, ("not yet ready to process new orders", "service not ready", "market_not_ready")),
    (Row.PAUSED, ("trading is currently disabled", "trading is currently cancel-only", "post-only mode")),
    (Row.BALANCE, ("not enough balance", "balance is not enough", "allowance is not enough", "not_enough_balance")),
    (
        Row.STALE_MARKET,
        ("minimum tick size rule", "min_tick_size", "order_version_mismatch", "invalid order version"),
    ),
    (Row.CLOSED_ONLY, ("closed only mode", "closed-only mode")),
    (Row.RULE, ("invalid signature_type",)),
    (
        Row.WALLET,
        (
            "invalid signature",
            "invalid signer",
            "has to be the owner of the api key",
            "has to be the address of the api key",
            "use the deposit wallet flow",
            "address banned",
        ),
    ),
    (Row.NO_MARKET, ("no orderbook exists", "market not found", "no such market", "no such book")),
    (Row.TOO_SMALL, ("lower than the minimum", "min size:", "min_size")),
    (
        Row.RULE,
        (
            "crosses the book",
            "crosses book",
            "canceled in the ctf exchange contract",
            "too many orders in payload",
            "is invalid.",
        ),
    ),
)
_SHAPES = (
    # Whole, or as they begin: in the midst of another text, the same words may be about what came of an order that was taken.
    (Row.KEY, re.compile("(unauthorized/)?invalid api key$")),
    (Row.BALANCE, re.compile(r"insufficient balance( / allowance)?(:|$)")),
    (Row.NO_MARKET, re.compile(r"(the )?orderbook (\S+ )?does not exist$")),
    (Row.RULE, re.compile("post-only order would cross( the book)?$|order would cross the book: post-only$")),
    # Whatever is found invalid before an order is taken is not taken.
    (Row.RULE, re.compile("invalid ")),
)
"""Texts that are known by how they begin."""
_APOSTROPHES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'"})
_LONGEST_TEXT = 1000


def row_of(said: str) -> Row | None:
    """Find the row of a text; None where nobody knows it."""
    text = said[:_LONGEST_TEXT].lower().translate(_APOSTROPHES)
    for row, parts in _TEXTS:
        if any(part in text for part in parts):
            return row
    return next((row for row, shape in _SHAPES if shape.match(text)), None)
