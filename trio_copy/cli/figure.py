"""The figure of a backtest: equity and drawdown in two panels over one time axis, as strokes, an area and labels.

Every stroke goes along an axis, for nothing changes between two moments: a slope would show hours of gain where there was one
trade. So a picture of pixels is as exact as one of paths. Lengths are in pixels of a figure of `WIDTH` by `HEIGHT`.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import ceil, floor, log10

from attrs import frozen

from trio_copy.engine.recordings.standing import Curve, Point

WIDTH, HEIGHT = 920, 520
_LEFT, _RIGHT = 90, 870
_EQUITY, _DRAWDOWN = (60, 310), (360, 460)
"""Top and bottom of each panel."""
_MICRO = 1_000_000
_DAY_S = 86_400.0
_HOUR_S = 3600.0
_STEPS_S = (
    *(60.0, 300.0, 900.0, 1800.0),
    *(hours * _HOUR_S for hours in (1, 2, 4, 12)),
    *(days * _DAY_S for days in (1, 2, 7, 30, 365)),
)
_TICKS_MOST = 7
_TITLE_MOST = 80
"""Letters that fit."""
_GRID, _ZERO, _BAND, _LINE, _FALLEN, _AREA = "#e4e4e4", "#888888", "#9ec5e8", "#1f6fb2", "#b03a2e", "#e6b0aa"
_Place = tuple[float, float]
_Scale = Callable[[float], float]


@frozen
class Stroke:
    """Straight lines from each place to the next; of an area, what they enclose."""

    places: Sequence[_Place]
    colour: str
    width: float = 1.0
    fill: str | None = None


@frozen
class Label:
    """Text at a place on its baseline, which is its start, its middle or its end."""

    place: _Place
    text: str
    anchor: str = "start"
    size: int = 12


@frozen
class Figure:
    title: str
    strokes: Sequence[Stroke]
    """The first lies lowest."""
    labels: Sequence[Label]


def figure_of(title: str, curve: Curve) -> Figure:
    """Lay out a curve in USD over UTC."""
    points = curve.points
    if not points or points[0].at > curve.start:
        points = [Point(curve.start, 0, 0, 0, 0), *points]  # before the first booking nothing was made or lost
    end = max(curve.end, curve.start + 1.0)
    if points[-1].at < end:
        points = [*points, Point(end, points[-1].last, points[-1].last, points[-1].last, points[-1].drawdown)]

    def x(at: float) -> float:
        return round(_LEFT + (min(at, end) - curve.start) / (end - curve.start) * (_RIGHT - _LEFT), 1)

    low, high = min(0, *(point.lowest for point in points)), max(0, *(point.highest for point in points))
    deepest = max(point.drawdown for point in points)
    y, equity_grid, equity_labels = _usd_axis(low / _MICRO, high / _MICRO, *_EQUITY)
    down, drawdown_grid, drawdown_labels = _usd_axis(-deepest / _MICRO, 0.0, *_DRAWDOWN)
    time_grid, time_labels = _time_axis(curve.start, end, x)
    band = [
        Stroke([(x(one.at), y(one.lowest / _MICRO)), (x(one.at), y(one.highest / _MICRO))], _BAND)
        for one in points
        if one.lowest != one.highest
    ]
    line = _steps((_LEFT, y(0.0)), [(x(one.at), y(one.last / _MICRO)) for one in points])
    fallen = _steps((_LEFT, down(0.0)), [(x(one.at), down(-one.drawdown / _MICRO)) for one in points])
    area = [*fallen, (fallen[-1][0], down(0.0)), (_LEFT, down(0.0))]
    return Figure(
        title=title,
        strokes=(
            *time_grid,
            *equity_grid,
            *drawdown_grid,
            *band,
            Stroke(line, _LINE, 1.5),
            Stroke(area, _FALLEN, 1.0, _AREA),
        ),
        labels=(
            Label((_LEFT, 26), title if len(title) <= _TITLE_MOST else f"{title[: _TITLE_MOST - 2]}..", size=15),
            Label((_LEFT, 48), "Equity (USD): realised, and what is held at the last known price"),
            Label((_LEFT, 348), "Drawdown (USD): how far equity is under its highest"),
            Label((_RIGHT, 506), "time (UTC)", "end"),
            *equity_labels,
            *drawdown_labels,
            *time_labels,
        ),
    )


def _steps(start: _Place, places: Sequence[_Place]) -> list[_Place]:
    path = [start]
    for x, y in places:
        path += [(x, path[-1][1]), (x, y)]
    return path


def _usd_axis(low: float, high: float, top: int, bottom: int) -> tuple[_Scale, list[Stroke], list[Label]]:
    """Return where an amount stands in a panel, and the lines and numbers of its axis."""
    if high - low < 0.01:
        high, low = (high, low - 1.0) if high <= 0 else (high + 1.0, low)
    rough = (high - low) / 6
    size = 10.0 ** floor(log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first, last = floor(low / step), ceil(high / step)
    low, high = first * step, last * step

    def y(usd: float) -> float:
        return round(bottom - (usd - low) / (high - low) * (bottom - top), 1)

    digits = max(0, -floor(log10(step)))
    grid, labels = [], []
    for number in sorted(range(first, last + 1), key=lambda number: number == 0):  # zero over the others
        at = y(number * step)
        grid.append(Stroke([(_LEFT, at), (_RIGHT, at)], _ZERO if number == 0 else _GRID))
        labels.append(Label((_LEFT - 8, at + 4), f"{number * step:,.{digits}f}", "end"))
    return y, grid, labels


def _time_axis(start: float, end: float, x: _Scale) -> tuple[list[Stroke], list[Label]]:
    step = next((one for one in _STEPS_S if (end - start) / one <= _TICKS_MOST), _STEPS_S[-1])
    form = "%m-%d" if step >= _DAY_S else "%m-%d %H:%M"
    grid, labels = [], []
    for number in range(ceil(start / step), floor(end / step) + 1):
        at = x(number * step)
        grid += [Stroke([(at, top), (at, bottom)], _GRID) for top, bottom in (_EQUITY, _DRAWDOWN)]
        labels.append(Label((at, 480), f"{datetime.fromtimestamp(number * step, UTC):{form}}", "middle"))
    return grid, labels
