"""What nodes together say of an operator's transactions: one that lags, lies or fails delays, and makes nothing happen twice."""

from contextlib import suppress
from functools import partial

import pytest
import trio
import trio.testing
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import hash_of
from tests.onchain.scripted_chain import KEY, NO_STATE, OTHER_KEY, ScriptedChain, sent
from trio_copy.errors import ChainError, ConnectionLost, NoAnswer, RpcError
from trio_copy.model.ids import Address
from trio_copy.transactions.calls import Call
from trio_copy.transactions.transaction import read_signed
from trio_copy_onchain.asking.counts import Counts
from trio_copy_onchain.tx.answers import Answer, Before
from trio_copy_onchain.tx.receipts import Receipt
from trio_copy_onchain.tx.reverts import Revert
from trio_copy_onchain.tx.texts import PRICE_REASONS, Row

Clock = trio.testing.MockClock
WALLET = KEY.address
CONTRACT = Address("0x" + "c0" * 20)
CALL = Call(to=CONTRACT, data=b"\1\2\3\4")
NONSENSE: tuple[object, ...] = ("nonsense", -1, None, [], {}, "0x-1", "0x" + "f" * 65, {"number": "0xzz"}, 1.5)
_METHODS = (
    "eth_getTransactionCount", "eth_getTransactionReceipt", "eth_getTransactionByHash", "eth_estimateGas", "eth_call",
    "eth_feeHistory", "eth_getBalance", "eth_sendRawTransaction", "debug_traceTransaction",
)  # fmt: skip
_FIELDS = (
    "number",
    "hash",
    "transactions",
    "nonce",
    "from",
    "baseFeePerGas",
    "reward",
    "transactionHash",
    "logs",
    "status",
)
UNTOLD = "refused within its block, and no node says why"
REVERT = RpcError(3, "execution reverted: too dear", '"0x"')


def _soon(seconds: float = 5.0) -> float:
    return trio.current_time() + seconds


# How many nonces are used


async def test_of_each_count_the_least_is_taken() -> None:
    """A node that is behind delays; nothing is final before all that answer say so. It hides nothing of what others have mined."""
    chain = ScriptedChain(behind={"node-2": 2})
    for nonce in range(6):
        chain.mine(sent(nonce))
    chain.pool.append(sent(6))
    assert await chain.asked.counts(WALLET, _soon()) == Counts(
        latest=4, foremost=6, pending=5, final=2, final_block=2, tellers=frozenset(chain.names)
    )
    chain.behind.clear()
    assert await chain.asked.counts(WALLET, _soon()) == Counts(
        latest=6, foremost=6, pending=7, final=4, final_block=4, tellers=frozenset(chain.names)
    )
    assert await chain.asked.final_block(_soon()) == 4


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("method", ["eth_getTransactionCount", "eth_getBlockByNumber"])
async def test_a_node_that_does_not_say_all_counts_says_none(method: str, nonsense: object) -> None:
    chain = ScriptedChain(behind={"node-1": 1})
    chain.mine(sent(0))
    chain.lie("node-1", method, nonsense)
    assert (await chain.asked.counts(WALLET, _soon())).latest == 1
    chain.lie("node-2", "eth_getTransactionCount", ConnectionLost("away"))
    with pytest.raises(ChainError):
        await chain.asked.counts(WALLET, _soon())


async def test_answers_of_a_node_that_contradict_each_other_mean_the_lesser() -> None:
    """They came one by one, and a block in between: no more is final than is used, no less waits than is used."""
    chain = ScriptedChain(names=("node-1",))
    told = {"latest": "0x2", "pending": "0x1", "finalized": "0x3"}
    chain.instead["node-1", "eth_getTransactionCount"] = lambda params: told[str(params[1])]
    counts = await chain.asked.counts(WALLET, _soon())
    assert (counts.latest, counts.pending, counts.final) == (2, 2, 2)


