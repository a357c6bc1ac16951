"""Opens what a service needs, the store first, and keeps it open while the service lives."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from trio_copy.chain.nodes import open_nodes
from trio_copy.chain.pacing import Pace
from trio_copy.config import EndpointSettings
from trio_copy.config.wallets import WalletTable
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.borders.contract import Contract
from trio_copy.engine.borders.market_asks import LeftOut, MarketAsks
from trio_copy.engine.borders.quarantine import Quarantine
from trio_copy.engine.borders.store_border import JudgedStore, judged_store
from trio_copy.engine.follows_of_file import put_follows_of_file
from trio_copy.engine.gate.facts_soon import FactsSoon, nobody_tells
from trio_copy.engine.market_source.prices import Prices
from trio_copy.engine.market_source.watched_tokens import WatchedTokens
from trio_copy.engine.people.actors import act_by
from trio_copy.engine.people.fleets import fleets_of
from trio_copy.engine.plan import Plan, PlannedExecutor, read_facts
from trio_copy.engine.seams import Seams
from trio_copy.engine.sending.news import News
from trio_copy.engine.service import Service
from trio_copy.engine.supervisor import Backoff
from trio_copy.engine.wiring.opened import Opened, whose
from trio_copy.engine.wiring.wire import wire
from trio_copy.model.counts import counted
from trio_copy.model.orders import SignatureType
from trio_copy.ports import Books, ExecutorContext, MarketsContext, Nodes, Quotes, Store, StoreContext
from trio_copy.recursion import same_recursion_limit
from trio_copy.signing.signers import OpenSigners, open_signers

_KINDS = {
    SignatureType.EOA: "the account of a key",
    SignatureType.PROXY: "a proxy wallet",
    SignatureType.SAFE: "a Safe",
    SignatureType.DEPOSIT: "a deposit wallet",
}


@asynccontextmanager
async def open_service(
    plan: Plan, seams: Seams, endpoints: Sequence[EndpointSettings]
) -> AsyncGenerator[Service, None]:
    """Open the store, the market source and the executors, load the follows, and wire everything; `Service.run` then starts it.

    `endpoints` are given apart from the plan because a devnet's address is known only once it listens.
    """
    settings, step = plan.settings, seams.observer.on_step
    quarantine, paces = Quarantine(seams.observer), {endpoint.name: Pace() for endpoint in endpoints}
    seams.catalog.pin(read_facts(plan))
    if len(seams.catalog):
        step("catalog", f"{counted(len(seams.catalog), 'token')} known")
    async with AsyncExitStack() as stack:
        with same_recursion_limit():
            store = await _open_store(stack, plan, seams)
            source, prices = await _open_markets(stack, plan, seams), Prices(seams.on_price)
            quotes = prices if seams.quotes is None and source is not None else seams.quotes
            most_s = min(settings.engine.send_timeout_s, settings.engine.deadline_s)
            signers = await _open_signers(stack, plan, seams)
            tokens, news, may_tell = None, News(), nobody_tells
            if source is not None:
                tokens = WatchedTokens(catalog=seams.catalog, prices=prices, wall=seams.wall, entropy=seams.entropy)
                may_tell = tokens.may_tell_facts
            facts = FactsSoon(catalog=seams.catalog, most_s=most_s, may_tell=may_tell)
            nodes = await _open_nodes(stack, plan, seams, endpoints, quarantine, paces)
            executors = {
                one.name: await _open_executor(stack, plan, seams, one, quotes, source, facts, signers, nodes, news)
                for one in plan.executors
            }
        book = seams.book
        book.set_terms(settings.terms())
        known = len(book.terms.followers)
        step("accounts", f"{counted(known, 'account')} ready on {', '.join(sorted(executors)) or 'no executor'}")
        version = await _fill_book(book, store, plan, seams)
        step("follows", f"{counted(len(book), 'follow')} of {counted(len(book.leaders), 'leader')} loaded")
        opened = Opened(
            store=store,
            executors=executors,
            markets=source,
            prices=prices,
            tokens=tokens,
            quotes=quotes,
            facts=facts,
            news=news,
            signers=signers,
            book=book,
            follows_version=version,
            modes=await store.control.modes(),
            quarantine=quarantine,
            paces=paces,
        )
        yield wire(plan, seams, endpoints, opened)


async def _open_store(stack: AsyncExitStack, plan: Plan, seams: Seams) -> JudgedStore:
    name, plugin = plan.settings.store.name, plan.store.plugin
    opening = plugin.open(_store_context(plan, seams))
    whose_it_is = whose("store", name, plan, plugin)
    store = await stack.enter_async_context(seams.calls.opening(whose_it_is, opening))
    seams.observer.on_step("store", f"{name} open")
    return judged_store(store, whose_it_is, seams.calls, plugin.patience_s(plan.store.settings))


async def _open_markets(stack: AsyncExitStack, plan: Plan, seams: Seams) -> MarketAsks | None:
    planned = plan.markets
    if planned is None:
        return None
    left_out = LeftOut(planned.name)
    context = MarketsContext(
        name=planned.name,
        settings=planned.settings,
        wall=seams.wall,
        open_socket=seams.open_socket,
        entropy=seams.entropy,
        on_trouble=seams.observer.on_alert,
        on_left_out=left_out.note,
    )
    whose_it_is, opening = whose("markets", planned.name, plan, planned.plugin), planned.plugin.open(context)
    source = await stack.enter_async_context(seams.calls.opening(whose_it_is, opening))
    seams.observer.on_step("markets", f"{planned.name} open")
    watched = seams.watch_markets(source)
    return MarketAsks(source=watched, whose=whose_it_is, calls=seams.calls, left_out=left_out)


async def _open_signers(stack: AsyncExitStack, plan: Plan, seams: Seams) -> OpenSigners | None:
    live = plan.settings.wallet.items()
    wallets = {name: wallet for name, wallet in live if name in seams.keys or wallet.fleet in seams.fleets}
    if not wallets:
        return None
    signers = await stack.enter_async_context(
        open_signers(
            folder=plan.settings.signing.path,
            wallets=wallets,
            keys=seams.keys,
            fleets=seams.fleets,
            chain_id=plan.settings.chain.chain_id,
            wall=seams.wall,
            in_thread=seams.in_thread,
            on_trouble=seams.observer.on_alert,
        )
    )
    now = seams.wall()
    for name, until in signers.armed(now).items():
        policy = wallets[name].policy
        limits = f"at most {policy.max_order_usd} USD an order, {policy.max_day_usd} a day"
        until_then = f"for another {(until - now) / 3600:.1f} h, {limits}"
        if plan.plays:
            where = "at the venue inside this process" if plan.settings.anvil is None else "on the chain of this run"
            what = f"wallet {name}, {_kind_of(wallets[name])}, trades with play money, {where} {until_then}"
            seams.observer.on_step("play-money", what)
        else:
            seams.observer.on_step("live", f"wallet {name} trades with money {until_then}")
    return signers


def _kind_of(wallet: WalletTable) -> str:
    return f"{_KINDS[wallet.signature_type]}{' of a fleet' if wallet.fleet else ''}"


async def _open_nodes(
    stack: AsyncExitStack,
    plan: Plan,
    seams: Seams,
    endpoints: Sequence[EndpointSettings],
    quarantine: Quarantine,
    paces: Mapping[str, Pace],
) -> Nodes | None:
    if not endpoints:
        return None
    engine = plan.settings.engine
    opening = open_nodes(
        dial=seams.dial,
        endpoints=endpoints,
        paces=paces,
        chain=plan.settings.chain,
        entropy=seams.entropy,
        quarantine=quarantine.put_aside,
        on_trouble=seams.observer.on_alert,
        next_wait=lambda: Backoff(engine.backoff_base_s, engine.backoff_max_s, seams.entropy).next_wait,
    )
    return await stack.enter_async_context(opening)


async def _open_executor(
    stack: AsyncExitStack,
    plan: Plan,
    seams: Seams,
    planned: PlannedExecutor,
    quotes: Quotes | None,
    books: Books | None,
    facts: FactsSoon,
    signers: OpenSigners | None,
    nodes: Nodes | None,
    news: News,
) -> Contract:
    pays = frozenset(one.wallet for one in plan.settings.follower if one.executor == planned.name and one.wallet)
    pays |= {one.wallet_name for one in act_by(plan, planned)}
    fleets = fleets_of(plan.settings, pays, seams.fleets)
    signs = pays | {one.funding.name for one in fleets if one.funding is not None}
    context = ExecutorContext(
        name=planned.name,
        settings=planned.settings,
        wall=seams.wall,
        quotes=quotes,
        books=books,
        facts=facts,
        signers=None if signers is None else signers.only(signs, orders=planned.plugin.signs_orders),
        wallets=tuple(
            one.wallet
            for one in plan.settings.followers().named.values()
            if one.executor == planned.name and one.wallet.name
        ),
        fleets=fleets,
        chain_id=plan.settings.chain.chain_id,
        nodes=nodes,
        open_socket=seams.open_socket,
        entropy=seams.entropy,
        on_trouble=seams.observer.on_alert,
        on_news=news.tell,
        at=seams.at,
        throwaway=seams.throwaway,
    )
    whose_it_is = whose("executor", planned.name, plan, planned.plugin)
    inner: Any = await stack.enter_async_context(seams.calls.opening(whose_it_is, planned.plugin.open(context)))
    return Contract(
        inner=inner,
        journalled=inner if planned.plugin.keeps_journal else None,
        whose=whose_it_is,
        settings=plan.settings.engine,
        redactor=plan.redactor,
        calls=seams.calls,
        rests=planned.plugin.rests,
        shows_books=planned.plugin.shows_books,
        on_alert=seams.observer.on_alert,
    )


async def _fill_book(book: FollowBook, store: Store, plan: Plan, seams: Seams) -> int:
    """Fill a book with the follows of the store; returns their version."""
    version, follows = await put_follows_of_file(store, plan.settings)
    seams.names.learn(book.terms, follows)
    for follow in book.replace_all(follows):
        unknown = f"{follow.follower} copies {follow.leader}, but is no configured follower"
        seams.observer.on_alert("unknown-follower", unknown)
    return version


def _store_context(plan: Plan, seams: Seams) -> StoreContext:
    return StoreContext(
        settings=plan.store.settings,
        wall=seams.wall,
        in_thread=seams.in_thread,
        at=seams.at,
        on_trouble=seams.observer.on_alert,
        shards=1 if plan.shards is None else plan.shards.count,
        live=plan.settings.engine.mode == "live",
        throwaway=seams.throwaway,
    )
