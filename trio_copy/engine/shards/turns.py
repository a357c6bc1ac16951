"""Lanes that are ready, and whose turn it is: exits first, and nobody has all the workers."""

from collections import OrderedDict

import trio
from attrs import define, field

from trio_copy.engine.shards.queued import LaneKey, Queued
from trio_copy.engine.shards.taking_long import TakingLong

_OF_ROOM = 3
"""Of whoever has more than so many times the entries out that there is room for, no further one is taken."""


@define(eq=False)
class Turns:
    """Of one executor's lanes, which say what is ready."""

    exits: OrderedDict[LaneKey, None] = field(factory=OrderedDict)
    """Free lanes whose next task is an exit, the longest ready first."""
    entries: OrderedDict[LaneKey, None] = field(factory=OrderedDict)
    """Free lanes whose next task is an entry."""
    entries_out: int = 0
    """Entries that were taken and that whoever took them is not done with: `done`."""
    idle: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)
    """Those who wait for something to be ready."""
    _out_of: dict[str, int] = field(factory=dict)
    """What `entries_out` counts, by whom lanes name first."""
    _long: TakingLong = field(factory=TakingLong)
    """What takes long of what is in hand."""

    @property
    def ready(self) -> bool:
        """Whether something may be given out that no worker has taken."""
        return bool(self.exits or self.entries)

    def offer(self, key: LaneKey, *, leaves: bool) -> None:
        """Let a lane be ready, for an exit where something `leaves`, and somebody look who waits."""
        ready, other = (self.exits, self.entries) if leaves else (self.entries, self.exits)
        other.pop(key, None)
        if key not in ready:
            ready[key] = None
            self.idle.unpark()

    def withdraw(self, key: LaneKey) -> None:
        """Let a lane be ready no more."""
        self.exits.pop(key, None)
        self.entries.pop(key, None)

    def take(self, room: float) -> LaneKey | None:
        """Take the lane that is next, exits first; None when there is none.

        Who has many entries out leaves room to others: alone, three quarters are his, and of the rest the next one has as much.
        """
        if self.exits:
            key = self._long.next_exit(self.exits) if self._long.exits else next(iter(self.exits))
            del self.exits[key]
            return key
        most, out_of = _OF_ROOM * room, self._out_of
        if self._long.entries:
            found = self._long.next_entry(self.entries, out_of, most, most + _OF_ROOM * self._long.entries.total())
            if found is None:
                return None
        else:
            for found in self.entries:
                if out_of.get(found[0], 0) < most:
                    break
            else:
                return None
        del self.entries[found]
        self.entries_out += 1
        out_of[found[0]] = out_of.get(found[0], 0) + 1
        return found

    def takes_long(self, queued: Queued, most: int) -> bool:
        """Take note that a task is in hand for long, so that another worker stands in for its own.

        From now on it does not count against those of whom none takes long, and their exits go before others'. False, and
        nothing is changed, where it is known, or `most` others of its side do.
        """
        if queued.long or not self._long.add(queued.lane[0], most, is_exit=queued.is_exit):
            return False
        queued.long = True
        return True

    def done(self, queued: Queued) -> bool:
        """Take note that a worker is done with what it took; returns whether another one stands in for it since."""
        whose, was_long = queued.lane[0], queued.long
        if not queued.is_exit:
            self.entries_out -= 1
            left = self._out_of[whose] = self._out_of[whose] - 1
            if not left:
                del self._out_of[whose]
        if was_long:
            queued.long = False
            self._long.remove(whose, is_exit=queued.is_exit)
            # Its worker asks for no more. Once none of somebody takes long, there may be room for all that he has.
            self.idle.unpark(count=1 if whose in self._long.entries else max(1, len(self.entries)))
        return was_long
