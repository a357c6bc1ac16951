"""What became of an order: by its nonce, by the receipt of whichever of its transactions was mined, and never by silence."""

from collections.abc import Sequence

import trio
from attrs import define, field

from trio_copy.errors import ChainError, ExecutorError, OrderNotSent
from trio_copy.model.ids import IntentKey
from trio_copy.model.orders import ExecutionReport, Order, Settlement, Status
from trio_copy.records import write_plain
from trio_copy.transactions.transaction import read_signed
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.causes import body_of, cause_of, kind_of
from trio_copy_onchain.margins import Margins
from trio_copy_onchain.markets import Markets
from trio_copy_onchain.operators import Operators, told_name
from trio_copy_onchain.outcomes import ended, failed, filled, off_chain, plain_told, told_of, undone
from trio_copy_onchain.rebuilding import rebuild
from trio_copy_onchain.sending.operator import Operator
from trio_copy_onchain.tx.receipts import Receipt
from trio_copy_onchain.tx.sendings import Binding, Fate
from trio_copy_onchain.wallets.kinds import WalletContracts

_SEEK_EVERY_S = 5.0
"""A search reads the logs of all blocks since the order."""
_UNTOLD_S = 60.0
"""So long it is asked again why something was refused within its block: nodes forget what they would replay it on."""


@define(eq=False, kw_only=True)
class Looking:
    chain: Chain
    markets: Markets
    operators: Operators
    contracts: WalletContracts
    margins: Margins
    _sought_at: dict[IntentKey, float] = field(factory=dict)
    """When the chain was searched last for a key that is older than its journal."""
    _untold_since: dict[IntentKey, float] = field(factory=dict)
    """Since when no node says why a key was refused within its block."""

    async def find(self, order: Order, until: float) -> ExecutionReport | None:
        """Look an order up, see `ports.Executor.find`; who has it goes on with it. Raises `ExecutorError`."""
        try:
            among = self.operators.of(order.wallet)
        except OrderNotSent as error:
            if self.operators.holder(order.key) is None:
                raise ExecutorError(str(error)) from None
            among = ()  # nobody may send for it any more; what has left is followed
        bound = self.operators.holder(order.key, among)
        if bound is None:
            return await self._unbound(order, [operator for operator, _ in among], until)
        operator, signer = bound
        binding = operator.binding(order.key)
        if binding is not None and binding.end is None and not operator.signing.is_explained(order.key):
            terms = await self.markets.terms(order.token_id, until)
            kind = kind_of(order.wallet, self.contracts)
            operator.signing.explain(
                cause_of(self.chain.chain_id, order, body_of(order), terms, kind, operator, signer, binding)
            )
        return await self.report(order, operator, until)

    async def _unbound(self, order: Order, operators: Sequence[Operator], until: float) -> ExecutionReport | None:
        """Say what is known of a key that no operator has: that it never left, where the journal is as old as the order."""
        body = body_of(order)
        if not self.operators.is_older(order.key):
            await trio.lowlevel.checkpoint()
            return ended(order, Status.ABSENT, "no transaction of it was ever made")
        if trio.current_time() < self._sought_at.get(order.key, -_SEEK_EVERY_S) + _SEEK_EVERY_S:
            await trio.lowlevel.checkpoint()
            return None
        self._sought_at[order.key] = trio.current_time()
        terms = await self.markets.terms(order.token_id, until)
        try:
            operator = await rebuild(self.chain, operators, order.key, body, terms, until)
        except ChainError as error:
            raise ExecutorError(f"the chain was not searched for order {order.order_id}: {error}") from None
        if operator is None:
            return None
        del self._sought_at[order.key]
        self.operators.wake()
        return await self.report(order, operator, until)

    async def report(self, order: Order, operator: Operator, until: float) -> ExecutionReport | None:
        """Say what the chain shows of a key that has a nonce; None where that is nothing yet. Raises `ExecutorError`."""
        binding = operator.binding(order.key)
        if binding is None:
            return None
        told = _told(order, operator)
        end = binding.end
        if binding.unsent and end is None:
            # Asked for again, it has the same nonce and bytes, or none; what a node has after all is told to a person.
            return ended(order, Status.ABSENT, "nothing of it is anywhere")
        if end is None:
            return await self._provisional(order, operator, binding, told, until)
        if end.fate is not Fate.LANDED:
            if told is not None:
                return undone(told)
            return ended(order, Status.ABSENT, f"{end.fate.value}: {end.hash}")
        receipt = await operator.receipt(end.hash, until)
        if receipt is None:
            return None
        return await self._of_receipt(order, binding, receipt, told, until)

    async def _provisional(
        self, order: Order, operator: Operator, binding: Binding, told: ExecutionReport | None, until: float
    ) -> ExecutionReport | None:
        mined = binding.mined
        receipt = None if mined is None else operator.receipts.get(mined.hash)
        sending = None if mined is None else binding.sending(mined.hash)
        if receipt is None or sending is None or sending.cancels or not receipt.succeeded:
            # Refused in a block, or replaced by what does nothing: a reorg may still let it happen.
            return None if told is None else off_chain(told)
        report = await self._read(order, receipt, Settlement.MINED, until)
        journal, name, body = operator.written.journal, told_name(order.key), write_plain(plain_told(report))
        if journal.documents().get(name) != body:  # it is looked at with every block until it is final
            journal.put(name, body)
        return report

    async def _of_receipt(
        self, order: Order, binding: Binding, receipt: Receipt, told: ExecutionReport | None, until: float
    ) -> ExecutionReport | None:
        if receipt.succeeded:
            return await self._read(order, receipt, Settlement.FIRM, until)
        if told is not None:
            return undone(told)
        terms = await self.markets.terms(order.token_id, until)
        sending = binding.sending(receipt.tx_hash)
        assert sending is not None
        transaction, sender = read_signed(sending.raw)
        wallet = body_of(order).wallet
        failure = await self.chain.why(receipt, transaction, sender, terms.venue.words, until, wallet)
        if failure.untold and (now := trio.current_time()) < self._untold_since.setdefault(order.key, now) + _UNTOLD_S:
            return None
        self._untold_since.pop(order.key, None)
        if failure.out_of_gas:
            self.margins.note_short(order.token_id, order.key)
        return failed(order, failure)

    async def _read(self, order: Order, receipt: Receipt, settlement: Settlement, until: float) -> ExecutionReport:
        terms = await self.markets.terms(order.token_id, until)
        try:
            return filled(order, body_of(order), terms, receipt, settlement)
        except ValueError as error:
            raise ExecutorError(
                f"transaction {receipt.tx_hash} went through, and its logs cannot be read: {error}"
            ) from None


def _told(order: Order, operator: Operator) -> ExecutionReport | None:
    written = operator.written.journal.documents().get(told_name(order.key))
    if written is None:
        return None
    try:
        return told_of(order, written)
    except ValueError as error:
        raise ExecutorError(str(error)) from None
