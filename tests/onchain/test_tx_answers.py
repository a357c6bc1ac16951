"""What nodes answer to a transaction, in their own words: geth, bor, erigon, Nethermind and anvil, row by row."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_copy.errors import ChainError, ConnectionLost, NoAnswer, NotConnected, RpcError
from trio_copy.model.ids import Hash32
from trio_copy_onchain.tx.answers import Answer, Before, Estimate, gas_limit, read_estimate, read_sending, together
from trio_copy_onchain.tx.reverts import Lacks
from trio_copy_onchain.tx.texts import Do, Proves, Row

OURS = Hash32("0x" + "ab" * 32)
_ADDRESS = "0x9858effd232b4033e47d90003d41ec34ecaeda94"

SAID = [
    # geth
    (-32000, "already known", Row.SENT),
    (-32000, "nonce too low: next nonce 5, tx nonce 3", Row.NONCE_USED),
    (-32000, f"err: nonce too low: address {_ADDRESS}, tx: 0 state: 4 (supplied gas 30000000)", Row.NONCE_USED),
    (-32000, "replacement transaction underpriced", Row.IN_ITS_PLACE),
    (-32000, "replacement transaction underpriced: new tx gas fee cap 3, queued 5", Row.IN_ITS_PLACE),
    (-32000, "transaction underpriced", Row.UNDERPRICED),
    (-32000, "transaction underpriced: gas tip cap 1, minimum needed 1000000", Row.UNDERPRICED),
    (
        -32000,
        f"max fee per gas less than block base fee: address {_ADDRESS}, maxFeePerGas: 1, baseFee: 7",
        Row.UNDERPRICED,
    ),
    (-32000, "fee cap less than block base fee", Row.UNDERPRICED),
    (-32000, "insufficient funds for gas * price + value: balance 0, tx cost 5, overshot 5", Row.NO_FUNDS),
    (
        -32000,
        "insufficient funds for gas * price + value: balance 3, queued cost 2, tx cost 2, overshot 1",
        Row.NO_FUNDS,
    ),
    (-32000, "insufficient funds for transfer", Row.NO_FUNDS),
    (-32000, "intrinsic gas too low: gas 21000, minimum needed 53000", Row.WRONG),
    (-32000, "insufficient gas for floor data gas cost: gas 21000, minimum needed 24200", Row.WRONG),
    (-32000, "exceeds block gas limit", Row.WRONG),
    (-32000, "transaction gas limit too high (cap: 16777216, tx: 21000000)", Row.WRONG),
    (-32000, "tx fee (1.50 ether) exceeds the configured cap (1.00 ether)", Row.WRONG),
    (-32000, "invalid sender: invalid chain id for signer: have 1 want 137", Row.WRONG),
    (-32000, "invalid chain id for signer: have 1 want 137", Row.WRONG),
    (-32000, "oversized data: transaction size 140000, limit 131072", Row.WRONG),
    (-32000, "rlp: value size exceeds available input length", Row.WRONG),
    (-32000, "max priority fee per gas higher than max fee per gas: address 0x, tip 2, cap 1", Row.WRONG),
    (-32000, "transaction type not supported: tx type 2 not supported by this pool", Row.WRONG),
    (-32000, "invalid transaction v, r, s values", Row.WRONG),
    (-32000, "nonce too high: tx nonce 9, gapped nonce 7", Row.GAP),
    (-32000, "gapped-nonce tx from delegated accounts", Row.GAP),
    (-32000, "txpool is full", Row.CROWDED),
    (-32000, "account limit exceeded: pooled 64 txs", Row.CROWDED),
    (-32000, "in-flight transaction limit reached for delegated accounts", Row.CROWDED),
    (-32000, "future transaction tries to replace pending", Row.CROWDED),
    # bor
    (
        -32000,
        "transaction gas price below minimum: gas tip cap 1000000000, minimum needed 25000000000",
        Row.UNDERPRICED,
    ),
    # erigon, which names the code in front
    (-32000, "ALREADY_EXISTS: already known", Row.SENT),
    (-32000, "INTERNAL_ERROR: existing tx with same hash", Row.SENT),
    (-32000, "existing txn with same hash", Row.SENT),
    (-32000, "INTERNAL_ERROR: nonce too low", Row.NONCE_USED),
    (-32000, "NonceTooLow", Row.NONCE_USED),
    (-32000, "INTERNAL_ERROR: mined", Row.NONCE_USED),
    (-32000, "replaced by transaction with higher tip", Row.IN_ITS_PLACE),
    (-32000, "INTERNAL_ERROR: could not replace existing tx", Row.IN_ITS_PLACE),
    (-32000, "FEE_TOO_LOW: underpriced", Row.UNDERPRICED),
    (-32000, "fee too low", Row.UNDERPRICED),
    (-32000, "INTERNAL_ERROR: insufficient funds", Row.NO_FUNDS),
    (-32000, "IntrinsicGas", Row.WRONG),
    (-32000, "RLPTooLong", Row.WRONG),
    (-32000, "GasUintOverflow", Row.WRONG),
    (-32000, "gas limit is too high", Row.WRONG),
    (-32000, "pending sub-pool is full", Row.CROWDED),
    (-32000, "baseFee sub-pool is full", Row.CROWDED),
    (-32000, "TxPoolFull", Row.CROWDED),
    (-32000, "spammer", Row.CROWDED),
    # Besu
    (-32000, "Known transaction", Row.SENT),
    (-32001, "Nonce too low", Row.NONCE_USED),
    (-32000, "Transaction nonce is too distant from current sender nonce", Row.GAP),
    (-32000, "An invalid transaction with a lower nonce exists", Row.GAP),
    (-32009, "Gas price below configured minimum gas price", Row.UNDERPRICED),
    (-32009, "Gas price below current base fee", Row.UNDERPRICED),
    (-32004, "Upfront cost exceeds account balance", Row.NO_FUNDS),
    (-32000, "Transaction fee cap exceeded", Row.WRONG),
    (-32008, "Initial sync is still in progress", Row.BUSY),
    # OpenEthereum
    (-32010, "Transaction nonce is too low. Try incrementing the nonce.", Row.NONCE_USED),
    (
        -32010,
        "Transaction gas price is too low. There is another transaction with same nonce in the queue. "
        "Try increasing the gas price or incrementing the nonce.",
        Row.IN_ITS_PLACE,
    ),
    (
        -32010,
        "There are too many transactions in the queue. Your transaction was dropped due to limit. Try increasing the fee.",
        Row.CROWDED,
    ),
    # Nethermind by name
    (-32010, "AlreadyKnown", Row.SENT),
    (-32010, "OldNonce", Row.NONCE_USED),
    (-32010, "OldNonce, Current nonce: 4, nonce of rejected tx: 3.", Row.NONCE_USED),
    (-32010, "ReplacementNotAllowed", Row.IN_ITS_PLACE),
    (-32010, "OwnNonceAlreadyUsed", Row.IN_ITS_PLACE),
    (-32010, "FeeTooLow", Row.UNDERPRICED),
    (-32010, "FeeTooLowToCompete", Row.UNDERPRICED),
    (-32010, "FeeTooLow, EffectivePriorityFeePerGas too low 1 < 1000000000, BaseFee: 7", Row.UNDERPRICED),
    (
        -32010,
        "InsufficientFunds, Account balance: 3020000000000000000, cumulative cost: 5809177184380485770",
        Row.NO_FUNDS,
    ),
    (-32010, "GasLimitExceeded, Gas limit: 30000000, gas limit of rejected tx: 90000000", Row.WRONG),
    (-32010, "Invalid, InvalidTxChainId: Expected 137, got 1.", Row.WRONG),
    (-32010, "Invalid", Row.WRONG),
    (-32010, "FailedToResolveSender", Row.WRONG),
    (-32010, "SenderIsContract", Row.WRONG),
    (-32010, "Int256Overflow", Row.WRONG),
    (-32010, "NonceGap, Future nonce. Expected nonce: 4", Row.GAP),
    (-32010, "NonceTooFarInFuture", Row.GAP),
    # and by phrase, since 2026
    (-32000, "transaction invalid, InvalidTxSignature: Signature is invalid.", Row.WRONG),
    (-32000, "gas limit reached", Row.WRONG),
    (-32000, "nonce too far in future", Row.GAP),
    (-32000, "node is syncing", Row.BUSY),
    # anvil
    (-32003, "transaction already imported", Row.SENT),
    (-32003, "nonce too low", Row.NONCE_USED),
    (-32003, "replacement transaction underpriced", Row.IN_ITS_PLACE),
    (-32003, "max fee per gas less than block base fee", Row.UNDERPRICED),
    (-32003, "Insufficient funds for gas * price + value", Row.NO_FUNDS),
    (-32000, "intrinsic gas too low", Row.WRONG),
    (-32000, "intrinsic gas too high -- CallerGasLimitMoreThanBlock", Row.WRONG),
    (-32003, "invalid chain id for signer", Row.WRONG),
    (-32602, "Failed to decode transaction", Row.WRONG),
    # whoever sells access to nodes
    (-32005, "daily request count exceeded, request rate limited", Row.BUSY),
    (-32005, "insufficient funds for gas", Row.BUSY),  # the code says that nobody has looked
    (429, "Your app has exceeded its compute units per second capacity.", Row.BUSY),
    (-32000, "limit exceeded", Row.BUSY),
    (-32000, "project ID request rate exceeded", Row.BUSY),
    (-32000, "request timed out: already known", Row.BUSY),
    (-32603, "context deadline exceeded", Row.BUSY),
    # and of what they heard, or could not hear, from the node behind: another one of theirs may have taken it
    (-32603, "failed to decode response body", Row.NOVEL),
    (-32000, "upstream failed to decode transaction", Row.BUSY),
    (
        -32603,
        "all attempts failed: a: insufficient funds for gas * price + value; b: connection reset by peer",
        Row.BUSY,
    ),
    (-32603, "a: insufficient funds for gas * price + value; b: EOF", Row.BUSY),
    (-32603, "a: transaction underpriced; b: write: broken pipe", Row.BUSY),
    (-32603, "intrinsic gas too low, 502 Bad Gateway", Row.BUSY),
    (-32603, "nonce too high; b: connect: connection refused", Row.BUSY),
    (-32603, "transaction underpriced; b: socket hang up", Row.BUSY),
    (-32603, "exceeds block gas limit; b: i/o error", Row.BUSY),
    (-32603, "transaction underpriced; b: unexpected end of JSON input", Row.BUSY),
    (-32000, "response exceeds the configured cap of 10MB", Row.NOVEL),
    (-32000, "failed to decode signed transaction", Row.WRONG),
    # each of the phrases by itself
    (-32000, "Too Many Requests", Row.BUSY),
    (-32000, "rate limit reached", Row.BUSY),
    (-32000, "request throttled", Row.BUSY),
    (-32000, "out of compute units", Row.BUSY),
    (-32000, "the server is busy", Row.BUSY),
    (-32000, "please try again later", Row.BUSY),
    (-32000, "service temporarily unavailable", Row.BUSY),
    (-32000, "pool overflow", Row.CROWDED),
    (-32000, "address already reserved", Row.CROWDED),
    (-32000, "sender has pending transaction", Row.CROWDED),
    (-32000, "ALREADY_EXISTS", Row.SENT),
    (-32010, "FeeTooLow, not enough gas price to replace", Row.IN_ITS_PLACE),
    (-32000, "nonce too high", Row.GAP),
    (-32000, "there is a nonce gap", Row.GAP),
    (-32000, "nonce has already been used", Row.NONCE_USED),
    (-32000, "MaxPriorityFeePerGas too low", Row.UNDERPRICED),
    (-32000, "insufficient MaxFeePerGas for sender balance", Row.NO_FUNDS),
    (-32000, "sender does not have enough funds", Row.NO_FUNDS),
    (-32000, "GasLimitCapExceeded", Row.WRONG),
    (-32000, "chain does not fit: incompatible EIP-155", Row.WRONG),
    (-32000, "invalid sender", Row.WRONG),
    (-32000, "InvalidSignature", Row.WRONG),
    (-32000, "transaction too large", Row.WRONG),
    (-32010, "MaxTxSizeExceeded", Row.WRONG),
    (-32000, "sender not an EOA", Row.WRONG),
    (-32000, "nonce has max value", Row.WRONG),
    (-32010, "NotSupportedTxType", Row.WRONG),
    (-32000, "Unsupported transaction type", Row.WRONG),
    (-32000, "transaction invalid", Row.WRONG),
    # nobody knows
    (-32000, "unknown transaction", Row.NOVEL),
    (-32603, "Internal error", Row.NOVEL),
    (-32601, "the method eth_sendRawTransaction does not exist/is not available", Row.NOVEL),
    (-32000, "invalid request", Row.NOVEL),
    (-32000, "the chain identifier of your plan", Row.NOVEL),
    (0, "", Row.NOVEL),
]


@pytest.mark.parametrize("code, text, row", SAID)
def test_each_text_has_its_row(code: int, text: str, row: Row) -> None:
    """In any case of letters, and with anything in front of it or behind."""
    assert read_sending(RpcError(code, text), OURS).row is row
    assert read_sending(RpcError(code, text.upper()), OURS).row is row
    if row not in (Row.NOVEL, Row.BUSY) and text not in ("Invalid", "INTERNAL_ERROR: mined"):
        assert read_sending(RpcError(code, "", f'"{text}"'), OURS).row is row


@pytest.mark.parametrize(
    "row, proves, do, alert",
    [
        (Row.SENT, Proves.TAKEN, Do.WAIT, False),
        (Row.NONCE_USED, Proves.NOTHING, Do.LOOK_UP, False),
        (Row.IN_ITS_PLACE, Proves.NOTHING, Do.BUMP, False),
        (Row.GAP, Proves.NOTHING, Do.EARLIER_FIRST, False),
        (Row.UNDERPRICED, Proves.NOT_TAKEN, Do.RAISE, False),
        (Row.NO_FUNDS, Proves.NOT_TAKEN, Do.REFUEL, True),
        (Row.WRONG, Proves.NOT_TAKEN, Do.STOP_WALLET, True),
        (Row.CROWDED, Proves.NOTHING, Do.SAME_BYTES, False),
        (Row.BUSY, Proves.NOTHING, Do.SAME_BYTES, False),
        (Row.LOST, Proves.NOTHING, Do.SAME_BYTES, False),
        (Row.UNREACHED, Proves.NOT_TAKEN, Do.SAME_BYTES, False),
        (Row.FOREIGN, Proves.NOTHING, Do.SAME_BYTES, True),
        (Row.NOVEL, Proves.NOTHING, Do.SAME_BYTES, True),
    ],
)
def test_what_each_row_proves_and_what_comes_next(row: Row, proves: Proves, do: Do, alert: bool) -> None:
    """Only what is known to be refused is not there."""
    assert (row.proves, row.do, row.alert) == (proves, do, alert)


@pytest.mark.parametrize(
    "text, tip",
    [
        ("transaction gas price below minimum: gas tip cap 1000000000, minimum needed 25000000000", 25 * 10**9),
        ("transaction underpriced: gas tip cap 1, minimum needed 7", 7),
        ("transaction underpriced: tip needed 3000000000, tip permitted 1000000000", 3 * 10**9),
        ("FeeTooLow, EffectivePriorityFeePerGas too low 1 < 1000000000, BaseFee: 7", 10**9),
        ("transaction underpriced", 0),
        ("intrinsic gas too low: gas 21000, minimum needed 53000", 0),
        ("transaction underpriced: gas tip cap 1, minimum needed " + "9" * 200, int("9" * 30)),
    ],
)
def test_what_a_node_asks_for_is_read(text: str, tip: int) -> None:
    """Gas is no tip, and a number without end is cut off: the cap refuses it."""
    assert read_sending(RpcError(-32000, text), OURS).least_tip == tip


@pytest.mark.parametrize(
    "told, row",
    [
        (msgspec.json.encode(OURS), Row.SENT),
        (msgspec.Raw(msgspec.json.encode(OURS.upper().replace("0X", "0x"))), Row.SENT),
        (msgspec.json.encode("0x" + "cd" * 32), Row.FOREIGN),
        (b"null", Row.FOREIGN),
        (b"{}", Row.FOREIGN),
        (b'"0x"', Row.FOREIGN),
        (b"[" * 100_000, Row.FOREIGN),
        (b"\xff", Row.FOREIGN),
        (b"", Row.FOREIGN),
        (ConnectionLost("closed"), Row.LOST),
        (NoAnswer("too late"), Row.LOST),
        (ChainError("garbage"), Row.LOST),
        (NotConnected("node-1 is not connected"), Row.UNREACHED),
    ],
)
def test_a_hash_is_ours_or_proves_nothing(told: bytes | ChainError, row: Row) -> None:
    """Another hash, no hash and no answer leave open what became of the bytes."""
    assert read_sending(told, OURS).row is row


@pytest.mark.parametrize(
    "rows, row",
    [
        ([], Row.UNREACHED),
        ([Row.UNREACHED, Row.UNREACHED], Row.UNREACHED),
        ([Row.NO_FUNDS, Row.SENT, Row.WRONG], Row.SENT),
        ([Row.NO_FUNDS, Row.NO_FUNDS], Row.NO_FUNDS),
        ([Row.NO_FUNDS, Row.LOST], Row.LOST),
        ([Row.NO_FUNDS, Row.UNREACHED], Row.NO_FUNDS),
        ([Row.UNDERPRICED, Row.NO_FUNDS], Row.UNDERPRICED),
        ([Row.WRONG, Row.UNDERPRICED], Row.UNDERPRICED),
        ([Row.WRONG, Row.BUSY], Row.BUSY),
        ([Row.WRONG, Row.IN_ITS_PLACE], Row.IN_ITS_PLACE),
        ([Row.NOVEL, Row.NONCE_USED], Row.NONCE_USED),
    ],
)
def test_only_all_nodes_together_refuse(rows: list[Row], row: Row) -> None:
    """One node that may have it is enough to go on looking."""
    assert together([Answer(row=one) for one in rows]).row is row
    assert together([Answer(row=one) for one in reversed(rows)]).row is row


@given(st.lists(st.sampled_from(Row), min_size=1))
def test_together_nothing_is_refused_that_one_may_have(rows: list[Row]) -> None:
    """What all answers prove is no more than what the least of them proves."""
    proves = together([Answer(row=one) for one in rows]).row.proves
    assert (proves is Proves.NOT_TAKEN) == all(one.proves is Proves.NOT_TAKEN for one in rows)
    assert (proves is Proves.TAKEN) == (Row.SENT in rows)


def test_the_dearest_wish_counts() -> None:
    """Of what several nodes ask for, the most is asked."""
    asked = [Answer(row=Row.UNDERPRICED, least_tip=tip) for tip in (5, 30, 0)]
    assert together(asked).least_tip == 30


def _error(text: str) -> str:
    body = text.encode()
    words = (0x20).to_bytes(32) + len(body).to_bytes(32) + body + bytes(-len(body) % 32)
    return f'"0x08c379a0{words.hex()}"'


@pytest.mark.parametrize(
    "reason, before, lacks",
    [
        ("minimum buy amount not reached", Before.KILLED, Lacks.NOTHING),
        ("maximum sell amount exceeded", Before.KILLED, Lacks.NOTHING),
        ("Too little received", Before.KILLED, Lacks.NOTHING),
        ("SPL", Before.KILLED, Lacks.NOTHING),
        ("Transaction too old", Before.KILLED, Lacks.NOTHING),
        ("STF", Before.REJECTED, Lacks.EITHER),
        ("tUSD: balance", Before.REJECTED, Lacks.BALANCE),
        ("tUSD: allowance", Before.REJECTED, Lacks.APPROVAL),
        ("ERC20: transfer amount exceeds balance", Before.REJECTED, Lacks.BALANCE),
        ("ERC20: insufficient allowance", Before.REJECTED, Lacks.APPROVAL),
        ("ERC1155: need operator approval for 3rd party transfers.", Before.REJECTED, Lacks.APPROVAL),
        ("ERC1155: caller is not owner nor approved", Before.REJECTED, Lacks.APPROVAL),
        ("SafeMath: subtraction overflow", Before.REJECTED, Lacks.NOTHING),
        ("GS013", Before.REJECTED, Lacks.NOTHING),
        ("SPLIT", Before.REJECTED, Lacks.NOTHING),  # a reason is compared by whole words
        ("no split, no SPL_X, no 1SPL", Before.REJECTED, Lacks.NOTHING),
        ("Router: Too little received", Before.KILLED, Lacks.NOTHING),
        ("too many requests", Before.REJECTED, Lacks.NOTHING),  # the contract says so, and not the node
        ("insufficient funds", Before.REJECTED, Lacks.NOTHING),
    ],
)
def test_why_a_contract_refuses(reason: str, before: Before, lacks: Lacks) -> None:
    """A price is a price, a missing approval is named, everything else is refused in the contract's words."""
    error = RpcError(3, f"execution reverted: {reason}", _error(reason))
    assert read_estimate(error) == Estimate(before=before, words=reason, lacks=lacks)


