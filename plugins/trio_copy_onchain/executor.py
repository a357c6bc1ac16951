"""The executor `onchain`, put together: venues on a chain, calls that are signed by a guarded key, transactions that land once."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import trio
from attrs import define, evolve

from trio_copy.errors import OrderNotSent, PluginError
from trio_copy.model.decisions import OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import IntentKey, OrderId, TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order, Wallet
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
    Wanted,
)
from trio_copy.transactions.relayed import POLYMARKET
from trio_copy.transactions.tips import GWEI, floor_of
from trio_copy_onchain.acting.carrying import Carrying
from trio_copy_onchain.acting.cost import Cost
from trio_copy_onchain.acting.planning import Planning
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.asking.fee_clock import FeeClock
from trio_copy_onchain.causes import kind_of, until
from trio_copy_onchain.fleet.balances import Balances
from trio_copy_onchain.fleet.coin import Coin
from trio_copy_onchain.fleet.watching import GasMoney
from trio_copy_onchain.holdings.polymarket import POLYGON, Polymarket
from trio_copy_onchain.looking import Looking
from trio_copy_onchain.margins import Margins
from trio_copy_onchain.markets import Markets, Terms
from trio_copy_onchain.operators import Operators
from trio_copy_onchain.placing import Body, calls_of, nothing_of, order_id, swap_of
from trio_copy_onchain.relayer.carrying import Carrier
from trio_copy_onchain.relayer.choosing import is_relayed, may_be_relayed
from trio_copy_onchain.relayer.opening import make_carrier
from trio_copy_onchain.sending.operator import NoCoin
from trio_copy_onchain.settings import OnchainSettings
from trio_copy_onchain.submitting import Submitting
from trio_copy_onchain.wallets.kinds import WalletContracts


@define(eq=False, kw_only=True)
class OnchainExecutor:
    context: ExecutorContext
    settings: OnchainSettings
    chain: Chain
    markets: Markets
    operators: Operators
    submitting: Submitting
    looking: Looking
    acts: Carrying
    money: GasMoney
    carrier: Carrier | None
    """Has wallets act that have no gas money; None where no relayer is configured."""
    contracts: WalletContracts
    cost: Cost

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
        return await self.markets.market(token_id, until())

    def lane(self, intent: OrderIntent, wallet: Wallet) -> tuple[str, ...]:
        # The wallets of a fleet wait for the same operators.
        return (wallet.fleet or wallet.follower, wallet.follower, str(intent.token_id))

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
        terms, kind = market.terms, kind_of(wallet, self.contracts)
        assert isinstance(terms, Terms)
        latest = intent.leader_time + self.settings.mine_within_s
        swap = swap_of(intent, kind.address, terms, until=latest, room_bps=self.settings.sale_room_bps)
        if isinstance(swap, Reason):
            return swap
        try:
            calls = calls_of(terms, swap, approves=kind.approves)
        except ValueError as error:
            return nothing_of(error)
        return Body(wallet=kind.address, calls=calls, until=latest, since=intent.leader_time)

    async def submit(self, order: Order) -> ExecutionReport:
        return await self.submitting.submit(order, until())

    async def find(self, order: Order) -> ExecutionReport | None:
        return await self.looking.find(order, until())

    async def act(self, act: Act) -> ActReport:
        if act.deed is Deed.REFUEL:
            return await self.money.act(act)
        carrier = self.carrier
        if carrier is None:
            return await self.acts.act(act, until())
        if not await is_relayed(act, self.operators, self.cost, until()):
            try:
                return await self.acts.act(act, until())
            except NoCoin:
                if not may_be_relayed(act) or self.operators.holder(act.key) is not None:
                    raise
        signer = self.operators.signers.of(act.wallet)
        if signer is None:
            raise OrderNotSent(f"nobody signs for the wallet {act.wallet.name}")
        return await carrier.carry(act, signer)

    async def plan(self, wallet: Wallet, deed: Deed, wanted: Wanted) -> Sequence[PlannedAct]:
        planning = Planning(
            chain=self.chain,
            settings=self.settings,
            polymarket=Polymarket() if self.context.chain_id == POLYGON else None,
            trades=wallet in self.context.wallets,
            cost=self.cost,
            until=until(),
        )
        return await planning.plan(wallet, deed, wanted)


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
    fees = FeeClock(
        chain=chain,
        percentile=settings.fee_percentile,
        floor=floor_of(context.chain_id),
        cap=settings.max_fee_gwei * GWEI,
    )
    balances, contracts = Balances(), WalletContracts(multi_send=settings.multi_send)
    operators = Operators(
        chain=chain,
        fees=fees,
        balances=balances,
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
    markets, margins = Markets(chain, settings), Margins(settings.gas_margin_bps)
    looking = Looking(chain=chain, markets=markets, operators=operators, contracts=contracts, margins=margins)
    coin = Coin(chain=chain, balances=balances)
    acts = Carrying(
        chain=chain, operators=operators, settings=settings, contracts=contracts, wall=context.wall, coin=coin
    )
    executor = OnchainExecutor(
        context=context,
        settings=settings,
        chain=chain,
        markets=markets,
        operators=operators,
        submitting=Submitting(
            chain=chain,
            markets=markets,
            operators=operators,
            looking=looking,
            contracts=contracts,
            margins=margins,
            max_gas=settings.max_gas,
            coin=coin,
        ),
        looking=looking,
        acts=acts,
        money=GasMoney(
            chain=chain,
            fees=fees,
            fleets=context.fleets,
            wall=context.wall,
            balances=balances,
            send=lambda act: acts.act(act, until()),
            on_trouble=context.on_trouble,
        ),
        carrier=make_carrier(context, settings.relayer, evolve(POLYMARKET, multi_send=settings.multi_send)),
        contracts=contracts,
        cost=Cost(chain=chain, fees=fees, settings=settings, contracts=contracts),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(operators.run_looks)
        nursery.start_soon(executor.money.run_refuels)
        yield executor
        nursery.cancel_scope.cancel()
