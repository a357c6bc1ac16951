"""Many things in pieces."""

from trio_copy.model.slices import Parted, shrink, slices


def test_slices_tell_all_in_order() -> None:
    """The last one has what is left; of nothing there is none."""
    assert list(slices(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(slices([], 3)) == []


def test_a_list_shrinks_from_its_end() -> None:
    """All is told once, and what was told is gone before the next is."""
    things, left = list(range(7)), list[int]()
    told = []
    for some in shrink(things, 3):
        told.append(some)
        left.append(len(things))
    assert told == [[4, 5, 6], [1, 2, 3], [0]]
    assert left == [7, 4, 1]
    assert not things


def test_a_table_in_parts_is_a_table() -> None:
    """Each key stands in one part, and no part has more than its share of many."""
    table = Parted[int, str]()
    for number in range(10_000):
        table.of(number)[number] = str(number)
    assert len(table) == 10_000
    assert table.of(77)[77] == "77"
    assert max(len(table.of(number)) for number in range(10_000)) < 100
    del table.of(77)[77]
    assert 77 not in table.of(77)
