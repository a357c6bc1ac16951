"""How far a shard has come: a block is passed once everything of it is placed, ended or waiting in an account. Sync."""

from collections import Counter, defaultdict

from attrs import define, field

from trio_copy.model.ids import SignalId, TaskId
from trio_copy.model.logs import BlockRef, Checkpoint


@define(eq=False)
class Progress:
    armed_at: int = -1
    """The block at which the engine was armed first."""
    floor: int = -1
    """Where an earlier owner had come to: below it, the stored checkpoint stays as it is."""
    sealed: BlockRef | None = None
    """The newest block of which everything was read."""
    passed: int = -1
    """The newest block that a checkpoint was made of."""
    _open: dict[TaskId, int] = field(factory=dict)
    _blocks: Counter[int] = field(factory=Counter)
    """Tasks without an effect, by block."""
    _signals: defaultdict[int, list[SignalId]] = field(factory=lambda: defaultdict(list))
    """Signals of blocks that no checkpoint has passed."""
    _seals: dict[int, BlockRef] = field(factory=dict)

    def meet(self, signal: SignalId, block: int) -> None:
        """Take note of a signal of a block."""
        self._signals[block].append(signal)

    def begin(self, task: TaskId, block: int) -> None:
        """Take note of a task that has no effect yet."""
        if task not in self._open:
            self._open[task] = block
            self._blocks[block] += 1

    def finish(self, task: TaskId) -> None:
        """Take note that a task has its effect; an unknown one changes nothing."""
        block = self._open.pop(task, None)
        if block is not None:
            self._blocks[block] -= 1
            if not self._blocks[block]:
                del self._blocks[block]

    def seal(self, block: BlockRef) -> None:
        """Take note that everything up to a block was read."""
        self.sealed = block
        self._seals[block.number] = block

    def next_checkpoint(self) -> tuple[Checkpoint, list[SignalId]] | None:
        """Return how far a checkpoint may go now, and the signals that it passes; None when it may go no further."""
        if self.sealed is None:
            return None
        most = min(self._blocks, default=self.sealed.number + 1) - 1
        reached = [number for number in self._seals if number <= most]
        if not reached:
            return None
        block = self._seals[max(reached)]
        for number in reached:
            del self._seals[number]
        if block.number < self.floor:
            return None  # what an earlier owner had read is being read again
        passed = [
            signal for number in [n for n in self._signals if n <= block.number] for signal in self._signals.pop(number)
        ]
        self.passed = block.number
        return Checkpoint(number=block.number, hash=block.hash, armed_at=self.armed_at), passed

    @property
    def known_up_to(self) -> int:
        """The block up to which no signal is still to be passed: a late one may be of a block far below the checkpoint."""
        return min(self.passed, min(self._signals, default=self.passed + 1) - 1)

    @property
    def waiting(self) -> int:
        """How many tasks have no effect yet."""
        return len(self._open)
