"""Puts together what makes tasks of what the feed brings, and asks a market source about it."""

from collections.abc import Mapping, Sequence

from attrs import frozen

from trio_copy.chain.feed import FeedItem
from trio_copy.engine.borders.calls import Calls
from trio_copy.engine.borders.decoder_border import JudgedDecoder
from trio_copy.engine.gate.deciding import Deciding
from trio_copy.engine.gate.gate import Gate, alone, ignore
from trio_copy.engine.gate.read_leaders import ReadLeaders
from trio_copy.engine.gate.reader import LogReader
from trio_copy.engine.gate.recent import Recent
from trio_copy.engine.gate.undecided import Undecided
from trio_copy.engine.market_source.market_watch import MarketWatch
from trio_copy.engine.plan import Plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.sending.execution import Execution
from trio_copy.engine.wiring.chain import ChainRooms
from trio_copy.engine.wiring.opened import Opened, whose
from trio_copy.engine.wiring.owning import OwningRooms
from trio_copy.model.ids import TokenId


@frozen(kw_only=True)
class GateRooms:
    """From the feed to the shards."""

    reads: ReadLeaders
    gate: Gate
    undecided: Undecided | None
    market_watch: MarketWatch | None
    """Both are None where there is no market source."""


def wire_gate(
    plan: Plan,
    seams: Seams,
    opened: Opened,
    chain: ChainRooms,
    owning: OwningRooms,
    executions: Mapping[str, Execution],
) -> GateRooms:
    """Put together what decides; nothing is read yet."""
    settings, observer, catalog = plan.settings, seams.observer, seams.catalog
    store, book, tokens = opened.store, opened.book, opened.tokens
    skew, watchdogs, shards = chain.skew, chain.watchdogs, owning.holder.shards
    reads = ReadLeaders(
        book=book,
        shards=shards,
        shard_of=plan.shard_of if plan.shards is not None else alone,
        warm=plan.shards is not None and plan.shards.warm,
    )
    reader = LogReader(
        decoders=_decoders(plan, seams.calls),
        book=book,
        reads=reads.__contains__,
        quarantine=opened.quarantine.put_aside,
        on_fill=observer.on_fill,
        behind_s=lambda: skew.behind_s,
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
            shards=shards,
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
        shards=shards,
        shard_of=plan.shard_of if plan.shards is not None else alone,
        observer=observer,
        wall=seams.wall,
        recent=Recent(keeps=reads.warm),
        on_joined=lambda shard, block: observer.on_step("joined", f"shard {shard} reads on after block {block}"),
        on_armed=lambda block: observer.on_step("armed", f"at block {block.number}; older fills are not copied"),
        on_removed=chain.scanner.look_again,
        on_traded=ignore if tokens is None else tokens.note,
        on_item=on_item,
        undecided=undecided,
    )
    return GateRooms(reads=reads, gate=gate, undecided=undecided, market_watch=watch)


def _decoders(plan: Plan, calls: Calls) -> dict[str, JudgedDecoder]:
    """Return who reads which topic."""
    plugins = {table.name: table.plugin for table in plan.settings.decoder}
    found: dict[str, JudgedDecoder] = {}
    for name, decoder in plan.decoders.items():
        whose_it_is = whose("decoder", name, plan, plan.registry.decoder(plugins.get(name, name)))
        judged = JudgedDecoder(decoder, calls, calls.of(whose_it_is, "decode"))
        found.update(dict.fromkeys(decoder.topics, judged))
    return found
