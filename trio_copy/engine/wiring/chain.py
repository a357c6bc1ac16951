"""Puts together what follows the chain: nodes, what watches them, and the scanner that is the truth."""

from collections.abc import Sequence

import trio
from attrs import frozen

from trio_copy.chain.clock_watch import ClockWatch
from trio_copy.chain.endpoints import Endpoint, EndpointPool
from trio_copy.chain.feed import FeedItem
from trio_copy.chain.filters import FilterBoard
from trio_copy.chain.measured_skew import MeasuredSkew
from trio_copy.chain.scanner import Scanner
from trio_copy.chain.watchdogs import Watchdogs
from trio_copy.config import EndpointSettings
from trio_copy.engine.plan import Plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.wiring.opened import Opened


@frozen(kw_only=True)
class ChainRooms:
    """What follows the chain."""

    feed: tuple[trio.MemorySendChannel[FeedItem], trio.MemoryReceiveChannel[FeedItem]]
    """From nodes and scanner to the gate."""
    skew: MeasuredSkew
    pool: EndpointPool
    board: FilterBoard
    watchdogs: Watchdogs
    scanner: Scanner


def wire_chain(plan: Plan, seams: Seams, endpoints: Sequence[EndpointSettings], opened: Opened) -> ChainRooms:
    """Put together what follows the chain, in front of a feed that nobody reads yet."""
    settings, observer = plan.settings, seams.observer
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
        opened.quarantine.put_aside,
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
    feed = trio.open_memory_channel[FeedItem](settings.chain.feed_capacity)
    scanner = Scanner(
        settings=settings.chain,
        pool=pool,
        board=board,
        send=feed[0],
        wall=seams.wall,
        on_trouble=observer.on_alert,
        arming_refusal=skew.arming_refusal,
    )
    return ChainRooms(feed=feed, skew=skew, pool=pool, board=board, watchdogs=watchdogs, scanner=scanner)
