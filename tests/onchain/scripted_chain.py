"""A chain of signed transactions, told by nodes of which each may be behind, forget, or say what a test wants in place of it."""

from collections.abc import Callable, Sequence

from attrs import define, field

from tests.builders import NOW, POLYGON
from trio_copy.errors import RpcError
from trio_copy.model.ids import Hash32
from trio_copy.native import SecretKey
from trio_copy.testing.devnet.chain import DevBlock, DevChain, DevLog, DevTx
from trio_copy.testing.nodes import ScriptedNodes
from trio_copy.transactions.transaction import Signed, Transaction, read_signed
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.tx.fees import GWEI, Fees
from trio_copy_onchain.tx.sendings import doing_nothing

KEY, OTHER_KEY = SecretKey(b"\x66" * 32), SecretKey(b"\x77" * 32)
FEES = Fees(tip=30 * GWEI, max_fee=90 * GWEI)
Instead = Callable[[Sequence[object]], object]
"""What a node says to the parameters of a question; an error as a `ChainError`."""
NO_STATE = RpcError(-32000, "missing trie node 5d4c (path ) state is not available")


def sent(nonce: int, key: SecretKey = KEY, fees: Fees = FEES) -> Signed:
    """Return a transaction that does nothing."""
    return doing_nothing(POLYGON, key.address, nonce, fees).signed(key.sign)


@define(eq=False)
class ScriptedChain:
    names: Sequence[str] = ("node-1", "node-2")
    unfinalized: int = 2
    kept: int = 10**6
    """Of so many of the newest blocks nodes have the state."""
    behind: dict[str, int] = field(factory=dict)
    """How many blocks a node does not know yet."""
    instead: dict[tuple[str, str], Instead] = field(factory=dict)
    """By node and method."""
    failed: set[Hash32] = field(factory=set)
    pool: list[Signed] = field(factory=list)
    blocks: list[tuple[Signed, ...]] = field(factory=lambda: [()])
    dev: DevChain = field(init=False)
    nodes: ScriptedNodes = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.dev = DevChain(POLYGON, lambda: NOW)
        self.nodes = ScriptedNodes(self.dev, says=self.says, names=self.names, unfinalized=self.unfinalized)

    @property
    def asked(self) -> Chain:
        return Chain(nodes=self.nodes, chain_id=POLYGON)

    def mine(self, *transactions: Signed, logs: Sequence[DevLog] = ()) -> DevBlock:
        """Put a block on top; each of its transactions writes the logs."""
        self.blocks.append(transactions)
        return self.dev.mine(*(DevTx(tx_hash=one.hash, logs=tuple(logs)) for one in transactions))

    def mine_empty(self, count: int) -> None:
        for _ in range(count):
            self.mine()

    def lie(self, node: str, method: str, answer: object) -> None:
        self.instead[node, method] = lambda params: answer

    def questions(self, method: str) -> int:
        return sum(asked == method for _, asked, _ in self.nodes.asked)

    def says(self, node: str, method: str, params: Sequence[object]) -> object:
        instead = self.instead.get((node, method))
        if instead is not None:
            return instead(params)
        truth = _TRUTHS.get(method)
        return RpcError(-32601, f"the method {method} does not exist") if truth is None else truth(self, node, params)

    def head(self, node: str) -> int:
        return len(self.blocks) - 1 - self.behind.get(node, 0)

    def height(self, node: str, which: object) -> int:
        named = {"latest": self.head(node), "pending": self.head(node)}
        named["finalized"] = max(0, self.head(node) - self.unfinalized)
        return named[str(which)] if which in named else int(str(which), 16)

    def block(self, node: str, params: Sequence[object]) -> object:
        number = self.height(node, params[0])
        if number > self.head(node):
            return None
        block = self.dev.blocks[number].ref
        transactions = [self.shown(one) for one in self.blocks[number]] if params[1] else []
        return {"number": hex(number), "hash": block.hash, "transactions": transactions}

    def count(self, node: str, params: Sequence[object]) -> object:
        wallet, which = params
        height = self.height(node, which)
        if not self.head(node) - self.kept < height <= self.head(node):
            return NO_STATE
        mined = [one for block in self.blocks[: height + 1] for one in block]
        waiting = self.pool if which == "pending" else []
        return hex(sum(read_signed(one.raw)[1] == wallet for one in (*mined, *waiting)))

    def receipt(self, node: str, params: Sequence[object]) -> object:
        for number, block in enumerate(self.blocks[: self.head(node) + 1]):
            if any(one.hash == params[0] for one in block):
                return self.receipt_in(self.dev.blocks[number], Hash32(str(params[0])))
        return None

    def receipt_in(self, block: DevBlock, tx_hash: Hash32) -> dict[str, object]:
        place = {"transactionHash": tx_hash, "blockNumber": hex(block.ref.number), "blockHash": block.ref.hash}
        logs = [
            {**place, "address": log.address, "topics": log.topics, "data": "0x", "logIndex": hex(log.log_index)}
            for log in block.logs
            if log.tx_hash == tx_hash
        ]
        return {**place, "status": hex(tx_hash not in self.failed), "gasUsed": "0x5208", "logs": logs}

    def transaction(self, node: str, params: Sequence[object]) -> object:
        known = (*self.pool, *(one for block in self.blocks[: self.head(node) + 1] for one in block))
        return next((self.shown(one) for one in known if one.hash == params[0]), None)

    def shown(self, signed: Signed) -> dict[str, object]:
        transaction, sender = read_signed(signed.raw)
        return shown(signed, transaction) | {"from": sender}


def shown(signed: Signed, transaction: Transaction) -> dict[str, object]:
    """Return a transaction as nodes show it."""
    r, s = signed.raw[-65:-33], signed.raw[-32:]
    assert (signed.raw[-66], signed.raw[-33]) == (0xA0, 0xA0), "expected a signature whose halves are 32 bytes each"
    return {
        "hash": signed.hash, "type": "0x2", "accessList": [], "chainId": hex(transaction.chain_id),
        "nonce": hex(transaction.nonce), "maxPriorityFeePerGas": hex(transaction.tip),
        "maxFeePerGas": hex(transaction.max_fee), "gas": hex(transaction.gas), "to": transaction.to,
        "value": hex(transaction.value), "input": "0x" + transaction.data.hex(),
        "yParity": hex(signed.raw[-67] & 1), "r": "0x" + r.hex(), "s": "0x" + s.hex(),
    }  # fmt: skip


_TRUTHS: dict[str, Callable[[ScriptedChain, str, Sequence[object]], object]] = {
    "eth_getBlockByNumber": ScriptedChain.block,
    "eth_getTransactionCount": ScriptedChain.count,
    "eth_getTransactionReceipt": ScriptedChain.receipt,
    "eth_getTransactionByHash": ScriptedChain.transaction,
}
