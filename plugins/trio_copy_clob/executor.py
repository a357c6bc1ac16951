"""The executor `clob`, put together: terms and books of the CLOB, orders signed by a guarded key, the way there and back."""

import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from functools import cache, partial
from typing import NoReturn

import trio
from attrs import define, field

from trio_copy.errors import ExecutorError, OrderNotSent
from trio_copy.model.decisions import OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, IntentKey, OrderId, TokenId
from trio_copy.model.orders import ExecutionReport, Market, Order, Wallet
from trio_copy.model.units import NO_SHARES, NO_USD
from trio_copy.native import require_native
from trio_copy.ports import Executor, ExecutorContext
from trio_copy.ports.signing import Signer
from trio_copy_clob.orders.body import with_owner
from trio_copy_clob.orders.exchanges import CHAINS, EXCHANGES, exchange_of
from trio_copy_clob.orders.headers import Credentials, access_of, l1_headers, l2_headers
from trio_copy_clob.orders.order import Maker
from trio_copy_clob.orders.prepare import Draft, draft
from trio_copy_clob.orders.spending import frozen_spending, spending_of
from trio_copy_clob.sending.armings import Armings
from trio_copy_clob.sending.balances import asset, refresh_balance
from trio_copy_clob.sending.calling import Caller, take_time
from trio_copy_clob.sending.cancelling import Cancelling
from trio_copy_clob.sending.chain_fills import ChainFills
from trio_copy_clob.sending.credentials import ApiKey, NoKey, VenueSigner
from trio_copy_clob.sending.heartbeats import Heartbeats
from trio_copy_clob.sending.learning import Learning
from trio_copy_clob.sending.limits import limits_of_address, limits_of_reads, limits_of_signer
from trio_copy_clob.sending.looking import Looking, ReadFills
from trio_copy_clob.sending.open_orders import OpenOrders
from trio_copy_clob.sending.permissions import Region, is_closed_only, read_region, read_tier
from trio_copy_clob.sending.posting import Posting
from trio_copy_clob.sending.sent import Sendings
from trio_copy_clob.sending.skew import VenueClock
from trio_copy_clob.sending.stopping import Stopping
from trio_copy_clob.sending.stops import Stop, Stops
from trio_copy_clob.sending.user_channel import UserChannels
from trio_copy_clob.settings import ClobSettings
from trio_copy_clob.terms import TermsReader
from trio_copy_clob.transport import H11Transport
from trio_copy_clob.troubles import Troubles

_CONNECTIONS, _LEAST_WARM, _MOST_WARM = 256, 4, 128
"""An order of one lane waits for none of another, nor for what is asked meanwhile, and each finds a connection that is open: one for
each wallet, and as many as were needed at once lately, for a wallet has a lane for each token. To keep one ready costs a
handshake every half minute or so, 3 ms of processor time with TLS."""
_IDLE_S = 60.0
"""Twice as long as a warm one is kept before another takes its place: servers bear a minute or more."""
_WARM_EVERY_S = 7.0
"""So often they are looked at, for a server closes one when it likes, and an order shall find one that is good."""
_TIME_EVERY_S = 600.0
_MARGIN_S = 0.05
"""So long before its caller gives up, an order is left to be looked up: what is told then is known, and not cut off."""
_NONCE = 0
"""The same one names the same API key, after a restart as well."""


