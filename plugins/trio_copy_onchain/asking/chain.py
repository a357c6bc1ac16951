"""The chain, as far as an executor's operators need it, of what all nodes together say."""

from collections.abc import Collection, Mapping, Sequence, Set
from contextlib import suppress
from functools import partial
from typing import TypeVar

import msgspec
from attrs import define, evolve, field

from trio_copy.errors import ChainError, ConnectionLost, NoAnswer, RpcError
from trio_copy.model.ids import Address, ChainId, Hash32
from trio_copy.ports import Nodes
from trio_copy.transactions.calls import Call
from trio_copy.transactions.transaction import Transaction
from trio_copy_onchain.asking.counts import Counts, counts_of, least, read_block_hash, read_height, read_number
from trio_copy_onchain.asking.in_one import InOne
from trio_copy_onchain.asking.mined import Undecided, agreed
from trio_copy_onchain.asking.questions import Questions, Read, Refusal, Said, result, side_by_side
from trio_copy_onchain.asking.users import Users
from trio_copy_onchain.asking.written import Written, read_written
from trio_copy_onchain.tx.answers import Answer, Before, Estimate, Told, read_estimate, read_sending, together
from trio_copy_onchain.tx.fees import FeeHistory, read_history
from trio_copy_onchain.tx.receipts import Failure, Receipt, read_known, read_receipt, why_failed
from trio_copy_onchain.tx.reverts import Revert, read_revert
from trio_copy_onchain.tx.texts import Row, row_of
from trio_copy_onchain.tx.wire import bytes_of
from trio_copy_onchain.wallets.tracing import failed_call

_T = TypeVar("_T")
_MOST_RETURNED = 1 << 20
_MOST_COIN = (1 << 256) - 1
_HISTORY_BLOCKS = 20
_REVERTED = -32015
"""Nethermind's older code of a call that a contract refused."""
_TRACER = {"tracer": "callTracer"}


class _Trace(msgspec.Struct):
    """An object, whatever is in it."""


