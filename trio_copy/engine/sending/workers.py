"""The workers of an executor, and others in the place of those whose tasks take long.

An order is answered by its venue, on the chain by a block, and some are not answered while anybody waits. Whoever has many of
those has many workers, and several of them would have all. So once something waits for a worker, others stand in for those
whose tasks are in hand for long, and nobody waits longer than for that, whoever and however many are stuck (decision 0061).
"""

import trio

from trio_copy.engine.sending.execution import Execution
from trio_copy.engine.shards.queued import Queued

_LOOKS = 8
"""So often it is looked, within the time of a send, what is in hand; what was there at the look before takes long."""
_AT_MOST = 3
"""For so many times the workers others stand in at once: with entries, and with exits besides, so that neither takes them from
the other."""


async def run_workers(execution: Execution, name: str) -> None:
    """Carry out what waits, a task a worker, until the lanes are closed and empty. `name` is the executor's."""
    async with trio.open_nursery() as looking:
        async with trio.open_nursery() as workers:
            # It starts a worker only while another one has a task in hand, and so their nursery open.
            looking.start_soon(_stand_in, execution, name, workers)  # noqa: ASYNC111
            for number in range(execution.workers):
                workers.start_soon(execution.run_worker, name=f"{name} worker {number}")
        looking.cancel_scope.cancel()


async def _stand_in(execution: Execution, name: str, workers: trio.Nursery) -> None:
    settings, lanes = execution.settings, execution.lanes
    seen = set[Queued]()
    while True:
        await lanes.unplaced.wait_any()
        await trio.sleep(settings.send_timeout_s / _LOOKS)
        waits = lanes.turns.ready
        for queued in execution.in_hand if waits else ():
            if queued in seen and lanes.turns.takes_long(queued, _AT_MOST * settings.workers):
                workers.start_soon(execution.run_worker, name=f"{name} worker, standing in")
        seen = set(execution.in_hand) if waits else set()
