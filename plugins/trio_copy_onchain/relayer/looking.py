"""What the chain shows of a wallet's nonce, and of what used it; asked of the nodes, and believed of several the least."""

from collections.abc import Sequence
from contextlib import suppress

import msgspec
from attrs import define, evolve, frozen

from trio_copy.errors import ChainError
from trio_copy.model.ids import ChainId, Hash32
from trio_copy.model.orders import SignatureType
from trio_copy.native import keccak
from trio_copy.ports import LogFilter, Nodes
from trio_copy.transactions.calls import Call
from trio_copy_onchain.asking.counts import read_block_hash
from trio_copy_onchain.asking.mined import Undecided, agreed
from trio_copy_onchain.relayer.proof import FAILURE, SUCCESS, Outcome, Place, executed, outcome_of
from trio_copy_onchain.relayer.submitted import Action
from trio_copy_onchain.tx.receipts import Receipt, read_receipt
from trio_copy_onchain.tx.wire import MISREAD, Number, bytes_of, hash_of, number_of

_NONCE = keccak(b"nonce()")[:4]
_NONCE_OF = keccak(b"getNonce(address)")[:4]
_MOST_CALLDATA = 1 << 20
_DEEPEST_REORG = 64
"""An action may be mined in a block of another branch, below the one at which it was signed."""


@frozen(kw_only=True)
class Found:
    """A transaction that carried an action, or tried to."""

    tx_hash: Hash32
    block_number: int
    outcome: Outcome
    final: bool


@frozen(kw_only=True)
class Look:
    """What the chain shows at one moment."""

    head: int
    """The newest block."""
    final_block: int
    latest: int
    """Which nonce of the wallet is the next one at the head."""
    final: int
    """And in the newest final block."""
    found: Found | None = None
    displaced: bool = False
    """Whether something else has used the action's nonce, in a final block: it never happens."""
    explained: bool = False
    """Whether it is known what that was: a Safe tells, and another action of ours has its own signature."""


class _Transaction(msgspec.Struct):
    hash: str
    input: str


class _Block(msgspec.Struct):
    transactions: list[_Transaction]