@define(eq=False, kw_only=True)
class ClobExecutor:
    context: ExecutorContext
    caller: Caller
    terms: TermsReader
    clock: VenueClock
    posting: Posting
    stopping: Stopping
    looking: Looking
    cancelling: Cancelling
    open_orders: OpenOrders
    armings: Armings = field(factory=Armings)
    _signers: dict[Address, VenueSigner] = field(factory=dict)
    """By the address of the key: several wallets may have one."""

    async def market(self, token_id: TokenId) -> Market:
        return await self.terms.market(token_id, self.until())

    async def market_for_exit(self, token_id: TokenId) -> Market:
        return await self.terms.market_for_exit(token_id, self.until())

    async def market_with_book(self, token_id: TokenId) -> Market:
        return await self.terms.market(token_id, self.until(), with_book=True)

    def prepare(self, key: IntentKey, intent: OrderIntent, wallet: Wallet, market: Market) -> Order:
        made = self._signed(key, intent, wallet, market)
        of = partial(
            Order,
            key=key,
            executor=self.context.name,
            wallet=wallet,
            side=intent.side,
            token_id=intent.token_id,
            fee_bps=market.fee_bps,
            fee_rate=market.fee_rate,
            fee_exponent=market.fee_exponent,
        )
        if isinstance(made, Reason):
            no_id = OrderId(f"none-{key}")
            return of(order_id=no_id, shares=NO_SHARES, limit_price=intent.limit_price, body=b"", refused=made)
        drafted, body = made
        return of(
            order_id=drafted.order_id,
            shares=drafted.shares,
            limit_price=drafted.limit_price,
            body=body,
            max_cost=drafted.cash if intent.side is Side.BUY else NO_USD,
        )

    def lane(self, intent: OrderIntent, wallet: Wallet) -> tuple[str, ...]:
        return (wallet.follower, str(intent.token_id))

    async def submit(self, order: Order) -> ExecutionReport:
        signer = self._signer(order.wallet)
        try:
            spending, digest = frozen_spending(order, self.context.chain_id)
        except ValueError as error:
            raise OrderNotSent(str(error)) from None
        release = partial(signer.release, spending, digest)
        known, sent_at = self._known_as(signer), trio.current_time()
        self.stopping.go_on(order.wallet, known, self._armed_at(order.wallet, signer))
        self.open_orders.put(order, known, None)  # before: what is told of it may be here before the answer
        try:
            report = await self.posting.post(order, known, self.until(), release)
        except OrderNotSent:
            self.open_orders.drop(order)
            raise
        self.open_orders.put(order, known, report, sent_at)
        return report

    async def find(self, order: Order) -> ExecutionReport | None:
        standing = self.open_orders.standing(order)
        if standing is not None:
            await trio.lowlevel.checkpoint()
            return standing
        signer, looked_at = self._known_as(self._signer(order.wallet)), trio.current_time()
        report = await self.looking.look_up(order, signer, self.until())
        self.open_orders.put(order, signer, report, looked_at)
        return report

    async def cancel(self, order: Order) -> None:
        try:
            await self.cancelling.cancel(order, self._known_as(self._signer(order.wallet)), self.until())
        finally:
            self.open_orders.touch(order)

    async def run_ready(self) -> NoReturn:
        """Keep what an order would wait for ready: connections, the venue's time, and at the start the wallets' API keys.

        And take note soon of when wallets were armed, which may let others go on too, while the wallet itself sends nothing.
        """
        least = min(max(_LEAST_WARM, len(self.context.wallets)), _MOST_WARM)
        warm = partial(self.caller.transport.warm, self.caller.url, least, _MOST_WARM)
        await warm()
        for wallet in self.context.wallets:
            await self._greet(wallet)
        asked_at = trio.current_time()
        while True:
            for wallet in self.context.wallets:
                with suppress(OrderNotSent):  # nobody signs for it
                    signer = self._signer(wallet)
                    self.stopping.go_on(wallet, self._known_as(signer), self._armed_at(wallet, signer))
            await trio.sleep(_WARM_EVERY_S)
            await warm()
            if trio.current_time() - asked_at >= _TIME_EVERY_S:
                asked_at = trio.current_time()
                await take_time(self.caller, self.clock, self.context.wall, self.until())

    async def _greet(self, wallet: Wallet) -> None:
        """Get a wallet's API key before its first order needs it, and learn what the venue lets its signer do."""
        try:
            signer = self._known_as(self._signer(wallet))
            if isinstance(await signer.key(self.until()), NoKey):
                return  # its first order tells why
            await read_tier(signer, self.until())
            if await is_closed_only(signer, self.until()):
                stops, address = self.stopping.stops, str(wallet.address)
                why = "the venue lets it leave what it holds, and nothing else"
                stopped = stops.stop(Stop.ENTRIES_OF_WALLET, address, why, now=trio.current_time())
                self.stopping.tell(stopped, wallet.name)
        except ExecutorError:
            return  # nobody answers: an order finds out what there is to know

    def _signed(
        self, key: IntentKey, intent: OrderIntent, wallet: Wallet, market: Market
    ) -> tuple[Draft, bytes] | Reason:
        """Return an order with its frozen body, or why there is none."""
        signer, chain_id = self._signer(wallet), self.context.chain_id
        maker = Maker(
            address=wallet.address or signer.address, signature_type=int(wallet.signature_type), owner=signer.address
        )
        try:
            drafted = draft(
                key, intent, maker, market, intent.leader_time, post_only=intent.post_only, chain_id=chain_id
            )
        except ValueError as error:  # no exchange that anybody knows on this chain
            raise OrderNotSent(str(error)) from None
        if isinstance(drafted, Reason):
            return drafted
        wanted = spending_of(key, drafted.order, drafted.exchange, drafted.limit_price)
        signed = signer.sign(wanted, drafted.digests.to_sign)
        return signed if isinstance(signed, Reason) else (drafted, drafted.body(signed))

    def _signer(self, wallet: Wallet) -> Signer:
        signers = self.context.signers
        signer = None if signers is None else signers.of(wallet)
        if signer is None:
            raise OrderNotSent(f"nobody signs for the wallet {wallet.name or 'of'} {wallet.follower}")
        return signer

    def _armed_at(self, wallet: Wallet, signer: Signer) -> float:
        """Return when a person armed a wallet last, by Trio's clock."""
        wall, now = self.context.wall(), trio.current_time()
        return self.armings.look(signer.address, wallet.name, signer.armed_at, wall=wall, now=now)

    def _known_as(self, signer: Signer) -> VenueSigner:
        """Return a signer as the venue knows it."""
        known = self._signers.get(signer.address)
        if known is None:
            known = self._signers[signer.address] = VenueSigner(
                address=signer.address,
                caller=self.caller,
                clock=self.clock,
                wall=self.context.wall,
                limits=limits_of_signer(),
                reads=self.terms.reads,
                level1=partial(self._level1, signer),
                level2=_level2,
                make_key=partial(_credentials, signer.address),
            )
        return known

    def _level1(self, signer: Signer, timestamp: int) -> Mapping[str, str]:
        chain_id = self.context.chain_id
        access = access_of(signer.address, timestamp, _NONCE, chain_id)

        def sign(_digest: bytes) -> bytes:
            signed = signer.sign_access(access)  # who guards a key works the digest out by himself
            if isinstance(signed, Reason):
                raise OrderNotSent(f"no API key: {signed.control}: {signed.value}; {signed.limit}")
            return signed

        return l1_headers(signer.address, sign, timestamp, _NONCE, chain_id)

    def until(self) -> float:
        """Return until when one question is waited for, by Trio's clock: told before its caller gives up, an answer counts."""
        settings: ClobSettings = self.context.settings
        return min(trio.current_time() + settings.timeout_s, trio.current_effective_deadline() - _MARGIN_S)


