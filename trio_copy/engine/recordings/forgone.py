"""What copies that were not made would have come to: what each filter, cap and limit has cost, or saved. Sync.

An entry that was refused counts as bought at the leader's price, in the size that the follow's sizing gives without a
minimum. When the leader sells, the same part of it counts as sold at his price, and what is left at the end is worth its
mark. No fee, no slippage, no cap: it is what a refusal was about, not what would have been made of everything else.
Where several settings would have said no, the first one has.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence

from attrs import define, evolve, field, frozen

from trio_copy.copying.sizing import size
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.decisions import OrderIntent, Reason
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import Address, SignalId, TokenId
from trio_copy.model.signals import Signal
from trio_copy.model.units import MICRO, NO_USD

_SIGNALS_KEPT, _SALES_KEPT = 100_000, 256
_Spot = tuple[Address, TokenId]
_Control = tuple[str, str]
"""A reason's code, and the control that said no."""


@define(eq=False)
class _Held:
    """What one control has kept from being bought of one token, in millionths."""

    token_id: TokenId
    """The one that would have been bought: the opposite one of the leader's, where a follow reverses."""
    opposite: bool
    shares: int = 0
    cash: int = 0


@frozen
class _Sale:
    number: int
    """Of the signal, in the order of admission."""
    sold: int
    of: int
    price: int


@frozen(kw_only=True)
class Forgone:
    """What one control said no to."""

    code: str
    control: str
    entries: int
    exits: int
    valued: int
    """Entries that could be sized and priced."""
    would: int
    """What they would have come to, in millionths of a USD: above 0 the control has cost so much, below 0 it has saved it."""


@define(eq=False)
class Refusals:
    _signals: OrderedDict[SignalId, int] = field(factory=OrderedDict)
    """By number: a refusal may be told after later signals of the same leader."""
    _number: int = 0
    _holds: dict[_Spot, int] = field(factory=dict)
    """The leader's own shares, of what he bought in the recording."""
    _sales: dict[_Spot, deque[_Sale]] = field(factory=dict)
    _held: dict[_Spot, dict[_Control, list[_Held]]] = field(factory=dict)
    _counts: dict[_Control, list[int]] = field(factory=dict)
    """Entries, exits, and entries that could be valued."""

    def note_signal(self, signal: Signal) -> None:
        """Take note of a leader's trade, in the order of admission."""
        self._number += 1
        self._signals[signal.signal_id] = self._number
        if len(self._signals) > _SIGNALS_KEPT:
            self._signals.popitem(last=False)
        spot, shares = (signal.leader, signal.token_id), signal.shares.micro
        holds = self._holds.get(spot, 0)
        if signal.side is Side.BUY:
            self._holds[spot] = holds + shares
            return
        if not holds or signal.price is None:
            return  # he sells what he had before: nothing of it was refused
        sale = _Sale(self._number, min(shares, holds), holds, signal.price.micro)
        self._holds[spot] = holds - sale.sold
        self._sales.setdefault(spot, deque(maxlen=_SALES_KEPT)).append(sale)
        for kept in self._held.get(spot, {}).values():
            for held in kept:
                _sell(held, sale)

    def refuse(self, signal: Signal, reason: Reason, intent: OrderIntent | None) -> None:
        """Take note that a copy was not made; without an intent nobody knows how large it would have been."""
        control = (reason.code.name, reason.control)
        counts = self._counts.setdefault(control, [0, 0, 0])
        if signal.side is Side.SELL:
            counts[1] += 1
            return
        counts[0] += 1
        if intent is None or signal.price is None:
            return
        counts[2] += 1
        spot = (signal.leader, signal.token_id)
        held = _Held(intent.token_id, opposite=intent.token_id != signal.token_id)
        held.shares = intent.shares.micro
        held.cash = -(held.shares * intent.price.micro // MICRO)
        number = self._signals.get(signal.signal_id, 0)
        for sale in self._sales.get(spot, ()):
            if sale.number > number:
                _sell(held, sale)
        kept = self._held.setdefault(spot, {}).setdefault(control, [])
        if kept and kept[0].token_id == held.token_id:
            kept[0].shares += held.shares  # from here on both share their fate
            kept[0].cash += held.cash
        else:
            kept.insert(0, held)

    def judged(self, marks: Mapping[TokenId, int]) -> Sequence[Forgone]:
        """Return what each control said no to, with what is left at its mark; the dearest first."""
        would = dict.fromkeys(self._counts, 0)
        for controls in self._held.values():
            for control, kept in controls.items():
                would[control] += sum(held.cash + held.shares * marks.get(held.token_id, 0) // MICRO for held in kept)
        found = [
            Forgone(code=code, control=control, entries=entries, exits=exits, valued=valued, would=would[code, control])
            for (code, control), (entries, exits, valued) in self._counts.items()
        ]
        return sorted(found, key=lambda one: (-abs(one.would), -one.entries - one.exits, one.code, one.control))


def wanted_size(signal: Signal, settings: FollowSettings, facts: TokenFacts | None) -> OrderIntent | None:
    """Size a copy as the follow would without a minimum; None where it has no size."""
    sized = size(signal, evolve(settings, size=evolve(settings.size, minimum_usd=NO_USD)), facts)
    return sized if isinstance(sized, OrderIntent) else None


def _sell(held: _Held, sale: _Sale) -> None:
    part = -(-held.shares * sale.sold // sale.of)
    held.shares -= part
    held.cash += part * (MICRO - sale.price if held.opposite else sale.price) // MICRO
