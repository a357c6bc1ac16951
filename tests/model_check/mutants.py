"""Engines that are broken on purpose: the search must find each."""

from attrs import evolve

from tests.model_check.engine import Engine
from tests.model_check.search import search
from tests.model_check.state import Checkpoint, Process, Store, World, Write
from tests.model_check.worlds import Done, Held, scenarios


class CheckpointRunsAhead(Engine):
    """Passes a block as soon as it was read."""

    def passable(self, process: Process) -> Checkpoint:
        return process.asked if process.sealed <= process.start else Checkpoint(process.sealed, process.version)


class SentBeforeDurable(Engine):
    """Sends an order while its write is under way."""

    def queue_write(self, process: Process, write: Write) -> Process:
        return super().queue_write(process, write)._replace(outbox=(*process.outbox, *write.sends))


class SpentBeforeDrawn(Engine):
    """Spends of the common budget what it has not drawn yet."""

    def draw(self, world: World, process: Process, total: int) -> World:
        return self._with(world, process._replace(granted=total))


class OutOfOrder(Engine):
    """Carries out the newest write first."""

    def write(self, world: World, process: Process) -> World:
        *rest, write = process.writes
        return self._written(world, process._replace(writes=tuple(rest)), write)


class NoFence(Engine):
    """Takes a shard over and leaves its old owner's writes in force."""

    def fence(self, before: Process) -> Process:
        return before

    def fenced(self, world: World, process: Process) -> bool:
        return False


class BookedTwice(Engine):
    """Books what it learns a second time."""

    def carry_out(self, held: Held, *command: str, left: int | None = None) -> Done:
        if command[0] == "fill":
            command = (*command, "twice")
        return super().carry_out(held, *command, left=left)


class MetForgotten(Engine):
    """Takes a shard over without what it has met."""

    def remembered(self, store: Store) -> tuple[str, ...]:
        return ()


class ForgetsByBlock(Engine):
    """Lets accounts forget what ended below the checkpoint, whether the shard has met it or not."""

    def known_to_the_shard(self, process: Process) -> tuple[str, ...]:
        return tuple(sorted(signal.signal_id for signal in self.scenario.signals.values()))


class GrowthBookedTwice(Engine):
    """Books what an order filled while it rested once more when it ends."""

    def carry_out(self, held: Held, *command: str, left: int | None = None) -> Done:
        if command[0] == "half":
            command = (*command, "twice")
        return super().carry_out(held, *command, left=left)


class CancelledIsKnown(Engine):
    """Takes what it has called off for ended with what was known, and asks nobody."""

    def cancel(self, world: World, process: Process, key: str) -> World:
        super().cancel(world, process, key)
        return self.learn(world, process, key, "absent")


class HandedOverForGood(Engine):
    """Lets nothing be held up by an order of which a person was asked, also when it turns out to rest."""

    def carry_out(self, held: Held, *command: str, left: int | None = None) -> Done:
        if command[0] in ("rest", "half"):
            command = (*command, "for good")
        return super().carry_out(held, *command, left=left)


class SettledAsTold(Engine):
    """Makes firm what it was told, whatever the chain says that settled."""

    def carry_out(self, held: Held, *command: str, left: int | None = None) -> Done:
        if command[0] in ("half pending", "half and over"):
            command = ("fill", *command[1:])
        return super().carry_out(held, *command, left=left)


MUTANTS: dict[type[Engine], str] = {
    CheckpointRunsAhead: "a purchase and a sale",
    SentBeforeDurable: "a purchase and a sale",
    SpentBeforeDrawn: "two purchases under caps for one",
    OutOfOrder: "a purchase and a sale",
    NoFence: "a purchase and a sale",
    BookedTwice: "a purchase and a sale",
    MetForgotten: "the purchase is mined again",
    ForgetsByBlock: "the purchase is mined again",
    GrowthBookedTwice: "the purchase rests",
    CancelledIsKnown: "the purchase rests",
    HandedOverForGood: "the purchase turns out to rest",
    SettledAsTold: "half of what was matched is undone",
}
"""Each with the smallest world in which it shows."""


def hunt(mutant: type[Engine]) -> str | None:
    """Return what is wrong with a mutant in the first of its histories in which something is; None when it slips through."""
    (scenario,) = [one for one in scenarios() if one.name == MUTANTS[mutant]]
    two = mutant is OutOfOrder
    found = search(mutant(evolve(scenario, followers=("alice", "bob") if two else ("alice",))), first=True)
    return found.wrong[0] if found.wrong else None