@define(eq=False, kw_only=True)
class Chain:
    """Questions that change nothing, and the one that sends. `until` is Trio time: by then there is an answer or an error.

    Cancelled, bytes that were to be sent may have reached a node.
    """

    nodes: Nodes
    chain_id: ChainId
    _questions: Questions = field(init=False)
    _without: set[str] = field(factory=set)
    """Nodes that keep no receipts, as far as is known."""
    _blocks: InOne[int, Set[Hash32]] = field(factory=InOne)
    """Which blocks nodes have, by number."""

    def __attrs_post_init__(self) -> None:
        self._questions = Questions(self.nodes)

    async def counts(self, operator: Address, until: float) -> Counts:
        """Return how many nonces are used: of each number the least that any node says which says all of them.

        Raises:
            ChainError: no node says all of them.
        """
        every = self._questions.every
        count, block = result(read_number), result(read_height)
        told = await side_by_side(
            [
                *(
                    partial(every, "eth_getTransactionCount", (operator, which), count, until)
                    for which in ("latest", "pending", "finalized")
                ),
                partial(every, "eth_getBlockByNumber", ("finalized", False), block, until),
            ]
        )
        whole: dict[str, Counts] = {}
        failure: ChainError = ConnectionLost("there is no node")
        for name in self.nodes.names:
            numbers: list[int] = []
            for answers in told:
                answer = answers[name]
                if isinstance(answer, ChainError):
                    failure = answer
                else:
                    numbers.append(answer)
            if len(numbers) == len(told):
                whole[name] = counts_of(*numbers)
        if not whole:
            raise failure
        return evolve(least(whole.values()), tellers=frozenset(whole))

    async def final_block(self, until: float) -> int:
        """Return the newest final block: the oldest one that any node says. Raises `ChainError` where no node says one."""
        params = ("finalized", False)
        told = await self._questions.every("eth_getBlockByNumber", params, result(read_height), until)
        return min(_answers(told))

    async def standing(self, blocks: Mapping[Hash32, int], until: float) -> Set[Hash32]:
        """Return those blocks, of some by their hash and number, that every node has which knows that number. Raises nothing."""

        async def ask(number: int) -> Set[Hash32]:
            told = await self._questions.every(
                "eth_getBlockByNumber", (hex(number), False), result(read_block_hash), until
            )
            return {one for one in told.values() if not isinstance(one, ChainError)}

        there = await side_by_side(
            [partial(self._blocks.ask, number, partial(ask, number)) for number in blocks.values()]
        )
        return {block_hash for block_hash, found in zip(blocks, there, strict=True) if found == {block_hash}}

    async def receipts(
        self, hashes: Collection[Hash32], until: float, deniers: Collection[str] | None = None
    ) -> Mapping[Hash32, Receipt | None]:
        """Return the receipt of each that any node has; None where every node that is connected has said that it has none.

        What one of the `deniers` does not have, all nodes unless they are given, is contested. Left out is what nobody
        answers, and where nodes contradict each other (`mined.agreed`). Raises nothing.
        """
        found: dict[Hash32, Receipt | None] = {}

        async def look(tx_hash: Hash32) -> None:
            read = result(partial(read_receipt, tx_hash=tx_hash, chain_id=self.chain_id))
            told = await self._questions.every("eth_getTransactionReceipt", (tx_hash,), read, until)
            self._without.difference_update(name for name, one in told.items() if isinstance(one, Receipt))
            counts = (told.keys() if deniers is None else told.keys() & deniers) - self._without
            denied_by = frozenset(name for name in counts if told[name] is None)
            try:
                receipt = agreed(told.values(), denied=bool(denied_by))
            except Undecided:
                return
            found[tx_hash] = evolve(receipt, denied_by=denied_by) if receipt and denied_by else receipt

        await side_by_side([partial(look, tx_hash) for tx_hash in hashes])
        return found

    def keep_no_receipts(self, nodes: Collection[str]) -> None:
        """Take note that nodes have denied a receipt for so long that they keep none; until they show one, they contest none."""
        self._without.update(nodes)

    async def known(self, hashes: Collection[Hash32], until: float) -> frozenset[Hash32]:
        """Return those that some node has, mined or not. Raises nothing."""

        async def is_known(tx_hash: Hash32) -> bool:
            read = result(partial(read_known, tx_hash=tx_hash))
            told = await self._questions.every("eth_getTransactionByHash", (tx_hash,), read, until)
            return any(answer is True for answer in told.values())

        asked = list(hashes)
        known = await side_by_side([partial(is_known, tx_hash) for tx_hash in asked])
        return frozenset(tx_hash for tx_hash, is_there in zip(asked, known, strict=True) if is_there)

    async def written(self, tx_hash: Hash32, until: float) -> Written | None:
        """Return a transaction, proven by its hash; None where every node that answers shows one of a kind that is never ours.

        Raises:
            ChainError: no node has it.
        """
        read = result(partial(read_written, tx_hash=tx_hash, chain_id=self.chain_id))
        method, params = "eth_getTransactionByHash", (tx_hash,)
        written = await self._questions.first(method, params, read, until)
        if written is None and len(self.nodes.names) > 1:
            # Of another kind there is no proof: one node could hide ours in this way.
            told = _answers(await self._questions.every(method, params, read, until))
            written = next((one for one in told if one is not None), None)
        return written

    async def used(
        self,
        operator: Address,
        nonces: Sequence[int],
        since_block: int,
        final_block: int,
        until: float,
        contested: Collection[int] = (),
    ) -> Mapping[int, Hash32]:
        """Say by which transactions nonces were used in the blocks after one, up to a final one. Raises nothing.

        Left out is what was used before, what no node tells, a block of which two nodes tell different things, and of
        nonces that are `contested`, a block that one of several nodes tells alone.
        """
        users = Users(questions=self._questions, operator=operator, until=until, contested=contested)
        return await users.find(nonces, since_block, final_block)

    async def estimate(self, sender: Address, call: Call, prices: Collection[str], until: float) -> Estimate:
        """Say whether a call would go through at the head, and with how much gas. Raises nothing.

        `prices` are the venue's reasons for a limit that was not met.
        """

        def read(said: Said) -> Estimate:
            estimate = read_estimate(said, prices)
            if estimate.before is Before.UNKNOWN:
                raise said if isinstance(said, RpcError) else ValueError(estimate.words)
            return estimate

        asked = "eth_estimateGas", (_params(call, sender), "latest"), read, until
        try:
            estimate = await self._questions.first(*asked)
        except ChainError as error:
            return read_estimate(error, prices)
        if estimate.before in (Before.REJECTED, Before.NO_FUNDS) and len(self.nodes.names) > 1:
            # A node that is behind does not know what the wallet has been given, or has allowed, in the newest blocks.
            for other in (await self._questions.every(*asked)).values():
                if not isinstance(other, ChainError) and other.before in (Before.READY, Before.KILLED):
                    return other
        return estimate

    async def goes_through(self, sender: Address, call: Call, gas: int, until: float) -> bool:
        """Tell whether a call would go through at the head with so much gas; False also where no node says. Raises nothing."""
        params = _params(call, sender) | {"gas": hex(gas)}, "latest"
        try:
            return not isinstance(await self._questions.first("eth_call", params, _read_tried, until), Refusal)
        except ChainError:
            return False

    async def call(
        self, call: Call, until: float, *, sender: Address | None = None, block: str = "latest"
    ) -> bytes | Revert:
        """Return what a contract answers, or why it refuses, in a block by its number in hex or its name.

        Raises:
            ChainError: no node answers.
        """
        return await self._questions.first("eth_call", (_params(call, sender), block), _read_called, until)

    async def read(self, calls: Sequence[Call], until: float) -> Sequence[bytes]:
        """Return what contracts answer to several questions, all at the head, in one block.

        Raises:
            ChainError: no node answers one of them. It is an `RpcError` where a contract refuses.
        """
        answers = await self._at_head(calls, until)
        for answer in answers:
            if isinstance(answer, Refusal):
                raise answer.error
        return [answer for answer in answers if isinstance(answer, bytes)]

    async def read_each(self, calls: Sequence[Call], until: float) -> Sequence[bytes | None]:
        """Return the same, with None in the place of what a contract refuses.

        Raises:
            ChainError: no node answers one of them.
        """
        return [answer if isinstance(answer, bytes) else None for answer in await self._at_head(calls, until)]

    async def _at_head(self, calls: Sequence[Call], until: float) -> Sequence[bytes | Refusal]:
        if not calls:
            return ()
        block = "latest" if len(calls) == 1 else hex((await self.nodes.block("latest", until)).number)
        first = self._questions.first
        return await side_by_side(
            [partial(first, "eth_call", (_params(call), block), _read_replayed, until) for call in calls]
        )

    async def answers(self, calls: Sequence[Call], block: str, until: float) -> Sequence[bytes | None]:
        """Return what contracts answer in a block, by its number in hex or its name; None for a refusal.

        Only where no node says otherwise: what moves no money by itself, and is believed all the same.

        Raises:
            ChainError: no node answers one of them, or two contradict each other.
        """

        async def ask(call: Call) -> bytes | None:
            told = await self._questions.every("eth_call", (_params(call), block), _read_replayed, until)
            said = {answer if isinstance(answer, bytes) else None for answer in _answers(told)}
            if len(said) > 1:
                raise NoAnswer(f"nodes contradict each other about {call.to} in block {block}")
            return said.pop()

        return await side_by_side([partial(ask, call) for call in calls])

    async def fee_history(self, percentile: float, until: float) -> FeeHistory:
        """Return what was paid in the newest blocks. Raises `ChainError` where no node tells."""
        params = (hex(_HISTORY_BLOCKS), "latest", [percentile])
        return await self._questions.first("eth_feeHistory", params, result(read_history), until)

    async def balance(self, address: Address, until: float) -> int:
        """Return the coin that an address has at the head, in wei. Raises `ChainError` where no node tells."""
        read = result(partial(read_number, most=_MOST_COIN))
        return await self._questions.first("eth_getBalance", (address, "latest"), read, until)

    async def send(self, signed_raw: bytes, tx_hash: Hash32, until: float) -> Answer:
        """Give signed bytes to every node, and say what all their answers mean. Raises nothing.

        Cancelled, some may have them.
        """
        told = await self.nodes.ask_all("eth_sendRawTransaction", ("0x" + signed_raw.hex(),), until)
        return together([read_sending(answer, tx_hash) for answer in told.values()])

    async def why(
        self,
        receipt: Receipt,
        transaction: Transaction,
        sender: Address,
        prices: Collection[str],
        until: float,
        wallet: Address | None = None,
    ) -> Failure:
        """Say why a transaction was refused within its block, by its trace where a node has one, and by a replay. Never raises.

        Of a wallet that hides what its calls were refused for, the trace of the wallet's own call counts.
        """
        call = Call(to=transaction.to, data=transaction.data, value=transaction.value)
        at_block = _params(call, sender) | {"gas": hex(transaction.gas)}, hex(receipt.block_number)

        async def told(method: str, params: Sequence[object], read: Read[bytes | Refusal]) -> Told | None:
            with suppress(ChainError):
                answer = await self._questions.first(method, params, read, until)
                return answer.error if isinstance(answer, Refusal) else answer
            return None

        traced, replayed = await side_by_side(
            [
                partial(told, "debug_traceTransaction", (receipt.tx_hash, _TRACER), result(_read_trace)),
                partial(told, "eth_call", at_block, _read_replayed),
            ]
        )
        if wallet is not None and wallet != sender:
            traced = failed_call(traced, wallet)
        return why_failed(receipt, transaction.gas, traced, replayed, prices)