@pytest.mark.parametrize(
    "code, message, data, reason",
    [
        (3, "execution reverted", _error("SPL"), "SPL"),
        (3, "execution reverted: of anvil's making", _error("SPL"), "SPL"),
        (-32000, "execution reverted", _error("SPL"), "SPL"),
        (-32015, "VM execution error.", '"Reverted ' + _error("SPL")[1:], "SPL"),
        (-32000, "VM Exception: revert", f'{{"0x{"ab" * 32}":{{"return":{_error("SPL")}}}}}', "SPL"),
        (3, "execution reverted", _error("minimum buy amount not reached")[:200], "minimum buy amount not reached"),
        # Errors by number: anvil writes a selector as text where it can.
        (3, "execution reverted: |!O", '"0x7c214f04"', "error 0x7c214f04"),
        (3, "execution reverted", '"0xfb8f41b2' + "00" * 96 + '"', "ERC20InsufficientAllowance"),
        (3, "execution reverted", '"0xe237d922' + "00" * 64 + '"', "ERC1155MissingApprovalForAll"),
        (3, "execution reverted", '"0x4e487b71' + "00" * 31 + '11"', "panic: arithmetic overflow"),
        (3, "execution reverted", '"0x4e487b71' + "00" * 31 + '77"', "panic: 0x77"),
        (3, "execution reverted", '"0x08c379a0' + "ff" * 96 + '"', "\ufffd" * 32),
        # Without any data, the message is all that there is; no data at all are data.
        (-32000, "execution reverted: Too little received", "", "Too little received"),
        (-32000, "reverted with reason string 'SPL'", "", "SPL"),
        (3, "execution reverted: revert: SPL", "", "SPL"),
        (-32000, "VM Exception while processing transaction: revert SPL", "", "SPL"),
        (3, "Fail with error 'minimum buy amount not reached'", "", "minimum buy amount not reached"),
        (-32000, "execution reverted: Fail with error 'Too little received'", "", "Too little received"),
        (3, "execution reverted: Too little received", '"0x"', "execution reverted: Too little received"),
        (3, "execution reverted", '"0x08c379a"', "execution reverted"),
        (-32015, "VM execution error.", '"Reverted 0x"', "VM execution error."),
        (-32015, "revert", "", "revert"),
    ],
)
def test_a_reason_is_read_from_the_data(code: int, message: str, data: str, reason: str) -> None:
    """In each shape in which nodes write them, cut off or whole."""
    estimate = read_estimate(RpcError(code, message, data))
    prices = ("SPL", "Too little received", "minimum buy amount not reached")
    assert estimate.words == reason
    assert estimate.before is (Before.KILLED if reason in prices else Before.REJECTED)


