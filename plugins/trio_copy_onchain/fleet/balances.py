"""What operators have for gas, as far as somebody has looked."""

from collections.abc import Mapping

from attrs import define, field

from trio_copy.model.ids import Address


@define(eq=False)
class Balances:
    _wei: dict[Address, int] = field(factory=dict)

    def note(self, found: Mapping[Address, int]) -> None:
        """Keep what was seen just now, in wei."""
        self._wei |= found

    def of(self, operator: Address) -> int | None:
        """Return what an operator had when it was last looked at, in wei; None where it never was."""
        return self._wei.get(operator)
