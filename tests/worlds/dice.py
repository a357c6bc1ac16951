"""What may go wrong in a world. Each die has a name, so that it can be switched on and off.

*Steps* are what worlds have always done, drawn one per step from one stream of luck. *Troubles* begin and end at any
moment, *traits* belong to a node for as long as it lives; both are drawn from a stream of their own, so that switching
them on changes nothing of what the steps do.
"""

from collections.abc import Mapping

import trio
from attrs import define, field

from tests.builders import LEADER, OTHER_LEADER
from tests.harness import World
from trio_copy.entropy import Entropy
from trio_copy.testing.devnet import DevNode, DevTx, NodeFaults
from trio_copy.testing.devnet.chain import fake_hash
from trio_copy.testing.devnet.manners import Bloom, ErrorShape, LogTime, Numbering, Subscriptions

LEADERS = (LEADER, OTHER_LEADER)
_PAUSES_S = (0.0, 0.05, 0.5, 2.0, 8.0)
_ROOM = 24
"""Logs that a block may have here without any node's limit cutting it: no engine could get past that."""

STEPS = (
    "drop_connections",
    "down",
    "up",
    "empty_logs",
    "silent_logs",
    "each_log_twice",
    "without_removed",
    "without_time",
    "max_range",
    "reorg",
    "garbage",
    "error",
)


async def step(world: World, luck: Entropy, dice: frozenset[str]) -> None:
    """Let one thing go wrong, then some blocks and some trades. What is switched off is drawn all the same."""
    node = luck.choice(world.nodes)
    drawn = STEPS[luck.randrange(len(STEPS))]
    # An idle world has nothing to take back: its die becomes the last one, as it always did.
    _take_step(world, node, luck, drawn if drawn != "reorg" or len(world.chain.blocks) > 8 else "error", dice)
    for _ in range(luck.randrange(4)):
        leaders = luck.choices(LEADERS, k=luck.randrange(3))
        world.chain.mine(*(world.buy(leader, token=luck.randrange(5)) for leader in leaders))
    await trio.sleep(luck.choice(_PAUSES_S))


def _take_step(world: World, node: DevNode, luck: Entropy, name: str, dice: frozenset[str]) -> None:
    faults = node.faults if name in dice else NodeFaults()
    match name:
        case "down":
            chosen = luck.randrange(len(world.nodes))
            if name in dice:
                world.down = {chosen}
                node.drop_connections()
        case "empty_logs":
            faults.empty_logs = luck.randrange(3)
        case "max_range":
            faults.max_range = luck.choice((None, 1, 3, 50))
        case "reorg":
            _reorganise(world, luck, really=name in dice)
        case "garbage":
            frame = luck.choice((b"{", b"[1]", b"null", b'{"id":99,"result":1}'))
            if name in dice:
                node.send_to_all(frame)
        case "error":
            faults.error = None if faults.error else "busy"
        case "drop_connections" if name in dice:
            node.drop_connections()
        case "up":
            world.down = set()
        case "silent_logs" | "each_log_twice" | "without_removed" | "without_time":
            setattr(faults, name, not getattr(faults, name))


def _reorganise(world: World, luck: Entropy, *, really: bool) -> None:
    """Drop a few blocks and mine their transactions again, in other blocks; some are lost for good."""
    depth = luck.randrange(1, 6)
    txs: list[DevTx] = [tx for block in world.chain.blocks[-depth:] for tx in block.txs if luck.random() < 0.8]
    replacement: list[list[DevTx]] = [[] for _ in range(depth + 1)]
    for tx in txs:
        luck.choice(replacement).append(tx)
    if really:
        world.chain.reorg(depth, replacement)


Values = Mapping[str, tuple[object, ...]]
"""Fields of `NodeFaults`, and what a die may set each to."""
_NO_OR_YES = (False, True)

