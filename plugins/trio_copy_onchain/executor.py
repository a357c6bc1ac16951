"""The executor `onchain`, put together: venues on a chain, calls that are signed by a guarded key, transactions that land once."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import trio
from attrs import define, evolve, field

from trio_copy.errors import ExecutorError, OrderNotSent, OrderUncertain, PluginError
from trio_copy.model.decisions import OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import Hash32, IntentKey, OrderId, TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order, Settlement, Status, Wallet
from trio_copy.model.units import NO_SHARES, NO_USD
from trio_copy.native import require_native
from trio_copy.ports import (
    Act,
    ActReport,
    Deed,
    Executor,
    ExecutorContext,
    Journal,
    PlannedAct,
    Signer,
    Spending,
    Wanted,
)
from trio_copy.records import write_plain
from trio_copy.transactions.calls import Call, call_digest
from trio_copy.transactions.relayed import POLYMARKET
from trio_copy.transactions.tips import GWEI, floor_of
from trio_copy.transactions.transaction import read_signed
from trio_copy_onchain.acting.carrying import Carrying
from trio_copy_onchain.acting.cost import Cost
from trio_copy_onchain.acting.planning import Planning
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.asking.fee_clock import FeeClock
from trio_copy_onchain.fleet.watching import GasMoney
from trio_copy_onchain.holdings.polymarket import POLYGON, Polymarket
from trio_copy_onchain.markets import Markets, Terms
from trio_copy_onchain.onchain import OnchainSettings
from trio_copy_onchain.operators import Operators, told_name
from trio_copy_onchain.outcomes import ended, failed, filled, off_chain, plain_told, told_of, undone
from trio_copy_onchain.placing import Body, calls_of, nothing_of, order_id, swap_of
from trio_copy_onchain.rebuilding import rebuild
from trio_copy_onchain.relayer.carrying import Carrier
from trio_copy_onchain.relayer.choosing import is_relayed
from trio_copy_onchain.relayer.opening import make_carrier
from trio_copy_onchain.sending.cause import Cause
from trio_copy_onchain.sending.operator import Operator, Unfit
from trio_copy_onchain.sending.trying import tried
from trio_copy_onchain.tx.answers import Before, gas_limit
from trio_copy_onchain.tx.receipts import Receipt
from trio_copy_onchain.tx.reverts import Lacks
from trio_copy_onchain.tx.sendings import Binding, Fate
from trio_copy_onchain.wallets.kinds import WalletContracts, of_wallet
from trio_copy_onchain.wallets.seam import WalletKind

_MARGIN_S = 0.05
"""So long before its caller gives up, an order is left to be looked up: what is told then is known, and not cut off."""
_MARGIN_BPS, _MOST_MARGIN_BPS = 1_000, 20_000
"""The least margin that is doubled, and the greatest, for calls that took more gas than was estimated."""


@define(eq=False, kw_only=True)
class OnchainExecutor:
    context: ExecutorContext
    settings: OnchainSettings
    chain: Chain
    markets: Markets
    operators: Operators
    contracts: WalletContracts
    carrier: Carrier | None
    """Has wallets act that have no gas money; None where no relayer is configured."""
    money: GasMoney = field(init=False)
    _terms: dict[TokenId, Terms] = field(factory=dict)
    _short_of_gas: dict[TokenId, set[IntentKey]] = field(factory=dict)
    """What took more gas in its block than it had: later ones of the token get more than was estimated."""

    def __attrs_post_init__(self) -> None:
        self.money = GasMoney(
            chain=self.chain,
            fees=self.operators.fees,
            fleets=self.context.fleets,
            wall=self.context.wall,
            send=self._carry,
            on_trouble=self.context.on_trouble,
        )
        self.operators.balance = self.money.balance

    def open_journal(self, journal: Journal) -> None:
        self.operators.open_journal(journal)
        self.money.open_journal(journal)
        if self.carrier is not None:
            self.carrier.open_journal(journal)

    def close_journal(self, journal: Journal) -> None:
        self.money.close_journal(journal)
        self.operators.close_journal(journal)
        if self.carrier is not None:
            self.carrier.close_journal(journal)

    async def market(self, token_id: TokenId) -> Market:
        return await self.markets.market(token_id, self._until())

    def lane(self, intent: OrderIntent, wallet: Wallet) -> tuple[str, ...]:
        return (wallet.follower, str(intent.token_id))

    def prepare(self, key: IntentKey, intent: OrderIntent, wallet: Wallet, market: Market) -> Order:
        made = self._body(intent, wallet, market)
        shares, cost, limit = intent.shares, intent.max_cost, intent.limit_price
        refused, body, name = None, b"", OrderId(f"none-{key}")
        if isinstance(made, Reason):
            refused, shares, cost = made, NO_SHARES, NO_USD
        else:
            body, name = made.frozen(), order_id(self.context.chain_id, made, key)
        return Order(
            key=key,
            order_id=name,
            executor=self.context.name,
            wallet=wallet,
            side=intent.side,
            token_id=intent.token_id,
            shares=shares,
            limit_price=limit,
            body=body,
            fee_bps=market.fee_bps,
            max_cost=cost if intent.side is Side.BUY else NO_USD,
            refused=refused,
        )

    def _body(self, intent: OrderIntent, wallet: Wallet, market: Market) -> Body | Reason:
        terms, kind = market.terms, self._kind(wallet)
        assert isinstance(terms, Terms)
        until = intent.leader_time + self.settings.mine_within_s
        swap = swap_of(intent, kind.address, terms, until=until, room_bps=self.settings.sale_room_bps)
        if isinstance(swap, Reason):
            return swap
        try:
            calls = calls_of(terms, swap, approves=kind.approves)
        except ValueError as error:
            return nothing_of(error)
        return Body(wallet=kind.address, calls=calls, until=until, since=intent.leader_time)

    async def submit(self, order: Order) -> ExecutionReport:
        try:
            return await self._submit(order)
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

    async def _submit(self, order: Order) -> ExecutionReport:
        until = self._until()
        body, kind, terms = _body_of(order), self._kind(order.wallet), await self._terms_of(order.token_id)
        among = self.operators.of(order.wallet)
        is_exit = order.side is Side.SELL
        while (picked := self.operators.pick(order.key, among, is_exit=is_exit)) is None:
            with trio.move_on_at(until):
                await self.operators.wait_room(among)
            if trio.current_time() >= until:
                raise OrderNotSent("every operator has as much on its way as it may")
        operator, signer = picked
        binding = operator.binding(order.key)
        if binding is not None and binding.end is not None:
            if binding.end.fate is Fate.LANDED:
                return await self._wait(order, operator, until)
            binding = None  # its nonce is another's for good: it begins anew
        cause = self._cause(order, body, terms, kind, operator, signer, binding)
        with operator.expecting(order.key):
            if binding is None:
                answer = await self._try(order, body, terms, kind, operator, cause, until)
                if isinstance(answer, ExecutionReport):
                    return answer
                cause = answer
                assert isinstance(cause.purpose, Spending)
                await signer.release(cause.purpose, call_digest(self.context.chain_id, body.wallet, body.trade))
            try:
                await operator.send(cause, until)
            except Unfit as error:
                return ended(order, Status.REJECTED, str(error))
            finally:
                self.operators.wake()
        return await self._wait(order, operator, until)

    async def _try(
        self,
        order: Order,
        body: Body,
        terms: Terms,
        kind: WalletKind,
        operator: Operator,
        cause: Cause,
        until: float,
    ) -> Cause | ExecutionReport:
        """Estimate a call before it has a nonce: what is refused now needs none."""
        estimate = await tried(self.chain, cause.call, body.calls, kind, operator.address, terms.venue.words, until)
        match estimate.before:
            case Before.KILLED:
                return ended(order, Status.KILLED, estimate.words)
            case Before.REJECTED:
                lacks = estimate.lacks in (Lacks.APPROVAL, Lacks.EITHER)
                advice = f"; see `trio-copy wallet approve {order.wallet.name}`" if lacks else ""
                return ended(order, Status.REJECTED, estimate.words + advice)
            case Before.NO_FUNDS:
                operator.paused_until = trio.current_time() + 60.0
                self.context.on_trouble("no-gas-money", f"operator {operator.address} has no coin for gas")
                raise OrderNotSent(f"operator {operator.address} cannot pay for gas: {estimate.words}")
            case Before.UNKNOWN:
                raise OrderNotSent(f"no node says whether it would go through: {estimate.words}")
        gas = gas_limit(estimate.gas, margin_bps=self._margin_bps(order.token_id), most=self.settings.max_gas)
        if gas is None:
            return ended(order, Status.REJECTED, f"it takes {estimate.gas} gas, and max_gas is {self.settings.max_gas}")
        return Cause(
            key=cause.key,
            signer=cause.signer,
            purpose=cause.purpose,
            call=cause.call,
            gas=gas,
            until=cause.until,
            prices=cause.prices,
        )

    async def _wait(self, order: Order, operator: Operator, until: float) -> ExecutionReport:
        """Wait until the chain tells what became of an order, as long as the caller does."""
        while trio.current_time() < until:
            report = await self._report(order, operator, until)
            if report is not None:
                return report
            with trio.move_on_at(until):
                await operator.wait_changed()
        return ended(order, Status.UNKNOWN)

    async def act(self, act: Act) -> ActReport:
        if act.deed is Deed.REFUEL:
            return await self.money.act(act)
        if self.carrier is not None and await is_relayed(act, self.operators, self.chain, self._until()):
            signer = self.operators.signers.of(act.wallet)
            if signer is None:
                raise OrderNotSent(f"nobody signs for the wallet {act.wallet.name}")
            return await self.carrier.carry(act, signer)
        return await self._carry(act)

    async def _carry(self, act: Act) -> ActReport:
        """Have an act done by an operator's own transaction."""
        carrying = Carrying(
            chain=self.chain,
            operators=self.operators,
            settings=self.settings,
            contracts=self.contracts,
            wall=self.context.wall,
        )
        return await carrying.act(act, self._until())

    async def plan(self, wallet: Wallet, deed: Deed, wanted: Wanted) -> Sequence[PlannedAct]:
        planning = Planning(
            chain=self.chain,
            settings=self.settings,
            polymarket=Polymarket() if self.context.chain_id == POLYGON else None,
            trades=wallet in self.context.wallets,
            cost=Cost(chain=self.chain, fees=self.operators.fees, settings=self.settings, contracts=self.contracts),
            until=self._until(),
        )
        return await planning.plan(wallet, deed, wanted)

    async def find(self, order: Order) -> ExecutionReport | None:
        until = self._until()
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
        if binding is not None and binding.end is None:
            terms = await self._terms_of(order.token_id)
            body = _body_of(order)
            operator.explain(self._cause(order, body, terms, self._kind(order.wallet), operator, signer, binding))
        return await self._report(order, operator, until)

    async def _unbound(self, order: Order, operators: Sequence[Operator], until: float) -> ExecutionReport | None:
        """Say what is known of a key that no operator has: that it never left, where the journal is as old as the order."""
        body = _body_of(order)
        if not self.operators.is_older(order.key):
            await trio.lowlevel.checkpoint()
            return ended(order, Status.ABSENT, "no transaction of it was ever made")
        terms = await self._terms_of(order.token_id)
        operator = await rebuild(self.chain, operators, order.key, body, terms, until)
        if operator is None:
            return None
        self.operators.wake()
        return await self._report(order, operator, until)

    async def _report(self, order: Order, operator: Operator, until: float) -> ExecutionReport | None:
        """Say what the chain shows of a key that has a nonce; None where that is nothing yet."""
        binding = operator.binding(order.key)
        if binding is None:
            return None
        told = self._told(order, operator)
        end = binding.end
        if binding.unsent and end is None:
            # Asked for again, it has the same nonce and bytes, or none; what a node has after all is told to a person.
            return ended(order, Status.ABSENT, "nothing of it is anywhere")
        if end is None:
            return await self._provisional(order, operator, binding, told)
        if end.fate is not Fate.LANDED:
            if told is not None:
                return undone(told)
            return ended(order, Status.ABSENT, f"{end.fate.value}: {end.hash}")
        receipt = operator.receipts.get(end.hash) or await self._receipt(operator, end.hash, until)
        if receipt is None:
            return None
        return await self._of_receipt(order, operator, binding, receipt, told, until)

    async def _provisional(
        self, order: Order, operator: Operator, binding: Binding, told: ExecutionReport | None
    ) -> ExecutionReport | None:
        mined = binding.mined
        receipt = None if mined is None else operator.receipts.get(mined.hash)
        sending = None if mined is None else binding.sending(mined.hash)
        if receipt is None or sending is None or sending.cancels or not receipt.succeeded:
            # Refused in a block, or replaced by what does nothing: a reorg may still let it happen.
            return None if told is None else off_chain(told)
        report = await self._read(order, receipt, Settlement.MINED)
        operator.written.journal.put(told_name(order.key), write_plain(plain_told(report)))
        return report

    async def _of_receipt(
        self,
        order: Order,
        operator: Operator,
        binding: Binding,
        receipt: Receipt,
        told: ExecutionReport | None,
        until: float,
    ) -> ExecutionReport:
        if receipt.succeeded:
            return await self._read(order, receipt, Settlement.FIRM)
        if told is not None:
            return undone(told)
        terms = await self._terms_of(order.token_id)
        sending = binding.sending(receipt.tx_hash)
        assert sending is not None
        transaction, sender = read_signed(sending.raw)
        wallet = _body_of(order).wallet
        failure = await self.chain.why(receipt, transaction, sender, terms.venue.words, until, wallet)
        if failure.out_of_gas:
            self._short_of_gas.setdefault(order.token_id, set()).add(order.key)
        return failed(order, failure)

    async def _read(self, order: Order, receipt: Receipt, settlement: Settlement) -> ExecutionReport:
        terms = await self._terms_of(order.token_id)
        try:
            return filled(order, _body_of(order), terms, receipt, settlement)
        except ValueError as error:
            raise ExecutorError(
                f"transaction {receipt.tx_hash} went through, and its logs cannot be read: {error}"
            ) from None

    async def _receipt(self, operator: Operator, tx_hash: Hash32, until: float) -> Receipt | None:
        found = await self.chain.receipts([tx_hash], until)
        receipt = found.get(tx_hash)
        if receipt is not None:
            operator.receipts[receipt.tx_hash] = receipt
        return receipt

    def _told(self, order: Order, operator: Operator) -> ExecutionReport | None:
        written = operator.written.journal.documents().get(told_name(order.key))
        if written is None:
            return None
        try:
            return told_of(order, written)
        except ValueError as error:
            raise ExecutorError(str(error)) from None

    def _cause(
        self,
        order: Order,
        body: Body,
        terms: Terms,
        kind: WalletKind,
        operator: Operator,
        signer: Signer,
        binding: Binding | None = None,
    ) -> Cause:
        """Say why an order's transactions are signed; of one that has a nonce, with the gas that it has."""
        call, gas = kind.outer(body.calls, operator.address, order.key), 0
        if binding is not None and binding.end is None:
            first = next((one for one in binding.sendings if not one.cancels), None)
            if first is not None:
                transaction, _ = read_signed(first.raw)
                call, gas = Call(to=transaction.to, data=transaction.data, value=transaction.value), transaction.gas
        spending = Spending(
            key=order.key,
            side=order.side,
            token_id=order.token_id,
            limit_price=order.limit_price,
            max_cost=order.max_cost,
            chain_id=self.context.chain_id,
            contract=body.trade.to,
            maker=body.wallet,
            at=body.since,
        )
        return Cause(
            key=order.key,
            signer=signer,
            purpose=spending,
            call=call,
            gas=gas,
            until=body.until,
            prices=terms.venue.words,
        )

    def _margin_bps(self, token_id: TokenId) -> int:
        """Return what a call may take beyond its estimate: twice as much for each that had too little."""
        margin, short = self.settings.gas_margin_bps, len(self._short_of_gas.get(token_id, ()))
        return min(max(margin, _MARGIN_BPS) << min(short, 8), _MOST_MARGIN_BPS) if short else margin

    async def _terms_of(self, token_id: TokenId) -> Terms:
        """Return what never changes of a token's venue."""
        known = self._terms.get(token_id)
        if known is None:
            terms = (await self.markets.market(token_id, self._until())).terms
            assert isinstance(terms, Terms)
            known = self._terms[token_id] = terms
        return known

    def _kind(self, wallet: Wallet) -> WalletKind:
        try:
            return of_wallet(wallet, self.contracts)
        except ValueError as error:
            raise OrderNotSent(str(error)) from None

    def _until(self) -> float:
        """Return until when there is time, by Trio's clock: a moment before whoever called gives up."""
        return min(trio.current_effective_deadline() - _MARGIN_S, trio.current_time() + 60.0)


