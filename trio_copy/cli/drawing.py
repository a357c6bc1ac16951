"""Draws equity and drawdown as an SVG: two panels over one time axis. Whole numbers of pixels in, the same bytes out."""

from collections.abc import Callable
from datetime import UTC, datetime
from math import ceil, floor, log10
from xml.sax.saxutils import escape

from trio_copy.engine.standing import Curve, Point

_WIDTH, _HEIGHT = 920, 520
_LEFT, _RIGHT = 90, 870
_EQUITY, _DRAWDOWN = (60, 310), (360, 460)
"""Top and bottom of each panel."""
_MICRO = 1_000_000
_DAY_S = 86_400.0
_STEPS_S = (60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, _DAY_S, 2 * _DAY_S, 7 * _DAY_S, 30 * _DAY_S, 365 * _DAY_S)
_TICKS_MOST = 7


def draw(title: str, curve: Curve) -> str:
    """Draw a curve in USD over UTC."""
    points = curve.points
    if not points or points[0].at > curve.start:
        points = [Point(curve.start, 0, 0, 0, 0), *points]  # before the first booking nothing was made or lost
    end = max(curve.end, curve.start + 1.0)
    if points[-1].at < end:
        points = [*points, Point(end, points[-1].last, points[-1].last, points[-1].last, points[-1].drawdown)]

    def x(at: float) -> float:
        return _LEFT + (min(at, end) - curve.start) / (end - curve.start) * (_RIGHT - _LEFT)

    low, high = min(0, *(point.lowest for point in points)), max(0, *(point.highest for point in points))
    deepest = max(point.drawdown for point in points)
    y, equity_axis = _usd_axis(low / _MICRO, high / _MICRO, *_EQUITY)
    down, drawdown_axis = _usd_axis(-deepest / _MICRO, 0.0, *_DRAWDOWN)
    band = " ".join(f"M{x(one.at):.1f} {y(one.lowest / _MICRO):.1f}V{y(one.highest / _MICRO):.1f}" for one in points)
    # In steps, for nothing changes between two points: a slope would show hours of gain where there was one trade.
    line = f"M{_LEFT} {y(0.0):.1f}" + "".join(f"H{x(one.at):.1f}V{y(one.last / _MICRO):.1f}" for one in points)
    fallen = "".join(f"H{x(point.at):.1f}V{down(-point.drawdown / _MICRO):.1f}" for point in points)
    area = f"M{_LEFT} {down(0.0):.1f}{fallen}V{down(0.0):.1f}Z"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
        ' font-family="sans-serif" font-size="12" fill="#222">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        _text(_LEFT, 26, title, size=15),
        _text(_LEFT, 48, "Equity (USD): realised, and what is held at the last known price"),
        _text(_LEFT, 348, "Drawdown (USD): how far equity is under its highest"),
        _text(_RIGHT, 506, "time (UTC)", anchor="end"),
        *equity_axis,
        *drawdown_axis,
        *_time_axis(curve.start, end, x),
        f'<path d="{band}" stroke="#9ec5e8" fill="none"/>',
        f'<path d="{line}" stroke="#1f6fb2" stroke-width="1.5" fill="none"/>',
        f'<path d="{area}" stroke="#b03a2e" fill="#e6b0aa"/>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _usd_axis(low: float, high: float, top: int, bottom: int) -> tuple[Callable[[float], float], list[str]]:
    """Return where an amount stands in a panel, and the lines and numbers of its axis."""
    if high - low < 0.01:
        high, low = (high, low - 1.0) if high <= 0 else (high + 1.0, low)
    rough = (high - low) / 6
    size = 10.0 ** floor(log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first, last = floor(low / step), ceil(high / step)
    low, high = first * step, last * step

    def y(usd: float) -> float:
        return bottom - (usd - low) / (high - low) * (bottom - top)

    digits = max(0, -floor(log10(step)))
    drawn = []
    for number in range(first, last + 1):
        at = f"{y(number * step):.1f}"
        colour = "#888" if number == 0 else "#e4e4e4"
        drawn.append(f'<path d="M{_LEFT} {at}H{_RIGHT}" stroke="{colour}"/>')
        drawn.append(_text(_LEFT - 8, float(at) + 4, f"{number * step:,.{digits}f}", anchor="end"))
    return y, drawn


def _time_axis(start: float, end: float, x: Callable[[float], float]) -> list[str]:
    step = next((one for one in _STEPS_S if (end - start) / one <= _TICKS_MOST), _STEPS_S[-1])
    form = "%m-%d" if step >= _DAY_S else "%m-%d %H:%M"
    drawn = []
    for number in range(ceil(start / step), floor(end / step) + 1):
        at = f"{x(number * step):.1f}"
        drawn.append(f'<path d="M{at} {_EQUITY[0]}V{_EQUITY[1]}M{at} {_DRAWDOWN[0]}V{_DRAWDOWN[1]}" stroke="#eee"/>')
        drawn.append(_text(float(at), 480, f"{datetime.fromtimestamp(number * step, UTC):{form}}", anchor="middle"))
    return drawn


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'
