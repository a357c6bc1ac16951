"""What a follower may still spend: budgets of open cost, of days and of minutes.

A budget of open cost is never kept: it is the sum over what is held and what open orders may cost. `Exposure` carries the
sums along, so that an entry costs the same however much is open; `Account` is tested against adding everything up anew.
Only what was spent within a day or sent within a minute is remembered, because nothing else tells.
"""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache

from attrs import define, field

from trio_copy.accounts.commands import EngineDay
from trio_copy.model.budgets import Performance
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import Code, CopyTask, Reason
from trio_copy.model.follow_settings import Caps, FollowSettings
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.signals import Signal
from trio_copy.model.units import MICRO, NO_USD, Count, Usd

_DAY_S, _MINUTE_S = 86_400, 60
_DAY, _LEADER_DAY, _MINUTE = range(3)
"""Which of `windows_of` is which."""
_KEPT_DAYS = 3
"""A day's spending is remembered so many days after its day: longer than any order may stay unproven by itself."""
_EPOCH_ORDINAL = 719_163
"""The ordinal of 1970-01-01."""
_LAST_DAY = date.max.toordinal() - _EPOCH_ORDINAL
"""What a block says of its time need not be true; later than this no date can be written."""
_SCOPE_CAPS = ("max_exposure_usd", "max_leader_usd", "max_token_usd", "max_market_usd", "max_event_usd")
"""The caps on what is open, each of the scope at its place in `scopes_of`."""
_NO_LIMITS = (None,) * len(_SCOPE_CAPS)
Spot = tuple[Address, TokenId]
"""Whose trades of which token a position copies."""


@lru_cache(maxsize=4096)
def _date(day: int) -> str:
    return date.fromordinal(_EPOCH_ORDINAL + min(day, _LAST_DAY)).isoformat()


