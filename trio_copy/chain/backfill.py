"""Fetching missed logs in ranges that a node accepts: they halve on refusal and grow again. The plan is sync."""

from attrs import define


@define
class RangePlan:
    """Cuts [start, stop] into ranges.

    Nodes refuse wide ranges and long answers in many words, so every refusal is treated alike: half as wide.
    """

    start: int
    stop: int
    width: int
    max_width: int

    def next_range(self) -> tuple[int, int] | None:
        """Return the next range to ask for, or None when all is fetched."""
        if self.start > self.stop:
            return None
        return self.start, min(self.stop, self.start + self.width - 1)

    def fetched(self) -> None:
        """Go on behind the range that was answered, a little wider."""
        self.start += self.width
        self.width = min(self.max_width, self.width + max(1, self.width // 4))

    def refused(self) -> bool:
        """Halve the range; False when a single block was refused already and waiting is all that is left."""
        if self.width <= 1:
            return False
        self.width //= 2
        return True
