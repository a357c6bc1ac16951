"""What nodes say of a transaction that they are given, in their own words, and what it proves.

geth and bor write a phrase and figures behind it; erigon the same phrases behind the name of a code; Nethermind names, and
since 2026 geth's phrases; anvil, Besu and OpenEthereum phrases of their own. Codes tell little: nearly everything is -32000 somewhere.
"""

import re
from enum import Enum


class Proves(Enum):
    TAKEN = "the node has it, or had it"
    NOT_TAKEN = "the node does not have it"
    NOTHING = "the node may have it"


class Do(Enum):
    """What comes next."""

    WAIT = "wait until it is mined"
    LOOK_UP = "look for the receipts of all that was sent with this nonce"
    BUMP = "the same nonce with an eighth more in both fields"
    RAISE = "the same nonce with what the node asks for, within the cap"
    EARLIER_FIRST = "the nonces before it first, then the same bytes"
    REFUEL = "coin for gas, else the wallet pauses"
    STOP_WALLET = "nothing more of this wallet"
    SAME_BYTES = "the same bytes, to another node"


class Row(Enum):
    """A kind of answer to `eth_sendRawTransaction`: what it is, what it proves, what comes next."""

    SENT = "taken", Proves.TAKEN, Do.WAIT
    NONCE_USED = "the nonce is used", Proves.NOTHING, Do.LOOK_UP
    # Seen from bor of a transaction that then was mined: it proves nothing, not even of the first one of a nonce.
    IN_ITS_PLACE = "another one of this nonce is there, and pays as much", Proves.NOTHING, Do.BUMP
    GAP = "the nonces before it are not known there", Proves.NOTHING, Do.EARLIER_FIRST
    UNDERPRICED = "it pays too little for this pool", Proves.NOT_TAKEN, Do.RAISE
    NO_FUNDS = "the wallet cannot pay for gas", Proves.NOT_TAKEN, Do.REFUEL
    WRONG = "no node takes such a one", Proves.NOT_TAKEN, Do.STOP_WALLET
    CROWDED = "no room", Proves.NOTHING, Do.SAME_BYTES
    BUSY = "the node has no time", Proves.NOTHING, Do.SAME_BYTES
    LOST = "no answer", Proves.NOTHING, Do.SAME_BYTES
    UNREACHED = "nothing has left for this node", Proves.NOT_TAKEN, Do.SAME_BYTES
    FOREIGN = "not about this transaction, or not to be read", Proves.NOTHING, Do.SAME_BYTES
    NOVEL = "a text that nobody knows", Proves.NOTHING, Do.SAME_BYTES

    def __init__(self, what: str, proves: Proves, do: Do) -> None:
        self.what = what
        self.proves = proves
        self.do = do

    __hash__ = object.__hash__

    @property
    def alert(self) -> bool:
        """Whether a person should see it."""
        return self in (Row.NO_FUNDS, Row.WRONG, Row.FOREIGN, Row.NOVEL)


