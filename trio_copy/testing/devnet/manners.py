"""What a node may do wrong, by name: each manner was met at a real node or is what a hostile one would try.

Manners are plain attributes, to be switched while the node runs. The texts here are what `trio-copy devnet --help` lists.
"""

from enum import StrEnum

from attrs import define, fields

from trio_copy.testing.devnet.words import manner


class Numbering(StrEnum):
    """How a source numbers the logs that it tells."""

    BLOCK = "block"
    """Their place in the block, which is right."""
    TRANSACTION = "transaction"
    """From 0 in each transaction."""
    TOLD = "told"
    """From 0 in each block, counting only what passes the filter."""
    ZERO = "zero"
    """All 0."""
    SHARED = "shared"
    """Two neighbours share a number."""
    OFFSET = "offset"
    """Their place in the block and 1000."""


class LogTime(StrEnum):
    """How `blockTimestamp` is written."""

    TOLD = "told"
    ZERO = "zero"
    EMPTY = "empty"
    NULL = "null"
    NUMBER = "number"
    FUTURE = "future"


class HeaderTime(StrEnum):
    """How a header's `timestamp` is written."""

    TOLD = "told"
    ZERO = "zero"
    NUMBER = "number"
    FUTURE = "future"
    TEXT = "text"


class Bloom(StrEnum):
    """How `logsBloom` is written."""

    TOLD = "told"
    FULL = "full"
    EMPTY = "empty"
    MISSING = "missing"


class ErrorShape(StrEnum):
    """How an error is written."""

    PLAIN = "plain"
    NULL_ID = "null_id"
    TEXT_BODY = "text_body"
    NULL_MESSAGE = "null_message"
    TEXT_CODE = "text_code"


class Subscriptions(StrEnum):
    """Which subscriptions are refused."""

    NONE = "none"
    HEADS = "heads"
    LOGS = "logs"
    BOTH = "both"


@define(eq=False)
class NodeFaults:
    """What this node does wrong; change it while it runs."""

    # What the chain is
    chain_id: int | None = manner(None, "claims to serve this chain")
    behind: int = manner(0, "shows a chain this many blocks shorter")
    false_head: int | None = manner(
        None, "invents headers up to this block, each the parent of the next, without logs", bare=1_000_000
    )
    without_finalized: bool = manner(False, "knows no finalized block")
    unfinalized: int = manner(16, "so many blocks from the newest finalized one to the head")

    # Silence and refusal
    deaf: bool = manner(False, "reads requests and answers none")
    silent_heads: bool = manner(False, "tells no new heads")
    silent_logs: bool = manner(False, "subscriptions tell no logs")
    error: str | None = manner(None, "answers everything but the handshake's requests with this error", bare="busy")
    refuse_subscriptions: Subscriptions = manner(
        Subscriptions.NONE, "refuses eth_subscribe for these", bare=Subscriptions.BOTH
    )
    refuse_unsubscribe: bool = manner(False, "refuses eth_unsubscribe")
    refuse_handshake: int | None = manner(None, "refuses connections with this HTTP status", bare=429)
    auth: str | None = manner(None, "refuses connections without this USER:PASSWORD with 401")

    # Limits of requests
    rate_limited: int = manner(0, "refuses every so many-th eth_getLogs as too many; 1 for each", bare=1)
    max_per_s: int | None = manner(None, "serves so many eth_getLogs a second and refuses the others as too many")
    rate_limited_method: str = manner("eth_getLogs", 'these two limits are for this method; "all" for every one')
    rate_limit_code: int = manner(-32005, "the error code of a request too many: -32005 or 429", least=-(10**6))
    retry_after_s: int | None = manner(None, "names this wait where it refuses a request or a connection", bare=2)

    # Ranges of eth_getLogs
    max_range: int | None = manner(None, "refuses wider ranges with an error")
    hang_range: int | None = manner(None, "never answers wider ranges")
    close_range: int | None = manner(None, "ends the connection with 1009 at wider ranges")
    pad_logs: int = manner(0, "an unknown field of so many characters in each log of an answer")
    cut_logs: int | None = manner(None, "answers with at most so many logs, without an error")
    empty_logs: int = manner(0, "answers so many eth_getLogs with nothing, without an error")
    refuse_block_hash: bool = manner(False, "refuses eth_getLogs by block hash with -32602")
    ignore_block_hash: bool = manner(False, "answers eth_getLogs by block hash for the newest block")

    # How logs are told
    subscription_index: Numbering = manner(Numbering.BLOCK, "how subscriptions number logs")
    answer_index: Numbering = manner(Numbering.BLOCK, "how eth_getLogs numbers logs")
    each_log_twice: bool = manner(False, "subscriptions tell each log twice")
    subscription_cut: int | None = manner(None, "subscriptions tell only so many logs of a block")
    lose_log: bool = manner(False, "subscriptions lose the first log of each block")
    without_removed: bool = manner(False, "tells nothing of logs that a reorg takes back")
    removed_flood: int = manner(0, "says so many times of each new block that it was taken back", bare=50)
    unasked: int = manner(0, "tells so many things at each block for subscriptions that nobody has", bare=1000)
    unasked_bytes: int = manner(256, "how long each of these is")

    pending: bool = manner(False, "tells each log and head before it has a block, too")
    null_logs: bool = manner(False, "answers null where there are no logs")
    blockless_answers: bool = manner(False, "answers eth_getLogs with logs that name no block")
    end_subscriptions: int = manner(
        0, "ends the subscriptions at so many blocks with an error, as one that fell behind", bare=1
    )

    # Times
    without_time: bool = manner(False, "leaves blockTimestamp out")
    log_time: LogTime = manner(LogTime.TOLD, "how blockTimestamp is written", bare=LogTime.ZERO)
    header_time: HeaderTime = manner(HeaderTime.TOLD, "how a header's timestamp is written", bare=HeaderTime.ZERO)
    time_lag_s: int = manner(0, "block times are this many seconds behind; below 0 for ahead", least=-(10**9))

    # Shapes
    json_numbers: bool = manner(False, "writes quantities as JSON numbers")
    empty_zero: bool = manner(False, 'writes zero as "0x"')
    null_removed: bool = manner(False, "writes null where nothing was removed")
    extra_fields: bool = manner(False, "writes fields that nobody knows")
    upper_case: bool = manner(False, "writes hex digits in upper case")
    unreadable_logs: bool = manner(False, "writes logs that cannot be read")
    bloom: Bloom = manner(Bloom.TOLD, "how logsBloom is written", bare=Bloom.FULL)
    error_shape: ErrorShape = manner(ErrorShape.PLAIN, "how errors are written", bare=ErrorShape.NULL_ID)
    text_ids: bool = manner(False, "answers the ids of requests as text")

    def clear(self) -> None:
        """Behave from now on."""
        for field in fields(NodeFaults):
            setattr(self, field.name, field.default)
