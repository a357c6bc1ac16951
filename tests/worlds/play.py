"""Plays one world to its end and compares what was copied with the chain.

Whatever the nodes did, once they behave again: every fill of a leader on the canonical chain was copied exactly once by
everybody, or skipped because every node was red when it was seen; nothing was copied twice, every admitted task has its
end, and the nodes were not asked without measure.
"""

from collections import Counter
from collections.abc import Iterator

import trio
from attrs import field, frozen

from tests.builders import LEADER, OTHER_LEADER
from tests.harness import World, make_test_plan, open_world, patient, running_engine
from tests.worlds.dice import ALL, Whim, end_troubles, step
from trio_copy.chain.decoders.order_filled import V2_TOPIC
from trio_copy.chain.decoders.words import address_topic
from trio_copy.entropy import seeded_entropy
from trio_copy.model.decisions import Code
from trio_copy.model.logs import RawLog
from trio_copy.model.signals import Signal
from trio_copy.testing.devnet.chain import DevBlock
from trio_copy.testing.virtual import run_virtually

STEPS = 40
FOLLOWERS = ("alice", "bob")
REQUESTS_PER_BLOCK = 60
"""Of all nodes together, the bad times included. A storm asks some hundred times for each block."""
_CALM_BLOCKS = 30
"""Four re-scans: what they would find late, or copy twice, they have."""
_MOST_CALM_BLOCKS = 240
_BLOCK_EVERY_S = 1.5
_LONGEST_S = 7200.0
_STORM = 12_000
"""Requests after which a world is ended: it would only ask on."""
_LEADERS = {address_topic(LEADER), address_topic(OTHER_LEADER)}

FillKey = tuple[str, str, int, int]
"""What tells a leader's fill: transaction, order, what the owner gave and got. Equal ones are counted."""


class Storm(Exception):
    """The nodes are asked without measure."""


@frozen(kw_only=True)
class Verdict:
    """What a world showed."""

    seed: int
    thrown: frozenset[str] = frozenset()
    """The traits and troubles that were met."""
    fills: int = 0
    """Of leaders, on the canonical chain."""
    missed: tuple[tuple[FillKey, str], ...] = ()
    doubled: tuple[tuple[FillKey, str], ...] = ()
    wrong: tuple[str, ...] = ()
    requests_per_block: float = 0.0
    late_logs: int = 0
    admissions: Counter[str] = field(factory=Counter)
    alerts: Counter[str] = field(factory=Counter)

    @property
    def problems(self) -> tuple[str, ...]:
        """Say what is not as it should be, one line each."""
        storm = self.requests_per_block > REQUESTS_PER_BLOCK
        return (
            *(f"missed by {name}: {_told(key)}" for key, name in self.missed),
            *(f"copied twice by {name}: {_told(key)}" for key, name in self.doubled),
            *self.wrong,
            *([f"{self.requests_per_block:.0f} requests per block, more than {REQUESTS_PER_BLOCK}"] if storm else ()),
        )


def _told(key: FillKey) -> str:
    tx, order, gave, got = key
    return f"tx {tx[:10]} order {order[:10]} {gave / 1e6:g} for {got / 1e6:g}"


def play(seed: int, dice: frozenset[str] = ALL, steps: int = STEPS) -> Verdict:
    """Play one world on virtual time. What an engine raises is a problem of the verdict."""
    whim = Whim(seeded_entropy(seed + 1_000_000), dice)
    try:
        return run_virtually(_live, seed, dice, steps, whim, seed=seed)
    except Exception as error:
        return Verdict(seed=seed, thrown=frozenset(whim.thrown), wrong=(_reasons(error),))


def _reasons(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(_reasons, error.exceptions))
    return f"{type(error).__name__} {error}"


async def _live(seed: int, dice: frozenset[str], steps: int, whim: Whim) -> Verdict:
    luck = seeded_entropy(seed)
    plan = make_test_plan(
        leaders=(LEADER, OTHER_LEADER),
        followers=FOLLOWERS,
        chain={"window_blocks": 64, "rescan_every_s": 10.0},
        engine={"deadline_s": 3000.0, "backoff_max_s": 2.0, "restarts": 100_000, "queue_capacity": 100_000},
    )
    async with open_world(nodes=luck.choice((1, 2, 3))) as world:
        truth = _Truth(world)
        with trio.fail_after(_LONGEST_S):
            async with running_engine(world, patient(plan)) as service:
                whim.give_traits(world)
                for _ in range(steps):
                    whim.next_step(world)
                    await step(world, luck, dice)
                    truth.check_storm()
                end_troubles(world)
                for block in range(_MOST_CALM_BLOCKS):
                    if block >= _CALM_BLOCKS and not truth.missed():
                        break
                    world.chain.mine()
                    await trio.sleep(_BLOCK_EVERY_S)
                    truth.check_storm()
            status = service.status()
    recorder = world.recorder
    ended = Counter(finished.task.task_id for finished in recorder.finished)
    left = status.left
    skipped = sum(truth.skipped(name).total() for name in FOLLOWERS)
    return Verdict(
        seed=seed,
        thrown=frozenset(whim.thrown),
        fills=sum(truth.canonical().values()),
        missed=tuple(truth.missed()),
        doubled=tuple(truth.doubled()),
        wrong=(
            *(f"task {task} ended {times} times" for task, times in ended.items() if times > 1),
            *_unequal(
                "tasks with an end, waiting or never made",
                len(ended) + left + skipped,
                len(recorder.admitted) * len(FOLLOWERS),
            ),
        ),
        requests_per_block=truth.requests() / truth.blocks,
        late_logs=status.late_logs,
        admissions=Counter(recorder.admissions),
        alerts=Counter(kind for kind, _ in recorder.alerts),
    )


