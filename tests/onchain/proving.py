"""What proofs of faults have in common: blocks that leave the copies waiting, and books as a store has them."""

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from tests.harness import Recorder
from tests.onchain.living import Living
from trio_copy.engine.books.books import BOOKINGS
from trio_copy.engine.service import Service
from trio_copy.engine.shards.stored import booked_by
from trio_copy.model.facts import FactQuery
from trio_copy.model.fills import Side
from trio_copy.ports import Store
from trio_copy.testing.anvil.leaders import Place

_EVERYTHING = 1 << 30
_POLL_S = 0.02


async def until(holds: Callable[[], Awaitable[Any]], what: str, within_s: float = 20.0) -> None:
    """Ask a node or a store until something holds."""
    with trio.move_on_after(within_s):
        while not await holds():  # noqa: ASYNC110  a node tells nobody
            await trio.sleep(_POLL_S)
        return
    raise AssertionError(f"{what} did not come about")


async def mining(living: Living, on: bool) -> None:
    """Let each transaction be a block of its own, or wait until `mine`."""
    await living.stage.chain.ask("evm_setAutomine", on)


async def mine(living: Living, blocks: int = 1) -> None:
    await living.stage.chain.ask("anvil_mine", hex(blocks))


async def trade_in_a_block(living: Living, place: Place, side: Side, dollars: int) -> str:
    """Let the leader trade in a block of his own; whatever is sent from then on waits. Returns his bytes."""
    await mining(living, False)
    raw = await living.sign(place, side, dollars)
    await living.stage.chain.ask("eth_sendRawTransaction", raw)
    await mine(living)
    return raw


async def waiting(living: Living) -> list[dict[str, Any]]:
    """Return the followers' transactions in the node's pool."""
    pool = await living.stage.chain.ask("txpool_content")
    operators = {key.address for person in living.people.values() for key in person.keys}
    return [
        one
        for part in ("pending", "queued")
        for sender, by_nonce in pool[part].items()
        if sender.lower() in operators
        for one in by_nonce.values()
    ]


async def wait_waiting(living: Living, count: int) -> list[dict[str, Any]]:
    """Wait until so many of the followers' transactions are in the node's pool."""

    async def there() -> bool:
        return len(await waiting(living)) == count

    await until(there, f"{count} transactions in the pool")
    return await waiting(living)


async def sent(living: Living, name: str) -> int:
    """Count the transactions of a follower's operators that are mined."""
    chain = living.stage.chain
    counts = [await chain.ask("eth_getTransactionCount", key.address, "latest") for key in living.people[name].keys]
    return sum(int(count, 16) for count in counts)


async def wait_idle(service: Service) -> None:
    """Wait until nothing is under way, and all that was learned is durable and told."""

    async def idle() -> bool:
        await trio.lowlevel.checkpoint()
        status = service.status()
        return not (status.queued or status.busy or status.unknown)

    await until(idle, "idle")
    for shard in service.reconciler.shards.values():
        await shard.confirm()


async def books_of(store: Store) -> Recorder:
    """Return a recorder with everything that a store has booked."""
    facts = await store.history.facts(FactQuery(kinds=BOOKINGS, limit=_EVERYTHING))
    return Recorder(entries=[entry for entry in map(booked_by, facts) if entry is not None])


async def mined(living: Living, blocks: int) -> list[tuple[str, str]]:
    """Return hash and bytes of every transaction of followers in the newest blocks, oldest first."""
    chain = living.stage.chain
    head = int(await chain.ask("eth_blockNumber"), 16)
    operators = {key.address for person in living.people.values() for key in person.keys}
    found = []
    for number in range(head - blocks + 1, head + 1):
        block = await chain.ask("eth_getBlockByNumber", hex(number), True)
        ours = [one["hash"] for one in block["transactions"] if one["from"].lower() in operators]
        found += [(one, str(await chain.ask("debug_getRawTransaction", one))) for one in ours]
    return found
