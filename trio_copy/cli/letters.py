"""Letters for pictures of pixels: five columns wide and seven rows high, with one row below for tails."""

from collections.abc import Iterator

COLUMNS = 6
"""Of a letter and the gap behind it."""
BASELINE = 7
"""Rows above it."""
_FIRST = " "
_ROWS = 8
# Five columns for each letter from the space on, in hex; the lowest bit of a column is its highest row.
_SHAPES = bytes.fromhex(
    "0000000000 00005f0000 0007000700 147f147f14 242a7f2a12 2313086462 3649552250 0005030000"  # space ! " # $ % & '
    "001c224100 0041221c00 14083e0814 08083e0808 0050300000 0808080808 0060600000 2010080402"  # ( ) * + , - . /
    "3e5149453e 00427f4000 4261514946 2141454b31 1814127f10 2745454539 3c4a494930 0171090503"  # 0 to 7
    "3649494936 064949291e 0036360000 0056360000 0814224100 1414141414 0041221408 0201510906"  # 8 9 : ; < = > ?
    "324979413e 7e1111117e 7f49494936 3e41414122 7f4141221c 7f49494941 7f09090901 3e4149497a"  # @ A to G
    "7f0808087f 00417f4100 2040413f01 7f08142241 7f40404040 7f020c027f 7f0408107f 3e4141413e"  # H to O
    "7f09090906 3e4151215e 7f09192946 4649494931 01017f0101 3f4040403f 1f2040201f 3f4038403f"  # P to W
    "6314081463 0708700807 6151494543 007f414100 0204081020 0041417f00 0402010204 4040404040"  # X Y Z [ \ ] ^ _
    "0001020400 2054545478 7f48444438 3844444420 384444487f 3854545418 087e090102 18a4a4a47c"  # ` a to g
    "7f08040478 00447d4000 4080847d00 7f10284400 00417f4000 7c04180478 7c08040478 3844444438"  # h to o
    "fc24242418 18242418fc 7c08040408 4854545420 043f444020 3c4040207c 1c2040201c 3c4030403c"  # p to w
    "4428102844 1ca0a0a07c 4464544c44 0008364100 00007f0000 0041360800 1008081008"  # x y z { | } ~
)
_STRANGE = bytes.fromhex("7f4141417f")
"""Stands for every letter that is not here."""


def pixels_of(letter: str) -> Iterator[tuple[int, int]]:
    """Yield the column and row of each pixel of a letter."""
    at = 5 * (ord(letter) - ord(_FIRST))
    shape = _SHAPES[at : at + 5] if 0 <= at < len(_SHAPES) else _STRANGE
    return ((x, y) for x, column in enumerate(shape) for y in range(_ROWS) if column >> y & 1)
