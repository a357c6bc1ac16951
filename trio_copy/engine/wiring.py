"""Puts a service together from a plan, the seams to the world and what is open; nothing runs yet."""

from collections.abc import Mapping, Sequence
from typing import cast

import trio
from attrs import evolve, frozen

from trio_copy.chain.clock_watch import ClockWatch
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.feed import FeedItem
from trio_copy.chain.filters import FilterBoard
from trio_copy.chain.measured_skew import MeasuredSkew
from trio_copy.chain.pacing import Pace
from trio_copy.chain.scanner import Scanner
from trio_copy.chain.watchdogs import Watchdogs
from trio_copy.config import EndpointSettings
from trio_copy.copying.follow_book import FollowBook
from trio_copy.engine.borders.act_contract import ActContract
from trio_copy.engine.borders.calls import Calls, Whose
from trio_copy.engine.borders.contract import Contract
from trio_copy.engine.borders.decoder_border import JudgedDecoder
from trio_copy.engine.borders.market_asks import MarketAsks
from trio_copy.engine.borders.quarantine import Quarantine
from trio_copy.engine.borders.store_border import JudgedStore
from trio_copy.engine.gate.deciding import Deciding
from trio_copy.engine.gate.facts_soon import FactsSoon
from trio_copy.engine.gate.gate import Gate, alone, ignore
from trio_copy.engine.gate.read_leaders import ReadLeaders
from trio_copy.engine.gate.reader import LogReader
from trio_copy.engine.gate.recent import Recent
from trio_copy.engine.gate.undecided import Undecided
from trio_copy.engine.housekeeping import Housekeeping
from trio_copy.engine.intake import Intake
from trio_copy.engine.market_source.market_watch import MarketWatch
from trio_copy.engine.market_source.prices import Prices
from trio_copy.engine.market_source.watched_tokens import WatchedTokens
from trio_copy.engine.owning.holder import Holder
from trio_copy.engine.owning.keeper import Keeper
from trio_copy.engine.owning.sole_owner import SoleOwner
from trio_copy.engine.people.actors import actor_of
from trio_copy.engine.people.acts import Acts
from trio_copy.engine.people.fleets import funding_of
from trio_copy.engine.people.hearing import Hearing
from trio_copy.engine.people.redeeming import Redeeming
from trio_copy.engine.plan import Plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.sending.calling_off import RestingRules
from trio_copy.engine.sending.execution import Execution
from trio_copy.engine.sending.exit_rules import ExitRules
from trio_copy.engine.sending.modes import ModeBoard
from trio_copy.engine.sending.news import News
from trio_copy.engine.sending.reconciler import Reconciler
from trio_copy.engine.service import Service
from trio_copy.engine.shards.lanes import Lanes
from trio_copy.engine.shards.later_looks import LaterLooks
from trio_copy.engine.shards.payouts import Payout, payout_of
from trio_copy.engine.shards.queued import LaneKey
from trio_copy.engine.shards.sightings import Sightings, want_nothing
from trio_copy.model.control import LEASE_BEATS, Instance, Mode, Modes
from trio_copy.model.decisions import CopyTask
from trio_copy.model.follows import Follower
from trio_copy.model.ids import TokenId
from trio_copy.ports import (
    ActingExecutor,
    DecoderPlugin,
    ExecutorPlugin,
    MarketsPlugin,
    Quotes,
    StorePlugin,
)
from trio_copy.signing.signers import OpenSigners

_LEASE_S = 30.0
"""How long the lease of the only shard outlives a process that does not renew it."""


@frozen(kw_only=True)
class Opened:
    """What is open before a service is put together."""

    store: JudgedStore
    executors: Mapping[str, Contract]
    """By name."""
    markets: MarketAsks | None
    prices: Prices
    """What the market source tells; empty where there is none."""
    tokens: WatchedTokens | None
    """What it is asked about; None where there is none."""
    quotes: Quotes | None
    facts: FactsSoon
    """What executors are told of prices, whoever tells it; None where nobody does."""
    news: News
    """What executors have heard of their orders."""
    signers: OpenSigners | None
    """Who signs for the wallets; None on paper."""
    book: FollowBook
    follows_version: int
    modes: Modes
    quarantine: Quarantine
    paces: Mapping[str, Pace]
    """How often each node may be asked, whoever asks it; by name."""


