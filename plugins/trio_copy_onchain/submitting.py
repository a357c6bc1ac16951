"""The way of an order to the chain: who carries it, an estimate, the guard's release, a nonce, and the wait for a block."""

from collections.abc import Sequence

import trio
from attrs import define, evolve, field

from trio_copy.errors import ChainError, ExecutorError, OrderNotSent, OrderUncertain
from trio_copy.model.fills import Side
from trio_copy.model.orders import ExecutionReport, Order, Status
from trio_copy.ports import Signer, Spending
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.causes import body_of, cause_of, kind_of
from trio_copy_onchain.fleet.coin import Coin
from trio_copy_onchain.holdings.lacking import taken_by
from trio_copy_onchain.looking import Looking
from trio_copy_onchain.margins import Margins
from trio_copy_onchain.markets import Markets, Terms
from trio_copy_onchain.operators import Operators
from trio_copy_onchain.outcomes import ended
from trio_copy_onchain.placing import Body, swap_again
from trio_copy_onchain.sending.known_gas import KnownGas
from trio_copy_onchain.sending.operator import NoCoin, Operator, Unfit
from trio_copy_onchain.sending.trying import Like, Refusal, with_gas
from trio_copy_onchain.tx.reverts import Lacks
from trio_copy_onchain.tx.sendings import Fate
from trio_copy_onchain.wallets.kinds import WalletContracts


@define(eq=False, kw_only=True)
class Submitting:
    chain: Chain
    markets: Markets
    operators: Operators
    looking: Looking
    contracts: WalletContracts
    margins: Margins
    max_gas: int
    coin: Coin
    _known_gas: KnownGas = field(factory=KnownGas)

    async def submit(self, order: Order, until: float) -> ExecutionReport:
        """Send an order, and wait for its block; see `ports.Executor.submit`."""
        try:
            return await self._submit(order, until)
        except OrderUncertain:
            raise
        except ExecutorError as error:
            if isinstance(error, OrderNotSent) and not self._may_be_there(order):
                raise
            raise OrderUncertain(str(error)) from error

    def _may_be_there(self, order: Order) -> bool:
        """Tell whether something of an order may be at a node, sent by this process or by an earlier one."""
        holder = self.operators.holder(order.key)
        one = None if holder is None else holder[0].binding(order.key)
        return one is not None and not one.unsent and (one.end is None or one.end.fate is Fate.LANDED)

    async def _submit(self, order: Order, until: float) -> ExecutionReport:
        terms = await self.markets.terms(order.token_id, until)
        among = self.operators.of(order.wallet)
        while True:
            operator, signer = await self._picked(order, among, until)
            try:
                return await self._send(order, terms, operator, signer, until)
            except NoCoin:
                # It is paused by now. Nothing was signed, so that another one may carry it.
                if len(among) == 1 or self.operators.holder(order.key) is not None:
                    raise

    async def _picked(
        self, order: Order, among: Sequence[tuple[Operator, Signer]], until: float
    ) -> tuple[Operator, Signer]:
        """Wait until somebody may carry an order. Raises `OrderNotSent` where nobody can, or not in time."""
        await self.coin.look([operator for operator, _ in among], until)
        is_exit = order.side is Side.SELL
        while (picked := self.operators.pick(order.key, among, is_exit=is_exit)) is None:
            with trio.move_on_at(until):
                await self.operators.wait_room(among)
            if trio.current_time() >= until:
                raise OrderNotSent("every operator has as much on its way as it may")
        return picked

    async def _send(
        self, order: Order, terms: Terms, operator: Operator, signer: Signer, until: float
    ) -> ExecutionReport:
        """Send an order by an operator. Raises `NoCoin` where that one cannot pay for it, and nothing was signed."""
        body, kind = body_of(order), kind_of(order.wallet, self.contracts)
        binding = operator.binding(order.key)
        if binding is not None and binding.end is not None:
            if binding.end.fate is Fate.LANDED:
                return await self._wait(order, operator, until)
            binding = None  # its nonce is another's for good: it begins anew
        cause = cause_of(self.chain.chain_id, order, body, terms, kind, operator, signer, binding)
        with operator.expecting(order.key):
            if binding is None:
                answer = await with_gas(
                    cause,
                    body.calls,
                    kind,
                    operator,
                    until,
                    margin_bps=self.margins.of(order.token_id),
                    max_gas=self.max_gas,
                    like=Like(self._known_gas, (order.token_id, order.side, type(kind), len(body.calls))),
                )
                if isinstance(answer, Refusal):
                    if answer.lacks is Lacks.NOTHING and not answer.killed:
                        answer = await self._explained(order, body, terms, answer, until)
                    return _refused(order, answer)
                cause = answer
                await self.coin.expect(operator, cause, until)
                assert isinstance(cause.purpose, Spending)
                await signer.release(cause.purpose, cause.released)
            try:
                await operator.send(cause, until)
            except Unfit as error:
                return ended(order, Status.REJECTED, str(error))
            finally:
                self.operators.wake()
        return await self._wait(order, operator, until)

    async def _explained(self, order: Order, body: Body, terms: Terms, refusal: Refusal, until: float) -> Refusal:
        """Say what the wallet lacks, which the words of a refusal do not tell; the same words where nobody knows."""
        try:
            swap = swap_again(order, body, terms.decimals)
            taken = taken_by(terms.venue, swap, terms.collateral, approves=len(body.calls) > 1)
            lacks = taken.lacks(await self.chain.read_each(taken.reads, until))
        except (ChainError, ValueError):
            return refusal
        if lacks is Lacks.NOTHING:
            return refusal
        return evolve(refusal, words=f"{refusal.words}: the wallet lacks {lacks.value}", lacks=lacks)

    async def _wait(self, order: Order, operator: Operator, until: float) -> ExecutionReport:
        """Wait until the chain tells what became of an order, as long as the caller does."""
        while trio.current_time() < until:
            news = operator.line.news_of(order.key)  # taken now: a question within the report may take a while
            report = await self.looking.report(order, operator, until)
            if report is not None:
                return report
            with trio.move_on_at(until):
                await news.wait()
        return ended(order, Status.UNKNOWN)


def _refused(order: Order, refusal: Refusal) -> ExecutionReport:
    lacks = refusal.lacks in (Lacks.APPROVAL, Lacks.EITHER, Lacks.BOTH) and not refusal.killed
    advice = f"; `trio-copy wallet approve {order.wallet.name}` lets it" if lacks else ""
    return ended(order, Status.KILLED if refusal.killed else Status.REJECTED, refusal.words + advice)
