"""What the gas of one wallet's transactions may cost within a day, at most, by what was signed. Pure.

Each nonce pays once, whatever was signed with it: so what is made dearer, or cancelled, counts only what it adds.
"""

from collections import deque

from attrs import define, field, frozen

from trio_copy.model.ids import Address

_DAY_S = 86_400.0


@frozen
class Nonce:
    """Of all that is signed with one, one thing happens at most."""

    account: Address
    """Whose it is: of a transaction its sender's; of what a relayer carries, the wallet's."""
    number: int


@frozen(kw_only=True)
class Gas:
    """What one nonce may pay at most, by all that was signed with it up to a moment."""

    maker: Address
    """Of the wallet that acts."""
    nonce: Nonce
    wei: int
    is_exit: bool
    """Whether it is an exit's, or of what does nothing: these have room of their own."""
    at: float
    """Unix seconds of the signature."""


@define(eq=False)
class _Room:
    """What counted within a day."""

    total: int = 0
    counted: deque[tuple[float, Nonce, int]] = field(factory=deque)


@define(eq=False)
class DayGas:
    """What was signed of one wallet within a day, entries and acts in one room, exits and what does nothing in another."""

    _of_nonces: dict[Nonce, int] = field(factory=dict)
    """What counts of each nonce by now, by whichever wallet; the wallets of a process share it, for operators may be theirs in common."""
    _exits: _Room = field(factory=_Room)
    _others: _Room = field(factory=_Room)

    def knows(self, nonce: Nonce) -> bool:
        """Tell whether something of a nonce counts already."""
        return nonce in self._of_nonces

    def added_by(self, gas: Gas) -> int:
        """Return what would count beyond what counts of its nonce already."""
        self._forget(gas.at)
        return max(0, gas.wei - self._of_nonces.get(gas.nonce, 0))

    def total(self, *, exits: bool, now: float) -> int:
        """Return what counts in one of both rooms at a moment, in wei."""
        self._forget(now)
        return (self._exits if exits else self._others).total

    def count(self, gas: Gas) -> bool:
        """Count what was signed; returns whether that added anything."""
        added = self.added_by(gas)
        if not added:
            return False
        room = self._exits if gas.is_exit else self._others
        room.counted.append((gas.at, gas.nonce, added))
        room.total += added
        self._of_nonces[gas.nonce] = self._of_nonces.get(gas.nonce, 0) + added
        return True

    def _forget(self, now: float) -> None:
        """Forget what is a day old: what is signed of such a nonce after that may be paid today, and counts whole again."""
        for room in (self._exits, self._others):
            while room.counted and room.counted[0][0] <= now - _DAY_S:
                _, nonce, wei = room.counted.popleft()
                room.total -= wei
                left = self._of_nonces.get(nonce, 0) - wei
                if left > 0:
                    self._of_nonces[nonce] = left
                else:
                    self._of_nonces.pop(nonce, None)