def day_of(at: float) -> str:
    """Write the UTC date of Unix seconds, as 2026-01-31."""
    return _date(int(at // _DAY_S))


@define
class Window:
    """What was spent, or sent, within a day or a minute."""

    used: int
    """In millionths of a USD, or orders."""
    until: float
    """Unix seconds after which nobody can ask about it."""
    held: int = field(default=0, eq=False)
    """What open orders may yet use of it; derived from them."""


Windows = dict[str, Window]
"""What is used of each day, of each day and leader, and of each minute, by name; none with nothing in it."""


@lru_cache(maxsize=4096)
def windows_of(leader: Address, block_time: int) -> tuple[tuple[str, float], tuple[str, float], tuple[str, float]]:
    """Name the windows that an entry counts in, and until when they are remembered: day, day and leader, minute.

    They are those of the leader's block, so that every owner of the account counts alike.
    """
    day, minute = block_time // _DAY_S, block_time // _MINUTE_S
    name, until = f"day {_date(day)}", float((day + 1 + _KEPT_DAYS) * _DAY_S)
    return ((name, until), (f"{name} {leader}", until), (f"minute {minute}", float((minute + 2) * _MINUTE_S)))


def count_in_windows(
    windows: Windows, signal: Signal, cost: int, orders: int, *, spent: int = 0, sent: int = 0
) -> None:
    """Count what open entries of a signal hold more, or less with numbers below zero, and what became of it.

    Counted whether capped or not: a cap that is set later must know.
    """
    day, of_leader, minute = windows_of(signal.leader, signal.block_time)
    for (name, until), held, used in ((day, cost, spent), (of_leader, cost, spent), (minute, orders, sent)):
        window = windows.get(name)
        if window is None:
            window = windows[name] = Window(0, until)
        window.held += held
        window.used += used
        if not (window.held or window.used):
            del windows[name]


@define(eq=False)
class _Scope:
    """What caps may be about: everything, a leader, a token, a question or an event."""

    name: str
    cost: int = 0
    """What is open of it has cost, or may cost at most, in millionths."""
    spots: int = 0
    """How many spots of it are open."""


@define(eq=False)
class _Place:
    """A spot that holds shares, or may soon."""

    scopes: Sequence[_Scope]
    question: tuple[str, str]
    """Its leader and question, as scopes."""
    count: int = 0
    """How many positions and open entries it has."""


@define(eq=False)
class Exposure:
    """What is open of one account, by the scopes that caps know: what it has cost, or may cost at most."""

    catalog: Catalog
    _places: dict[Spot, _Place] = field(factory=dict)
    _scopes: dict[str, _Scope] = field(factory=dict)
    _entered: dict[tuple[str, str], int] = field(factory=dict)
    """How many spots are open of one leader and question."""
    version: int = field(init=False)
    """Of the catalog by which it was counted."""

    def __attrs_post_init__(self) -> None:
        self.version = self.catalog.version

    def change(self, spot: Spot, count: int, cost: int) -> None:
        """Count positions and open entries that are new at a spot, or gone with a count below zero, and their cost."""
        place = self._places.get(spot)
        if place is None:
            if not count:
                return
            place = self._open(spot)
        place.count += count
        for scope in place.scopes:
            scope.cost += cost
        if not place.count:
            self._close(spot, place)

    def _open(self, spot: Spot) -> _Place:
        everything, leader, token, question, event = scopes_of(spot, self.catalog)
        names = (everything, leader, token) if question is token else (everything, leader, token, question, event)
        scopes = []
        for name in names:
            scope = self._scopes.get(name)
            if scope is None:
                scope = self._scopes[name] = _Scope(name)
            scope.spots += 1
            scopes.append(scope)
        place = self._places[spot] = _Place(scopes, (leader, question))
        self._entered[place.question] = self._entered.get(place.question, 0) + 1
        return place

    def _close(self, spot: Spot, place: _Place) -> None:
        del self._places[spot]
        for scope in place.scopes:
            scope.spots -= 1
            if not scope.spots:
                del self._scopes[scope.name]
        entered = self._entered.pop(place.question) - 1
        if entered:
            self._entered[place.question] = entered

    def keep_up(self) -> bool:
        """Take note of what the catalog has learned since; False when something open was moved, and must be counted anew."""
        moved = self.catalog.moved_since(self.version)
        if moved is None or any(_alone(token) in self._scopes for token in moved):
            return False
        self.version = self.catalog.version
        return True

    def cost(self, scope: str) -> int:
        """Return what is open of a scope, in millionths."""
        known = self._scopes.get(scope)
        return 0 if known is None else known.cost

    @property
    def spots(self) -> int:
        """How many spots hold shares, or may soon."""
        return len(self._places)

    def is_open(self, spot: Spot) -> bool:
        return spot in self._places

    def entered(self, spot: Spot) -> int:
        """Return how many spots are open of the spot's leader and question."""
        _, leader, _, question, _ = scopes_of(spot, self.catalog)
        return self._entered.get((leader, question), 0)


def scopes_of(spot: Spot, catalog: Catalog) -> tuple[str, str, str, str, str]:
    """Name the scopes that a spot counts in: everything, its leader, its token, its question and its event.

    A token that the catalog does not know is its own question and event: one scope then stands for all three.
    """
    leader, token = spot
    facts = catalog.of(token)
    if facts is None:
        return _scope_names(leader, token, None, "")
    return _scope_names(leader, token, facts.condition_id, facts.event)


def _alone(token: TokenId) -> str:
    return f"token {token}"


@lru_cache(maxsize=4096)
def _scope_names(leader: Address, token: TokenId, question: str | None, event: str) -> tuple[str, str, str, str, str]:
    alone = _alone(token)
    if question is None:
        return ("all", f"leader {leader}", alone, alone, alone)
    return ("all", f"leader {leader}", alone, f"market {question}", f"event {event or question}")


def over_budget(
    task: CopyTask,
    cost: Usd,
    settings: FollowSettings,
    exposure: Exposure,
    windows: Windows,
    day: EngineDay | None,
) -> Reason | None:
    """Return the cap that an entry which may cost up to `cost`, fees included, would break; None when it fits all."""
    caps, spot = settings.caps, (task.signal.leader, task.intent.token_id)
    if caps.max_order_usd is not None and cost.micro > caps.max_order_usd.micro:
        return _reached("caps.max_order_usd", cost, caps.max_order_usd)
    if day is not None and cost.micro > day.left.micro:
        used = Usd(day.limit.micro - day.left.micro)
        return _reached("engine.max_day_usd", used + cost, day.limit)
    limit = caps.max_day_usd
    if limit is not None and (total := _counted(windows, task.signal, _DAY) + cost.micro) > limit.micro:
        return _reached("caps.max_day_usd", Usd(total), limit)
    limit = caps.max_leader_day_usd
    if limit is not None and (total := _counted(windows, task.signal, _LEADER_DAY) + cost.micro) > limit.micro:
        return _reached("caps.max_leader_day_usd", Usd(total), limit)
    over = _over_scope(caps, cost.micro, spot, exposure)
    if over is not None:
        return over
    most = caps.max_positions
    if most is not None and not exposure.is_open(spot) and exposure.spots + 1 > most:
        return _reached("caps.max_positions", _count(exposure.spots + 1), _count(most))
    if settings.filters.entry == "first" and (entered := exposure.entered(spot)):
        return Reason(
            code=Code.ALREADY_IN, control="filters.entry", value=str(_count(entered + 1)), limit=str(_count(1))
        )
    per_minute = caps.max_orders_per_minute
    if per_minute is not None and (sent := _counted(windows, task.signal, _MINUTE) + 1) > per_minute:
        return _reached("caps.max_orders_per_minute", _count(sent), _count(per_minute))
    return None


def _counted(windows: Windows, signal: Signal, which: int) -> int:
    """Return what is spent or sent within one of a signal's windows so far, what is held for open orders included."""
    name, _ = windows_of(signal.leader, signal.block_time)[which]
    window = windows.get(name)
    return 0 if window is None else window.used + window.held


def _over_scope(caps: Caps, cost: int, spot: Spot, exposure: Exposure) -> Reason | None:
    limits = (
        caps.max_exposure_usd,
        caps.max_leader_usd,
        caps.max_token_usd,
        caps.max_market_usd,
        caps.max_event_usd,
    )
    if limits == _NO_LIMITS:
        return None
    scopes = scopes_of(spot, exposure.catalog)
    for scope, limit in zip(scopes, limits, strict=True):
        if limit is not None and (total := exposure.cost(scope) + cost) > limit.micro:
            # Where one scope stands for several, its tightest cap is the one to name.
            named = zip(limits, _SCOPE_CAPS, scopes, strict=True)
            tightest, name = min((limit, name) for limit, name, of in named if of == scope and limit is not None)
            return _reached(f"caps.{name}", Usd(total), tightest)
    return None


def breach(caps: Caps, performance: Performance, day: str, unrealised: Usd | Reason = NO_USD) -> Reason | None:
    """Return which loss cap is broken, if any, or cannot be looked at. What is held counts only where the cap says so."""
    loss, fall = performance.loss_on(day), performance.drawdown
    if caps.max_day_loss_usd is not None and loss and loss >= caps.max_day_loss_usd:
        return _lost("caps.max_day_loss_usd", loss, caps.max_day_loss_usd)
    if caps.max_drawdown_usd is not None and caps.drawdown_by == "mark":
        if isinstance(unrealised, Reason):
            return unrealised
        fall = performance.drawdown_by_mark(unrealised)
    if caps.max_drawdown_usd is not None and fall and fall >= caps.max_drawdown_usd:
        return _lost("caps.max_drawdown_usd", fall, caps.max_drawdown_usd)
    return None


def _count(number: int) -> Count:
    return Count(number * MICRO)


def _reached(control: str, value: Usd | Count, limit: Usd | Count) -> Reason:
    return Reason(code=Code.CAP_REACHED, control=control, value=str(value), limit=str(limit))


def _lost(control: str, value: Usd, limit: Usd) -> Reason:
    return Reason(code=Code.LOSS_LIMIT, control=control, value=str(value), limit=str(limit))