@pytest.mark.parametrize(
    "error, before",
    [
        (RpcError(-32000, "insufficient funds for gas * price + value: balance 0"), Before.NO_FUNDS),
        (RpcError(-32000, "gas required exceeds allowance (0)"), Before.NO_FUNDS),
        (RpcError(-32003, "Out of gas: gas required exceeds allowance: 0"), Before.NO_FUNDS),
        (RpcError(-32000, "gas required exceeds allowance (30000000)"), Before.REJECTED),
        (RpcError(-32005, "too many requests"), Before.UNKNOWN),
        (RpcError(-32005, "execution reverted"), Before.UNKNOWN),
        (RpcError(-32603, "internal error"), Before.UNKNOWN),
        (ConnectionLost("closed"), Before.UNKNOWN),
    ],
)
def test_what_is_not_about_the_contract(error: ChainError, before: Before) -> None:
    """Money for gas is told apart from a refusal, and what nobody knows is unknown."""
    estimate = read_estimate(error)
    assert (estimate.before, estimate.lacks) == (before, Lacks.NOTHING)
    assert estimate.words in str(error)


@pytest.mark.parametrize(
    "told, gas",
    [(b'"0x5208"', 21_000), (b"21000", 21_000), (b'"0x0"', 0), (b'"-0x5"', 0), (b"null", 0), (b"[", 0), (b'"0x' + b"f" * 64 + b'"', 0)],
)  # fmt: skip
def test_an_estimate_is_a_number_of_gas(told: bytes, gas: int) -> None:
    """What is no such number is no estimate."""
    estimate = read_estimate(told)
    assert (estimate.before, estimate.gas) == (Before.READY if gas else Before.UNKNOWN, gas)


