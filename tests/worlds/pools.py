"""A node that takes transactions into a pool of its own, and says of them, and of what became of them, what it is told to."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from attrs import define, field, frozen

from tests.worlds.mined import CTF, FEE, MAKER, USDC, Mined, MinedChain, Reverted, State, Tx
from trio_copy.model.ids import Address, Hash32
from trio_copy.testing.devnet import DevNode
from trio_copy.testing.devnet.chain import DevBlock, DevChain
from trio_copy.testing.devnet.shown import Unanswered
from trio_copy.testing.devnet.wire import Refused, log_object
from trio_copy.transactions.bloom import bloom_over
from trio_copy.transactions.calls import Call
from trio_copy_onchain.tx.fees import GWEI
from trio_copy_onchain.venues import abi

_FLOOR = 25 * GWEI
_BALANCES = abi.selector("balanceOfBatch", "address[]", "uint256[]")
_ANSWERS = {
    (USDC, abi.selector("decimals")): 6,
    (MAKER, abi.selector("conditionIds", "uint256")): 5,
    (MAKER, abi.selector("fee")): FEE,
}
_BASE_GAS = 150_000
_NO_MONEY = "insufficient funds for gas * price + value: balance 0, tx cost 5, overshot 5"


@frozen
class Manner:
    """What a node may do with what it is sent, besides what it should."""

    takes: bool
    says: str | tuple[int, str] | None
    """A result, or the code and the words of an error; None for nothing at all."""


MANNERS = {
    "takes and is silent": Manner(True, None),
    "is silent": Manner(False, None),
    "takes and says a word": Manner(True, (-32000, "the moon is full")),
    "takes and says it is full": Manner(True, (-32000, "txpool is full")),
    "takes and says another stands there": Manner(True, (-32000, "replacement transaction underpriced")),
    "takes and lost another one": Manner(True, (-32603, f"a: {_NO_MONEY}; b: connection reset by peer")),
    "says it is busy": Manner(False, (429, "rate limit exceeded")),
    "is full": Manner(False, (-32000, "txpool is full")),
    "says the nonce is low": Manner(False, (-32000, "nonce too low")),
    "says another stands there": Manner(False, (-32000, "replacement transaction underpriced")),
    "says there is no money": Manner(False, (-32000, _NO_MONEY)),
    "names another hash": Manner(False, "0x" + "ab" * 32),
}


@define(eq=False)
class PoolNode(DevNode):
    mined: MinedChain = field(kw_only=True)
    pool: dict[tuple[Address, int], Tx] = field(factory=dict)
    manner: str = ""
    """How it answers what it is sent, one of `MANNERS`; empty for as it should."""
    late_receipts: int = 0
    """Of so many of its newest blocks it has written no receipts down."""
    old_receipts: bool = False
    """Whether it tells of what a reorg took back as if it still stood, where that is nowhere else."""
    no_state: bool = False
    """Whether it has the state of its newest block alone."""
    poor: bool = False
    """Whether it believes that nobody has coin for gas."""

    def stand_still(self) -> None:
        """Stay with the chain as it is now, whatever is mined, or taken back, from here on."""
        kept = DevChain(self.chain.chain_id, self.chain.now)
        kept.blocks[:] = self.chain.blocks
        kept._by_hash = self.chain._by_hash
        self._shown.chain = kept

    def behave(self) -> None:
        """Do what a node should from now on."""
        self._shown.chain, self.faults.behind = self.chain, 0
        self.manner, self.late_receipts, self.old_receipts, self.no_state, self.poor = "", 0, False, False, False

    def _block_mined(self, block: DevBlock) -> None:
        if self._shown.chain is self.chain:
            super()._block_mined(block)

    def _block_removed(self, block: DevBlock) -> None:
        if self._shown.chain is self.chain:
            super()._block_removed(block)

    def _at(self, number: int) -> State:
        return self.mined.state[self._shown.chain.blocks[number].ref.hash]

    def forget(self) -> None:
        self.pool.clear()

    def _result(self, client: Any, method: str, params: Sequence[Any]) -> object:
        match method:
            case "eth_sendRawTransaction":
                return self._send(Tx.of(bytes.fromhex(params[0][2:])))
            case "eth_getTransactionCount":
                return hex(self._count(Address(params[0]), params[1]))
            case "eth_getTransactionReceipt":
                return self._receipt(Hash32(params[0]))
            case "eth_getTransactionByHash":
                return self._transaction(Hash32(params[0]))
            case "eth_estimateGas":
                self._try(params[0])
                return hex(_BASE_GAS * self.mined.gas_factor // 100)
            case "eth_call":
                return self._call(params)
            case "eth_feeHistory":
                return {"baseFeePerGas": [hex(self.mined.base_fee)] * 21, "reward": [[hex(_FLOOR)]] * 20}
            case "eth_getBalance":
                return hex(0 if self.poor else 10**21)
            case "eth_getBlockByNumber":
                block = self._shown.by_number(params[0])
                if block is not None and len(params) > 1 and params[1]:
                    sent = [one.tx for one in self.mined.mined.get(block.hash, ()) if one.tx.signed is not None]
                    return {**self._written(block), "transactions": [shown(tx) for tx in sent]}  # type: ignore[dict-item]
                return self._written(block)
            case _:
                return super()._result(client, method, params)

    # ---------------------------------------------------------------------------------------------------- sending

    def _send(self, tx: Tx) -> str:
        manner = MANNERS.get(self.manner)
        if manner is None:
            return self._honestly(tx)
        if manner.takes:
            self._honestly(tx)
        if manner.says is None:
            raise Unanswered
        if isinstance(manner.says, str):
            return manner.says
        code, words = manner.says
        raise Refused(words, code)

    def _honestly(self, tx: Tx) -> str:
        signed = tx.signed
        assert signed is not None
        used = self.state.nonces.get(tx.sender, 0)
        there = self.pool.get((tx.sender, signed.nonce))
        if there is not None and there.hash == tx.hash:
            raise Refused("already known", -32000)
        if signed.nonce < used:
            raise Refused(f"nonce too low: next nonce {used}, tx nonce {signed.nonce}", -32000)
        if self.poor:
            raise Refused(_NO_MONEY, -32000)
        if signed.tip < _FLOOR:
            raise Refused(f"transaction underpriced: gas tip cap {signed.tip}, minimum needed {_FLOOR}", -32000)
        if signed.max_fee < self.mined.base_fee:
            words = f"maxFeePerGas: {signed.max_fee}, baseFee: {self.mined.base_fee}"
            raise Refused(f"max fee per gas less than block base fee: {words}", -32000)
        before = None if there is None else there.signed
        if before is not None and (signed.tip * 10 < before.tip * 11 or signed.max_fee * 10 < before.max_fee * 11):
            raise Refused("replacement transaction underpriced", -32000)
        self.pool[tx.sender, signed.nonce] = tx
        self.mined.taken[tx.hash] = tx
        return tx.hash

    def gossip(self, tx: Tx) -> None:
        """Hear of a transaction from another node."""
        with suppress(Refused):
            self._honestly(tx)

    # ----------------------------------------------------------------------------------------------------- showing

    @property
    def height(self) -> int:
        return self._shown.head.number

    @property
    def state(self) -> State:
        return self._at(self.height)

    def _count(self, sender: Address, which: str) -> int:
        if which == "pending":
            count = self.state.nonces.get(sender, 0)
            while (sender, count) in self.pool:
                count += 1
            return count
        block = self._shown.by_number(which)
        if block is None or (self.no_state and not (which == "latest" or block.number == self.height)):
            if which != "finalized":
                raise Refused("missing trie node 5d4c (path ) state is not available", -32000)
            assert block is not None
        return self._at(block.number).nonces.get(sender, 0)

    def _where(self, tx_hash: Hash32) -> tuple[Any, Mined] | None:
        for block in self._shown.chain.blocks[: self.height + 1]:
            for one in self.mined.mined.get(block.ref.hash, ()):
                if one.tx.hash == tx_hash:
                    return block.ref, one
        return None

    def _receipt(self, tx_hash: Hash32) -> object:
        found = self._where(tx_hash)
        if found is None and self.old_receipts:
            found = next(
                (
                    (self.chain._by_hash[block_hash].ref, one)
                    for block_hash, some in self.mined.mined.items()
                    for one in some
                    if one.tx.hash == tx_hash
                ),
                None,
            )
        if found is None or found[0].number > self.height - self.late_receipts:
            return None
        block, one = found
        logs = [log_object(log) for log in self.chain._by_hash[block.hash].logs if log.tx_hash == tx_hash]
        names = [] if one.log is None else [one.log.address, *one.log.topics]
        return {
            "transactionHash": tx_hash, "blockNumber": hex(block.number), "blockHash": block.hash,
            "status": hex(one.succeeded), "gasUsed": hex(one.gas), "effectiveGasPrice": hex(one.price),
            "logs": logs, "logsBloom": f"0x{bloom_over(names):0512x}",
        }  # fmt: skip

    def _transaction(self, tx_hash: Hash32) -> object:
        waits = next((tx for tx in self.pool.values() if tx.hash == tx_hash), None)
        found = self._where(tx_hash)
        tx = waits if found is None else found[1].tx
        return None if tx is None or tx.signed is None else shown(tx)

    def let_go(self) -> None:
        """Let go of what can be mined no more."""
        for sender, nonce in list(self.pool):
            if nonce < self.state.nonces.get(sender, 0):
                del self.pool[sender, nonce]

    # ----------------------------------------------------------------------------------------------------- calling

    def _try(self, asked: dict[str, str]) -> None:
        if self.poor:
            raise Refused("insufficient funds for gas * price + value: address 0x1 have 0 want 5", -32000)
        call = Call(to=Address(asked["to"]), data=bytes.fromhex(asked["data"][2:]))
        if not call.data:
            return
        try:
            self.mined.carried(self.state.copy(), Address(asked["from"]), call)
        except Reverted as error:
            raise Refused(f"execution reverted: {error}", 3) from None
        if "gas" in asked and int(asked["gas"], 16) < _BASE_GAS * self.mined.gas_factor // 100:
            raise Refused("out of gas", -32000)

    def _call(self, params: Sequence[Any]) -> str:
        asked = params[0]
        if len(params) > 2:
            return self._probed(Address(asked["to"]), bytes.fromhex(params[2][asked["to"]]["code"][2:]))
        to, data = Address(asked["to"]), bytes.fromhex(asked["data"][2:])
        if (to, data[:4]) in _ANSWERS:
            return f"0x{_ANSWERS[to, data[:4]]:064x}"
        if to == CTF and data[:4] == _BALANCES:
            block = self._shown.by_number(params[1])
            if block is None:
                raise Refused("header not found", -32000)
            words = [32, 2, *self._at(block.number).pool]
            return "0x" + b"".join(word.to_bytes(32) for word in words).hex()
        if "from" not in asked:
            raise Refused("execution reverted", 3)
        if "gas" in asked and params[1] == "latest":
            self._try(asked)
            return "0x"
        block = self._shown.by_number(params[1])
        if block is None or self.no_state:
            raise Refused("missing trie node", -32000)
        try:
            self.mined.carried(self._at(block.number).copy(), Address(asked["from"]), Call(to=to, data=data))
        except Reverted as error:
            raise Refused(f"execution reverted: {error}", 3) from None
        return "0x"

    def _probed(self, wallet: Address, code: bytes) -> str:
        for selector in (abi.selector("buy", *["uint256"] * 3), abi.selector("sell", *["uint256"] * 3)):
            at = code.rfind(selector)
            if at >= 0:
                try:
                    self.state.copy().trade(wallet, code[at : at + 100])
                except Reverted as error:
                    raise Refused(f"execution reverted: {error}", 3) from None
        return "0x"


def shown(tx: Tx) -> dict[str, object]:
    """Return a transaction as nodes show it."""
    signed = tx.signed
    assert signed is not None
    odd, r, s = _signature(tx.raw)
    return {
        "hash": tx.hash, "from": tx.sender, "type": "0x2", "accessList": [], "chainId": hex(signed.chain_id),
        "nonce": hex(signed.nonce), "maxPriorityFeePerGas": hex(signed.tip), "maxFeePerGas": hex(signed.max_fee),
        "gas": hex(signed.gas), "to": signed.to, "value": hex(signed.value), "input": "0x" + signed.data.hex(),
        "yParity": hex(odd), "r": hex(r), "s": hex(s),
    }  # fmt: skip


def _signature(raw: bytes) -> tuple[int, int, int]:
    """Read the last three items of a signed transaction, whose halves may begin with zeros."""
    for length_s in range(32, 0, -1):
        for length_r in range(32, 0, -1):
            at_s = len(raw) - length_s - 1
            at_r = at_s - length_r - 1
            if raw[at_s] == 0x80 + length_s and raw[at_r] == 0x80 + length_r and raw[at_r - 1] in (0x80, 1):
                r, s = raw[at_r + 1 : at_s], raw[at_s + 1 :]
                return raw[at_r - 1] & 1, int.from_bytes(r), int.from_bytes(s)
    raise ValueError("expected a signature")