TROUBLES: Mapping[str, Values] = {
    "cut_logs": {"cut_logs": (_ROOM, 2 * _ROOM)},
    "rate_limited": {
        "rate_limited": (0, 1, 2, 5),
        "max_per_s": (None, None, 5, 20),
        "rate_limited_method": ("all", "eth_getLogs"),
        "rate_limit_code": (-32005, 429),
        "retry_after_s": (None, 1, 3),
    },
    "deaf": {"deaf": (True,)},
    "subscription_cut": {"subscription_cut": (0, 1, 2)},
    "lose_log": {"lose_log": (True,)},
    "unreadable_logs": {"unreadable_logs": (True,)},
    "removed_flood": {"removed_flood": (1, 20)},
    "unasked": {"unasked": (50,)},
    "behind": {"behind": (2, 7)},
    "refuse_handshake": {"refuse_handshake": (429, 503), "retry_after_s": (None, 1, 3)},
    "false_head": {"false_head": (1_000_000,)},
}
TRAITS: Mapping[str, Values] = {
    "index": {"subscription_index": tuple(Numbering), "answer_index": tuple(Numbering)},
    "log_time": {"log_time": tuple(LogTime)},
    "shapes": {
        "json_numbers": _NO_OR_YES,
        "empty_zero": _NO_OR_YES,
        "null_removed": _NO_OR_YES,
        "extra_fields": _NO_OR_YES,
        "upper_case": _NO_OR_YES,
    },
    "bloom": {"bloom": (Bloom.TOLD, Bloom.FULL, Bloom.MISSING)},
    "error_shape": {"error_shape": tuple(ErrorShape), "text_ids": _NO_OR_YES},
    "refuse_block_hash": {"refuse_block_hash": (True,)},
    "ignore_block_hash": {"ignore_block_hash": (True,)},
    "hang_range": {"hang_range": (1, 10, 40)},
    "close_range": {"close_range": (1, 10, 40)},
    "refuse_subscriptions": {"refuse_subscriptions": (Subscriptions.LOGS, Subscriptions.HEADS, Subscriptions.BOTH)},
    "refuse_unsubscribe": {"refuse_unsubscribe": (True,)},
}
_FELT_WHEN_CONNECTING = ("refuse_handshake", "refuse_subscriptions")
FILLS = ("same_order", "equal_fills", "standing_order")
"""How leaders fill one order more than once: in one transaction, with equal amounts too, and in several."""
ALL = frozenset((*STEPS, *TROUBLES, *TRAITS, *FILLS))
OLD = frozenset(STEPS)


@define
class Whim:
    """Throws everything but the steps."""

    luck: Entropy
    dice: frozenset[str]
    thrown: set[str] = field(factory=set)
    """The dice, other than steps, that this world has met."""
    _orders: int = 0
    _ends: list[tuple[int, DevNode, str]] = field(factory=list)
    """How many more steps each trouble lasts."""

    def give_traits(self, world: World) -> None:
        """Decide what each node is like. Some worlds know a trait not at all, some at every node."""
        for name, values in TRAITS.items():
            common = self.luck.choice((0.0, 0.0, 0.5, 1.0))
            for node in world.nodes:
                if self.luck.random() < common and name in self.dice:
                    self._throw(node, name, values)

    def next_step(self, world: World) -> None:
        """End the troubles that are over, begin another one, and let a leader fill an order in parts."""
        self._ends = [(left - 1, node, name) for left, node, name in self._ends]
        for _, node, name in (over for over in self._ends if over[0] <= 0):
            _end(node, name)
        self._ends = [end for end in self._ends if end[0] > 0]
        troubles = [name for name in TROUBLES if name in self.dice]
        if troubles and self.luck.random() < 0.5:
            name, node = self.luck.choice(troubles), self.luck.choice(world.nodes)
            # One liar among three: of two that contradict each other nobody could tell which.
            liar = world.nodes[-1] if len(world.nodes) > 2 else None
            chosen = liar if name == "false_head" else node
            if chosen is not None:
                self._throw(chosen, name, TROUBLES[name])
                self._ends.append((self.luck.choice((1, 3, 8)), chosen, name))
        forms = [name for name in FILLS if name in self.dice]
        if forms and self.luck.random() < 0.4:
            world.chain.mine(*self._filled(world, self.luck.choice(forms)))

    def _throw(self, node: DevNode, name: str, values: Values) -> None:
        for of, choices in values.items():
            setattr(node.faults, of, self.luck.choice(choices))
        self.thrown.add(name)
        if name in _FELT_WHEN_CONNECTING:
            node.drop_connections()

    def _filled(self, world: World, form: str) -> list[DevTx]:
        leader = self.luck.choice(LEADERS)
        self._orders += 1
        order = fake_hash("whim", self._orders)
        match form:
            case "same_order":
                return [world.buy(leader, fills=(100, 40), order=order)]
            case "equal_fills":
                return [world.buy(leader, fills=self.luck.choice(((100, 100), (100, 60, 100, 100))), order=order)]
            case _:
                return [world.buy(leader, shares=70, order=order) for _ in range(2)]


def end_troubles(world: World) -> None:
    """Let every node recover; what belongs to it remains."""
    world.down = set()
    for node in world.nodes:
        kept = {of: getattr(node.faults, of) for values in TRAITS.values() for of in values}
        node.faults.clear()
        for of, value in kept.items():
            setattr(node.faults, of, value)


def _end(node: DevNode, name: str) -> None:
    honest = NodeFaults()
    for of in TROUBLES[name]:
        setattr(node.faults, of, getattr(honest, of))
