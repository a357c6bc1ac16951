"""What operators have for gas, as far as somebody has looked."""

from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field

from trio_copy.model.ids import Address

_OLD_S = 60.0


@define(eq=False)
class Balances:
    _wei: dict[Address, int] = field(factory=dict)
    _at: dict[Address, float] = field(factory=dict)
    """By Trio's clock."""

    def note(self, found: Mapping[Address, int], now: float) -> None:
        """Keep what was seen just now, in wei."""
        self._wei |= found
        self._at |= dict.fromkeys(found, now)

    def of(self, operator: Address) -> int | None:
        """Return what an operator had when it was last looked at, in wei; None where it never was."""
        return self._wei.get(operator)

    def old(self, operators: Iterable[Address], now: float) -> Sequence[Address]:
        """Return those that nobody has looked at lately."""
        return [one for one in operators if one not in self._at or now - self._at[one] >= _OLD_S]