@define(eq=False, kw_only=True)
class Looker:
    nodes: Nodes
    chain_id: ChainId

    async def look(self, place: Place, action: Action | None, until: float, rivals: Sequence[Action] = ()) -> Look:
        """Look at a wallet, and for what has become of its action; `rivals` are others of ours with the same nonce.

        Raises:
            ChainError: not enough was answered to say anything.
        """
        head = (await self.nodes.block("latest", until)).number
        final_block = (await self.nodes.block("finalized", until)).number
        latest = await self._nonce(place, "latest", until)
        final = min(latest, await self._nonce(place, hex(final_block), until))
        seen = Look(head=head, final_block=final_block, latest=latest, final=final)
        if action is None:
            return seen
        found = await self._named(place, action, final_block, until)
        if latest <= action.nonce or (found is not None and found.outcome is not Outcome.REVERTED):
            return evolve(seen, found=found)
        if place.kind is SignatureType.SAFE:
            return await self._searched_logs(place, action, evolve(seen, found=found), until)
        if final <= action.nonce:
            return evolve(seen, found=found)
        return await self._searched_block(place, action, rivals, evolve(seen, found=found), until)

    async def _nonce(self, place: Place, block: str, until: float) -> int:
        """Return the least that any node says; of an older block, 0 where the wallet was not deployed yet."""
        call = (
            Call(to=place.contracts.relay_hub, data=_NONCE_OF + bytes(12) + bytes.fromhex(place.owner[2:]))
            if place.kind is SignatureType.PROXY
            else Call(to=place.wallet, data=_NONCE)
        )
        params = ({"to": call.to, "data": "0x" + call.data.hex()}, block)
        numbers, why = [], "no node is configured"
        for told in (await self.nodes.ask_all("eth_call", params, until)).values():
            if isinstance(told, ChainError):
                why = str(told)
                continue
            try:
                word = bytes_of(msgspec.json.decode(told, type=str), 32)
                if not word and block != "latest":
                    word = bytes(32)
                if len(word) != 32:
                    why = f"{call.to} has no nonce: it is no wallet of this kind, or is not deployed"
                    continue
                numbers.append(int.from_bytes(word))
            except MISREAD as error:
                why = str(error)
        if not numbers:
            raise ChainError(why[:200])
        return min(numbers)

    async def _named(self, place: Place, action: Action, final_block: int, until: float) -> Found | None:
        """Look at the transactions that the relayer named; what it did is preferred to what it tried."""
        tried: Found | None = None
        for tx_hash in {one.tx_hash for one in action.signings if one.tx_hash is not None}:
            found = await self._judged(place, action, tx_hash, final_block, until)
            if found is not None and found.outcome is not Outcome.REVERTED:
                return found
            tried = found or tried
        return tried

    async def _judged(
        self, place: Place, action: Action, tx_hash: Hash32, final_block: int, until: float
    ) -> Found | None:
        receipt = await self._receipt(tx_hash, until)
        if receipt is None or (receipt.block_number <= final_block and not await self._stands(receipt, until)):
            return None
        outcome = outcome_of(place, action.signings, receipt, await self._calldata(tx_hash, until))
        if outcome is Outcome.FOREIGN:
            return None
        number = receipt.block_number
        shown = outcome is Outcome.DONE and place.kind is SignatureType.DEPOSIT
        # The contract of such a wallet tells of nothing: that it happened shows in the nonce.
        if shown and await self._nonce(place, hex(number), until) <= action.nonce:
            outcome = Outcome.REVERTED
        return Found(tx_hash=tx_hash, block_number=number, outcome=outcome, final=number <= final_block)

    async def _searched_block(
        self, place: Place, action: Action, rivals: Sequence[Action], seen: Look, until: float
    ) -> Look:
        """Look through the final block in which the nonce was used."""
        explained = False
        for tx_hash, calldata in await self._transactions(await self._used_in(place, action, seen, until), until):
            for one in (action, *rivals):
                if not any(signing.mark in calldata for signing in one.signings):
                    continue
                found = await self._judged(place, one, tx_hash, seen.final_block, until)
                if found is None or found.outcome is Outcome.REVERTED:
                    continue
                if one is action:
                    return evolve(seen, found=found)
                explained = True
        return evolve(seen, displaced=True, explained=explained)

    async def _searched_logs(self, place: Place, action: Action, seen: Look, until: float) -> Look:
        """Look for what a Safe tells of the action."""
        wanted, start = LogFilter(addresses=(place.wallet,), topics=((SUCCESS, FAILURE),)), _start(action)
        logs = await self.nodes.logs(wanted, start, seen.head, until)
        statements = {one.statement for one in action.signings}
        for log in logs:
            if executed(log) in statements:
                found = await self._judged(place, action, log.tx_hash, seen.final_block, until)
                if found is not None:
                    return evolve(seen, found=found)
        if seen.final <= action.nonce:
            return seen
        # A node that is behind shows fewer logs. Each nonce that is used has one, so that one that is missing shows.
        used = seen.final - await self._nonce(place, hex(start), until)
        whole = sum(start < log.block_number <= seen.final_block for log in logs) >= used
        return evolve(seen, displaced=whole, explained=whole)

    async def _used_in(self, place: Place, action: Action, seen: Look, until: float) -> int:
        """Return in which final block a nonce was used, by halving."""
        before, after = _start(action), seen.final_block
        while after - before > 1:
            middle = (before + after) // 2
            if await self._nonce(place, hex(middle), until) > action.nonce:
                after = middle
            else:
                before = middle
        return after

    async def _receipt(self, tx_hash: Hash32, until: float) -> Receipt | None:
        """Return the receipt that the nodes agree on; None where there is none, or they contradict each other."""
        found: list[Receipt | ChainError | None] = []
        for told in (await self.nodes.ask_all("eth_getTransactionReceipt", (tx_hash,), until)).values():
            try:
                found.append(told if isinstance(told, ChainError) else read_receipt(told, tx_hash, self.chain_id))
            except ValueError as error:
                found.append(ChainError(str(error)[:100]))
        try:
            return agreed(found)
        except Undecided:
            return None

    async def _stands(self, receipt: Receipt, until: float) -> bool:
        """Tell whether a receipt's block is still there: some nodes go on showing receipts of what a reorg took back.

        Raises:
            ChainError: no node tells, or they contradict each other. Taken for gone, it would be done once more.
        """
        params, found = (hex(receipt.block_number), False), set[Hash32]()
        for told in (await self.nodes.ask_all("eth_getBlockByNumber", params, until)).values():
            with suppress(*MISREAD):
                if not isinstance(told, ChainError):
                    found.add(read_block_hash(told))
        if not found or (receipt.block_hash in found and len(found) > 1):
            raise ChainError(f"the nodes do not tell whether block {receipt.block_number} is {receipt.block_hash}")
        return receipt.block_hash in found

    async def _calldata(self, tx_hash: Hash32, until: float) -> bytes:
        for told in (await self.nodes.ask_all("eth_getTransactionByHash", (tx_hash,), until)).values():
            if isinstance(told, ChainError):
                continue
            try:
                transaction = msgspec.json.decode(told, type=_Transaction | None)
                if transaction is not None and hash_of(transaction.hash) == tx_hash:
                    return bytes_of(transaction.input, _MOST_CALLDATA)
            except MISREAD:
                continue
        raise ChainError(f"no node tells the transaction {tx_hash}, of which one has the receipt")

    async def _transactions(self, block: int, until: float) -> list[tuple[Hash32, bytes]]:
        told = await self.nodes.ask("eth_getBlockByNumber", (hex(block), True), until)
        try:
            rows = msgspec.json.decode(told, type=_Block).transactions
            return [(hash_of(row.hash), bytes_of(row.input, _MOST_CALLDATA)) for row in rows]
        except MISREAD as error:
            raise ChainError(f"block {block}: {str(error)[:100]}") from None

    async def estimate(self, sender: str, call: Call, until: float) -> int:
        """Return how much gas a call takes. Raises `ChainError`; `RpcError` where the contract refuses it."""
        params = ({"from": sender, "to": call.to, "data": "0x" + call.data.hex()}, "latest")
        told = await self.nodes.ask("eth_estimateGas", params, until)
        try:
            return number_of(msgspec.json.decode(told, type=Number), 1 << 40)
        except MISREAD as error:
            raise ChainError(f"gas: {str(error)[:100]}") from None


def _start(action: Action) -> int:
    """Return a block in which the action certainly had not happened."""
    return max(0, action.since_block - _DEEPEST_REORG)