@asynccontextmanager
async def open_executor(context: ExecutorContext) -> AsyncGenerator[Executor, None]:
    """Open the executor at once, whether the venue answers or not; close its connections at the end.

    Raises:
        PluginError: what signs is not installed.
    """
    require_native()
    settings: ClobSettings = context.settings
    url = settings.clob_url.rstrip("/")
    tls = cache(ssl.create_default_context)  # made once: it reads all the certificates that there are
    transport = H11Transport(
        open_socket=context.open_socket,
        timeout_s=settings.timeout_s,
        connections=_CONNECTIONS,
        idle_s=_IDLE_S,
        body_bytes=1 << 21,
        tls=tls,
    )
    caller, clock, sendings = Caller(transport=transport, url=url), VenueClock(context.wall), Sendings()
    geoblock = Caller(transport=transport, url=settings.geoblock_url)
    turns = limits_of_address(settings.limits_used)
    terms = TermsReader(
        caller=caller,
        reads=limits_of_reads(settings.limits_used),
        entropy=context.entropy,
        now=clock.now,
        quotes=context.quotes,
        facts=context.facts,
    )

    async def refresh(order: Order, signer: VenueSigner, until: float) -> None:
        token = order.token_id if order.side is Side.SELL else None
        kind = int(order.wallet.signature_type)
        await refresh_balance(signer, asset(token, terms.exchange(order.token_id), kind), until)

    async def region() -> Region:
        return await read_region(geoblock, "", executor.until())

    looking = Looking(sendings=sendings, read_fills=_read_fills(context), on_trouble=context.on_trouble)
    stopping = Stopping(stops=Stops(), read_region=region, on_trouble=context.on_trouble)
    learning = Learning(
        stopping=stopping,
        sendings=sendings,
        ask=looking.look_up,
        refresh_balance=refresh,
        on_stale=lambda order: terms.forget(order.token_id),
        on_trouble=context.on_trouble,
    )
    posting = Posting(
        caller=caller,
        address_turns=turns,
        stopping=stopping,
        learning=learning,
        sendings=sendings,
        entropy=context.entropy,
        with_owner=with_owner,
    )
    open_orders = OpenOrders(context.on_news)
    executor = ClobExecutor(
        context=context,
        caller=caller,
        terms=terms,
        clock=clock,
        posting=posting,
        stopping=stopping,
        looking=looking,
        cancelling=Cancelling(address_turns=turns, entropy=context.entropy, stop_egress=stopping.stop_egress),
        open_orders=open_orders,
    )
    heartbeats = Heartbeats(
        open_orders=open_orders, entropy=context.entropy, troubles=Troubles(context.on_trouble, of="venue-heartbeat")
    )
    async with aclosing(transport), trio.open_nursery() as nursery:
        nursery.start_soon(executor.run_ready)
        nursery.start_soon(heartbeats.beat)
        if settings.user_channel:
            channels = UserChannels(
                url=settings.user_channel,
                timeout_s=settings.timeout_s,
                open_socket=context.open_socket,
                tls=tls,
                entropy=context.entropy,
                open_orders=open_orders,
                troubles=Troubles(context.on_trouble, of="user-channel"),
            )
            nursery.start_soon(channels.listen)
        yield executor
        nursery.cancel_scope.cancel()


def _read_fills(context: ExecutorContext) -> ReadFills | None:
    if context.nodes is None or context.chain_id not in CHAINS:
        return None
    exchanges = frozenset(exchange_of(name, context.chain_id).contract for name in EXCHANGES)
    return ChainFills(nodes=context.nodes, exchanges=exchanges, wall=context.wall, on_trouble=context.on_trouble).of


def _level2(key: ApiKey, timestamp: int, method: str, path: str, body: bytes | None) -> Mapping[str, str]:
    assert isinstance(key, Credentials)  # nobody else makes any
    return l2_headers(key, timestamp, method, path, body)


def _credentials(address: Address, api_key: str, secret: str, passphrase: str) -> Credentials:
    return Credentials(address=address, api_key=api_key, secret=secret, passphrase=passphrase)