# Blocks


async def test_a_block_stands_where_every_node_that_knows_its_number_has_it() -> None:
    chain = ScriptedChain(behind={"node-2": 1})
    first, second = (chain.mine(sent(nonce)).ref for nonce in range(2))
    blocks = {first.hash: first.number, second.hash: second.number}
    assert await chain.asked.standing({}, _soon()) == set()
    assert await chain.asked.standing(blocks, _soon()) == set(blocks)
    chain.lie("node-1", "eth_getBlockByNumber", {"hash": hash_of(7)})
    assert await chain.asked.standing(blocks, _soon()) == set()
    for nonsense in NONSENSE:
        chain.lie("node-1", "eth_getBlockByNumber", nonsense)
        assert await chain.asked.standing(blocks, _soon()) == {first.hash}
    chain.nodes.away = True
    assert await chain.asked.standing(blocks, _soon()) == set()


# Receipts


async def test_a_receipt_that_any_node_has_is_found() -> None:
    chain = ScriptedChain(behind={"node-1": 1})
    mined, waiting = sent(0), sent(1)
    block = chain.mine(mined)
    receipts = await chain.asked.receipts([mined.hash, waiting.hash], _soon())
    found = receipts[mined.hash]
    assert found is not None
    assert (found.block_hash, found.succeeded, receipts[waiting.hash]) == (block.ref.hash, True, None)


@pytest.mark.parametrize(
    "answer", [NoAnswer("late"), ChainError("rests"), RpcError(-32005, "too many requests"), *NONSENSE[:2], {}]
)
async def test_there_is_no_receipt_only_where_every_node_has_said_so(answer: object) -> None:
    """One that is connected and did not say may have it: nothing is known."""
    chain = ScriptedChain()
    waiting = sent(0)
    chain.lie("node-2", "eth_getTransactionReceipt", answer)
    assert await chain.asked.receipts([waiting.hash], _soon()) == {}
    chain.lie("node-2", "eth_getTransactionReceipt", ConnectionLost("away"))
    assert await chain.asked.receipts([waiting.hash], _soon()) == {waiting.hash: None}
    chain.lie("node-1", "eth_getTransactionReceipt", ConnectionLost("away"))
    assert await chain.asked.receipts([waiting.hash], _soon()) == {}


async def test_nodes_that_contradict_each_other_about_one_block_prove_nothing() -> None:
    """One of them lies about what happened. Of different blocks, what most nodes have holds, and the later one of two."""
    chain = ScriptedChain(names=("node-1", "node-2", "node-3"))
    mined = sent(0)
    first = chain.mine(mined)
    second = chain.mine(mined)
    early, late = (chain.receipt_in(block, mined.hash) for block in (first, second))

    async def told(*answers: object) -> Receipt | None:
        for name, answer in zip(chain.names, answers, strict=True):
            chain.lie(name, "eth_getTransactionReceipt", answer)
        return (await chain.asked.receipts([mined.hash], _soon()))[mined.hash]

    with pytest.raises(KeyError):
        await told(early, early | {"status": "0x0"}, early)
    one, other = await told(early, late, None), await told(early, early, late)
    assert one is not None
    assert other is not None
    assert (one.block_hash, other.block_hash) == (second.ref.hash, first.ref.hash)
    assert (one.contested, one.elsewhere) == (True, True)
    agreed, alone = await told(early, early, None), await told(early, None, None)
    assert agreed is not None
    assert alone is not None
    assert (agreed.contested, alone.contested, alone.elsewhere) == (False, True, False)
    heard = (await chain.asked.receipts([mined.hash], _soon(), ["node-1"]))[mined.hash]
    assert heard is not None
    assert not heard.contested  # of those that have none, nobody's word counts
    priced = await told(early, early | {"effectiveGasPrice": "0x7"}, None)
    assert priced is not None
    assert priced.price == 7


