"""Puts together what leads out of positions: rules, redemptions, and what people ask for."""

from collections.abc import Mapping
from typing import cast

from attrs import frozen

from trio_copy.engine.borders.act_contract import ActContract
from trio_copy.engine.gate.gate import Gate
from trio_copy.engine.people.actors import actor_of
from trio_copy.engine.people.acts import Acts
from trio_copy.engine.people.fleets import funding_of
from trio_copy.engine.people.hearing import Hearing
from trio_copy.engine.people.redeeming import Redeeming
from trio_copy.engine.plan import Plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.sending.execution import Execution
from trio_copy.engine.sending.exit_rules import ExitRules
from trio_copy.engine.shards.payouts import Payout, payout_of
from trio_copy.engine.wiring.opened import Opened
from trio_copy.engine.wiring.owning import OwningRooms
from trio_copy.model.control import Mode
from trio_copy.model.follows import Follower
from trio_copy.ports import ActingExecutor


@frozen(kw_only=True)
class ExitRooms:
    """What leads out of positions, and hears people."""

    redeeming: Redeeming
    exit_rules: ExitRules
    hearing: Hearing


def wire_exits(
    plan: Plan, seams: Seams, opened: Opened, owning: OwningRooms, executions: Mapping[str, Execution], gate: Gate
) -> ExitRooms:
    """Put together what leads out of positions."""
    settings, observer, catalog = plan.settings, seams.observer, seams.catalog
    store, book, mode = opened.store, opened.book, owning.mode
    acting = {
        planned.name: ActContract(
            inner=cast("ActingExecutor", opened.executors[planned.name].inner),
            whose=opened.executors[planned.name].whose,
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
        shards=owning.holder.shards,
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
    hearing = Hearing(
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
    )
    return ExitRooms(redeeming=redeeming, exit_rules=exit_rules, hearing=hearing)
