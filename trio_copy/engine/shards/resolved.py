"""Which questions were decided, as far as a shard needs it: until what it holds of them is redeemed. Sync."""

from collections.abc import Collection, Iterator, Mapping

from attrs import define, field

from trio_copy.accounts.plain import Plain, PlainError
from trio_copy.model.protocol_v2 import event_of
from trio_copy.model.resolutions import Resolution

_MOST = 100_000
"""Decided questions that are remembered; the oldest go first."""
_KEPT_BLOCKS = 100_000
"""A question is remembered for so many blocks, two days and more: what was bought of it may be proven late."""
_FORKS_MOST = 4
"""Blocks whose words on one question are remembered beside each other, until a reorg has taken back all but one."""


@define(eq=False)
class Resolved:
    _resolutions: dict[str, tuple[Resolution, ...]] = field(factory=dict)
    """By question, as each block says that has; the highest one counts, of equally high ones what was read last: the last."""
    _came_true: dict[str, tuple[str, ...]] = field(factory=dict)
    """Of an event of which one question comes true, that question: the others are decided by it. Two, with the newer one last,
    while a reorg is told that lets another one come true."""
    _fresh: set[str] = field(factory=set)
    """Those that a reorg may still take back, or that nobody has looked at since."""
    _changed: dict[str, None] = field(factory=dict)
    _news: set[str] = field(factory=set)
    """Those that no person was told of."""

    def note(self, resolution: Resolution) -> None:
        """Remember that a question was decided; noted again, the newer one holds."""
        name = resolution.condition_id
        # What was learned without its block gives way: nobody could say that a reorg took it back.
        others = [one for one in self._resolutions.get(name, ()) if one.block_hash not in (None, resolution.block_hash)]
        # A node may bring late what stands in a lower block: what a higher one says after it counts all the same.
        told = sorted((*others, resolution), key=lambda one: one.block_number)
        self._put(name, tuple(told[-_FORKS_MOST:]))
        self._fresh.add(name)
        self._news.add(name)
        if len(self._resolutions) > _MOST:
            self._drop(next(iter(self._resolutions)))

    def take_back(self, resolution: Resolution) -> None:
        """Forget what a block said that a reorg took back; what another block says of the question stays.

        That one may have been read before: a node may tell what it took back after others told what stands there now.
        """
        name = resolution.condition_id
        left = tuple(one for one in self._resolutions.get(name, ()) if not _is_of_same_block(one, resolution))
        self._keep(name, left)

    def read_again(self, block: int) -> None:
        """Forget what blocks after one have said, which are read again.

        What a reorg took back while nobody looked, nobody would say; and what stands there is told anew.
        """
        for name, told in tuple(self._resolutions.items()):
            if told[-1].block_number > block:
                self._keep(name, tuple(one for one in told if one.block_number <= block))

    def _keep(self, name: str, left: tuple[Resolution, ...]) -> None:
        if left:
            self._put(name, left)
        else:
            self._drop(name)

    def _put(self, name: str, resolutions: tuple[Resolution, ...]) -> None:
        self._forget_event(name)
        self._resolutions[name] = resolutions
        if (event := resolutions[-1].event) is not None:
            self._came_true[event] = (*self._came_true.get(event, ()), name)
        self._changed[name] = None

    def _drop(self, name: str) -> None:
        self._forget_event(name)
        if self._resolutions.pop(name, None) is not None:
            self._fresh.discard(name)
            self._news.discard(name)
            self._changed[name] = None

    def _forget_event(self, name: str) -> None:
        event = event_of(name)
        if event is None or event not in self._came_true:
            return
        left = tuple(one for one in self._came_true[event] if one != name)
        if left:
            self._came_true[event] = left
        else:
            del self._came_true[event]

    def take_news(self) -> Collection[str]:
        """Return the questions that were decided since this was asked last."""
        news, self._news = self._news, set()
        return news

    def has_become_final(self, final: int) -> bool:
        """Tell whether some question is decided for good, up to a block, that was not when this was asked last."""
        news = {name for name in self._fresh if self._resolutions[name][-1].block_number <= final}
        self._fresh -= news
        return bool(news)

    def forget(self, block: int, held: Collection[str]) -> None:
        """Forget what was decided long before a block and is not held any more; `held` are questions."""
        kept = set(map(self.decided_by, held))
        for name, resolutions in tuple(self._resolutions.items()):
            if resolutions[-1].block_number < block - _KEPT_BLOCKS and name not in kept:
                self._drop(name)

    def decided_by(self, condition_id: str) -> str:
        """Return the question whose resolution decides one: itself, or of an event the one that came true."""
        if condition_id in self._resolutions:
            return condition_id
        event = event_of(condition_id)
        came_true = () if event is None else self._came_true.get(event, ())
        return came_true[-1] if came_true else condition_id

    def of(self, condition_id: str) -> Resolution | None:
        told = self._resolutions.get(self.decided_by(condition_id))
        if told is None or told[-1].condition_id == condition_id:
            return None if told is None else told[-1]
        return told[-1].of_other(condition_id)

    def __len__(self) -> int:
        return len(self._resolutions)

    def take_changes(self) -> Iterator[tuple[str, Plain | None]]:
        """Return the documents that changed since the last call, by name; None for those to be deleted."""
        for name in self._changed:
            told = self._resolutions.get(name)
            yield name, None if told is None else _plain(told[-1])
        self._changed.clear()

    def documents(self) -> Iterator[tuple[str, Plain]]:
        """Return all documents, by name."""
        for name, told in self._resolutions.items():
            yield name, _plain(told[-1])

    def load(self, documents: Mapping[tuple[str, str], Plain]) -> None:
        """Read what was remembered. Raises `PlainError` for what is no such document."""
        for (kind, name), body in documents.items():
            if kind == "resolution":
                self._put(name, (_resolution(name, body),))
                self._fresh.add(name)
        self._changed.clear()  # it stands there


def _plain(resolution: Resolution) -> Plain:
    # Not the hash of its block: after a restart everything that may be taken back is read again.
    # Payouts are uint256: as text, so that no reader rounds them.
    return [1, [str(payout) for payout in resolution.payouts], resolution.block_number]


def _resolution(name: str, body: Plain) -> Resolution:
    try:
        _, payouts, block_number = body
        return Resolution(condition_id=name, payouts=tuple(map(int, payouts)), block_number=block_number)
    except (ValueError, TypeError) as error:
        raise PlainError(f"expected a stored resolution of {name}, was {str(body)[:80]}: {error}") from error


def _is_of_same_block(one: Resolution, other: Resolution) -> bool:
    if one.block_hash is None or other.block_hash is None:
        return one.block_number == other.block_number
    return one.block_hash == other.block_hash
