"""What calls have taken is known for a while, and never less than the dearest of them."""

from trio_copy_onchain.sending.known_gas import KnownGas


def test_the_dearest_estimate_of_ten_minutes_counts() -> None:
    known = KnownGas()
    assert known.of("a", 5.0) is None
    for gas in (100_000, 180_000, 90_000):
        known.note("a", gas, 5.0)
    assert (known.of("a", 604.0), known.of("b", 604.0)) == (180_000, None)
    assert known.of("a", 605.0) is None
    known.note("a", 90_000, 605.0)
    assert known.of("a", 605.0) == 90_000


def test_of_very_many_the_oldest_are_forgotten() -> None:
    known = KnownGas()
    for like in range(1_001):
        known.note(like, 21_000, 0.0)
    assert (known.of(0, 0.0), known.of(1, 0.0), known.of(1_000, 0.0)) == (None, 21_000, 21_000)