def _body_of(order: Order) -> Body:
    try:
        return Body.of(order)
    except ValueError as error:
        raise OrderNotSent(str(error)) from None


@asynccontextmanager
async def open_executor(context: ExecutorContext) -> AsyncGenerator[Executor, None]:
    """Open the executor; what is open on the chain is looked after while it is.

    Raises:
        PluginError: what hashes and signs is not installed.
    """
    require_native()
    settings = context.settings
    assert isinstance(settings, OnchainSettings)
    if context.nodes is None or context.signers is None:
        raise PluginError(f"executor.{context.name}: expected nodes and live wallets, of which there are none")
    chain = Chain(nodes=context.nodes, chain_id=context.chain_id)
    operators = Operators(
        chain=chain,
        fees=FeeClock(
            chain=chain,
            percentile=settings.fee_percentile,
            floor=floor_of(context.chain_id),
            cap=settings.max_fee_gwei * GWEI,
        ),
        signers=context.signers,
        wall=context.wall,
        patience_s=settings.patience_s,
        poll_s=settings.poll_s,
        in_flight=settings.in_flight,
        on_trouble=context.on_trouble,
        on_news=context.on_news,
        at=context.at,
    )
    # Who refuels a fleet has sent as well, and what is still open of that is gone on with.
    operators.know((*context.wallets, *(fleet.funding for fleet in context.fleets if fleet.funding is not None)))
    executor = OnchainExecutor(
        context=context,
        settings=settings,
        chain=chain,
        markets=Markets(chain, settings),
        operators=operators,
        contracts=WalletContracts(multi_send=settings.multi_send),
        carrier=make_carrier(context, settings.relayer, evolve(POLYMARKET, multi_send=settings.multi_send)),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(operators.run)
        nursery.start_soon(executor.money.run)
        yield executor
        nursery.cancel_scope.cancel()