def wire(plan: Plan, seams: Seams, endpoints: Sequence[EndpointSettings], opened: Opened) -> Service:
    """Put a service together; nothing runs yet."""
    store, executors, book, catalog = opened.store, opened.executors, opened.book, seams.catalog
    settings, observer = plan.settings, seams.observer
    put_aside = opened.quarantine.put_aside
    nodes = [Endpoint(endpoint, pace=opened.paces[endpoint.name]) for endpoint in endpoints]
    skew = MeasuredSkew(
        endpoints=nodes,
        wall=seams.wall,
        deadline_s=settings.engine.deadline_s,
        on_trouble=observer.on_alert,
        on_step=observer.on_step,
    )
    pool = EndpointPool(
        nodes,
        put_aside,
        settings=settings.chain,
        entropy=seams.entropy,
        on_trouble=observer.on_alert,
        on_head=skew.note_head,
    )
    board = FilterBoard()
    clock_watch = ClockWatch(
        pool=pool,
        skew=skew,
        wall=seams.wall,
        clock=seams.clock,
        may_set=plan.shards is None,
        on_trouble=observer.on_alert,
        on_step=observer.on_step,
    )
    watchdogs = Watchdogs(
        settings=settings.chain,
        pool=pool,
        board=board,
        clock=clock_watch,
        on_trouble=observer.on_alert,
        on_step=observer.on_step,
    )
    mode = ModeBoard(opened.modes, watchdogs.halted)
    lanes = {name: Lanes(settings.engine.queue_capacity) for name in executors}

    def lane_of(task: CopyTask) -> LaneKey:
        followers = book.terms.followers
        follower = followers.named.get(task.follower) or followers.get(task.follower)
        if follower is None:
            # Of one that the file does not name any more, orders may be open all the same.
            follower = Follower(follower=task.follower, executor="")
        return executors[task.executor].lane(task.intent, follower.wallet)

    tokens = opened.tokens
    later = None
    if opened.quotes is not None and seams.play is None:  # what is played is over: nobody can look at its books later
        later = LaterLooks(quotes=opened.quotes, asks=opened.markets, wall=seams.wall, on_trouble=observer.on_alert)
    sightings = Sightings(opened.quotes, later, want_nothing if tokens is None else tokens.note)
    holder = Holder(
        store=store,
        watch_store=store.accounts.run_watch,
        lanes=lanes,
        catalog=catalog,
        learn=seams.learn,
        wall=seams.wall,
        observer=observer,
        lane_of=lane_of,
        dedup_ttl_s=settings.engine.dedup_ttl_s,
        max_day_usd=settings.engine.max_day_usd,
        alone=plan.shards is None,
        owner=seams.instance,
        lease_s=_LEASE_S if plan.shards is None else LEASE_BEATS * plan.shards.heartbeat_s,
        at=seams.at,
        journalled={name: one.journalled for name, one in executors.items() if one.journalled is not None},
        shard_of=plan.shard_of if plan.shards is not None else alone,
        followers=lambda: book.followers,
        halt=lambda why: mode.halt(store.control, why),
        sightings=sightings,
    )

    def describe(me: Instance) -> Instance:
        """Add to a heartbeat what is watched here, so that others see it through the store."""
        me = watchdogs.describe(me)
        return me if opened.markets is None else evolve(me, watches=(*me.watches, opened.markets.left_out.watch))

    owner: Keeper | SoleOwner
    if plan.shards is None:
        owner = SoleOwner(seams=seams, store=store, holder=holder, watchdogs=watchdogs, describe=describe)
    else:
        owner = Keeper(
            settings=plan.shards,
            store=store,
            holder=holder,
            instance=seams.instance,
            wall=seams.wall,
            observer=observer,
            describe=describe,
        )
    reads = ReadLeaders(
        book=book,
        shards=holder.shards,
        shard_of=plan.shard_of if plan.shards is not None else alone,
        warm=plan.shards is not None and plan.shards.warm,
    )
    rules = RestingRules(book=book, mode=mode, settings=settings.engine, wall=seams.wall)
    executions = {
        name: Execution(
            executor=executor,
            lanes=lanes[name],
            shards=holder.shards,
            book=book,
            mode=mode,
            settings=settings.engine,
            wall=seams.wall,
            entropy=seams.entropy,
            rules=rules,
            at=seams.at,
        )
        for name, executor in executors.items()
    }
    acting = {
        planned.name: ActContract(
            inner=cast("ActingExecutor", executors[planned.name].inner),
            whose=executors[planned.name].whose,
            calls=seams.calls,
            redactor=plan.redactor,
            on_alert=observer.on_alert,
        )
        for planned in plan.executors
        if planned.plugin.acts
    }

    def acts_for(follower: Follower) -> ActContract | None:
        actor = actor_of(plan.executors, follower)
        return None if actor is None else acting[actor.name]

    feed = trio.open_memory_channel[FeedItem](settings.chain.feed_capacity)
    reader = LogReader(
        decoders=_decoders(plan, seams.calls),
        book=book,
        reads=reads.__contains__,
        quarantine=put_aside,
        on_fill=observer.on_fill,
        behind_s=lambda: skew.behind_s,
    )
    scanner = Scanner(
        settings=settings.chain,
        pool=pool,
        board=board,
        send=feed[0],
        wall=seams.wall,
        on_trouble=observer.on_alert,
        arming_refusal=skew.arming_refusal,
    )

    def on_item(item: FeedItem) -> None:
        watchdogs.note(item)
        seams.on_item(item)

    deciding = Deciding(
        book=book,
        catalog=catalog,
        settings=settings.engine,
        wall=seams.wall,
        behind_s=lambda: skew.behind_s,
        halted=watchdogs.halted,
        at=seams.at,
    )
    undecided = None
    if tokens is not None:
        undecided = Undecided(
            deciding=deciding,
            catalog=catalog,
            quote=opened.prices.quote if seams.quotes is None else None,
            tokens=tokens,
            observer=observer,
            wall=seams.wall,
            deadline_s=settings.engine.deadline_s,
        )

    def hear_news(of: Sequence[TokenId]) -> None:
        """Let everybody know who waits for what a market source tells, or has asked without knowing it."""
        for execution in executions.values():
            for token in of:
                execution.markets.forget(token)
        opened.facts.tell()
        if undecided is not None:
            undecided.tell()

    watch = None
    if opened.markets is not None and tokens is not None:
        watch = MarketWatch(
            asks=opened.markets,
            tokens=tokens,
            catalog=catalog,
            prices=opened.prices,
            shards=holder.shards,
            entropy=seams.entropy,
            decides=not plan.moves_money,
            learn=seams.learn,
            on_news=hear_news,
        )
    gate = Gate(
        reader=reader,
        book=book,
        deciding=deciding,
        store=store,
        shards=holder.shards,
        shard_of=plan.shard_of if plan.shards is not None else alone,
        observer=observer,
        wall=seams.wall,
        recent=Recent(keeps=reads.warm),
        on_joined=lambda shard, block: observer.on_step("joined", f"shard {shard} reads on after block {block}"),
        on_armed=lambda block: observer.on_step("armed", f"at block {block.number}; older fills are not copied"),
        on_removed=scanner.look_again,
        on_traded=ignore if tokens is None else tokens.note,
        on_item=on_item,
        undecided=undecided,
    )
    reconciler = Reconciler(
        shards=holder.shards,
        executions=executions,
        settings=settings.engine,
        observer=observer,
        wall=seams.wall,
        rules=rules,
        news=opened.news,
    )
    redeeming = Redeeming(
        executor_of=acts_for,
        book=book,
        catalog=catalog,
        wall=seams.wall,
        observer=observer,
        halted=lambda: mode.engine.mode is Mode.HALT_ALL,
    )
    named = book.terms.followers.named
    exit_rules = ExitRules(
        store=store,
        shards=holder.shards,
        shard_of=plan.shard_of,
        book=book,
        catalog=catalog,
        executions=executions,
        settings=settings.engine,
        chain_id=settings.chain.chain_id,
        observer=observer,
        wall=seams.wall,
        sealed_number=lambda: -1 if gate.sealed is None else gate.sealed.number,
        window_blocks=settings.chain.window_blocks,
        payout_of=lambda follower: payout_of(plan, named[follower]) if follower in named else Payout.AT_ONCE,
        redeem=redeeming.note,
    )
    intake = Intake(
        plan=plan,
        seams=seams,
        holder=holder,
        board=board,
        pool=pool,
        scanner=scanner,
        watchdogs=watchdogs,
        gate=gate,
        reads=reads,
        send=feed[0],
    )
    housekeeping = Housekeeping(
        plan=plan,
        seams=seams,
        store=store,
        book=book,
        follows_version=opened.follows_version,
        holder=holder,
        mode=mode,
        intake=intake,
        reconciler=reconciler,
        exit_rules=exit_rules,
        market_watch=watch,
        later_looks=later,
        undecided=undecided,
        hearing=Hearing(
            shard_of=plan.shard_of,
            acts=Acts(
                executor_of=acts_for,
                follower_of=book.terms.followers.named.get,
                funding=funding_of(settings, seams.fleets),
                wall=seams.wall,
                on_step=observer.on_step,
                halted=lambda: mode.engine.mode is Mode.HALT_ALL,
            ),
            look_for=exit_rules.look_for,
            leave=exit_rules.leave_now,
        ),
        redeeming=redeeming,
    )
    return Service(
        plan=plan,
        seams=seams,
        store=store,
        book=book,
        lanes=lanes,
        executions=executions,
        holder=holder,
        mode=mode,
        board=board,
        pool=pool,
        scanner=scanner,
        watchdogs=watchdogs,
        gate=gate,
        reconciler=reconciler,
        exit_rules=exit_rules,
        intake=intake,
        housekeeping=housekeeping,
        owner=owner,
        quarantine=opened.quarantine.counts,
        signers=opened.signers,
        feed=feed,
    )


def _decoders(plan: Plan, calls: Calls) -> dict[str, JudgedDecoder]:
    """Return who reads which topic."""
    plugins = {table.name: table.plugin for table in plan.settings.decoder}
    found: dict[str, JudgedDecoder] = {}
    for name, decoder in plan.decoders.items():
        whose_it_is = whose("decoder", name, plan, plan.registry.decoder(plugins.get(name, name)))
        judged = JudgedDecoder(decoder, calls, calls.of(whose_it_is, "decode"))
        found.update(dict.fromkeys(decoder.topics, judged))
    return found


def whose(
    kind: str, name: str, plan: Plan, plugin: ExecutorPlugin | StorePlugin | DecoderPlugin | MarketsPlugin
) -> Whose:
    """Name a plugin for whoever has to mend it."""
    return Whose(kind=kind, name=name, distribution=plan.registry.distribution_of(plugin))