async def test_a_transaction_is_known_that_some_node_has() -> None:
    chain = ScriptedChain()
    mined, waiting, gone = sent(0), sent(1), sent(2)
    chain.mine(mined)
    chain.pool.append(waiting)
    chain.lie("node-1", "eth_getTransactionByHash", "nonsense")
    asked = [mined.hash, waiting.hash, gone.hash]
    assert await chain.asked.known(asked, _soon()) == {mined.hash, waiting.hash}
    chain.lie("node-2", "eth_getTransactionByHash", ConnectionLost("away"))
    assert await chain.asked.known(asked, _soon()) == frozenset()


# Who used a nonce


def _with_uses(**changes: object) -> ScriptedChain:
    """A thousand blocks; the operator's first three nonces are used in blocks 501, 502 and 900."""
    chain = ScriptedChain(**changes)  # type: ignore[arg-type]  # what each test is about
    chain.mine_empty(500)
    chain.mine(sent(0), sent(0, OTHER_KEY))
    chain.mine(sent(1))
    chain.mine_empty(397)
    chain.mine(sent(2))
    chain.mine_empty(100)
    return chain


async def test_who_used_a_nonce_is_found_by_halving() -> None:
    """In a few questions; what was used before the range, or is not used yet, is left out."""
    chain = _with_uses()
    users = {nonce: sent(nonce).hash for nonce in range(3)}
    assert await chain.asked.used(WALLET, [0, 1, 2, 3], 0, 998, _soon()) == users
    assert chain.questions("eth_getTransactionCount") < 40
    assert await chain.asked.used(WALLET, [0, 1, 2], 501, 899, _soon()) == {1: users[1]}
    assert await chain.asked.used(WALLET, [0], 500, 501, _soon()) == {0: users[0]}
    assert await chain.asked.used(WALLET, [0], 501, 501, _soon()) == {}
    assert await chain.asked.used(WALLET, [], 0, 998, _soon()) == {}


async def test_every_use_is_found_wherever_it_is() -> None:
    chain = _with_uses()
    for since, final in ((0, 502), (499, 502), (500, 502), (300, 777), (0, 503), (500, 1000)):
        assert await chain.asked.used(WALLET, [1, 0], since, final, _soon()) == {n: sent(n).hash for n in range(2)}


async def test_blocks_are_read_one_by_one_where_no_node_has_the_state_of_old_ones() -> None:
    """From the newest on that may be the one; so it is known soon where it was used lately, and there is an end."""
    chain = _with_uses(kept=520)
    assert await chain.asked.used(WALLET, [0, 1], 0, 998, _soon()) == {n: sent(n).hash for n in range(2)}
    assert chain.questions("eth_getBlockByNumber") < 2 * 300
    chain.kept = 1
    chain.nodes.asked.clear()
    assert await chain.asked.used(WALLET, [2], 0, 950, _soon()) == {2: sent(2).hash}
    assert chain.questions("eth_getBlockByNumber") == 2 * 51
    chain.nodes.asked.clear()
    assert await chain.asked.used(WALLET, [0], 490, 998, trio.current_time()) == {}
    assert not chain.questions("eth_getBlockByNumber")


async def test_a_node_without_the_state_is_passed_over() -> None:
    chain = _with_uses()
    chain.lie("node-1", "eth_getTransactionCount", NO_STATE)
    assert await chain.asked.used(WALLET, [2], 0, 998, _soon()) == {2: sent(2).hash}


