"""What a figure looks like, as SVG and as PNG."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from tests.builders import NOW
from tests.cli.pictures import Picture
from trio_copy.cli.drawing import draw_png, draw_svg
from trio_copy.cli.figure import figure_of
from trio_copy.cli.letters import pixels_of
from trio_copy.engine.recordings.standing import Curve

SVG = "{http://www.w3.org/2000/svg}"


def test_a_curve_without_a_copy_is_a_flat_line() -> None:
    """Nothing was made and nothing lost: there is nothing to divide by, and still a picture."""
    figure = figure_of("a <b> & c", Curve(NOW, NOW + 7 * 86_400))
    assert ElementTree.fromstring(draw_svg(figure)).findtext(f"{SVG}title") == "a <b> & c"
    line = figure.strokes[-2]
    assert Picture.of(draw_png(figure)).at(1000, round(2 * line.places[0][1])) == line.colour


def test_a_title_does_not_run_out_of_the_picture() -> None:
    """A file's name may be as long as it likes."""
    figure = figure_of("x" * 300, Curve(NOW, NOW + 1))
    assert len(figure.labels[0].text) == 80
    picture = Picture.of(draw_png(figure))
    assert {picture.at(x, y) for x in range(1780, 1840) for y in range(60)} == {"#ffffff"}


def test_every_stroke_of_a_figure_is_where_it_belongs() -> None:
    """Also the area, which is filled down to its line and no further."""
    curve = Curve(NOW, NOW + 1000)
    for at, equity, fallen in ((100, 20, 0), (400, 5, 15), (700, 30, 0)):
        curve.note(NOW + at, equity * 1_000_000, fallen * 1_000_000)
    figure = figure_of("t", curve)
    picture = Picture.of(draw_png(figure))
    line, area = figure.strokes[-2:]
    for stroke in (line, area):
        for x, y in stroke.places[1:-2]:
            assert picture.at(round(x * 2), round(y * 2)) == stroke.colour
    (left, _), (_, bottom) = next(pair for pair in pairwise(area.places) if pair[1][1] > pair[0][1])
    for down, colour in ((-4, area.fill), (4, "#ffffff")):
        assert picture.at(round(left * 2) + 20, round(bottom * 2) + down) == colour


@pytest.mark.parametrize("lasts_s", [300, 7200, 5 * 3600, 86_400, 2 * 86_400, 7 * 86_400, 90 * 86_400, 900 * 86_400])
def test_a_time_axis_has_some_marks_and_not_too_many(lasts_s: int) -> None:
    """Whether the recording is of minutes or of years."""
    labels = [label for label in figure_of("t", Curve(NOW, NOW + lasts_s)).labels if label.anchor == "middle"]
    assert 2 <= len(labels) <= 8
    assert all(90 <= label.place[0] <= 870 for label in labels)


def test_every_letter_has_a_shape_of_its_own() -> None:
    """What is no letter of ours is a box, and not nothing."""
    shapes = {letter: frozenset(pixels_of(letter)) for letter in map(chr, range(32, 127))}
    assert len(set(shapes.values())) == 95
    assert [letter for letter, shape in shapes.items() if not shape] == [" "]
    assert frozenset(pixels_of("\u00fc")) == frozenset(pixels_of("\n")) not in shapes.values()
    assert all(x < 5 and y < 8 for shape in shapes.values() for x, y in shape)
