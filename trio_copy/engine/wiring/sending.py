"""Puts together what sends orders, and proves what became of them."""

from collections.abc import Mapping

from attrs import frozen

from trio_copy.engine.plan import Plan
from trio_copy.engine.seams import Seams
from trio_copy.engine.sending.calling_off import RestingRules
from trio_copy.engine.sending.execution import Execution
from trio_copy.engine.sending.reconciler import Reconciler
from trio_copy.engine.wiring.opened import Opened
from trio_copy.engine.wiring.owning import OwningRooms


@frozen(kw_only=True)
class SendingRooms:
    """What sends orders, and proves them."""

    executions: Mapping[str, Execution]
    """By executor."""
    reconciler: Reconciler


def wire_sending(plan: Plan, seams: Seams, opened: Opened, owning: OwningRooms) -> SendingRooms:
    """Put together what takes tasks from lanes."""
    settings, book = plan.settings, opened.book
    rules = RestingRules(book=book, mode=owning.mode, settings=settings.engine, wall=seams.wall)
    executions = {
        name: Execution(
            executor=executor,
            lanes=owning.lanes[name],
            shards=owning.holder.shards,
            book=book,
            mode=owning.mode,
            settings=settings.engine,
            wall=seams.wall,
            entropy=seams.entropy,
            rules=rules,
            at=seams.at,
        )
        for name, executor in opened.executors.items()
    }
    reconciler = Reconciler(
        shards=owning.holder.shards,
        executions=executions,
        settings=settings.engine,
        observer=seams.observer,
        wall=seams.wall,
        rules=rules,
        news=opened.news,
    )
    return SendingRooms(executions=executions, reconciler=reconciler)