def _answers(told: Mapping[str, _T | ChainError]) -> Sequence[_T]:
    """Return what nodes answered. Raises the last failure where none did."""
    answers: list[_T] = []
    failure: ChainError = ConnectionLost("there is no node")
    for answer in told.values():
        if isinstance(answer, ChainError):
            failure = answer
        else:
            answers.append(answer)
    if not answers:
        raise failure
    return answers


def _params(call: Call, sender: Address | None = None) -> dict[str, str]:
    params = {"to": call.to, "data": "0x" + call.data.hex(), "value": hex(call.value)}
    return params if sender is None else {"from": sender, **params}


def _is_refusal(error: RpcError) -> bool:
    """Tell whether a contract refused a call, and not a node the question."""
    return (error.reverted or error.code == _REVERTED) and row_of(error.code, error.words) is not Row.BUSY


def _read_called(said: Said) -> bytes | Revert:
    if isinstance(said, RpcError) and _is_refusal(said):
        return read_revert(said.data, said.message)
    return _returned(said)


def _returned(said: Said) -> bytes:
    if isinstance(said, RpcError):
        raise said
    return bytes_of(msgspec.json.decode(said, type=str), _MOST_RETURNED)


def _read_replayed(said: Said) -> bytes | Refusal:
    return Refusal(said) if isinstance(said, RpcError) and _is_refusal(said) else _returned(said)


def _read_tried(said: Said) -> bytes | Refusal:
    # Whatever the error: that another node, which is behind, would let it through does not count.
    return Refusal(said) if isinstance(said, RpcError) else _returned(said)


def _read_trace(said: bytes) -> bytes:
    msgspec.json.decode(said, type=_Trace)
    return said