def _unequal(what: str, got: int, expected: int) -> Iterator[str]:
    if got != expected:
        yield f"{what}: expected {expected}, got {got}"


class _Truth:
    """Every leader's fill that ever stood in a block, and what was copied of them."""

    def __init__(self, world: World) -> None:
        self.blocks = 0
        self._world = world
        self._ever: Counter[FillKey] = Counter()
        world.chain.on_block.append(self._note)

    def _note(self, block: DevBlock) -> None:
        self.blocks += 1
        self._ever |= Counter(map(_key, filter(_is_leaders, block.logs)))

    def check_storm(self) -> None:
        if self.requests() > _STORM:
            raise Storm(f"{self.requests()} requests in {self.blocks} blocks: {self._asked()}")

    def _asked(self) -> str:
        methods = sum((Counter(node.requests) for node in self._world.nodes), Counter())
        return ", ".join(f"{count} {method}" for method, count in methods.most_common(3))

    def requests(self) -> int:
        return sum(count for node in self._world.nodes for count in node.requests.values())

    def canonical(self) -> Counter[FillKey]:
        return Counter(_key(log) for block in self._world.chain.blocks for log in block.logs if _is_leaders(log))

    def copied(self, follower: str) -> Counter[FillKey]:
        return Counter(
            _key_of(finished.task.signal)
            for finished in self._world.recorder.finished
            if finished.report is not None and finished.task.follower == follower
        )

    def halted(self, follower: str) -> Counter[FillKey]:
        """Return the fills whose copies waited, and whose turn came while all nodes were red."""
        return Counter(
            _key_of(finished.task.signal)
            for finished in self._world.recorder.finished
            if finished.task.follower == follower
            and finished.outcome.reason is not None
            and finished.outcome.reason.code is Code.ENTRIES_HALTED
        )

    def skipped(self, follower: str) -> Counter[FillKey]:
        """Return the fills that were seen while all nodes were red: entries are halted then, and it is said."""
        recorder = self._world.recorder
        signals = {signal.signal_id: signal for signal in recorder.admitted}
        return Counter(
            _key_of(signals[skip.signal_id])
            for skip in recorder.skips
            if skip.follower == follower and skip.reason.code is Code.ENTRIES_HALTED
        )

    def missed(self) -> list[tuple[FillKey, str]]:
        """Return what stands on the chain without a copy; equal fills of an order stand for each other.

        A copy of a transaction that a reorg dropped, or moved behind another one, is the copy of an equal fill there.
        """
        canonical, missed = self.canonical(), []
        for follower in FOLLOWERS:
            answered = self.copied(follower) + self.skipped(follower) + self.halted(follower)
            lacking = _alike(canonical) - _alike(answered)
            for key in (canonical - answered).elements():
                if lacking[key[1:]] > 0:
                    lacking[key[1:]] -= 1
                    missed.append((key, follower))
        return missed

    def doubled(self) -> list[tuple[FillKey, str]]:
        """Return the copies that no fill stands for, on whatever chain."""
        doubled, ever = [], _alike(self._ever)
        for follower in FOLLOWERS:
            copied = self.copied(follower)
            surplus = _alike(copied) - ever
            for key in (copied - self._ever).elements():
                if surplus[key[1:]] > 0:
                    surplus[key[1:]] -= 1
                    doubled.append((key, follower))
        return doubled


def _alike(fills: Counter[FillKey]) -> Counter[tuple[str, int, int]]:
    """Count fills that nothing but their transaction tells apart."""
    alike = Counter[tuple[str, int, int]]()
    for key, count in fills.items():
        alike[key[1:]] += count
    return alike


def _is_leaders(log: RawLog) -> bool:
    return log.topics[0] == V2_TOPIC and log.topics[2] in _LEADERS


def _key(log: RawLog) -> FillKey:
    gave, got = (int.from_bytes(log.data[at : at + 32]) for at in (64, 96))
    return str(log.tx_hash), str(log.topics[1]), gave, got


def _key_of(signal: Signal) -> FillKey:
    assert signal.notional is not None
    return (str(signal.tx_hash), str(signal.order_hash), signal.notional.micro, signal.shares.micro)
