"""How one node wants to be asked for logs, learned from its answers: how wide, by hash or number, and where it cuts. Sync.

What was learned is doubted again after a while that grows, because nodes change behind the same address.
"""

from attrs import define, field

from trio_copy.chain.pacing import Growing

_GROW_AFTER_S = 30.0
"""A wide range that hangs costs a whole timeout: what was refused is not tried again soon."""
_FORGET_AFTER_S = 3600.0
_TRY_HASHES_AFTER_S = 600.0
_SHORT_ANSWER = 9
"""No node is known that cuts answers as short as this."""


@define(eq=False)
class Manners:
    cuts_at: int | None = None
    """The longest answer in logs that it gives, where it was caught leaving some out."""
    _width: int | None = None
    """The widest range in blocks that it is asked for; None before any was refused."""
    _good: int = 0
    """The widest range that it answered since it began to refuse."""
    _grow_at: float = -float("inf")
    _patience: Growing = field(factory=lambda: Growing(_GROW_AFTER_S, _FORGET_AFTER_S))
    _hashes_at: float = -float("inf")
    _longest_whole: int = _SHORT_ANSWER

    def range_blocks(self, most: int) -> int:
        """Return how many blocks to ask for at once."""
        return most if self._width is None else min(most, self._width)

    def range_refused(self, blocks: int, now: float) -> None:
        """Ask for half as much, or as much as went well before."""
        first = self._width is None or self._good > 0
        self._width = max(1, blocks // 2, self._good if self._good < blocks else 0)
        self._good = 0
        if first:
            # Further refusals on the way down are the same discovery; each later one makes the next try rarer.
            self._grow_at = now + self._patience.next_s()

    def range_answered(self, blocks: int, most: int, now: float) -> None:
        """Note a good answer; one to a range as wide as it may be, after some time, makes the next one a little wider."""
        if self._width is None or blocks < self._width:
            return
        self._good = self._width
        if now < self._grow_at:
            return
        self._width += max(1, self._width // 4)
        if self._width >= most:
            self._width, self._good = None, 0
            self._patience.start_over()

    def keep_to(self, blocks: int) -> None:
        """Ask for no more than what went well, if it was refused more: what lies between is a guess that costs a timeout."""
        if self._width is not None:
            self._width = min(self._width, blocks)

    def takes_hashes(self, now: float) -> bool:
        return now >= self._hashes_at

    def hashes_refused(self, now: float) -> None:
        """Ask by number from now on, for a time."""
        self._hashes_at = now + _TRY_HASHES_AFTER_S

    def may_be_cut(self, logs: int) -> bool:
        """Tell whether an answer of so many logs may be missing some.

        A node that cuts has a longest answer. One that is no longer than another that was whole is whole too.
        """
        return logs > self._longest_whole if self.cuts_at is None else logs >= self.cuts_at

    def looked_into(self, logs: int) -> None:
        """Believe answers of up to so many logs."""
        self._longest_whole = max(self._longest_whole, logs)

    def cut(self, logs: int) -> None:
        self.cuts_at = logs

    def start_over(self) -> None:
        """Look into long answers anew: behind the next connection there may be another node."""
        self._longest_whole = _SHORT_ANSWER
