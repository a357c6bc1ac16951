"""Puts a service together from a plan, the seams to the world and what is open; nothing runs yet."""

from collections.abc import Sequence

from trio_copy.config import EndpointSettings
from trio_copy.engine.housekeeping import Housekeeping
from trio_copy.engine.intake import Intake
from trio_copy.engine.overview import Overview
from trio_copy.engine.plan import Plan
from trio_copy.engine.reloading import Reloading
from trio_copy.engine.seams import Seams
from trio_copy.engine.service import Service
from trio_copy.engine.wiring.chain import wire_chain
from trio_copy.engine.wiring.exits import wire_exits
from trio_copy.engine.wiring.gate import wire_gate
from trio_copy.engine.wiring.opened import Opened
from trio_copy.engine.wiring.owning import wire_owning
from trio_copy.engine.wiring.sending import wire_sending


def wire(plan: Plan, seams: Seams, endpoints: Sequence[EndpointSettings], opened: Opened) -> Service:
    """Put a service together; nothing runs yet."""
    chain = wire_chain(plan, seams, endpoints, opened)
    owning = wire_owning(plan, seams, opened, chain.watchdogs)
    sending = wire_sending(plan, seams, opened, owning)
    gates = wire_gate(plan, seams, opened, chain, owning, sending.executions)
    exits = wire_exits(plan, seams, opened, owning, sending.executions, gates.gate)
    intake = Intake(
        plan=plan,
        seams=seams,
        holder=owning.holder,
        board=chain.board,
        pool=chain.pool,
        scanner=chain.scanner,
        watchdogs=chain.watchdogs,
        gate=gates.gate,
        reads=gates.reads,
        send=chain.feed[0],
    )
    housekeeping = Housekeeping(
        plan=plan,
        seams=seams,
        store=opened.store,
        book=opened.book,
        follows_version=opened.follows_version,
        holder=owning.holder,
        mode=owning.mode,
        intake=intake,
        reconciler=sending.reconciler,
        exit_rules=exits.exit_rules,
        market_watch=gates.market_watch,
        later_looks=owning.later_looks,
        undecided=gates.undecided,
        hearing=exits.hearing,
        redeeming=exits.redeeming,
    )
    overview = Overview(
        plan=plan,
        wall=seams.wall,
        book=opened.book,
        lanes=owning.lanes,
        executions=sending.executions,
        holder=owning.holder,
        mode=owning.mode,
        pool=chain.pool,
        scanner=chain.scanner,
        watchdogs=chain.watchdogs,
        gate=gates.gate,
        reconciler=sending.reconciler,
        market_watch=gates.market_watch,
        owner=owning.owner,
        quarantine=opened.quarantine.counts,
        signers=opened.signers,
    )
    reloading = Reloading(
        settings=plan.settings,
        book=opened.book,
        executions=sending.executions,
        signers=opened.signers,
        housekeeping=housekeeping,
    )
    return Service(
        plan=plan,
        seams=seams,
        store=opened.store,
        book=opened.book,
        lanes=owning.lanes,
        executions=sending.executions,
        holder=owning.holder,
        mode=owning.mode,
        board=chain.board,
        pool=chain.pool,
        scanner=chain.scanner,
        watchdogs=chain.watchdogs,
        gate=gates.gate,
        reconciler=sending.reconciler,
        exit_rules=exits.exit_rules,
        intake=intake,
        housekeeping=housekeeping,
        overview=overview,
        reloading=reloading,
        owner=owning.owner,
        quarantine=opened.quarantine.counts,
        signers=opened.signers,
        feed=chain.feed,
    )