_LIMITS = frozenset({429, -32005, -32029})
"""Codes by which providers say that it was too much, whatever their words."""
_TEXTS: tuple[tuple[Row, tuple[str, ...]], ...] = (
    # First what proves nothing, whatever else a text says; then what says more than the words that follow would.
    (
        Row.BUSY,
        (
            r"too many requests", r"rate limit", r"throttl", r"compute units?", r"request (rate|count|limit)", r"time[d ]*out",
            r"deadline exceeded", r"syncing", r"sync is still in progress", r"\bbusy\b", r"try again",
            r"temporarily unavailable", r"^limit exceeded",
            # Who passes it on to several nodes says what one of them said; another one may have it.
            r"\bupstream", r"bad gateway", r"connection (reset|refused|closed|aborted)", r"broken pipe", r"socket hang up",
            r"\beof\b", r"i/o error", r"unexpected end",
        ),
    ),
    (
        Row.CROWDED,
        (
            r"pool ?(is )?full", r"pool overflow", r"account limit exceeded", r"in-flight transaction limit", r"spammer",
            r"tries to replace pending", r"already reserved", r"has pending transaction", r"too many transactions in the queue",
        ),
    ),
    (
        Row.SENT,
        (r"already ?known", r"already imported", r"already_exists", r"existing txn? with same hash", r"\bknown transaction"),
    ),
    (
        Row.IN_ITS_PLACE,
        (
            r"replacement transaction underpriced", r"could not replace existing", r"replacementnotallowed",
            r"gas price to replace", r"ownnoncealreadyused", r"replaced by transaction with higher tip",
            r"another transaction with same nonce",
        ),
    ),
    (
        Row.GAP,
        (
            r"nonce ?too ?high", r"noncegap", r"nonce gap", r"gapped.nonce", r"nonce ?too ?far ?in ?future",
            r"nonce is too distant", r"invalid transaction with a lower nonce",
        ),
    ),
    (Row.NONCE_USED, (r"nonce ?(is )?too ?low", r"oldnonce", r"nonce has already been used", r"^(\w+: )?mined$")),
    (
        Row.UNDERPRICED,
        (
            r"underpriced", r"gas price below", r"fee (per gas|cap) less than block base fee", r"fee ?too ?low",
            r"priorityfeepergas too low",
        ),
    ),
    (
        Row.NO_FUNDS,
        (
            r"insufficient ?funds", r"insufficient (maxfeepergas for sender )?balance", r"enough funds",
            r"upfront cost exceeds",
        ),
    ),
    (
        Row.WRONG,
        (
            r"intrinsic ?gas", r"floor data gas", r"block gas limit", r"gas limit reached", r"gas ?limit ?exceeded",
            r"gas limit (is )?too high", r"gaslimitcapexceeded", r"tx fee .{0,80}exceeds the configured cap", r"fee cap exceeded",
            r"(invalid|invalidtx|wrong|incorrect) ?chain ?id", r"incompatible eip-155", r"invalid sender",
            r"failed ?to ?re(solve|cover) ?sender", r"invalid ?(tx)?signature", r"invalid transaction v, r, s",
            r"oversized data", r"transaction too large", r"maxtxsizeexceeded", r"\brlp: ", r"rlptoolong",
            r"failed to decode (signed )?transaction", r"sender not an eoa", r"senderiscontract", r"higher than max ?fee ?per ?gas",
            r"nonce has max value", r"(uint64|uint|int256|cost) ?overflow", r"type not supported", r"notsupportedtxtype",
            r"unsupported transaction type", r"transaction invalid", r"^invalid(, |$)",
        ),
    ),
)  # fmt: skip
_ROWS = tuple((row, re.compile("|".join(texts))) for row, texts in _TEXTS)
_TIPS = (
    re.compile(r"tip cap \d{1,30}, minimum needed (\d{1,30})"),
    re.compile(r"tip needed (\d{1,30})"),
    re.compile(r"priorityfeepergas too low \d{1,30} < (\d{1,30})"),
)
_LONGEST_TEXT = 1000
PRICE_REASONS = frozenset(
    {
        "minimum buy amount not reached",
        "maximum sell amount exceeded",
        "too little received",
        "spl",
        "transaction too old",
    }
)
"""A venue's reasons, in small letters, for what has become too dear, or too late: nothing is wrong with what was sent."""


def row_of(code: int, said: str) -> Row:
    """Find the row of an error: what nobody knows is NOVEL."""
    if code in _LIMITS:
        return Row.BUSY
    text = said[:_LONGEST_TEXT].lower()
    return next((row for row, texts in _ROWS if texts.search(text)), Row.NOVEL)


def tip_asked(said: str) -> int:
    """Return the tip that a node asks for, in wei; 0 where it does not say."""
    text = said[:_LONGEST_TEXT].lower()
    return next((int(found[1]) for tip in _TIPS if (found := tip.search(text))), 0)