async def test_one_node_alone_cannot_say_that_another_transaction_used_a_nonce() -> None:
    """Believed, what was done would be done again. Where the other one does not answer, it is all that is known."""
    chain = _with_uses()
    other = chain.shown(sent(0)) | {"hash": hash_of(7)}

    def lie(params: object) -> object:
        return {"number": hex(501), "transactions": [other]}

    chain.instead["node-2", "eth_getBlockByNumber"] = lie
    assert await chain.asked.used(WALLET, [0], 0, 998, _soon()) == {}
    chain.instead["node-2", "eth_getBlockByNumber"] = lambda params: {"number": "0x1", "transactions": [other]}
    assert (await chain.asked.used(WALLET, [0, 1], 0, 998, _soon())).keys() == {0, 1}
    assert (await chain.asked.used(WALLET, [0, 1], 0, 998, _soon(), contested={0})).keys() == {1}
    chain.lie("node-1", "eth_getBlockByNumber", ConnectionLost("away"))
    assert await chain.asked.used(WALLET, [0, 1], 0, 998, _soon()) == {}


# Calls


async def test_a_call_goes_through_only_where_a_node_says_so() -> None:
    """With so much gas, from that sender; a refusal, or no answer, leaves it to the estimate."""
    chain = ScriptedChain()
    wanted = {"from": WALLET, "to": CONTRACT, "data": "0x01020304", "value": "0x0", "gas": hex(50_000)}, "latest"
    chain.instead["node-1", "eth_call"] = lambda params: "0x" if tuple(params) == wanted else REVERT
    assert await chain.asked.goes_through(WALLET, CALL, 50_000, _soon())
    assert not await chain.asked.goes_through(WALLET, CALL, 50_001, _soon())
    for said in (REVERT, RpcError(-32000, "out of gas"), RpcError(-32003, "out of gas")):
        chain.lie("node-1", "eth_call", said)
        chain.lie("node-2", "eth_call", said)
        assert not await chain.asked.goes_through(WALLET, CALL, 50_000, _soon())
    chain.lie("node-2", "eth_call", "0x")  # one that is behind
    assert not await chain.asked.goes_through(WALLET, CALL, 50_000, _soon())
    chain.nodes.away = True
    assert not await chain.asked.goes_through(WALLET, CALL, 50_000, _soon())


async def test_a_call_is_estimated_at_the_newest_block() -> None:
    """On what waits in a pool, a leader's own trade that is not mined yet would refuse the copy of it."""
    chain = ScriptedChain()
    wanted = {"from": WALLET, "to": CONTRACT, "data": "0x01020304", "value": "0x0"}, "latest"
    chain.instead["node-1", "eth_estimateGas"] = lambda params: hex(50_000) if tuple(params) == wanted else REVERT
    estimate = await chain.asked.estimate(WALLET, CALL, PRICE_REASONS, _soon())
    assert (estimate.before, estimate.gas) == (Before.READY, 50_000)


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_nonsense_is_no_estimate_and_another_node_is_asked(nonsense: object) -> None:
    chain = ScriptedChain()
    chain.lie("node-1", "eth_estimateGas", nonsense)
    unknown = await chain.asked.estimate(WALLET, CALL, PRICE_REASONS, _soon())
    assert unknown.before is Before.UNKNOWN
    chain.lie("node-2", "eth_estimateGas", hex(50_000))
    ready = await chain.asked.estimate(WALLET, CALL, PRICE_REASONS, _soon())
    assert (ready.before, ready.gas) == (Before.READY, 50_000)


async def test_a_refusal_is_an_estimate_and_a_busy_node_gives_none() -> None:
    chain = ScriptedChain()
    chain.lie("node-1", "eth_estimateGas", REVERT)
    assert (await chain.asked.estimate(WALLET, CALL, {"too dear"}, _soon())).before is Before.REJECTED
    chain.lie("node-1", "eth_estimateGas", RpcError(3, "execution reverted: too dear"))
    assert (await chain.asked.estimate(WALLET, CALL, {"too dear"}, _soon())).before is Before.KILLED
    chain.lie("node-1", "eth_estimateGas", RpcError(-32000, "header not found"))
    chain.lie("node-2", "eth_estimateGas", RpcError(-32000, "insufficient funds for transfer"))
    assert (await chain.asked.estimate(WALLET, CALL, {"too dear"}, _soon())).before is Before.NO_FUNDS
    chain.nodes.away = True
    assert (await chain.asked.estimate(WALLET, CALL, {"too dear"}, _soon())).before is Before.UNKNOWN


