"""What nodes mean by their errors, in the words that they are known to use."""

import pytest

from trio_copy.chain.refusals import Refusal, refusal_of, refuses_hashes, told_s, too_often
from trio_copy.errors import AnswerTooLarge, ChainError, ConnectionLost, NoAnswer, RpcError

MUCH, OFTEN, EITHER = Refusal.TOO_MUCH, Refusal.TOO_OFTEN, Refusal.EITHER


@pytest.mark.parametrize(
    ("code", "message", "meant"),
    [
        (-32005, "query returned more than 10000 results", MUCH),
        (-32005, "daily request count exceeded, request rate limited", OFTEN),
        (-32005, "project ID request rate exceeded", OFTEN),
        (-32005, "block range is too wide, at most 7", MUCH),
        (-32005, "limit exceeded", EITHER),
        (-32005, "", EITHER),
        (429, "Too Many Requests", OFTEN),
        (429, "", EITHER),
        (429, "Your app has exceeded its compute units per second capacity.", OFTEN),
        (-32007, "50/second request limit reached - reduce calls per second or upgrade your account", OFTEN),
        (-32029, "Too many requests, reason: call rate limit exhausted, retry in 10s", OFTEN),
        (-32602, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range", MUCH),
        (-32000, "exceed maximum block range: 50000", MUCH),
        (-32000, "query timeout exceeded", MUCH),
        (-32614, "eth_getLogs is limited to a 10,000 range", MUCH),
        (-32701, "Please specify an address in your request, or use a narrower range", MUCH),
        (-32000, "too many logs in the block range, rate limited", EITHER),
        (-32000, "internal error", MUCH),
    ],
)
def test_words_decide_between_too_much_and_too_often(code: int, message: str, meant: Refusal) -> None:
    """One code means both; the words tell, and where they are silent it is either."""
    error = RpcError(code, message)

    assert refusal_of(error) is meant
    assert too_often(error) is (None if meant is MUCH else meant)


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (NoAnswer("no answer"), MUCH),
        (AnswerTooLarge("1009"), MUCH),
        (ConnectionLost("closed"), MUCH),
        (ChainError("answered something else"), None),
    ],
)
def test_silence_and_lost_connections_ask_for_less(error: ChainError, meant: Refusal | None) -> None:
    """A node that hangs or hangs up over a wide range refuses it, but does not want to be left alone."""
    assert refusal_of(error) is meant
    assert too_often(error) is None


@pytest.mark.parametrize(
    ("message", "data", "seconds"),
    [
        ("rate limited, retry after 10s", "", 10.0),
        ("Too many requests. Try again in 5 seconds", "", 5.0),
        ("rate limited", '{"retry_after":"2s"}', 2.0),
        ("rate limited", '{"Retry-After": 7}', 7.0),
        ("slow down, try again in 1500 ms", "", 1.5),
        ("quota used up; resets in 2 minutes", "", 120.0),
        ("please wait 0.5 seconds", "", 0.5),
        ("daily request count exceeded, request rate limited", "", None),
        ("query returned more than 10000 results", "", None),
    ],
)
def test_a_node_may_say_how_long(message: str, data: str, seconds: float | None) -> None:
    """In its message or beside it, with a unit or in seconds."""
    assert told_s(RpcError(-32005, message, data)) == seconds


@pytest.mark.parametrize(
    ("code", "message", "refused"),
    [
        (-32602, "invalid params", True),
        (-32602, "missing value for required argument 1", True),
        (-32000, "blockHash is not supported", True),
        (-32601, "eth_getLogs by blockHash unsupported", True),
        (-32000, "unknown block", False),
        (-32000, "block hash not found", False),
        (-32602, "header for hash not found", False),
        (-32005, "rate limited", False),
        (-32000, "internal error", False),
    ],
)
def test_a_refused_hash_is_told_from_an_unknown_block(code: int, message: str, refused: bool) -> None:
    """A node that does not know a block is asked again; one that takes no hashes is asked by number."""
    assert refuses_hashes(RpcError(code, message)) is refused


def test_a_contract_does_not_say_how_often_a_node_is_asked() -> None:
    """The words of a call that reverts are those of whoever wrote the contract."""
    for error in (RpcError(3, "rate limit exceeded"), RpcError(-32000, "execution reverted: Too Many Requests")):
        assert too_often(error) is None
