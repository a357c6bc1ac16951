"""Tells fills apart that only their order inside one transaction tells apart."""

from bisect import insort
from collections import OrderedDict

from attrs import define, field

from trio_copy.model.fills import Fill


@define(eq=False)
class Ordinals:
    """Counts by log index, not by arrival, so that sources which send in another order agree. Bounded."""

    kept: int
    _places: OrderedDict[tuple[str, ...], list[tuple[int, int]]] = field(factory=OrderedDict)

    def of(self, fill: Fill) -> int:
        """Return how many fills of the same subject stand before this one in its transaction."""
        key = (fill.block_hash, fill.tx_hash, *fill.subject)
        place = (fill.log_index, fill.item)
        places = self._places.get(key)
        if places is None:
            places = self._places[key] = []
            if len(self._places) > self.kept:
                self._places.popitem(last=False)
        if place not in places:
            insort(places, place)
        return places.index(place)
