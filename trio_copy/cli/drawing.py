"""Draws a figure as an SVG, which any browser shows, or as a PNG, which any program takes. The same figure, the same bytes."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from struct import pack
from xml.sax.saxutils import escape

from trio_copy.cli.figure import HEIGHT, WIDTH, Figure, Label, Stroke
from trio_copy.cli.letters import BASELINE, COLUMNS, pixels_of

_INK = "#222222"
_PAPER = "#ffffff"
_SCALE = 2
"""Pixels of a PNG to one of the figure."""


def draw_svg(figure: Figure) -> bytes:
    """Draw a figure as paths and texts."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        f' font-family="sans-serif" fill="{_INK}">',
        f"<title>{escape(figure.title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{_PAPER}"/>',
        *(_path(style, strokes) for style, strokes in groupby(figure.strokes, _style)),
        *map(_text, figure.labels),
        "</svg>",
    ]
    return ("\n".join(parts) + "\n").encode()


def _style(stroke: Stroke) -> str:
    width = "" if stroke.width == 1 else f' stroke-width="{stroke.width:g}"'
    return f'stroke="{stroke.colour}"{width} fill="{stroke.fill or "none"}"'


def _path(style: str, strokes: Iterable[Stroke]) -> str:
    """Write strokes of one style as one path: a band has a thousand."""
    path = ""
    for stroke in strokes:
        (x, y), *others = stroke.places
        path += f"M{x:.1f} {y:.1f}"
        for next_x, next_y in others:
            path += f"H{next_x:.1f}" * (next_x != x) + f"V{next_y:.1f}" * (next_y != y)
            x, y = next_x, next_y
    return f'<path d="{path}" {style}/>'


def _text(label: Label) -> str:
    x, y = label.place
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{label.size}" text-anchor="{label.anchor}">{escape(label.text)}</text>'


def draw_png(figure: Figure) -> bytes:
    """Draw a figure in pixels, one byte each, and a palette."""
    names = list(
        dict.fromkeys([_PAPER, _INK, *(name for one in figure.strokes for name in (one.fill, one.colour) if name)])
    )
    canvas = _Canvas()
    for stroke in figure.strokes:
        if stroke.fill is not None:
            canvas.fill(stroke.places, names.index(stroke.fill))
        canvas.stroke(stroke, names.index(stroke.colour))
    for label in figure.labels:
        canvas.write(label, names.index(_INK))
    palette = b"".join(bytes.fromhex(name[1:]) for name in names)
    header = pack(">IIBBBBB", canvas.width, canvas.height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(canvas.rows(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))


class _Canvas:
    """Rows of pixels. What lies outside is cut off."""

    def __init__(self) -> None:
        self.width, self.height = WIDTH * _SCALE, HEIGHT * _SCALE
        self._rows = [bytearray(self.width) for _ in range(self.height)]

    def rows(self) -> bytes:
        """Return the rows as a PNG holds them: each with the mark of one that is not packed further."""
        return b"".join(b"\0" + row for row in self._rows)

    def block(self, left: int, top: int, right: int, bottom: int, colour: int) -> None:
        left, right = max(0, left), min(self.width, right)
        for row in self._rows[max(0, top) : max(0, bottom)]:
            row[left:right] = bytes([colour]) * max(0, right - left)

    def stroke(self, stroke: Stroke, colour: int) -> None:
        width = round(stroke.width * _SCALE)
        for (x, y), (next_x, next_y) in pairwise(stroke.places):
            left, right = sorted((round(x * _SCALE), round(next_x * _SCALE)))
            top, bottom = sorted((round(y * _SCALE), round(next_y * _SCALE)))
            before, behind = width // 2, width - width // 2
            self.block(left - before, top - before, right + behind, bottom + behind, colour)

    def fill(self, places: Sequence[tuple[float, float]], colour: int) -> None:
        """Fill what lies between a path of steps and the line on which it ends."""
        base = round(places[-1][1] * _SCALE)
        for (x, y), (next_x, _) in pairwise(places):
            top, bottom = sorted((round(y * _SCALE), base))
            if next_x > x:
                self.block(round(x * _SCALE), top, round(next_x * _SCALE), bottom, colour)

    def write(self, label: Label, colour: int) -> None:
        dot = max(1, round(label.size * _SCALE / 10))
        width = (len(label.text) * COLUMNS - 1) * dot
        left = round(label.place[0] * _SCALE) - {"start": 0, "middle": width // 2, "end": width}[label.anchor]
        top = round(label.place[1] * _SCALE) - BASELINE * dot
        for x, y in _dots(label.text):
            self.block(left + x * dot, top + y * dot, left + (x + 1) * dot, top + (y + 1) * dot, colour)


def _dots(text: str) -> Iterator[tuple[int, int]]:
    for number, letter in enumerate(text):
        for x, y in pixels_of(letter):
            yield number * COLUMNS + x, y