@pytest.mark.parametrize("words", ["execution reverted: STF", "insufficient funds for transfer"])
async def test_one_node_alone_refuses_no_call_that_another_lets_through(words: str) -> None:
    """One that is behind does not know the approval, or the coin, of the block before: an exit would end, or its wallet pause."""
    chain = ScriptedChain()
    chain.lie("node-1", "eth_estimateGas", RpcError(3 if "STF" in words else -32000, words))
    chain.lie("node-2", "eth_estimateGas", hex(50_000))
    ready = await chain.asked.estimate(WALLET, CALL, {"too dear"}, _soon())
    assert (ready.before, ready.gas) == (Before.READY, 50_000)
    chain.lie("node-2", "eth_estimateGas", RpcError(3, "execution reverted: too dear"))
    assert (await chain.asked.estimate(WALLET, CALL, {"too dear"}, _soon())).before is Before.KILLED


async def test_a_contract_that_refuses_answers_and_a_node_that_fails_does_not() -> None:
    chain = ScriptedChain()
    chain.lie("node-1", "eth_call", RpcError(3, "execution reverted: no"))
    assert await chain.asked.call(CALL, _soon()) == Revert(reason="no")
    with pytest.raises(RpcError):
        await chain.asked.read([CALL, CALL], _soon())
    assert await chain.asked.read_each([CALL, CALL], _soon()) == [None, None]
    chain.lie("node-1", "eth_call", RpcError(-32000, "header not found"))
    with pytest.raises(ChainError):
        await chain.asked.call(CALL, _soon())
    with pytest.raises(ChainError):
        await chain.asked.read_each([CALL, CALL], _soon())
    chain.lie("node-2", "eth_call", "0x0a")
    assert await chain.asked.call(CALL, _soon()) == b"\n"
    assert await chain.asked.read([CALL, CALL], _soon()) == [b"\n", b"\n"]


async def test_several_answers_come_from_one_block() -> None:
    chain = ScriptedChain()
    chain.mine_empty(3)

    chain.instead["node-1", "eth_call"] = lambda params: "0x0" + str(params[1])[2:]
    assert await chain.asked.read([CALL] * 3, _soon()) == [b"\3"] * 3
    assert {params[1] for _, method, params in chain.nodes.asked if method == "eth_call"} == {"0x3"}


async def test_coin_and_fees_are_told_by_whoever_makes_sense() -> None:
    chain = ScriptedChain()
    history = {"baseFeePerGas": ["0x1", "0x2"], "reward": [["0x3"]]}
    for method, nonsense, answer in (("eth_getBalance", "much", "0x7"), ("eth_feeHistory", {}, history)):
        chain.lie("node-1", method, nonsense)
        chain.lie("node-2", method, answer)
    assert await chain.asked.balance(WALLET, _soon()) == 7
    told = await chain.asked.fee_history(50.0, _soon())
    assert (told.base_fee, told.tips) == (2, (3,))
    chain.nodes.away = True
    with pytest.raises(ConnectionLost):
        await chain.asked.balance(WALLET, _soon())


