"""Which questions were decided, as far as a shard needs it: until what it holds of them is redeemed. Sync."""

from collections.abc import Collection, Iterator, Mapping

from attrs import define, field

from trio_copy.accounts.plain import Plain, PlainError
from trio_copy.model.resolutions import Resolution

_MOST = 100_000
"""Decided questions that are remembered; the oldest go first."""
_KEPT_BLOCKS = 100_000
"""A question is remembered for so many blocks, two days and more: what was bought of it may be proven late."""


@define(eq=False)
class Resolved:
    _resolutions: dict[str, Resolution] = field(factory=dict)
    _fresh: set[str] = field(factory=set)
    """Those that a reorg may still take back, or that nobody has looked at since."""
    _changed: dict[str, None] = field(factory=dict)
    _news: set[str] = field(factory=set)
    """Those that no person was told of."""

    def note(self, resolution: Resolution) -> None:
        """Remember that a question was decided; noted again, the newer one holds."""
        self._resolutions[resolution.condition_id] = resolution
        self._fresh.add(resolution.condition_id)
        self._news.add(resolution.condition_id)
        self._changed[resolution.condition_id] = None
        if len(self._resolutions) > _MOST:
            self.drop(next(iter(self._resolutions)))

    def drop(self, condition_id: str) -> None:
        """Forget a resolution that a reorg took back."""
        if self._resolutions.pop(condition_id, None) is not None:
            self._fresh.discard(condition_id)
            self._news.discard(condition_id)
            self._changed[condition_id] = None

    def take_news(self) -> Collection[str]:
        """Return the questions that were decided since this was asked last."""
        news, self._news = self._news, set()
        return news

    def has_become_final(self, final: int) -> bool:
        """Tell whether some question is decided for good, up to a block, that was not when this was asked last."""
        news = {name for name in self._fresh if self._resolutions[name].block_number <= final}
        self._fresh -= news
        return bool(news)

    def forget(self, block: int, held: Collection[str]) -> None:
        """Forget what was decided long before a block and is not held any more; `held` are questions."""
        for name, resolution in tuple(self._resolutions.items()):
            if resolution.block_number < block - _KEPT_BLOCKS and name not in held:
                self.drop(name)

    def of(self, condition_id: str) -> Resolution | None:
        return self._resolutions.get(condition_id)

    def __len__(self) -> int:
        return len(self._resolutions)

    def take_changes(self) -> Iterator[tuple[str, Plain | None]]:
        """Return the documents that changed since the last call, by name; None for those to be deleted."""
        for name in self._changed:
            resolution = self._resolutions.get(name)
            yield name, None if resolution is None else _plain(resolution)
        self._changed.clear()

    def documents(self) -> Iterator[tuple[str, Plain]]:
        """Return all documents, by name."""
        for name, resolution in self._resolutions.items():
            yield name, _plain(resolution)

    def load(self, documents: Mapping[tuple[str, str], Plain]) -> None:
        """Read what was remembered. Raises `PlainError` for what is no such document."""
        for (kind, name), body in documents.items():
            if kind == "resolution":
                self._resolutions[name] = _resolution(name, body)
                self._fresh.add(name)


def _plain(resolution: Resolution) -> Plain:
    # Payouts are uint256: as text, so that no reader rounds them.
    return [1, [str(payout) for payout in resolution.payouts], resolution.block_number]


def _resolution(name: str, body: Plain) -> Resolution:
    try:
        _, payouts, block_number = body
        return Resolution(condition_id=name, payouts=tuple(map(int, payouts)), block_number=block_number)
    except (ValueError, TypeError) as error:
        raise PlainError(f"expected a stored resolution of {name}, was {str(body)[:80]}: {error}") from error