@pytest.mark.parametrize(
    "message",
    [
        "Error: execution reverted: minimum buy amount not reached (code 3)",
        "execution reverted: MINIMUM BUY AMOUNT NOT REACHED",
        'execution reverted: "minimum buy amount not reached"',
    ],
)
@pytest.mark.parametrize("code", [3, -32000])
def test_a_price_is_one_in_whatever_words_of_a_node(code: int, message: str) -> None:
    assert read_estimate(RpcError(code, message)).before is Before.KILLED


def test_a_venue_has_its_own_words_for_a_price() -> None:
    """What one venue calls its price is another one's refusal."""
    error = RpcError(3, "execution reverted", _error("Slippage"))
    assert read_estimate(error).before is Before.REJECTED
    assert read_estimate(error, {"slippage"}).before is Before.KILLED


def test_a_limit_has_a_margin_and_an_end() -> None:
    """The margin is rounded up; what takes more than may be spent has no limit at all."""
    limits = [gas_limit(gas, margin_bps=2_000, most=500_000) for gas in (100_001, 450_000, 500_000, 500_001)]
    assert limits == [120_002, 500_000, 500_000, None]


_SAID = st.binary(max_size=40) | st.sampled_from(
    [b"execution reverted: ", b'"0x08c379a0', b'"0x4e487b71', b"0x" + b"\xff" * 9]
)


@settings(max_examples=150)
@given(st.integers(-(10**6), 10**6), _SAID, _SAID)
def test_nothing_that_a_node_says_raises(code: int, message: bytes, data: bytes) -> None:
    """Whatever comes is some row, in one line."""
    for told in (RpcError(code, message.decode("latin-1"), data.decode("latin-1")), data):
        answer, estimate = read_sending(told, OURS), read_estimate(told)
        assert len(answer.words) <= 200
        assert (answer.words + estimate.words).isprintable()