@settings(max_examples=50)
@given(
    answers=st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just("0x1"),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=6),
            max_leaves=8,
        ),
        min_size=2,
        max_size=4,
    )
)
def test_whatever_nodes_say_either_it_is_read_or_no_node_answers(answers: list[object]) -> None:
    """Nothing else is ever raised."""
    chain = ScriptedChain()
    for node, answer in zip(chain.names, answers, strict=False):
        for method in (*_METHODS, "eth_getBlockByNumber"):
            chain.lie(node, method, answer)
    signed = sent(0)

    async def ask() -> None:
        asked, until = chain.asked, _soon()
        await asked.receipts([signed.hash], until)
        await asked.known([signed.hash], until)
        await asked.used(WALLET, [0], 0, 3, until)
        await asked.estimate(WALLET, CALL, PRICE_REASONS, until)
        await asked.send(signed.raw, signed.hash, until)
        for question in (
            partial(asked.counts, WALLET, until),
            partial(asked.final_block, until),
            partial(asked.written, signed.hash, until),
            partial(asked.call, CALL, until),
            partial(asked.read, [CALL, CALL], until),
            partial(asked.fee_history, 50.0, until),
            partial(asked.balance, WALLET, until),
        ):
            with suppress(ChainError):
                await question()

    trio.run(ask)


# What is sent


async def test_what_is_sent_goes_to_every_node_and_all_of_them_have_to_refuse() -> None:
    chain = ScriptedChain()
    signed = sent(0)
    cheap = RpcError(-32000, "transaction underpriced: tip needed 7, tip permitted 1")

    async def row(one: object, other: object) -> Answer:
        chain.lie("node-1", "eth_sendRawTransaction", one)
        chain.lie("node-2", "eth_sendRawTransaction", other)
        return await chain.asked.send(signed.raw, signed.hash, _soon())

    assert (await row(cheap, signed.hash)).row is Row.SENT
    assert (await row(cheap, NoAnswer("late"))).row is Row.LOST
    assert (await row(cheap, hash_of(1))).row is Row.FOREIGN
    refused = await row(cheap, cheap)
    assert (refused.row, refused.least_tip) == (Row.UNDERPRICED, 7)
    assert {params for _, _, params in chain.nodes.asked} == {("0x" + signed.raw.hex(),)}
    assert [node for node, _, _ in chain.nodes.asked] == ["node-1", "node-2"] * 4


async def test_an_answer_that_comes_too_late_is_none(clock: Clock) -> None:
    chain = ScriptedChain()
    signed = sent(0)
    chain.mine(signed)
    chain.nodes.latency_s = 10.0
    assert await chain.asked.receipts([signed.hash], _soon()) == {}
    assert await chain.asked.known([signed.hash], _soon()) == frozenset()
    assert await chain.asked.used(WALLET, [0], 0, 1, _soon()) == {}
    assert (await chain.asked.send(signed.raw, signed.hash, _soon())).row is Row.LOST
    with pytest.raises(ChainError):
        await chain.asked.counts(WALLET, _soon())


async def test_why_it_failed_is_told_by_a_trace_or_by_a_replay_or_by_nobody() -> None:
    """It never raises: what nobody tells was no price."""
    chain = ScriptedChain()
    signed = sent(0)
    chain.failed.add(signed.hash)
    chain.mine(signed)
    receipt = (await chain.asked.receipts([signed.hash], _soon()))[signed.hash]
    assert receipt is not None
    transaction = evolve(read_signed(signed.raw)[0], gas=100_000)

    async def why() -> tuple[str, bool]:
        failure = await chain.asked.why(receipt, transaction, WALLET, {"spl"}, _soon())
        assert failure.untold is (failure.words == UNTOLD)
        return failure.words, failure.killed

    error = "0x08c379a0" + f"{32:064x}{3:064x}" + b"SPL".hex().ljust(64, "0")
    assert await why() == (UNTOLD, False)
    chain.lie("node-1", "eth_call", RpcError(-32000, "missing trie node", '"0x1234567890"'))
    chain.lie("node-1", "debug_traceTransaction", None)
    assert await why() == (UNTOLD, False)
    chain.lie("node-2", "eth_call", RpcError(3, "execution reverted", f'"{error}"'))
    assert await why() == ("SPL", True)
    chain.lie("node-2", "debug_traceTransaction", {"output": error.replace(b"SPL".hex(), b"STF".hex())})
    assert await why() == ("STF", False)
    chain.nodes.away = True
    assert await why() == (UNTOLD, False)
